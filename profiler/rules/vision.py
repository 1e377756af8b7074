"""Operators of torchvision on regions of interest.

A region is a row (index in the batch, x1, y1, x2, y2).  What depends on where the regions are – bins of whole pixels,
and a number of samples that follows a bin's size – is counted from their values, in a real run.  ``nms`` is counted
densely, as if no box were suppressed before all others were compared with it.
Source: torchvision's documentation of its operators, and the definitions that its CPU kernels compute.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import LINEAR_TAPS, interpolation_of, largest_of, mean_of, spread_of
from profiler.rules.registry import gradient, rule
from profiler.rules.sizes import ceil_log2
from profiler.signatures import TensorSpec

Grids = Counter[tuple[int, int]]
"""How many regions have bins of so many rows and columns of samples."""

STORED_AS = {"float16": "e", "float32": "f", "float64": "d"}
"""The letter by which ``struct`` knows a type."""


def corners(rois: TensorSpec, scale: float) -> list[tuple[float, float, float, float]]:
    """x1, y1, x2, y2 of each region, in pixels, as the type of ``rois`` gives them.

    Raises DataDependentError where they are not known.
    """
    if rois.dtype not in STORED_AS or not all(map(math.isfinite, chain.from_iterable(rois.values))):
        raise UncountedError(f"regions are counted for finite corners of {', '.join(STORED_AS)} only")
    factor = rounded(scale, rois.dtype)

    def scaled(x: float) -> float:
        return rounded(x * factor, rois.dtype)

    return [(scaled(x1), scaled(y1), scaled(x2), scaled(y2)) for _, x1, y1, x2, y2 in rois.values]


def rounded(value: float, dtype: str) -> float:
    """``value`` as a number of ``dtype``."""
    result: float = struct.unpack(STORED_AS[dtype], struct.pack(STORED_AS[dtype], value))[0]
    return result


def sample_grids(
    rois: TensorSpec, scale: float, pooled_height: int, pooled_width: int, sampling_ratio: int, aligned: bool
) -> Grids:
    """The samples of each region's bins: s·s, or ⌈h⌉·⌈w⌉ of a bin of h by w pixels where s is not positive.

    A region that is turned inside out, as only ``aligned`` leaves it, has no samples.
    """
    if sampling_ratio > 0:
        return Counter({(sampling_ratio, sampling_ratio): rois.shape[0]})

    def samples(start: float, end: float, pooled: int) -> int:
        shift = 0.5 if aligned else 0.0
        size = rounded(rounded(end - shift, rois.dtype) - rounded(start - shift, rois.dtype), rois.dtype)
        return max(math.ceil(rounded((size if aligned else max(size, 1.0)) / pooled, rois.dtype)), 0)

    boxes = corners(rois, scale)
    return Counter((samples(y1, y2, pooled_height), samples(x1, x2, pooled_width)) for x1, y1, x2, y2 in boxes)


def sampling_positions(grids: Grids, pooled_height: int, pooled_width: int, aligned: bool) -> Iterator[Term]:
    """Where the samples of all regions lie, along each axis, and their weights.

    A region costs 4 scalings (and 4 half-pixel shifts where aligned, else 2 comparisons with the size of one),
    2 subtractions for its sizes and 2 divides for its bins.  A sampling position along one axis is
    start + p·bin + (i + ½)·bin/s, two tests against the outside, one against the edge, and two weights.
    """
    regions = (grids.total(),)
    yield each(regions, "boxes", multiplies=4, adds=6 if aligned else 2, divides=2, comparisons=0 if aligned else 2)
    position = OpCount(multiplies=2, adds=2 + 2, divides=1, comparisons=3)
    for (rows, columns), number in sorted(grids.items()):
        if rows and columns:
            yield Term("positions", (number, pooled_height * rows + pooled_width * columns), position)


def sampled_bins(grids: Grids, bins: tuple[int, ...], one_sample: OpCount, *, mean: bool) -> Iterator[Term]:
    """``one_sample`` for each sample of all ``bins`` of a region, and their mean, or the divide of a gradient."""
    for (rows, columns), number in sorted(grids.items()):
        samples = rows * columns
        if samples:
            whole = mean_of(samples) if mean else OpCount(divides=1)
            yield Term("bins", (number, *bins), one_sample * samples + whole)


@rule("torchvision::nms", kind="sort")
def nms(boxes: TensorSpec, scores: TensorSpec, iou_threshold: float, *, out: TensorSpec) -> Iterator[Term]:
    """(n, 4), (n) → (kept).

    The areas of the boxes, a sort of the scores, and for each pair its overlap over its union against the
    threshold: 4 comparisons and 2 subtractions for the overlap's sides, 2 comparisons with 0, its area, the union,
    the quotient and the test.
    """
    n = boxes.shape[0]
    yield each((n,), "areas", multiplies=1, adds=2)
    yield each((n, ceil_log2(n)), "sort", comparisons=1)
    yield each((n * (n - 1) // 2,), "overlaps", multiplies=1, adds=4, divides=1, comparisons=7)


@rule("torchvision::roi_align", kind="resample", reads=("rois",))
def roi_align(
    input: TensorSpec,
    rois: TensorSpec,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C, H, W), (K, 5) → (K, C, P_h, P_w): each bin is the mean of s·s bilinear samples, s = sampling_ratio."""
    grids = sample_grids(rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned)
    yield from sampling_positions(grids, pooled_height, pooled_width, aligned)
    yield from sampled_bins(grids, out.shape[1:], interpolation_of(LINEAR_TAPS, 2), mean=True)


@gradient("torchvision::_roi_align_backward", kind="resample", reads=("rois",))
def roi_align_backward(
    grad: TensorSpec,
    rois: TensorSpec,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    batch_size: int,
    channels: int,
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(K, C, P_h, P_w) → (N, C, H, W): each bin's gradient, divided by s·s, is spread by each sample's weights."""
    grids = sample_grids(rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned)
    yield from sampling_positions(grids, pooled_height, pooled_width, aligned)
    yield from sampled_bins(grids, grad.shape[1:], spread_of(LINEAR_TAPS, 2), mean=False)


@rule("torchvision::ps_roi_align", kind="resample", reads=("rois",))
def ps_roi_align(
    input: TensorSpec,
    rois: TensorSpec,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    *,
    out: tuple[TensorSpec, TensorSpec],
) -> Iterator[Term]:
    """(N, C, H, W), (K, 5) → (K, C/(P_h·P_w), P_h, P_w): an aligned roi_align, each bin from channels of its own."""
    return roi_align(input, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, True, out=out[0])


@gradient("torchvision::_ps_roi_align_backward", kind="resample", reads=("rois",))
def ps_roi_align_backward(
    grad: TensorSpec,
    rois: TensorSpec,
    channel_mapping: TensorSpec,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    batch_size: int,
    channels: int,
    height: int,
    width: int,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(K, C/(P_h·P_w), P_h, P_w) → (N, C, H, W), as the gradient of an aligned roi_align."""
    bins, sizes = (spatial_scale, pooled_height, pooled_width), (batch_size, channels, height, width)
    return roi_align_backward(grad, rois, *bins, *sizes, sampling_ratio, True, out=out)


def whole_bins(
    rois: TensorSpec, scale: float, pooled_height: int, pooled_width: int, height: int, width: int, last: int
) -> Counter[int]:
    """How many bins of all regions hold so many pixels, of regions rounded to whole pixels on height by width.

    ``last`` is 1 where a region's last pixel belongs to it, else 0.
    """

    def sizes(start: float, end: float, pooled: int, limit: int) -> list[int]:
        first, final = _nearest(start), _nearest(end)
        size = max(final - first + last, 1)
        edges = ((first + p * size // pooled, first - (-(p + 1) * size // pooled)) for p in range(pooled))
        return [max(min(max(b, 0), limit) - min(max(a, 0), limit), 0) for a, b in edges]

    bins: Counter[int] = Counter()
    for x1, y1, x2, y2 in corners(rois, scale):
        columns = sizes(x1, x2, pooled_width, width)
        bins.update(high * wide for high in sizes(y1, y2, pooled_height, height) for wide in columns)
    return bins


def _nearest(value: float) -> int:
    """The nearest whole number; halves go away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def pixel_bins(rois: TensorSpec, pooled_height: int, pooled_width: int) -> Iterator[Term]:
    """Where bins of whole pixels begin and end: 4 scalings and 2 divides a region, p·bin and (p + 1)·bin an axis."""
    yield each(rois.shape[:1], "boxes", multiplies=4, divides=2)
    yield each((*rois.shape[:1], pooled_height + pooled_width), "bins", multiplies=2)


@rule("torchvision::roi_pool", kind="pool", reads=("rois",))
def roi_pool(
    input: TensorSpec,
    rois: TensorSpec,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    *,
    out: tuple[TensorSpec, TensorSpec],
) -> Iterator[Term]:
    """(N, C, H, W), (K, 5) → (K, C, P_h, P_w): the largest of each bin's k pixels, k − 1 comparisons."""
    channels, height, width = input.shape[1:]
    yield from pixel_bins(rois, pooled_height, pooled_width)
    bins = whole_bins(rois, spatial_scale, pooled_height, pooled_width, height, width, last=1)
    for pixels, number in sorted(bins.items()):
        if pixels > 1:
            yield Term("maxima", (number, channels), largest_of(pixels))


@gradient("torchvision::_roi_pool_backward", kind="pool", reads=("rois", "argmax"))
def roi_pool_backward(
    grad: TensorSpec, rois: TensorSpec, argmax: TensorSpec, *_: float, out: TensorSpec
) -> Iterator[Term]:
    """(K, C, P_h, P_w) → (N, C, H, W): the gradient of each bin that is not empty goes to its largest pixel."""
    filled = sum(place >= 0 for box in argmax.values for channel in box for row in channel for place in row)
    yield each((filled,), "sums", adds=1)


@rule("torchvision::ps_roi_pool", kind="pool", reads=("rois",))
def ps_roi_pool(
    input: TensorSpec,
    rois: TensorSpec,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    *,
    out: tuple[TensorSpec, TensorSpec],
) -> Iterator[Term]:
    """(N, C, H, W), (K, 5) → (K, C/(P_h·P_w), P_h, P_w): the mean of each bin, from channels of its own.

    The bins end before the last row and column, as torchvision's do.
    """
    height, width = input.shape[2:]
    yield from pixel_bins(rois, pooled_height, pooled_width)
    bins = whole_bins(rois, spatial_scale, pooled_height, pooled_width, height - 1, width - 1, last=0)
    for pixels, number in sorted(bins.items()):
        if pixels:
            yield Term("means", (number, out[0].shape[1]), mean_of(pixels))


@gradient("torchvision::_ps_roi_pool_backward", kind="pool", reads=("rois",))
def ps_roi_pool_backward(
    grad: TensorSpec,
    rois: TensorSpec,
    channel_mapping: TensorSpec,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    batch_size: int,
    channels: int,
    height: int,
    width: int,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(K, C/(P_h·P_w), P_h, P_w) → (N, C, H, W): the gradient of each bin, divided by its k pixels, to all of them."""
    yield from pixel_bins(rois, pooled_height, pooled_width)
    bins = whole_bins(rois, spatial_scale, pooled_height, pooled_width, height - 1, width - 1, last=0)
    for pixels, number in sorted(bins.items()):
        if pixels:
            yield Term("means", (number, grad.shape[1]), OpCount(divides=1, adds=pixels))
