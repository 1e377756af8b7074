"""Tensors that are known to have zeros around them: results of padding that are not changed since.

Padding in several steps, and concatenation with zeros, add up.  If a tensor may have zeros in unknown places (a slice
of a padded tensor, a copy of one, an image written into zeros), further padding is not known to be all of its zeros,
and no zeros are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import dropwhile, takewhile
from typing import Any

import torch

from profiler.tracing.origins import storage_of
from profiler.tracing.private import without_modes

Zeros = tuple[tuple[int, int], ...]
"""For each dimension, the numbers of zeros before and after; empty if there are none."""

_Layout = tuple[torch.Size, tuple[int, ...], int]


class Unclear:
    """There are zeros in places that are not known if any of ``questions`` is answered by yes, and else none."""

    def __init__(self, questions: Iterable[Callable[[], bool]]) -> None:
        self._questions: list[Callable[[], bool]] = list(questions)
        self._answer: bool | None = None
        self.depth: int = 1 + max([each.depth for each in self._questions if isinstance(each, Unclear)], default=0)

    def __call__(self) -> bool:
        if self._answer is None:
            self._answer = any(question() for question in self._questions)
            self._questions = []
        return self._answer


DEEPEST = 32
"""The number of questions, each about the answer of the one before, that wait; one more is answered."""

_State = Zeros | None
"""The zeros around a tensor, or None for zeros in places that are not known."""

IsZero = Callable[[torch.Tensor], bool | Callable[[], bool] | None]
"""Whether a tensor is all zeros; None if it is not known, and a question if its values have to be computed."""

CONSTANT_PADDING = {"aten::constant_pad_nd": ("pad", "value"), "aten::pad": ("pad", "mode", "value")}
"""Operators that put a constant around a tensor, with the names of their further arguments."""

JOINS: dict[str, int | None] = {
    **dict.fromkeys(("aten::cat", "aten::concat", "aten::concatenate")),
    **dict.fromkeys(("aten::vstack", "aten::row_stack"), 0),
    **dict.fromkeys(("aten::hstack", "aten::column_stack"), 1),
    "aten::dstack": 2,
}
"""Operators that put images one after the other along a dimension, with that dimension where it is always the same."""


class PaddedTensors:
    """Remembers, by storage and layout, the zeros in tensors; entries of overwritten or new storages are removed.

    ``storages`` has an entry for each storage with zeros around a tensor, or in places that are not known, or of which
    only values that are not computed say whether it has any.
    """

    def __init__(self, is_zero: IsZero) -> None:
        self._is_zero = is_zero
        self.storages: dict[int, tuple[_Layout, _State | Unclear]] = {}

    def __bool__(self) -> bool:
        return bool(self.storages)

    def around(self, tensor: torch.Tensor) -> Zeros:
        """The zeros around ``tensor``; empty if none are known."""
        state = self._given(tensor)
        return () if state is None or isinstance(state, Unclear) else state

    def follow(
        self, op: str, args: Any, kwargs: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor], *, moves: bool
    ) -> None:
        """Record that ``op`` computed ``outputs``; ``moves`` says that they may have zeros of its inputs."""
        state: _State | Unclear
        read = set(map(storage_of, inputs))
        made = [(tensor, storage) for tensor in outputs if (storage := storage_of(tensor)) not in read]
        if not made:
            return  # views, whose layout is known
        if op in CONSTANT_PADDING:
            state = _padded(op, args, kwargs, self._state(inputs[0]), outputs[0].dim())
        elif op in JOINS and len(inputs) > 1:
            given = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
            fixed = JOINS[op]
            state = self._joined(inputs, given if fixed is None else fixed, outputs[0].dim())
        elif not moves or not (self.storages or len(inputs) > 1):
            state = ()
        else:
            state = self._moved(inputs)
        if self.storages or state != ():
            for tensor, storage in made:
                self.storages.pop(storage, None)
                if state is None or isinstance(state, Unclear) or any(map(any, state)):
                    self.storages[storage] = (_layout(tensor), state)

    def written(self, tensors: Iterable[torch.Tensor]) -> None:
        """Record that an operation has written to ``tensors``: zeros in or around them may remain."""
        for tensor in tensors:
            storage = storage_of(tensor)
            known = self.storages.get(storage)
            if _is_part(tensor) or (known is not None and not isinstance(known[1], Unclear)):
                self.storages[storage] = (_layout(tensor), None)

    def _state(self, tensor: torch.Tensor) -> _State:
        state = self._given(tensor)
        if isinstance(state, Unclear):
            return None if state() else ()
        return state

    def _given(self, tensor: torch.Tensor) -> _State | Unclear:
        """The same without an answer to questions."""
        if not self.storages:
            return ()
        layout, state = self.storages.get(storage_of(tensor), (None, ()))
        return state if layout is None or isinstance(state, Unclear) or layout == _layout(tensor) else None

    def _moved(self, inputs: list[torch.Tensor]) -> _State | Unclear:
        """The zeros in the result of an operation that moves those of its ``inputs`` to places that are not known."""
        found: list[Any] = [self._given(tensor) for tensor in inputs] if self.storages else []
        if any(state != () and not isinstance(state, Unclear) for state in found):
            return None
        if len(inputs) > 1:
            found += map(self._is_zero, inputs)
        if any(each is True for each in found):
            return None
        questions = [each for each in found if callable(each)]
        if not questions:
            return ()
        unclear = Unclear(questions)
        if unclear.depth > DEEPEST:
            return None if unclear() else ()
        return unclear

    def _joined(self, inputs: list[torch.Tensor], dim: int, dims: int) -> _State:
        """The zeros around concatenated tensors, of which the first and the last ones may be all zeros."""
        inputs = [tensor for tensor in inputs if tensor.numel()]
        dim %= dims or 1
        zero = {id(tensor): self._is_zero(tensor) for tensor in inputs}
        blank = {tensor: answer() if callable(answer) else answer for tensor, answer in zero.items()}
        if None in blank.values() or any(tensor.dim() != dims for tensor in inputs):
            return None
        if not (self.storages or any(blank.values())):
            return ()
        front = sum(tensor.shape[dim] for tensor in takewhile(lambda tensor: bool(blank[id(tensor)]), inputs))
        behind = sum(
            tensor.shape[dim] for tensor in takewhile(lambda tensor: bool(blank[id(tensor)]), reversed(inputs))
        )
        rest = list(dropwhile(lambda tensor: bool(blank[id(tensor)]), inputs))
        while rest and blank[id(rest[-1])]:
            rest.pop()
        states = [self._state(tensor) for tensor in rest]
        if not rest or any(blank[id(tensor)] for tensor in rest) or None in states:
            return None
        known = [list(state or ((0, 0),) * dims) for state in states if state is not None]
        along = [zeros.pop(dim) for zeros in known]
        between = [along[0][1], *(size for pair in along[1:-1] for size in pair), along[-1][0]]
        if any(zeros != known[0] for zeros in known) or (len(rest) > 1 and any(between)):
            return None
        return (*known[0][:dim], (front + along[0][0], along[-1][1] + behind), *known[0][dim:])


def _padded(op: str, args: Sequence[Any], kwargs: dict[str, Any], inner: _State, dims: int) -> _State:
    """The zeros around a padded tensor with ``dims`` dimensions that had ``inner`` around it before."""
    given = {**dict(zip(CONSTANT_PADDING[op], args[1:], strict=False)), **kwargs}
    sizes = list(given["pad"])
    pairs = [(0, 0)] * (dims - len(sizes) // 2) + list(zip(sizes[-2::-2], sizes[::-2], strict=True))
    is_zero = given.get("mode", "constant") == "constant" and (given.get("value") or 0) == 0
    if inner is None or (not is_zero and any(map(any, inner))):
        return None
    if not is_zero:
        return ()
    return tuple(  # a negative size crops
        (max(front + before, 0), max(behind + after, 0))
        for (front, behind), (before, after) in zip(inner or ((0, 0),) * dims, pairs, strict=True)
    )


def is_all_zero(values: torch.Tensor) -> bool:
    """Whether a tensor with values is known to be all zeros."""
    if not values.numel() or values.layout != torch.strided or values.is_nested or values.is_quantized:
        return False
    try:
        with without_modes(), torch.no_grad():
            return not bool(values.any())
    except (RuntimeError, NotImplementedError):  # a dtype without a kernel
        return False


def _is_part(tensor: torch.Tensor) -> bool:
    """Whether it is only a part of its memory."""
    try:
        return tensor.numel() * tensor.element_size() < tensor.untyped_storage().nbytes()
    except (RuntimeError, NotImplementedError):
        return False


def _layout(tensor: torch.Tensor) -> _Layout:
    try:
        return tensor.shape, tuple(tensor.stride()), int(tensor.storage_offset())
    except (RuntimeError, NotImplementedError):  # a sparse tensor has none
        return tensor.shape, (), 0
