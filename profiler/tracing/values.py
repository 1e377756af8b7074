"""Constant propagation: the values of small tensors that a network on meta computes from constants and shapes.

Branches of a forward may depend on masks, positions and lengths (``if mask.all():``), which do not depend on its data.
So operations on tensors whose values are known are also run on real copies of them on the CPU.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from profiler.tracing import symbols
from profiler.tracing.private import is_mutable, without_modes, written_by
from profiler.tracing.tensors import collect, map_arguments

LARGEST = 2**20
"""The maximum number of elements of a tensor with known values."""

UNKNOWN = object()
"""The result of :meth:`KnownValues.run` if it is not known."""

OF_ANY_VALUES = frozenset(
    f"aten::{name}" for name in ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
)
"""Operations that look at the shape and dtype of their first operand alone."""

_NO_VALUES = ("aten::empty", "aten::new_empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty_strided")


PUT_OFF = frozenset(
    f"aten::{name}" for name in ("copy_", "fill_", "zero_", "scalar_tensor", "zeros", "ones", "full", "arange", "clone")
)
"""Operators without the tag of pointwise ones whose values are computed when they are needed."""

MOST_PUT_OFF = 2**12
"""When there are more such operations, the values of all of them are computed."""


def may_be_put_off(func: Any, name: str) -> bool:
    """Whether the values of an operator can be computed later: nothing but its result follows from them.

    The kernel on the CPU refuses no values: it is pointwise, returns a view of its operand, or makes equal elements.
    """
    if torch.Tag.nondeterministic_seeded in func.tags or torch.Tag.dynamic_output_shape in func.tags:
        return False
    returns = func._schema.returns
    is_view = bool(returns) and all(result.alias_info is not None for result in returns)
    is_view = is_view and not is_mutable(func)
    return is_view or torch.Tag.pointwise in func.tags or name in PUT_OFF or name in OF_ANY_VALUES


@dataclass(slots=True)
class _PutOff:
    """An operation with its arguments, whose values are computed later."""

    func: Any
    name: str
    args: Any
    kwargs: Any
    inputs: list[torch.Tensor]
    results: list[torch.Tensor]
    dtype: torch.dtype


class KnownValues:
    """Real copies on the CPU of the meta tensors whose values are known.

    ``ids`` are those of all tensors whose values were known at any time.  The copy of a view is a view of the copy, so
    that writes affect both.  If unknown values are written to a tensor, it is forgotten, with all tensors that share
    its memory.

    Values are rarely needed.  So operations on tensors that the run itself has made are put off: they are computed, in
    the order in which they ran, when somebody needs the values of any tensor.  An operation on a tensor of the caller,
    which may change later, is computed at once.
    """

    def __init__(self) -> None:
        self._copies: Any = WeakTensorKeyDictionary()
        self.ids: set[int] = set()
        self._spoilt: dict[int, Any] = {}
        self._waiting: list[_PutOff | Any] = []
        self._own: set[int] = set()
        self._lock = threading.RLock()

    def note(self, tensor: torch.Tensor, copy: torch.Tensor) -> None:
        """Record that ``tensor`` on meta has the values of ``copy``."""
        self._own.discard(id(tensor))
        self._note(tensor, copy)

    def _note(self, tensor: torch.Tensor, copy: torch.Tensor) -> None:
        if tensor.is_meta and not copy.is_meta and _stored(copy) <= LARGEST:
            self._copies[tensor] = copy
            self.ids.add(id(tensor))
            self._spoilt.pop(id(tensor.untyped_storage()), None)

    def may_know(self, inputs: list[torch.Tensor]) -> bool:
        """Whether the values of all ``inputs`` could be known: a fast check that is false for nearly all operations."""
        return all(id(tensor) in self.ids or not tensor.is_meta for tensor in inputs)

    def put_off(
        self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[torch.Tensor], results: list[torch.Tensor]
    ) -> bool:
        """Note that the operation has run on meta, with these results, and compute its values later.

        False, and nothing is noted, if its operands may change until then; it :func:`may_be_put_off`.
        """
        if name not in OF_ANY_VALUES and not self._own.issuperset(map(id, inputs)):
            return False
        if (name in OF_ANY_VALUES or not inputs) and any(result.numel() > LARGEST for result in results):
            return True  # too large to be known
        with self._lock:
            if len(self._waiting) >= MOST_PUT_OFF:
                self._compute()
            self._waiting.append(_PutOff(func, name, args, kwargs, inputs, results, torch.get_default_dtype()))
        found = set(map(id, results))
        self.ids |= found
        self._own |= found
        return True

    def _compute(self) -> None:
        """Compute what was put off, as it would have been when it ran."""
        with self._lock, without_modes(), torch.no_grad():
            waiting, self._waiting = self._waiting, []
            before = torch.get_default_dtype()
            try:
                for each in waiting:
                    if not isinstance(each, _PutOff):
                        self._spoilt[id(each)] = each
                        continue
                    torch.set_default_dtype(each.dtype)
                    made: list[torch.Tensor] = []
                    found = self._run(each.func, each.name, each.args, each.kwargs, each.inputs)
                    collect([] if found is UNKNOWN else found, made)
                    for result, copy in zip(each.results, made, strict=False):
                        if result.shape == copy.shape:
                            self._note(result, copy)
            finally:
                torch.set_default_dtype(before)

    def run(self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[torch.Tensor]) -> Any:
        """The result of the operation on real copies, or ``UNKNOWN`` if it depends on unknown values.

        ``inputs`` are the tensors among its arguments.
        """
        has_symbols = symbols.RUN is not None and symbols.has_symbols((args, kwargs))
        if has_symbols or torch.Tag.nondeterministic_seeded in func.tags or name in _NO_VALUES:
            self.forget_written(func, args, kwargs)
            return UNKNOWN
        if self._waiting:
            self._compute()
        return self._run(func, name, args, kwargs, inputs)

    def _run(self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[torch.Tensor]) -> Any:
        copies = {id(tensor): self._of(tensor) for tensor in inputs}
        small = _is_small(func, args, kwargs, inputs)
        if small and name in OF_ANY_VALUES:
            copies[id(args[0])] = torch.empty_like(args[0], device="cpu")
        if not small or any(copy is None for copy in copies.values()):
            self.forget_written(func, args, kwargs)
            return UNKNOWN

        def on_cpu(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor):
                return copies[id(leaf)]
            return torch.device("cpu") if isinstance(leaf, torch.device) else leaf

        try:
            return func(*map_arguments(args, on_cpu), **{key: map_arguments(kwargs[key], on_cpu) for key in kwargs})
        except (NotImplementedError, RuntimeError):  # no kernel for it on the CPU
            self.forget_written(func, args, kwargs)
            return UNKNOWN

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
        if self._waiting:
            self._compute()
        return self._of(tensor)

    def _of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        if not tensor.is_meta:
            return tensor
        copy: torch.Tensor | None = self._copies.get(tensor)
        return None if copy is None or id(tensor.untyped_storage()) in self._spoilt else copy

    def forget_written(self, func: Any, args: Any, kwargs: Any) -> None:
        """Forget the arguments to which the operation writes unknown values."""
        if not (self.ids and is_mutable(func)):
            return
        for value in written_by(func, args, kwargs):
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                    storage = tensor.untyped_storage()
                    with self._lock:
                        if self._waiting:
                            self._waiting.append(storage)
                        else:
                            self._spoilt[id(storage)] = storage  # kept alive, so that its id is not reused


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
