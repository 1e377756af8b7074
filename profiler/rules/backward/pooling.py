"""Gradients of pools: what went to a window is sent back to its places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from profiler.opcount import Term, each
from profiler.rules.costs import expand
from profiler.rules.pooling import adaptive_window_total
from profiler.rules.registry import gradient
from profiler.rules.terms import sent_back
from profiler.signatures import TensorSpec


@gradient(
    "aten::max_pool2d_with_indices_backward",
    "aten::max_pool3d_with_indices_backward",
    "aten::adaptive_max_pool2d_backward",
    "aten::adaptive_max_pool3d_backward",
    "aten::fractional_max_pool2d_backward",
    "aten::fractional_max_pool3d_backward",
    "aten::max_pool2d_backward",
    "aten::mkldnn_max_pool2d_backward",
    "aten::mkldnn_max_pool3d_backward",
    kind="pool",
)
def max_pool_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient goes to the value that was the largest of its window."""
    return sent_back(grad)


@gradient("aten::avg_pool2d_backward", kind="pool")
def avg_pool2d_backward(
    grad: TensorSpec, input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """Each gradient divided by k, to all k places of its window; dense."""
    yield each(grad.shape, "windows", divides=1, adds=prod(expand(kernel_size, 2)))


@gradient("aten::avg_pool3d_backward", kind="pool")
def avg_pool3d_backward(
    grad: TensorSpec, input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """Each gradient divided by k, to all k places of its window; dense."""
    yield each(grad.shape, "windows", divides=1, adds=prod(expand(kernel_size, 3)))


def _adaptive_avg_pool_backward(grad: TensorSpec, input: TensorSpec, dims: int) -> Iterator[Term]:
    sizes, windows = input.shape[-dims:], grad.shape[-dims:]
    places = prod(adaptive_window_total(size, window) for size, window in zip(sizes, windows, strict=True))
    yield each(grad.shape[:-dims], "planes", divides=prod(windows), adds=places)


@gradient("aten::_adaptive_avg_pool2d_backward", "aten::mkldnn_adaptive_avg_pool2d_backward", kind="pool")
def adaptive_avg_pool2d_backward(grad: TensorSpec, input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """Each gradient divided by its true window, to all places of it."""
    return _adaptive_avg_pool_backward(grad, input, 2)


@gradient("aten::_adaptive_avg_pool3d_backward", "aten::adaptive_avg_pool3d_backward", kind="pool")
def adaptive_avg_pool3d_backward(grad: TensorSpec, input: TensorSpec, *, out: TensorSpec, **_: Any) -> Iterator[Term]:
    """Each gradient divided by its true window, to all places of it."""
    return _adaptive_avg_pool_backward(grad, input, 3)
