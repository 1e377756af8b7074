"""Operators of torchvision on regions of interest.

The cost of ``roi_pool`` and ``ps_roi_pool`` depends on the values of the boxes, not on shapes, so they have no
rule.  ``nms`` is counted densely, as if no box were suppressed before all others were compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, each
from profiler.records import TensorSpec
from profiler.rules.backward_windows import spread_of
from profiler.rules.costs import Sizes, mean_of
from profiler.rules.registry import rule
from profiler.rules.resampling import LINEAR_TAPS, interpolation_of


def sampling_positions(boxes: Sizes, bins: int, sampling_ratio: int, aligned: bool) -> Iterator[Term]:
    """Where the samples of ``boxes`` lie, along both axes of ``bins`` bins together, and their weights.

    A box costs 4 scalings (and 4 half-pixel shifts where aligned, else 2 comparisons with the size of one),
    2 subtractions for its sizes and 2 divides for its bins.  A sampling position along one axis is
    start + p·bin + (i + ½)·bin/s, two tests against the outside, one against the edge, and two weights.
    Where sampling_ratio is not positive, the number of samples depends on the boxes: it is uncounted.
    """
    if sampling_ratio <= 0:
        raise UncountedError("torchvision::roi_align: with sampling_ratio 0 its cost depends on the boxes")
    yield each(boxes, "boxes", multiplies=4, adds=6 if aligned else 2, divides=2, comparisons=0 if aligned else 2)
    position = OpCount(multiplies=2, adds=2 + 2, divides=1, comparisons=3)
    yield Term("positions", (*boxes, bins * sampling_ratio), position)


@rule("torchvision::nms", kind="sort")
def nms(boxes: TensorSpec, scores: TensorSpec, iou_threshold: float, *, out: TensorSpec) -> Iterator[Term]:
    """(n, 4), (n) → (kept).

    The areas of the boxes, a sort of the scores, and for each pair its overlap over its union against the
    threshold: 4 comparisons and 2 subtractions for the overlap's sides, 2 comparisons with 0, its area, the union,
    the quotient and the test.
    """
    n = boxes.shape[0]
    yield each((n,), "areas", multiplies=1, adds=2)
    yield each((n, max(n - 1, 0).bit_length()), "sort", comparisons=1)
    yield each((n * (n - 1) // 2,), "overlaps", multiplies=1, adds=4, divides=1, comparisons=7)


@rule("torchvision::roi_align", kind="resample")
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
    yield from sampling_positions(rois.shape[:1], pooled_height + pooled_width, sampling_ratio, aligned)
    samples = sampling_ratio * sampling_ratio
    yield Term("bins", out.shape, interpolation_of(LINEAR_TAPS, 2) * samples + mean_of(samples))


@rule("torchvision::_roi_align_backward", kind="resample")
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
    yield from sampling_positions(rois.shape[:1], pooled_height + pooled_width, sampling_ratio, aligned)
    samples = sampling_ratio * sampling_ratio
    yield Term("bins", grad.shape, spread_of(LINEAR_TAPS, 2) * samples + OpCount(divides=1))


@rule("torchvision::ps_roi_align", kind="resample")
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
    return roi_align(  # type: ignore[return-value]
        input, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, True, out=out[0]
    )
