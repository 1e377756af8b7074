"""Which tensors are known to have zeros around them: results of padding that nothing has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

Zeros = tuple[tuple[int, int], ...]
"""For each dimension, how many zeros are in front and behind."""

_Layout = tuple[torch.Size, tuple[int, ...], int]

CONSTANT_PADDING = {"aten::constant_pad_nd": ("pad", "value"), "aten::pad": ("pad", "mode", "value")}
"""Operators that put a constant around a tensor, with the names of their further arguments."""


def zeros_around(op: str, args: Sequence[Any], kwargs: dict[str, Any], dims: int) -> Zeros:
    """The zeros that padding puts around a tensor of so many dimensions; none where it puts anything else there."""
    given = {**dict(zip(CONSTANT_PADDING[op], args[1:], strict=False)), **kwargs}
    if given.get("mode", "constant") != "constant" or (given.get("value") or 0) != 0:
        return ()
    pads = [max(size, 0) for size in given["pad"]]  # a negative one cuts off
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    return (*[(0, 0)] * (dims - len(pairs)), *reversed(pairs))


class PaddedTensors:
    """Remembers, by storage and layout, the zeros in tensors; what is written to or made anew is forgotten."""

    def __init__(self) -> None:
        self._zeros: dict[int, tuple[_Layout, Zeros]] = {}

    def __bool__(self) -> bool:
        return bool(self._zeros)

    def note(self, tensor: torch.Tensor, storage: int, zeros: Zeros) -> None:
        """``tensor``, whose storage is the one with that number, has ``zeros`` around it."""
        if any(map(any, zeros)):
            self._zeros[storage] = (_layout(tensor), zeros)

    def forget(self, storages: Iterable[int]) -> None:
        """What is in those storages is no longer known."""
        for storage in storages:
            self._zeros.pop(storage, None)

    def around(self, tensor: torch.Tensor, storage: int) -> Zeros:
        """The zeros around ``tensor``; nothing where none are known."""
        layout, zeros = self._zeros.get(storage, (None, ()))
        return zeros if layout is not None and layout == _layout(tensor) else ()


def _layout(tensor: torch.Tensor) -> _Layout:
    return tensor.shape, tuple(tensor.stride()), int(tensor.storage_offset())
