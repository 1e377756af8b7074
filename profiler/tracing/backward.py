"""The module and the kind of a backward operation: those of the forward operation that it is the gradient of.

Autograd numbers its nodes in the order in which forward operations create them.  While a forward operation runs, the
last number is that of its node; while a backward operation runs, its node is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from profiler.tracing.noted import Noted
from profiler.tracing.private import gradients_needed, last_node_number, node_that_runs, running_node

Place = tuple[str, int]
"""A module's name, and which of its calls."""


class Source(NamedTuple):
    """The forward operation of a backward one: its call site, and its event if the backward operation gets its kind."""

    place: Place
    event: Noted | None


WITHOUT_MASK = frozenset(
    {
        "aten::_scaled_dot_product_cudnn_attention_backward",
        "aten::_scaled_dot_product_flash_attention_backward",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
        "aten::_thnn_fused_gru_cell_backward",
        "aten::mkldnn_rnn_layer_backward",
        "torchvision::_deform_conv2d_backward",
    }
)
"""Operators that compute a gradient for each input of their node, in order, even if an input needs none."""


def without_unneeded(op: str, result: Any) -> Any:
    """The results of a backward operation, with None for each gradient that is computed and not needed."""
    if op not in WITHOUT_MASK:
        return result
    needs = gradients_needed()
    if len(needs) != len(result):
        return result
    return tuple(gradient if needed else None for gradient, needed in zip(result, needs, strict=True))


def nodes_between(before: Iterable[Any], after: Iterable[Any]) -> list[Any]:
    """The autograd nodes by which those ``after`` depend on those ``before``, the latter not among them."""
    seen = {node for node in before if node is not None}
    found: list[Any] = []
    rest = [node for node in after if node is not None]
    while rest:
        node = rest.pop()
        if node not in seen:
            seen.add(node)
            found.append(node)
            rest.extend(behind for behind, _ in node.next_functions if behind is not None)
    return found


class BackwardScope:
    """Remembers, node by node, which forward operation made it.

    While ``transforming``, an operation makes a node for each transform of ``torch.func`` that differentiates it, and
    one of its own after them.
    """

    def __init__(self) -> None:
        self.transforming = False
        self._noted = last_node_number()
        self._sources: dict[int, Source] = {}
        self._owners: dict[Any, BackwardScope] = {}
        self._gathered: list[int] | None = None
        self._latest = Source(("", 1), None)

    def in_other_thread(self) -> BackwardScope:
        """The same for another thread, in which node numbers start from zero again: they have to be claimed."""
        other = BackwardScope()
        other._owners = self._owners
        return other

    def claim(self, nodes: Iterable[Any]) -> None:
        """Record that these nodes were created in this thread."""
        self._owners.update(dict.fromkeys(nodes, self))

    def note(self, place: Place, event: Noted | None) -> None:
        """Record that the running forward operation created the last node, unless an earlier operation did."""
        number = last_node_number()
        made = range(self._noted + 1, number + 1) if self.transforming else (number,)
        self._noted = number
        for each in made:
            if each not in self._sources:
                self._sources[each] = Source(place, event)
                if self._gathered is not None:
                    self._gathered.append(each)

    @contextmanager
    def gathering(self, nodes: list[int]) -> Iterator[None]:
        """Append the nodes that are created within it to ``nodes``, for :meth:`make_part_of`."""
        before, self._gathered = self._gathered, nodes
        try:
            yield
        finally:
            self._gathered = before
            if before is not None:
                before += nodes

    def make_part_of(self, event: Noted, nodes: list[int]) -> None:
        """Record that these nodes were created by parts of the operation that was recorded as one ``event``."""
        for number in nodes:
            self._sources[number] = self._sources[number]._replace(event=event)

    def current(self) -> Source:
        """The forward operation of the running node, or of the last known node if it has none.

        A node of a custom ``autograd.Function`` runs the user's own backward, whose operations keep their kinds.  An
        in-place operation on a view creates a second node, which runs the first one.
        """
        number, custom = running_node()
        sources = self._owners.get(node_that_runs(), self)._sources if self._owners else self._sources
        source = sources.get(number) or sources.get(number - 1)
        if source is not None:
            self._latest = source._replace(event=None) if custom else source
        elif self._latest.event is not None:
            self._latest = self._latest._replace(event=None)
        return self._latest
