"""Gradients of pools, resampling, padding, unfolding and embeddings: what was spread is summed.

A gradient that is sent back to where its value came from costs one add, into zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import expand, sum_of, weighted_sum_of
from profiler.rules.indexing import MEAN_BAGS, SUM_BAGS
from profiler.rules.pooling import adaptive_window_total
from profiler.rules.registry import free, rule
from profiler.rules.resampling import (
    BICUBIC,
    CUBIC_TAPS,
    LANCZOS_TAPS,
    LINEAR_TAPS,
    NEAREST,
    antialiased_taps,
    grid_sampler,
    interpolation_of,
    pixel_scales,
)
from profiler.signatures import TensorSpec

free(
    "aten::select_backward",
    "aten::slice_backward",
    "aten::diagonal_backward",
    "aten::masked_scatter_backward",
    "aten::_pack_padded_sequence_backward",
    "aten::to_dense_backward",
    "aten::to_mkldnn_backward",
    "aten::_nested_select_backward",
    "aten::_nested_sum_backward",
)


def sent_back(grad: TensorSpec) -> Iterator[Term]:
    """One add for each element of the gradient."""
    yield each(grad.shape, "sums", adds=1)


@rule(
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


@rule("aten::avg_pool2d_backward", kind="pool")
def avg_pool2d_backward(
    grad: TensorSpec, input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """Each gradient divided by k, to all k places of its window; dense."""
    yield each(grad.shape, "windows", divides=1, adds=prod(expand(kernel_size, 2)))


@rule("aten::avg_pool3d_backward", kind="pool")
def avg_pool3d_backward(
    grad: TensorSpec, input: TensorSpec, kernel_size: int | Sequence[int], *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """Each gradient divided by k, to all k places of its window; dense."""
    yield each(grad.shape, "windows", divides=1, adds=prod(expand(kernel_size, 3)))


def _adaptive_avg_pool_backward(grad: TensorSpec, input: TensorSpec, dims: int) -> Iterator[Term]:
    sizes, windows = input.shape[-dims:], grad.shape[-dims:]
    places = prod(adaptive_window_total(size, window) for size, window in zip(sizes, windows, strict=True))
    yield each(grad.shape[:-dims], "planes", divides=prod(windows), adds=places)


@rule("aten::_adaptive_avg_pool2d_backward", "aten::mkldnn_adaptive_avg_pool2d_backward", kind="pool")
def adaptive_avg_pool2d_backward(grad: TensorSpec, input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """Each gradient divided by its true window, to all places of it."""
    return _adaptive_avg_pool_backward(grad, input, 2)


@rule("aten::_adaptive_avg_pool3d_backward", "aten::adaptive_avg_pool3d_backward", kind="pool")
def adaptive_avg_pool3d_backward(grad: TensorSpec, input: TensorSpec, *, out: TensorSpec, **_: Any) -> Iterator[Term]:
    """Each gradient divided by its true window, to all places of it."""
    return _adaptive_avg_pool_backward(grad, input, 3)


@rule(
    *(
        f"aten::{nearest}{dims}d_backward"
        for nearest in ("upsample_nearest", "_upsample_nearest_exact")
        for dims in (1, 2, 3)
    ),
    kind="resample",
)
def nearest_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient goes to the value it was copied from."""
    return sent_back(grad)


def spread_of(taps: int, dims: int) -> OpCount:
    """One gradient weighed along one dimension after the other, and added at all tapsᵈⁱᵐˢ places."""
    places = prod((taps,) * dims)
    return OpCount(multiplies=interpolation_of(taps, dims).multiplies, adds=places)


@rule("aten::upsample_linear1d_backward", kind="resample")
def upsample_linear1d_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient is spread by the weights it was interpolated with."""
    yield Term("spread", grad.shape, spread_of(LINEAR_TAPS, 1))


@rule("aten::upsample_bilinear2d_backward", kind="resample")
def upsample_bilinear2d_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient is spread by the weights it was interpolated with."""
    yield Term("spread", grad.shape, spread_of(LINEAR_TAPS, 2))


@rule("aten::upsample_trilinear3d_backward", kind="resample")
def upsample_trilinear3d_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient is spread by the weights it was interpolated with."""
    yield Term("spread", grad.shape, spread_of(LINEAR_TAPS, 3))


@rule("aten::upsample_bicubic2d_backward", kind="resample")
def upsample_bicubic2d_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient is spread by the weights it was interpolated with."""
    yield Term("spread", grad.shape, spread_of(CUBIC_TAPS, 2))


def _antialiased_backward(taps: int) -> Any:
    def cost(
        grad: TensorSpec, output_size: Any, input_size: Any, align_corners: bool, *scales: Any, out: TensorSpec
    ) -> Iterator[Term]:
        """Each gradient spread over its true window along the height, then along the width."""
        *planes, height, width = out.shape
        grad_height, grad_width = grad.shape[-2:]
        down, across = pixel_scales(out, grad, align_corners, [*scales, None, None][:2])
        for lines, size, results, scale, what in (
            (grad_width, height, grad_height, down, "along the height"),
            (height, width, grad_width, across, "along the width"),
        ):
            weighed = antialiased_taps(size, results, taps, scale)
            yield each((*planes, lines), what, multiplies=weighed, adds=weighed)

    return cost


for _name, _taps in (("bilinear", LINEAR_TAPS), ("bicubic", CUBIC_TAPS), ("lanczos", LANCZOS_TAPS)):
    rule(f"aten::_upsample_{_name}2d_aa_backward", kind="resample")(_antialiased_backward(_taps))


@rule(
    "aten::grid_sampler_2d_backward",
    "aten::grid_sampler_3d_backward",
    "aten::_grid_sampler_2d_cpu_fallback_backward",
    kind="resample",
)
def grid_sampler_backward(
    grad: TensorSpec,
    input: TensorSpec,
    grid: TensorSpec,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
    output_mask: Sequence[bool] = (True, True),
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *out) → gradients of input and grid, positions and weights computed anew.

    The input's is spread by the weights.  The grid's is, along each axis, the difference of the neighbours
    interpolated along the others, times g, summed over the channels, times the pixels of a coordinate's unit.
    Bicubic is uncounted.
    """
    if interpolation_mode == BICUBIC:
        raise UncountedError("aten::grid_sampler_2d_backward has no rule for bicubic sampling")
    forward = grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners, out=grad)
    yield from (term for term in forward if term.what != "interpolations")
    dims = grid.shape[-1]
    if output_mask[0]:
        spread = OpCount(adds=1) if interpolation_mode == NEAREST else spread_of(LINEAR_TAPS, dims)
        yield Term("spread", grad.shape, spread)
    if output_mask[1] and interpolation_mode != NEAREST:
        difference = OpCount(adds=prod((LINEAR_TAPS,) * (dims - 1))) + interpolation_of(LINEAR_TAPS, dims - 1)
        yield Term("slopes", (*grad.shape, dims), difference + OpCount(multiplies=1, adds=1))
        yield each(grid.shape, "units", multiplies=1)


@rule("aten::cudnn_grid_sampler_backward", kind="resample")
def cudnn_grid_sampler_backward(input: TensorSpec, grid: TensorSpec, grad: TensorSpec, *, out: Any) -> Iterator[Term]:
    """grid_sampler with linear interpolation, zeros beyond the edges and aligned corners."""
    return grid_sampler_backward(grad, input, grid, 0, 0, True, out=out)


@rule("aten::affine_grid_generator_backward", "aten::cudnn_affine_grid_generator_backward", kind="resample")
def affine_grid_generator_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(N, *size, d) → (N, d, d + 1): sums over the points of g times a coordinate, and of g for the offset."""
    samples, dims = grad.shape[0], grad.shape[-1]
    points = prod(grad.shape[1:-1])
    yield Term("coordinates", (samples, dims, dims), weighted_sum_of(points))
    yield Term("offsets", (samples, dims), sum_of(points))


@rule(
    *(f"aten::{padding}_pad{dims}d_backward" for padding in ("reflection", "replication") for dims in (1, 2, 3)),
    "aten::unfold_backward",
    kind="reduction",
)
def copies_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient goes to the value it was copied from."""
    return sent_back(grad)


@rule("aten::embedding_dense_backward", kind="reduction")
def embedding_dense_backward(
    grad: TensorSpec, indices: TensorSpec, num_weights: int, padding_idx: int, scale_grad_by_freq: bool, *, out: Any
) -> Iterator[Term]:
    """(*, D) → (V, D): each row of the gradient goes to the row looked up, divided by its frequency if asked."""
    yield each(grad.shape, "sums", adds=1, divides=int(scale_grad_by_freq))


@rule("aten::_embedding_bag_dense_backward", kind="reduction")
def embedding_bag_dense_backward(
    grad: TensorSpec,
    indices: TensorSpec,
    offset2bag: TensorSpec,
    bag_size: TensorSpec,
    maximum_indices: TensorSpec,
    num_weights: int,
    scale_grad_by_freq: bool,
    mode: int,
    per_sample_weights: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(B, D) → (V, D): each bag's gradient goes to all rows of the bag, or to the largest of each column."""
    if mode not in (SUM_BAGS, MEAN_BAGS):
        yield from sent_back(grad)
        return
    if mode == MEAN_BAGS:
        yield each(grad.shape, "means", divides=1)
    weighted = per_sample_weights is not None
    yield each(
        (indices.size, grad.shape[-1]), "sums", adds=1, multiplies=int(weighted), divides=int(scale_grad_by_freq)
    )


@rule("aten::_embedding_bag_per_sample_weights_backward", kind="reduction")
def embedding_bag_weights_backward(
    grad: TensorSpec, weight: TensorSpec, indices: TensorSpec, *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """(B, D), (V, D) → one number for each index: the product of its row with its bag's gradient."""
    yield Term("products", indices.shape, weighted_sum_of(grad.shape[-1]))


@rule("aten::_embedding_bag_backward", kind="reduction")
def embedding_bag_backward(
    grad: TensorSpec,
    indices: TensorSpec,
    offsets: TensorSpec,
    offset2bag: TensorSpec,
    bag_size: TensorSpec,
    maximum_indices: TensorSpec,
    num_weights: int,
    scale_grad_by_freq: bool,
    mode: int,
    sparse: bool,
    per_sample_weights: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(B, D) → (V, D), as :func:`embedding_bag_dense_backward`."""
    bags = (grad, indices, offset2bag, bag_size, maximum_indices, num_weights, scale_grad_by_freq, mode)
    return embedding_bag_dense_backward(*bags, per_sample_weights, out=out)


@rule("sparse::_embedding_bag_backward", kind="reduction")
def sparse_embedding_bag_backward(*args: Any, out: TensorSpec) -> Iterator[Term]:
    """(B, D) → sparse (V, D), which stores a row for each index: weighted or divided as the dense one, not summed."""
    for term in embedding_bag_backward(*args, out=out):
        alone = term.one - OpCount(adds=term.one.adds)
        if alone:
            yield replace(term, one=alone)
