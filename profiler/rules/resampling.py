"""Resampling: linear and cubic interpolation to other sizes, and sampling at given points.

An interpolation in several dimensions is a nest of one-dimensional ones: bilinear takes two along the width
and one along the height, bicubic four and one.  One linear interpolation is 2 multiplies + 1 add, one cubic
4 multiplies + 3 adds.  The positions and weights of resizing depend on sizes alone, so they are constants;
those of sampling at points that are data are counted.  Nearest-neighbor resizing is free (see ``movement``).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import CUBIC_TAPS, LANCZOS_TAPS, LINEAR_TAPS, interpolation_of
from profiler.rules.registry import rule
from profiler.rules.sizes import of_sizes
from profiler.signatures import TensorSpec


@rule("aten::upsample_linear1d", kind="resample")
def upsample_linear1d(input: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(N, C, L) → (N, C, L_out)."""
    yield Term("interpolations", out.shape, interpolation_of(LINEAR_TAPS, 1))


@rule("aten::upsample_bilinear2d", kind="resample")
def upsample_bilinear2d(input: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(N, C, H, W) → (N, C, H_out, W_out)."""
    yield Term("interpolations", out.shape, interpolation_of(LINEAR_TAPS, 2))


@rule("aten::upsample_trilinear3d", kind="resample")
def upsample_trilinear3d(input: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(N, C, D, H, W) → (N, C, D_out, H_out, W_out)."""
    yield Term("interpolations", out.shape, interpolation_of(LINEAR_TAPS, 3))


@rule("aten::upsample_bicubic2d", kind="resample")
def upsample_bicubic2d(input: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(N, C, H, W) → (N, C, H_out, W_out)."""
    yield Term("interpolations", out.shape, interpolation_of(CUBIC_TAPS, 2))


def antialiased_taps(size: int, windows: int, taps: int, scale: Fraction) -> int:
    """How many values the antialiasing filter weighs along one axis, over all of its results together.

    ``scale`` is input pixels for each output pixel; the filter is ``taps`` wide in output pixels when it
    shrinks, in input pixels otherwise, and is cut off at the edges.  The window of result i reaches
    taps/2·max(scale, 1) to both sides of its center scale·(i + ½), as in ``UpSampleKernel.cpp`` of PyTorch.
    """
    reach = Fraction(taps, 2) * max(scale, Fraction(1))
    half = Fraction(1, 2)
    total = 0
    for i in range(windows):
        center = scale * (i + half)
        begin = max((center - reach + half).__floor__(), 0)
        total += min((center + reach + half).__floor__(), size) - begin
    return total


@of_sizes
def weighed_values(size: int, results: int, taps: int, align_corners: bool, factor: float | None) -> int:
    """As :func:`antialiased_taps`, by the requested scale factor if there is one, else by the sizes."""
    if align_corners:
        scale = Fraction(size - 1, results - 1) if results > 1 else Fraction(0)
    else:
        scale = 1 / Fraction(str(factor)) if factor else Fraction(size, results)
    return antialiased_taps(size, results, taps, scale)


def _antialiased(
    input: TensorSpec, out: TensorSpec, taps: int, align_corners: bool, scales: tuple[Any, ...]
) -> Iterator[Term]:
    """(N, C, H, W) → (N, C, H, W_out) → (N, C, H_out, W_out): along the width first, then along the height.

    ``scales`` is nothing, one for each axis, or (the vec overload) a list of them or None.
    """
    factors = scales[0] if len(scales) == 1 and isinstance(scales[0], list | tuple) else scales
    down, across = [*factors, None, None][:2]
    *planes, height, width = input.shape
    out_height, out_width = out.shape[-2:]
    for lines, size, results, factor, what in (
        (height, width, out_width, across, "along the width"),
        (out_width, height, out_height, down, "along the height"),
    ):
        weighed = weighed_values(size, results, taps, align_corners, factor)
        yield Term(what, (*planes, lines), OpCount(multiplies=weighed, adds=weighed - results))


@rule("aten::_upsample_bilinear2d_aa", kind="resample")
def upsample_bilinear2d_aa(
    input: TensorSpec, size: Any, align_corners: bool, *scales: Any, out: TensorSpec
) -> Iterator[Term]:
    """(N, C, H, W) → (N, C, H_out, W_out), each axis weighed over its true windows."""
    return _antialiased(input, out, LINEAR_TAPS, align_corners, scales)


@rule("aten::_upsample_bicubic2d_aa", kind="resample")
def upsample_bicubic2d_aa(
    input: TensorSpec, size: Any, align_corners: bool, *scales: Any, out: TensorSpec
) -> Iterator[Term]:
    """(N, C, H, W) → (N, C, H_out, W_out), each axis weighed over its true windows."""
    return _antialiased(input, out, CUBIC_TAPS, align_corners, scales)


@rule("aten::_upsample_lanczos2d_aa", kind="resample")
def upsample_lanczos2d_aa(
    input: TensorSpec, size: Any, align_corners: bool, *scales: Any, out: TensorSpec
) -> Iterator[Term]:
    """(N, C, H, W) → (N, C, H_out, W_out), each axis weighed over its true windows."""
    return _antialiased(input, out, LANCZOS_TAPS, align_corners, scales)


NEAREST, BICUBIC = 1, 2
"""Interpolation modes of grid_sample; 0 is (bi)linear."""

BORDER, REFLECTION = 1, 2
"""Padding modes of grid_sample; 0 is zeros, which is free."""

CUBIC_WEIGHTS = OpCount(multiplies=4 * 3, adds=2 * 2 + 2 * 3 + 3)
"""The four cubic weights at a fraction t.

The two inner ones are ((a + 2)·x − (a + 3))·x·x + 1 at t and 1 − t, the two outer ones
((a·x − 5a)·x + 8a)·x − 4a at 1 + t and 2 − t; a is a constant.
"""


def unnormalized(align_corners: bool) -> OpCount:
    """A coordinate of −1…1 to pixels: (x + 1)/2·(size − 1), or ((x + 1)·size − 1)/2."""
    return OpCount(multiplies=1, adds=1 if align_corners else 2, divides=1)


def padded_coordinate(padding_mode: int) -> OpCount:
    """What keeping a coordinate inside costs.

    border: two comparisons.  reflection: d = |x − low|, flips = ⌊d/span⌋, rest = d − flips·span, then
    rest + low or span − rest + low, and the two comparisons.
    """
    if padding_mode == REFLECTION:
        return OpCount(adds=2 + 3, multiplies=1, divides=1, comparisons=2)
    return OpCount(comparisons=2 if padding_mode == BORDER else 0)


@rule(
    "aten::grid_sampler",
    "aten::grid_sampler_2d",
    "aten::grid_sampler_3d",
    "aten::_grid_sampler_2d_cpu_fallback",
    kind="resample",
)
def grid_sampler(
    input: TensorSpec,
    grid: TensorSpec,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C, *size), (N, *out, d) → (N, C, *out), with d = 2 or 3 coordinates for each point."""
    yield from sample_positions(grid, interpolation_mode, padding_mode, align_corners)
    if interpolation_mode != NEAREST:
        taps = CUBIC_TAPS if interpolation_mode == BICUBIC else LINEAR_TAPS
        yield Term("interpolations", out.shape, interpolation_of(taps, len(grid.shape) - 2))


def sample_positions(
    grid: TensorSpec, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Iterator[Term]:
    """Where the points of a grid are among the pixels, and the weights of the pixels around them."""
    position = unnormalized(align_corners)
    if interpolation_mode != BICUBIC:  # the taps of bicubic are kept inside by their indices
        position = position + padded_coordinate(padding_mode)
    yield Term("positions", grid.shape, position)
    if interpolation_mode == NEAREST:
        return
    cubic = interpolation_mode == BICUBIC
    # the fraction x − ⌊x⌋, and from it the weights
    yield Term("weights", grid.shape, OpCount(adds=1) + (CUBIC_WEIGHTS if cubic else OpCount(adds=1)))


@rule("aten::cudnn_grid_sampler", kind="resample")
def cudnn_grid_sampler(input: TensorSpec, grid: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """grid_sampler with linear interpolation, zeros beyond the edges and aligned corners."""
    return grid_sampler(input, grid, 0, 0, True, out=out)


@rule("aten::affine_grid_generator", kind="resample")
def affine_grid_generator(theta: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(N, d, d + 1) → (N, *size, d): each coordinate is d products and an offset, θ₁·x + … + θ_d·z + θ₀."""
    dims = theta.shape[1]
    yield each(out.shape, "coordinates", multiplies=dims, adds=dims)


@rule("aten::cudnn_affine_grid_generator", kind="resample")
def cudnn_affine_grid_generator(theta: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """As affine_grid_generator, in two dimensions."""
    return affine_grid_generator(theta, out=out)
