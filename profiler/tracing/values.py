"""Constant propagation: the values of small tensors that a network on meta computes from constants and shapes.

Branches of a forward may depend on masks, positions and lengths (``if mask.all():``), which do not depend on its data.
So operations on tensors whose values are known are also run on real copies of them on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from profiler.tracing import memo, symbols
from profiler.tracing.constants import DEEPEST, Constant, Layout, Made, Making, Operand
from profiler.tracing.origins import Memory, Origins, storage_of
from profiler.tracing.private import apart, is_mutable, without_dispatch, without_functions, written_by
from profiler.tracing.tensors import PLAIN, collect, map_arguments

LARGEST = 2**20
"""The maximum number of elements of a tensor with known values."""

UNKNOWN = object()
"""The result of :meth:`KnownValues.run` if it is not known."""

OF_ANY_VALUES = frozenset(
    f"aten::{name}" for name in ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
)
"""Operations that look at the shape and dtype of their first operand alone."""

WAITING = frozenset(
    f"aten::{name}"
    for name in (
        *("arange", "clone", "contiguous", "copy_", "cumsum", "fill_", "full", "masked_fill_", "ones", "repeat"),
        *("reshape", "scalar_tensor", "to", "_to_copy", "tril", "triu", "zero_", "zeros"),
    )
)
"""Operators that may run later besides the pointwise ones: see :func:`_may_wait`."""

_has_values: dict[Any, bool] = {}
"""For operators that were met, whether the values of their results follow from those of their operands."""

_waits: dict[Any, bool] = {}
"""For operators that were met, whether they may run later."""

_NO_VALUES = ("aten::empty", "aten::new_empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty_strided")


class KnownValues:
    """Real copies on the CPU of the meta tensors whose values are known.

    ``ids`` are those of all tensors whose values were known at any time.  The copy of a view is a view of the copy, so
    that writes affect both.  If unknown values are written to a tensor, it is forgotten, with all tensors that share
    its memory.  Memory that ``origins`` knows as a constant has no copies: its tensors see the constant.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._copies: Any = WeakTensorKeyDictionary()
        self.ids: set[int] = set()
        self._spoilt: dict[int, Any] = {}

    def keep_weakly(self, storages: dict[int, Any]) -> None:
        """Remember storages with unknown values in ``storages``, which does not keep them alive."""
        self._spoilt = storages

    def note(self, tensor: torch.Tensor, copy: torch.Tensor) -> None:
        """Record that ``tensor`` on meta has the values of ``copy``."""
        if tensor.is_meta and not copy.is_meta and _stored(copy) <= LARGEST:
            self.ids.add(id(tensor))
            if self._constant(tensor) is None:
                self._copies[tensor] = copy
                self._spoilt.pop(id(tensor.untyped_storage()), None)

    def _constant(self, tensor: torch.Tensor) -> Constant | None:
        """The constant of the memory of a tensor on meta, if it is one."""
        memory = self._origins.memories.get(storage_of(tensor))
        return None if memory is None else memory.constant

    def may_know(self, inputs: list[torch.Tensor]) -> bool:
        """Whether the values of all ``inputs`` could be known: a fast check that is false for nearly all operations."""
        return all(id(tensor) in self.ids or not tensor.is_meta for tensor in inputs)

    def run(self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[torch.Tensor]) -> Any:
        """The result of the operation on real copies, or ``UNKNOWN`` if it depends on unknown values.

        ``inputs`` are the tensors among its arguments.
        """
        if symbols.ACTIVE.run is not None and symbols.has_symbols((args, kwargs)):
            self.forget_written(func, args, kwargs)
            return UNKNOWN
        if is_mutable(func):
            self._own(written_by(func, args, kwargs))
        copies = {id(tensor): self.of(tensor) for tensor in inputs}
        small = _may_have_values(func, name) and _is_small(func, args, kwargs, inputs)
        if small and name in OF_ANY_VALUES:
            copies[id(args[0])] = torch.empty_like(args[0], device="cpu")
        if not small or any(copy is None for copy in copies.values()):
            self.forget_written(func, args, kwargs)
            return UNKNOWN

        result = _on_cpu(func, args, kwargs, lambda leaf: copies[id(leaf)])
        if result is UNKNOWN:
            self.forget_written(func, args, kwargs)
            return UNKNOWN
        constants = [constant for constant in map(self._constant, inputs) if constant is not None and constant.shared]
        shared = {id(constant.content.untyped_storage()) for constant in constants if constant.content is not None}
        return map_arguments(result, lambda leaf: _without(shared, leaf)) if shared else result

    def _own(self, tensors: Iterable[Any]) -> None:
        """Make the constants of tensors those of their memory alone."""
        found: list[torch.Tensor] = []
        collect(list(tensors), found)
        for tensor in found:
            memory = self._origins.memories.get(storage_of(tensor)) if tensor.is_meta else None
            if memory is not None and memory.constant is not None and memory.constant.shared:
                memory.constant = memory.constant.copied(shared=False)

    def follow(
        self,
        func: Any,
        name: str,
        args: Any,
        kwargs: Any,
        operands: tuple[Sequence[torch.Tensor], Sequence[Memory]],
        results: tuple[Sequence[torch.Tensor], Sequence[Memory]],
        written: Sequence[torch.Tensor],
        answer: Any,
    ) -> None:
        """Note the values of the results of an operation whose operands, with their memory, are shared constants.

        ``answer`` is that of the memo for the operation, and ``written`` are the operands that it writes to.
        """
        inputs, memories = operands
        outputs, made = results
        small = sum([tensor.numel() for tensor in inputs or outputs]) <= LARGEST
        if not written and all(memory in memories for memory in made):  # views see the same constants
            (self.ids.update if small else self.ids.difference_update)(map(id, outputs))
            return
        constants = () if name in OF_ANY_VALUES else tuple([memory.constant for memory in memories])
        sharing = tuple([memories.index(memory) for memory in memories]) if written else ()
        key = answer, constants, sharing
        found = memo.MEMO.constants.find(key)
        if found is None:
            found = Made()
            if small and _may_have_values(func, name):
                found = _made(func, name, args, kwargs, operands, results, written)
            memo.MEMO.constants.learn(key, found)
        if written and not found.written:
            self.forget_written(func, args, kwargs)
            return
        for place, new in found.written:
            memories[place].constant = new
        for tensor, memory, constant in zip(outputs, made, found.results or (None,) * len(made), strict=True):
            if memory not in memories:
                memory.constant = constant
            known = memory.constant is not None and memory.constant.stored <= LARGEST
            (self.ids.add if known else self.ids.discard)(id(tensor))

    def note_results(self, results: list[torch.Tensor], copies: list[torch.Tensor]) -> None:
        for result, copy in zip(results, copies, strict=True):
            if result.shape == copy.shape:
                self.note(result, copy)

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """A tensor with the values of ``tensor``, or None if they are not known."""
        if not tensor.is_meta:
            return tensor
        if id(tensor) not in self.ids:
            return None
        constant = self._constant(tensor)
        if constant is not None:
            with without_dispatch(), without_functions():
                return constant.seen_by(Layout.of(tensor))
        copy: torch.Tensor | None = self._copies.get(tensor)
        return None if copy is None or id(tensor.untyped_storage()) in self._spoilt else copy

    def later(self, tensor: torch.Tensor) -> Callable[[], torch.Tensor | None] | None:
        """A function that computes the values that ``tensor`` has now; None if they are known already, or not known."""
        constant = self._constant(tensor) if id(tensor) in self.ids else None
        if constant is None or constant.waits_for is None:
            return None
        return partial(constant.seen_by, Layout.of(tensor))

    def given_to_code(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The same for functions of torch that read it: in memory that stands for that of ``tensor`` alone."""
        with apart():
            self._own([tensor])
        return self.of(tensor)

    def forget_written(self, func: Any, args: Any, kwargs: Any) -> None:
        """Forget the arguments to which the operation writes unknown values."""
        if not (self.ids and is_mutable(func)):
            return
        for value in written_by(func, args, kwargs):
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                    storage = tensor.untyped_storage()
                    self._spoilt[id(storage)] = storage  # kept alive, so that its id is not reused
                    memory = self._origins.memories.get(id(storage))
                    if memory is not None:
                        memory.constant = None


def _may_have_values(func: Any, name: str) -> bool:
    """Whether the values of results of the operation follow from those of its operands."""
    found = _has_values.get(func)
    if found is None:
        found = _has_values[func] = torch.Tag.nondeterministic_seeded not in func.tags and name not in _NO_VALUES
    return found


def _made(
    func: Any,
    name: str,
    args: Any,
    kwargs: Any,
    operands: tuple[Sequence[torch.Tensor], Sequence[Memory]],
    results: tuple[Sequence[torch.Tensor], Sequence[Memory]],
    written: Sequence[torch.Tensor],
) -> Made:
    """What an operation on constants makes: see :meth:`KnownValues.follow`."""
    inputs, memories = operands
    outputs, made = results
    writes = set(map(id, written))
    changed = {memory: place for place, memory in enumerate(memories) if id(inputs[place]) in writes} if writes else {}
    copies = {memory: place for place, memory in enumerate(changed)}
    of_any_values = name in OF_ANY_VALUES
    found: dict[int, Operand] = {}
    for tensor, memory in zip(inputs, memories, strict=True):
        found[id(tensor)] = Operand(None if of_any_values else memory.constant, Layout.of(tensor), copies.get(memory))
    options = dict(zip(kwargs, _with_operands(kwargs.values(), found), strict=True)) if kwargs else {}
    given = _with_operands(args, found), options

    def run(real: Callable[[Operand], torch.Tensor | None]) -> Any:
        result = _on_cpu(func, *given, _like if of_any_values else real)
        return None if result is UNKNOWN else result

    layouts = [
        None if memory in memories else Layout.of_new(tensor) for tensor, memory in zip(outputs, made, strict=True)
    ]
    making = Making(run, list(found.values()), [memory.constant for memory in changed], layouts)
    if making.depth > DEEPEST:
        making.contents()
    elif not _may_wait(func, name):
        making.compute()
    if making.is_computed and all(content is None for content in making.contents()):
        return Made()
    new = [
        None if layout is None else Constant.made_later(making, place, layout.stored, layout.nbytes)
        for place, layout in enumerate(layouts)
    ]
    changes = [
        (place, Constant.made_later(making, len(layouts) + number, memory.constant.stored, memory.constant.nbytes))
        for number, (memory, place) in enumerate(changed.items())
    ]
    return Made(tuple(new), tuple(changes))


def _with_operands(values: Iterable[Any], operands: Mapping[int, Operand]) -> list[Any]:
    """Arguments with ``operands`` in place of the tensors with these ids."""
    return [
        operands[id(value)]
        if value.__class__ in PLAIN
        else _with_operands(value, operands)
        if value.__class__ is list or value.__class__ is tuple
        else value
        for value in values
    ]


def _like(operand: Operand) -> torch.Tensor:
    """A real tensor like the operand, whose values do not matter."""
    layout = operand.layout
    return torch.empty_strided(layout.shape, layout.strides, dtype=layout.dtype, device="cpu")


def _may_wait(func: Any, name: str) -> bool:
    """Whether the operation may run later: it has no result but its values, and the CPU refuses no values."""
    waits = _waits.get(func)
    if waits is None:
        waits = _waits[func] = torch.Tag.pointwise in func.tags or name in WAITING or name in OF_ANY_VALUES
    return waits


def _on_cpu(func: Any, args: Any, kwargs: Any, real: Callable[[Any], torch.Tensor | None]) -> Any:
    """The result of an operation on ``real`` copies of its operands; ``UNKNOWN`` if it does not run."""

    def on_cpu(leaf: Any) -> Any:
        if isinstance(leaf, (torch.Tensor, Operand)):
            return real(leaf)
        return torch.device("cpu") if isinstance(leaf, torch.device) else leaf

    try:
        return func(*map_arguments(args, on_cpu), **{key: map_arguments(kwargs[key], on_cpu) for key in kwargs})
    except (NotImplementedError, RuntimeError):  # no kernel for it on the CPU
        return UNKNOWN


def _without(shared: set[int], leaf: Any) -> Any:
    """A result; a copy of one in shared memory, to which nobody may write.  A copy of an expanded one is expanded."""
    if not isinstance(leaf, torch.Tensor) or id(leaf.untyped_storage()) not in shared:
        return leaf
    if 0 not in leaf.stride():
        return leaf.clone()
    memory: Any = leaf.untyped_storage()
    return torch.empty(0, dtype=leaf.dtype).set_(memory.clone(), leaf.storage_offset(), leaf.size(), leaf.stride())


def by_positions(indices: Any, values_of: Callable[[torch.Tensor], torch.Tensor | None]) -> list[Any]:
    """The indices of ``aten::index``; each mask on meta with known values is replaced by positions for each dimension.

    The number of elements that a mask selects is then known on meta too.
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
    """The number of elements of a tensor in memory: an expanded one has fewer than its size."""
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


def _is_small(func: Any, args: Any, kwargs: Any, inputs: Iterable[torch.Tensor]) -> bool:
    """Whether an operation on known values is small enough to run; for a factory the size of its result decides."""
    sizes = [tensor.numel() for tensor in inputs]
    if sizes:
        return sum(sizes) <= LARGEST
    made = func(*args, **kwargs)
    return isinstance(made, torch.Tensor) and made.numel() <= LARGEST
