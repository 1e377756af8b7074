"""An image → the windows of a given size that slide over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch

from profiler.errors import ProfilerError
from profiler.records import show_shape


def sliding_windows(
    images: torch.Tensor, size: Sequence[int], step: int = 1
) -> tuple[tuple[int, ...], Iterator[torch.Tensor]]:
    """The number of windows along each dimension, and the windows, with the last dimension fastest.

    (N, C, *image) → windows (N, C, *size), ``step`` apart.  Raises ProfilerError if the image is smaller.
    """
    image = tuple(images.shape[-len(size) :])
    if any(whole < part for whole, part in zip(image, size, strict=True)):
        raise ProfilerError(f"an image of {show_shape(image)} has no window of {show_shape(tuple(size))}")
    places = tuple((whole - part) // step + 1 for whole, part in zip(image, size, strict=True))

    def windows() -> Iterator[torch.Tensor]:
        for place in product(*(range(count) for count in places)):
            cut: list[slice] = [
                slice(start * step, start * step + part) for start, part in zip(place, size, strict=True)
            ]
            yield images[(slice(None), slice(None), *cut)]

    return places, windows()
