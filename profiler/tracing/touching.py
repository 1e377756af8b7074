"""How many elements of memory the operands of an operation are, from their strides and the memory they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from profiler.tracing import symbols

ALL = -1
"""Stands for all elements of an operand."""


@dataclass(frozen=True, slots=True)
class _Region:
    """A strided operand in its storage, in bytes: where it starts and ends, and how it is laid out in between."""

    start: int
    end: int
    dims: tuple[tuple[int, int], ...]
    elements: int
    is_dense: bool


def touched(tensors: Sequence[torch.Tensor], *, share: bool) -> tuple[int, ...]:
    """For each tensor, the number of elements of memory that it adds to those before it; ``ALL`` for all of its own.

    An expanded dimension counts once, windows that overlap count what they cover together, and a tensor that another
    one contains counts 0.  Without ``share``, no two of them have the same storage.  Empty if all of them add all.
    """
    if symbols.ACTIVE.run is not None:
        return ()
    found = list(map(_of_its_own, tensors))
    if share:
        before: dict[int, list[_Region]] = {}
        for place, tensor in enumerate(tensors):
            region = _region(tensor)
            if region is not None and region.elements:
                others = before.setdefault(id(tensor.untyped_storage()), [])
                added = _added(region, others)
                if added != region.elements:
                    found[place] = added
                if added:
                    others.append(region)
    return tuple(found) if any(number != ALL for number in found) else ()


def _of_its_own(tensor: torch.Tensor) -> int:
    """The number of elements of memory of a tensor; ``ALL`` if each of its elements has its own place, or none has."""
    try:
        if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_contiguous():
            return ALL
        tensor.untyped_storage()
        elements = _elements(tensor.shape, tensor.stride())
        return ALL if elements == tensor.numel() else elements
    except (RuntimeError, NotImplementedError):
        return ALL


def _elements(shape: Sequence[int], strides: Sequence[int]) -> int:
    """The number of elements of memory of a strided tensor: no more than it has, and than it can reach."""
    if 0 in shape:
        return 0
    many = reach = 1
    for size, step in zip(shape, strides, strict=True):
        if size > 1 and step:
            many *= size
            reach += (size - 1) * step
    return min(many, reach)


def _region(tensor: torch.Tensor) -> _Region | None:
    """The memory of a strided tensor; None for any other, such as a sparse one."""
    try:
        if tensor.layout is not torch.strided or tensor.is_nested:
            return None
        tensor.untyped_storage()
        shape, strides, first = tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())
    except (RuntimeError, NotImplementedError):
        return None
    if 0 in shape:
        return _Region(0, 0, (), 0, True)
    dims = tuple(sorted((step, size) for size, step in zip(shape, strides, strict=True) if size > 1 and step))
    reach = 1 + sum((size - 1) * step for step, size in dims)
    width = tensor.element_size()
    elements = _elements(shape, strides)
    start = first * width
    in_bytes = tuple((step * width, size) for step, size in dims)
    return _Region(start, start + reach * width, in_bytes, elements, elements == reach)


def _added(region: _Region, others: Sequence[_Region]) -> int:
    """The number of elements of ``region`` that none of ``others`` has, as far as that follows from their places."""
    inside = 0
    for other in others:
        if (other.start, other.end, other.dims) == (region.start, region.end, region.dims):
            return 0
        if other.is_dense and other.start <= region.start and region.end <= other.end:
            return 0
        if region.is_dense and region.start <= other.start and other.end <= region.end:
            inside += other.elements
    return max(region.elements - inside, 0)
