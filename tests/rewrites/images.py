"""Images to compare networks on: generated from a seed, or read from a local CIFAR-10 folder. Nothing is downloaded."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from profiler.errors import ProfilerError

CIFAR10_SHAPE = (3, 32, 32)
CIFAR10_FILES = ("test_batch", *(f"data_batch_{number}" for number in range(1, 6)))

MEAN, DEVIATION = 0.47, 0.25
"""The mean and deviation that normalize pixels between 0 and 1: about those of CIFAR-10, for all channels."""


def generated_images(count: int, shape: Sequence[int] = CIFAR10_SHAPE, seed: int = 0) -> torch.Tensor:
    """(count, channels, height, width): normalized 8-bit images that are smooth like photographs; the seed decides
    them.

    Each is a sum of noise on grids from 2×2 up to a fraction of its size, weaker on finer grids, scaled to 0 … 255.
    """
    channels, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, channels, height, width)
    grid = 2
    while grid <= max(height, width):
        noise = torch.randn(count, channels, min(grid, height), min(grid, width), generator=generator)
        images += F.interpolate(noise, (height, width), mode="bilinear", align_corners=False) / grid**0.5
        grid *= 2
    pixels = (MEAN + DEVIATION * images / images.std()).mul(255).round().clamp(0, 255)
    return _normalized(pixels)


def cifar10_images(folder: str | PathLike[str], count: int = 10_000) -> torch.Tensor:
    """(count, 3, 32, 32): the first images of CIFAR-10's python version in ``folder``, the test batch first.

    Source of the layout: A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html.  Raises ProfilerError.
    """
    folder = Path(folder)
    batches: list[torch.Tensor] = []
    for name in CIFAR10_FILES:
        if sum(map(len, batches)) < count:
            batches.append(_cifar10_batch(folder / name))
    images = torch.cat(batches)[:count]
    if len(images) < count:
        raise ProfilerError(f"{folder}: holds {len(images)} images, expected {count}")
    return _normalized(images.float())


def _normalized(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels / 255 - MEAN) / DEVIATION


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays and plain values only; a pickle could otherwise run any code."""

    _RECONSTRUCT: Any = np.empty(0).__reduce__()[0]

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            "_reconstruct": self._RECONSTRUCT,
            "ndarray": np.ndarray,
            "dtype": np.dtype,
            "encode": lambda text, encoding: text.encode(encoding),
        }
        if name in allowed and module.partition(".")[0] in ("numpy", "_codecs"):
            return allowed[name]
        raise pickle.UnpicklingError(f"it contains {module}.{name}, expected arrays only")


def _cifar10_batch(path: Path) -> torch.Tensor:
    try:
        with path.open("rb") as file:
            data = _ArraysOnly(file, encoding="bytes").load()
        pixels = np.asarray(data[b"data"])
        return torch.from_numpy(pixels.reshape(-1, *CIFAR10_SHAPE).astype(np.uint8))
    except (OSError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProfilerError(f"{path}: cannot be read as a batch of CIFAR-10's python version ({reason})") from error
