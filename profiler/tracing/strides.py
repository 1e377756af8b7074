"""The strides of results of pointwise operators on meta, as torch chooses them, from the strides of their operands."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

Shape = tuple[int, ...]
Strides = tuple[int, ...]


@lru_cache(2**12)
def contiguous(shape: Shape) -> Strides:
    """The strides of a new tensor of that shape, whose elements are in order.

    Each tensor of each operation needs it, and most of them have one of few shapes.
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: Shape, strides: Strides) -> bool:
    """Whether the elements are in order; the strides of dimensions of size 1 do not matter."""
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def is_channels_last(shape: Shape, strides: Strides) -> bool:
    """The same for an image or a video whose channels, the second dimension, come last in memory."""
    if len(shape) not in (4, 5):
        return False
    moved = [0, *range(2, len(shape)), 1]
    return is_contiguous(tuple([shape[dim] for dim in moved]), tuple([strides[dim] for dim in moved]))


def prefers_channels_last(shape: Shape, strides: Strides) -> bool:
    """Whether torch's ``suggest_memory_format`` of an image or a video is that of channels that come last.

    Only the order of the strides matters, not gaps between elements.
    """
    if len(shape) not in (4, 5) or not strides[1]:
        return False
    least = 0
    for dim in (1, *reversed(range(2, len(shape))), 0):
        if not shape[dim] or strides[dim] < least or (dim == 0 and least == strides[1]):
            return False
        least = strides[dim] * shape[dim] if shape[dim] > 1 else strides[dim]
    return True


def is_viewable(shape: Shape, strides: Strides, to: Shape) -> bool:
    """Whether a tensor with these strides has a view of the shape ``to``, with as many elements; it is not empty.

    Dimensions whose elements follow each other in memory are one chunk, which may be divided in another way.
    """
    chunks: list[int] = []
    previous = 0
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if chunks and previous == size * stride:
            chunks[-1] *= size
        else:
            chunks.append(size)
        previous = stride
    wanted = list(to)
    for chunk in chunks:
        filled = 1
        while filled < chunk:
            filled *= wanted.pop(0)
        if filled != chunk:
            return False
    return True


def expanded(shape: Shape, strides: Strides, to: Shape) -> Strides | None:
    """The strides of a tensor that is expanded to another shape; None if it has no such size."""
    missing = len(to) - len(shape)
    if missing < 0:
        return None
    found = []
    for size, stride, wanted in zip(shape, strides, to[missing:], strict=True):
        if size != wanted and size != 1:
            return None
        found.append(stride if size == wanted else 0)
    for size in reversed(to[:missing]):
        found.insert(0, 0 if size != 1 else (found[0] * to[len(to) - len(found)] if found else 1))
    return tuple(found)


def of_elements(shape: Shape, *operands: Strides) -> Strides:
    """The strides of the result of a pointwise operator whose ``operands``, expanded to ``shape``, have these strides.

    The dimensions are in the order of the strides of the first operand that distinguishes them, as in torch's
    TensorIterator; the elements are in that order, without gaps.
    """
    dims = len(shape)
    if dims < 2:
        return (1,) * dims
    in_order = all(is_contiguous(shape, strides) for strides in operands)
    channels_last = dims == 4 and all(is_channels_last(shape, strides) for strides in operands)
    if in_order and not channels_last:
        return contiguous(shape)
    order = [0, 2, 3, 1] if channels_last and not in_order else _sorted(shape, operands)
    found = [0] * dims
    step = 1
    for dim in reversed(order):
        found[dim] = step
        step *= max(shape[dim], 1)
    return tuple(found)


def _sorted(shape: Shape, operands: Sequence[Strides]) -> list[int]:
    """The dimensions from the outermost to the innermost one, by an insertion sort that leaves equal ones in place."""
    order = list(range(len(shape)))[::-1]
    for last in range(1, len(order)):
        place = last
        for other in range(last)[::-1]:
            wrong = _compared(shape, operands, order[other], order[place])
            if wrong > 0:
                order[other], order[place] = order[place], order[other]
                place = other
            elif wrong < 0:
                break
    return order[::-1]


def _compared(shape: Shape, operands: Sequence[Strides], inner: int, outer: int) -> int:
    """Positive if ``inner`` has a larger stride than ``outer``, negative if a smaller one; 0 if no operand decides."""
    for strides in operands:
        first, second = strides[inner], strides[outer]
        if not (first and second):
            continue
        if first == second:
            if shape[outer] >= shape[inner]:
                continue
            return 1
        return 1 if first > second else -1
    return 0
