"""Gradients of resampling: what was interpolated is spread by the same weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import (
    CUBIC_TAPS,
    LANCZOS_TAPS,
    LINEAR_TAPS,
    interpolation_of,
    spread_of,
    sum_of,
    weighted_sum_of,
)
from profiler.rules.registry import gradient
from profiler.rules.resampling import BICUBIC, NEAREST, sample_positions, weighed_values
from profiler.rules.terms import sent_back
from profiler.signatures import TensorSpec


@gradient(
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


@gradient("aten::upsample_linear1d_backward", kind="resample")
def upsample_linear1d_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient is spread by the weights it was interpolated with."""
    yield Term("spread", grad.shape, spread_of(LINEAR_TAPS, 1))


@gradient("aten::upsample_bilinear2d_backward", kind="resample")
def upsample_bilinear2d_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient is spread by the weights it was interpolated with."""
    yield Term("spread", grad.shape, spread_of(LINEAR_TAPS, 2))


@gradient("aten::upsample_trilinear3d_backward", kind="resample")
def upsample_trilinear3d_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """Each gradient is spread by the weights it was interpolated with."""
    yield Term("spread", grad.shape, spread_of(LINEAR_TAPS, 3))


@gradient("aten::upsample_bicubic2d_backward", kind="resample")
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
        down, across = [*scales, None, None][:2]
        for lines, size, results, factor, what in (
            (grad_width, height, grad_height, down, "along the height"),
            (height, width, grad_width, across, "along the width"),
        ):
            weighed = weighed_values(size, results, taps, align_corners, factor)
            yield each((*planes, lines), what, multiplies=weighed, adds=weighed)

    return cost


for _name, _taps in (("bilinear", LINEAR_TAPS), ("bicubic", CUBIC_TAPS), ("lanczos", LANCZOS_TAPS)):
    gradient(f"aten::_upsample_{_name}2d_aa_backward", kind="resample")(_antialiased_backward(_taps))


@gradient(
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
    """(N, C, *out) → gradients of input and grid, with positions and weights recomputed.

    The input's is spread by the weights.  The grid's is, along each axis, the difference of the neighbors
    interpolated along the others, times g, summed over the channels, times the pixels of a coordinate's unit.
    Bicubic is uncounted.
    """
    if interpolation_mode == BICUBIC:
        raise UncountedError("aten::grid_sampler_2d_backward has no rule for bicubic sampling")
    yield from sample_positions(grid, interpolation_mode, padding_mode, align_corners)
    dims = len(grid.shape) - 2
    if output_mask[0]:
        spread = OpCount(adds=1) if interpolation_mode == NEAREST else spread_of(LINEAR_TAPS, dims)
        yield Term("spread", grad.shape, spread)
    if output_mask[1] and interpolation_mode != NEAREST:
        difference = OpCount(adds=prod((LINEAR_TAPS,) * (dims - 1))) + interpolation_of(LINEAR_TAPS, dims - 1)
        yield Term("slopes", (*grad.shape, dims), difference + OpCount(multiplies=1, adds=1))
        yield each(grid.shape, "units", multiplies=1)


@gradient("aten::cudnn_grid_sampler_backward", kind="resample")
def cudnn_grid_sampler_backward(input: TensorSpec, grid: TensorSpec, grad: TensorSpec, *, out: Any) -> Iterator[Term]:
    """grid_sampler with linear interpolation, zeros beyond the edges and aligned corners."""
    return grid_sampler_backward(grad, input, grid, 0, 0, True, out=out)


@gradient("aten::affine_grid_generator_backward", "aten::cudnn_affine_grid_generator_backward", kind="resample")
def affine_grid_generator_backward(grad: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(N, *size, d) → (N, d, d + 1): sums over the points of g times a coordinate, and of g for the offset."""
    samples, dims = grad.shape[0], grad.shape[-1]
    points = prod(grad.shape[1:-1])
    yield Term("coordinates", (samples, dims, dims), weighted_sum_of(points))
    yield Term("offsets", (samples, dims), sum_of(points))
