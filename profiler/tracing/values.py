"""The values of small tensors that a network makes from constants and shapes, while it runs on the meta device.

Masks, positions and lengths decide which way a forward takes (``if mask.all():``), and do not depend on its data.
So operations on tensors whose values are known are run on the CPU as well, on small twins of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from profiler.tracing.private import is_mutable, written_by
from profiler.tracing.tensors import map_arguments

LARGEST = 2**20
"""Tensors of more elements than this have no twin."""

UNKNOWN = object()
"""What :meth:`KnownValues.run` gives for an operation whose result nobody knows."""

OF_ANY_VALUES = frozenset(
    f"aten::{name}" for name in ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
)
"""Operations that look at the shape and dtype of their first operand alone."""

_NO_VALUES = ("aten::empty", "aten::new_empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty_strided")


class KnownValues:
    """Twins on the CPU of the meta tensors whose values are known.

    A view's twin is a view of the twin, so that what is written to one is written to the other.  A tensor that
    something unknown is written to is forgotten, with all that share its memory.
    """

    def __init__(self) -> None:
        self._twins: Any = WeakTensorKeyDictionary()
        self._ids: set[int] = set()
        self._spoilt: dict[int, Any] = {}

    def note(self, tensor: torch.Tensor, twin: torch.Tensor) -> None:
        """``tensor`` on meta has the values of ``twin``."""
        if tensor.is_meta and not twin.is_meta and _stored(twin) <= LARGEST:
            self._twins[tensor] = twin
            self._ids.add(id(tensor))
            self._spoilt.pop(id(tensor.untyped_storage()), None)

    def may_know(self, inputs: list[torch.Tensor]) -> bool:
        """Whether the values of all ``inputs`` could be known: a quick answer, and no for nearly all operations."""
        return all(id(tensor) in self._ids or not tensor.is_meta for tensor in inputs)

    def run(self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[torch.Tensor]) -> Any:
        """The result of the operation on twins, or ``UNKNOWN`` where it depends on what is not known.

        ``inputs`` are the tensors among its arguments.
        """
        twins = {id(tensor): self.of(tensor) for tensor in inputs}
        random = torch.Tag.nondeterministic_seeded in func.tags
        small = not random and name not in _NO_VALUES and _is_small(func, args, kwargs, inputs)
        if small and name in OF_ANY_VALUES:
            twins[id(args[0])] = torch.empty_like(args[0], device="cpu")
        if not small or any(twin is None for twin in twins.values()):
            self.forget_written(func, args, kwargs)
            return UNKNOWN

        def on_cpu(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor):
                return twins[id(leaf)]
            return torch.device("cpu") if isinstance(leaf, torch.device) else leaf

        try:
            return func(*map_arguments(args, on_cpu), **{key: map_arguments(kwargs[key], on_cpu) for key in kwargs})
        except (NotImplementedError, RuntimeError):  # no kernel for it on the CPU
            self.forget_written(func, args, kwargs)
            return UNKNOWN

    def note_results(self, results: list[torch.Tensor], twins: list[torch.Tensor]) -> None:
        for result, twin in zip(results, twins, strict=True):
            if result.shape == twin.shape:
                self.note(result, twin)

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """A tensor with the values of ``tensor``, or nothing where they are not known."""
        if not tensor.is_meta:
            return tensor
        if id(tensor) not in self._ids:
            return None
        twin: torch.Tensor | None = self._twins.get(tensor)
        return None if twin is None or id(tensor.untyped_storage()) in self._spoilt else twin

    def forget_written(self, func: Any, args: Any, kwargs: Any) -> None:
        """The operation writes something unknown to those of its arguments that it changes."""
        if not is_mutable(func):
            return
        for value in written_by(func, args, kwargs):
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                    storage = tensor.untyped_storage()
                    self._spoilt[id(storage)] = storage  # held, so that its id stays its own


def by_positions(indices: Any, values_of: Callable[[torch.Tensor], torch.Tensor | None]) -> list[Any]:
    """The indices of ``aten::index``, each mask on meta whose values are known as positions for each of its sizes.

    How many elements a mask picks is then known on meta as well.
    """
    made: list[Any] = []
    for index in indices:
        is_mask = isinstance(index, torch.Tensor) and index.is_meta and index.dtype in (torch.bool, torch.uint8)
        values = values_of(index) if is_mask else None
        if values is None:
            made.append(index)
        else:
            picked = int(values.count_nonzero())
            made += [torch.empty(picked, dtype=torch.int64, device="meta") for _ in range(values.dim())]
    return made


def _stored(tensor: torch.Tensor) -> int:
    """How many elements a tensor holds in memory: one that is expanded has fewer than its sizes say."""
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


def _is_small(func: Any, args: Any, kwargs: Any, inputs: Iterable[torch.Tensor]) -> bool:
    """Whether an operation on values that are known is worth running: a factory is asked for its size first."""
    sizes = [tensor.numel() for tensor in inputs]
    if sizes:
        return sum(sizes) <= LARGEST
    made = func(*args, **kwargs)
    return isinstance(made, torch.Tensor) and made.numel() <= LARGEST
