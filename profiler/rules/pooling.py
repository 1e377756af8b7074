"""Pools.

A window of k values costs k − 1 comparisons (max) or k − 1 adds and a divide (average) for each result.  The
window is the dense one: padded values, and those that ``ceil_mode`` reaches for beyond the edge, count as
operands, and neither ``count_include_pad`` nor ``divisor_override`` changes the count.  Adaptive pools use
their true windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd, prod
from typing import Any

from profiler.opcount import ZERO, OpCount, Term
from profiler.rules.costs import expand, first, largest_of, mean_of
from profiler.rules.registry import rule
from profiler.rules.sizes import divides, of_sizes
from profiler.signatures import TensorSpec


def _max_pool(kernel: int | Sequence[int], dims: int, out: Any) -> Iterator[Term]:
    yield Term("windows", first(out).shape, largest_of(prod(expand(kernel, dims))))


def _avg_pool(kernel: int | Sequence[int], dims: int, out: TensorSpec) -> Iterator[Term]:
    yield Term("windows", out.shape, mean_of(prod(expand(kernel, dims))))


@rule("aten::max_pool1d", "aten::quantized_max_pool1d", "aten::max_pool1d_with_indices", kind="pool")
def max_pool1d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: Any) -> Iterator[Term]:
    """(*, L) → (*, L_out), windows of k."""
    return _max_pool(kernel_size, 1, out)


@rule(
    "aten::max_pool2d",
    "aten::quantized_max_pool2d",
    "aten::max_pool2d_with_indices",
    "aten::mkldnn_max_pool2d",
    kind="pool",
)
def max_pool2d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: Any) -> Iterator[Term]:
    """(*, H, W) → (*, H_out, W_out), windows of k_h·k_w."""
    return _max_pool(kernel_size, 2, out)


@rule(
    "aten::max_pool3d",
    "aten::quantized_max_pool3d",
    "aten::max_pool3d_with_indices",
    "aten::mkldnn_max_pool3d",
    kind="pool",
)
def max_pool3d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: Any) -> Iterator[Term]:
    """(*, D, H, W) → (*, D_out, H_out, W_out), windows of k_d·k_h·k_w."""
    return _max_pool(kernel_size, 3, out)


@rule("aten::fractional_max_pool2d", kind="pool")
def fractional_max_pool2d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: Any) -> Iterator[Term]:
    """(*, H, W) → (*, H_out, W_out), windows of k_h·k_w at random places; drawing the places is free."""
    return _max_pool(kernel_size, 2, out)


@rule("aten::fractional_max_pool3d", kind="pool")
def fractional_max_pool3d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: Any) -> Iterator[Term]:
    """(*, D, H, W) → (*, D_out, H_out, W_out), windows of k_d·k_h·k_w at random places."""
    return _max_pool(kernel_size, 3, out)


@rule("aten::avg_pool1d", kind="pool")
def avg_pool1d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, L) → (*, L_out), windows of k."""
    return _avg_pool(kernel_size, 1, out)


@rule("aten::avg_pool2d", kind="pool")
def avg_pool2d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, H, W) → (*, H_out, W_out), windows of k_h·k_w."""
    return _avg_pool(kernel_size, 2, out)


@rule("aten::avg_pool3d", kind="pool")
def avg_pool3d(input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, D, H, W) → (*, D_out, H_out, W_out), windows of k_d·k_h·k_w."""
    return _avg_pool(kernel_size, 3, out)


@of_sizes
def adaptive_window_total(size: int, windows: int) -> int:
    """How many values the adaptive windows along one axis hold together.

    Window i of the w over L values runs from ⌊i·L/w⌋ to ⌈(i+1)·L/w⌉.  Two neighbors share a value wherever
    the boundary i·L/w between them is no integer, which is so for w − gcd(L, w) of them.
    """
    return size + windows - gcd(size, windows)


def _adaptive_pool(input: TensorSpec, out: TensorSpec, dims: int, shared: OpCount, result: OpCount) -> Iterator[Term]:
    """Windows over the last ``dims`` axes: ``shared`` for each value beyond the first, ``result`` for each window."""
    planes, sizes, windows = out.shape[:-dims], input.shape[-dims:], out.shape[-dims:]
    if 0 in sizes or 0 in windows:
        return
    if all(divides(window, size) for size, window in zip(sizes, windows, strict=True)):
        yield Term("windows", out.shape, shared * (prod(sizes) // prod(windows) - 1) + result)
        return
    values = prod(adaptive_window_total(size, window) for size, window in zip(sizes, windows, strict=True))
    yield Term("planes", planes, shared * (values - prod(windows)) + result * prod(windows))


def _adaptive_avg_pool(input: TensorSpec, out: TensorSpec, dims: int) -> Iterator[Term]:
    return _adaptive_pool(input, out, dims, OpCount(adds=1), OpCount(divides=1))


def _adaptive_max_pool(input: TensorSpec, out: Any, dims: int) -> Iterator[Term]:
    return _adaptive_pool(input, first(out), dims, OpCount(comparisons=1), ZERO)


@rule("aten::adaptive_avg_pool1d", kind="pool")
def adaptive_avg_pool1d(input: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, L) → (*, L_out)."""
    return _adaptive_avg_pool(input, out, 1)


@rule("aten::adaptive_avg_pool2d", "aten::_adaptive_avg_pool2d", "aten::mkldnn_adaptive_avg_pool2d", kind="pool")
def adaptive_avg_pool2d(input: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, H, W) → (*, H_out, W_out)."""
    return _adaptive_avg_pool(input, out, 2)


@rule("aten::adaptive_avg_pool3d", "aten::_adaptive_avg_pool3d", kind="pool")
def adaptive_avg_pool3d(input: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, D, H, W) → (*, D_out, H_out, W_out)."""
    return _adaptive_avg_pool(input, out, 3)


@rule("aten::adaptive_max_pool1d", kind="pool")
def adaptive_max_pool1d(input: TensorSpec, *_: Any, out: Any) -> Iterator[Term]:
    """(*, L) → (*, L_out)."""
    return _adaptive_max_pool(input, out, 1)


@rule("aten::adaptive_max_pool2d", kind="pool")
def adaptive_max_pool2d(input: TensorSpec, *_: Any, out: Any) -> Iterator[Term]:
    """(*, H, W) → (*, H_out, W_out)."""
    return _adaptive_max_pool(input, out, 2)


@rule("aten::adaptive_max_pool3d", kind="pool")
def adaptive_max_pool3d(input: TensorSpec, *_: Any, out: Any) -> Iterator[Term]:
    """(*, D, H, W) → (*, D_out, H_out, W_out)."""
    return _adaptive_max_pool(input, out, 3)
