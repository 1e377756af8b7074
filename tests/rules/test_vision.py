"""Operators on regions of interest cost what their definitions cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import profiler
from profiler.errors import DataDependentError, UncountedError
from profiler.models.torchvision_kernels import roi_pool
from profiler.models.torchvision_ops import import_torchvision
from profiler.opcount import OpCount
from profiler.opcount import total as total_of_terms
from profiler.rules.vision import sample_grids
from tests.rules.counting import Counting, Tally, assert_counted, maximum, spec, total
from tests.rules.real_tensors import real
from tests.rules.registered import count_of, terms_of


def axis(
    start: Counting, end: Counting, aligned: bool, pooled: int, samples: int
) -> list[list[tuple[Counting, Counting]]]:
    """The two weights of every sample along one axis, bin by bin."""
    start, end = 0.25 * start, 0.25 * end
    if aligned:
        start, end = start - 0.5, end - 0.5
    size = end - start
    if not aligned:
        size = maximum(size, 1.0)
    width = size / float(pooled)
    bins = []
    for p in range(pooled):
        weights = []
        for i in range(samples):
            x = start + float(p) * width + (i + 0.5) * width / float(samples)
            assert isinstance((x < -1.0) | (x > 100.0) | (x <= 0.0), bool)
            upper = x - float(math.floor(x))
            weights.append((1.0 - upper, upper))
        bins.append(weights)
    return bins


def bin_means(
    tally: Tally,
    regions: list[list[Counting]],
    pooled: tuple[int, int],
    channels: int,
    samples: Callable[[int, int], int],
    aligned: bool,
) -> None:
    """Each bin is the mean of its bilinear samples; ``samples`` is the number of rows and columns of them in a bin."""
    for box, (x1, y1, x2, y2) in enumerate(regions):
        rows_of, columns_of = (samples(box, which) for which in (0, 1))
        rows = axis(y1, y2, aligned, pooled[0], rows_of)
        columns = axis(x1, x2, aligned, pooled[1], columns_of)
        for row in rows * channels:
            for column in columns:
                values = []
                for top, bottom in row:
                    for left, right in column:
                        a, b, c, d = tally.array(4)
                        values.append(top * (left * a + right * b) + bottom * (left * c + right * d))
                if values:
                    total(values) / float(len(values))


@given(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.booleans())
def test_roi_align(boxes: int, channels: int, height: int, width: int, samples: int, aligned: bool) -> None:
    """Each bin is the mean of its bilinear samples; the channels share positions and weights."""
    tally = Tally()
    regions = tally.array(boxes, 4, low=0, high=40)
    bin_means(tally, regions, (height, width), channels, lambda box, which: samples, aligned)
    x, rois = spec(1, channels, 8, 8), spec(boxes, 5)
    arguments = (x, rois, 0.25, height, width, samples)
    out = spec(boxes, channels, height, width)
    assert_counted(terms_of("torchvision::roi_align", *arguments, aligned, out=out), tally)
    if aligned:
        assert_counted(terms_of("torchvision::ps_roi_align", *arguments, out=(out, out)), tally)


CORNERS = st.lists(st.tuples(*[st.integers(-40, 160)] * 4), min_size=0, max_size=4)
"""Boxes in quarters of a pixel; some have their corners swapped."""


def drawn(corners: list[tuple[int, ...]]) -> torch.Tensor:
    """(K, 5): regions of the only image of a batch."""
    return torch.tensor([[0.0, *(value / 4 for value in box)] for box in corners]).reshape(-1, 5)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(CORNERS, st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_roi_align_with_adaptive_samples(
    corners: list[tuple[int, ...]], height: int, width: int, aligned: bool
) -> None:
    """A bin of h by w pixels has ⌈h⌉·⌈w⌉ samples; a bin of a box with swapped corners has none."""
    tally, rois = Tally(), drawn(corners)
    regions = [[tally.number(value) for value in box] for box in rois[:, 1:].tolist()]

    def samples(box: int, which: int) -> int:
        corner: list[float] = rois[box, 1:].tolist()
        size = (corner[3 - which] - corner[1 - which]) * 0.25
        return max(math.ceil((size if aligned else max(size, 1.0)) / (height, width)[which]), 0)

    counts = [(samples(box, 0), samples(box, 1)) for box in range(len(corners))]
    bin_means(
        tally,
        regions,
        (height, width),
        2,
        # a region without rows places no columns either
        lambda box, which: counts[box][which] if all(counts[box]) else 0,
        aligned,
    )
    x, out = spec(1, 2, 8, 8), spec(len(corners), 2, height, width)
    terms = terms_of("torchvision::roi_align", x, real(rois), 0.25, height, width, 0, aligned, out=out)
    assert_counted(terms, tally)


def test_adaptive_samples_equal_those_of_the_kernel() -> None:
    """The rule counts the grids that the kernel computes in single precision."""
    draw = torch.Generator().manual_seed(0)
    low = torch.rand(200, 2, generator=draw) * 90
    boxes = torch.cat([torch.zeros(200, 1), low, low + torch.rand(200, 2, generator=draw) * 60], 1)
    for scale, aligned in ((1 / 3, True), (0.1, False), (1 / 7, True)):
        corners = boxes[:, 1:] * scale - (0.5 if aligned else 0.0)
        size = corners[:, [3, 2]] - corners[:, [1, 0]]
        size = size if aligned else size.clamp(min=1.0)
        grids = (size / torch.tensor([2, 3])).ceil().int().tolist()
        assert sample_grids(real(boxes), scale, 2, 3, 0, aligned) == Counter(map(tuple, grids))


def test_roi_align_backward() -> None:
    """The positions of the forward pass count again; a gradient of a bin goes from 2·2 samples to four places each."""
    rois, x, g = spec(2, 5), spec(1, 3, 8, 8), spec(2, 3, 4, 4)
    n = 2 * 3 * 4 * 4
    forward = count_of("torchvision::roi_align", x, rois, 1.0, 4, 4, 2, True, out=g)
    positions = forward - OpCount(multiplies=6 * 4, adds=3 * 4 + 3, divides=1) * n
    backward = count_of("torchvision::_roi_align_backward", g, rois, 1.0, 4, 4, 1, 3, 8, 8, 2, True, out=x)
    assert backward - positions == OpCount(multiplies=(2 + 4) * 4, adds=4 * 4, divides=1) * n
    own = count_of("torchvision::_ps_roi_align_backward", g, rois, spec(2, 3, 4, 4), 1.0, 4, 4, 2, 1, 48, 8, 8, out=x)
    assert own == backward


def test_gradients_of_adaptive_samples() -> None:
    """A box of 4 by 6 pixels in 2·2 bins has 2·3 samples in a bin; an empty box has no samples and no divides."""
    rois, x, g = real([[0.0, 1, 1, 7, 5], [0.0, 5, 5, 5, 5]]), spec(1, 3, 8, 8), spec(2, 3, 2, 2)
    found = count_of("torchvision::_roi_align_backward", g, rois, 1.0, 2, 2, 1, 3, 8, 8, 0, True, out=x)
    boxes = OpCount(multiplies=4, adds=6, divides=2) * 2
    positions = OpCount(multiplies=2, adds=4, divides=1, comparisons=3) * (2 * 2 + 2 * 3)
    spread = OpCount(multiplies=(2 + 4) * 6, adds=4 * 6, divides=1) * (3 * 2 * 2)
    assert found == boxes + positions + spread


def nearest(x: Counting) -> int:
    """The nearest whole number; halves go away from zero."""
    return int(math.copysign(math.floor(abs(x.value) + 0.5), x.value))  # type: ignore[arg-type]


def bins_of(tally: Tally, start: Counting, end: Counting, last: int, pooled: int, limit: int) -> list[tuple[int, int]]:
    """The first pixel and the end of every bin along one axis, as torchvision's kernels compute them."""
    first, final = nearest(0.25 * start), nearest(0.25 * end)
    size = max(final - first + last, 1)
    width = tally.number(float(size)) / float(pooled)
    bins = []
    for p in range(pooled):
        begin, until = float(p) * width, float(p + 1) * width
        # the pixels are exact; the quotient would be rounded
        below, above = p * size // pooled, -(-(p + 1) * size // pooled)
        assert abs(begin.value - below) < 1
        assert abs(until.value - above) < 1
        bins.append((min(max(below + first, 0), limit), min(max(above + first, 0), limit)))
    return bins


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(CORNERS, st.integers(1, 3), st.integers(1, 3))
def test_pools_of_regions(corners: list[tuple[int, ...]], height: int, width: int) -> None:
    """Each bin has the largest, or the mean, of its whole pixels; an empty bin costs nothing."""
    rois = drawn(corners)
    rows, columns, channels = 9, 7, 2 * height * width
    image = torch.rand(1, channels, rows, columns)
    maxima, means, spread = Tally(), Tally(), Tally()
    filled = 0
    for tally, last in ((maxima, 1), (means, 0), (spread, 0)):
        for _, *box in rois.tolist():
            x1, y1, x2, y2 = (tally.number(value) for value in box)
            down = bins_of(tally, y1, y2, last, height, rows - (1 - last))
            across = bins_of(tally, x1, x2, last, width, columns - (1 - last))
            for top, bottom in down:
                for left, right in across:
                    pixels = max(bottom - top, 0) * max(right - left, 0)
                    if not pixels:
                        continue
                    if tally is maxima:
                        filled += channels
                        for _channel in range(channels):
                            maximum(*tally.array(pixels))
                    for _channel in range(2):
                        if tally is means:
                            total(tally.array(pixels)) / float(pixels)
                        elif tally is spread:
                            gradient = tally.number(1.0) / float(pixels)
                            for place in tally.array(1, pixels)[0]:
                                place + gradient
    arguments = (0.25, height, width)
    pooled, argmax = roi_pool(image, rois, *arguments)
    image_spec = spec(*image.shape)
    out = (spec(*pooled.shape), spec(*pooled.shape, dtype="int32"))
    assert_counted(terms_of("torchvision::roi_pool", image_spec, real(rois), *arguments, out=out), maxima)
    own = spec(len(corners), 2, height, width)
    assert_counted(terms_of("torchvision::ps_roi_pool", image_spec, real(rois), *arguments, out=(own, own)), means)
    sizes = (1, channels, rows, columns)
    backward = terms_of("torchvision::_ps_roi_pool_backward", own, real(rois), own, *arguments, *sizes, out=image_spec)
    assert_counted(backward, spread)
    back = count_of(
        "torchvision::_roi_pool_backward", out[0], real(rois), real(argmax), *arguments, *sizes, out=image_spec
    )
    assert back == OpCount(adds=filled)


def test_roi_pool_by_hand() -> None:
    """Pixels 1 to 4 across and 2 to 3 down in 2·2 bins: a bin has 2·1 pixels, so one comparison for each channel."""
    x, rois, out = spec(1, 3, 8, 8), real([[0.0, 1, 2, 4, 3]]), spec(1, 3, 2, 2)
    bins = OpCount(multiplies=4 + 2 * (2 + 2), divides=2)
    maxima = OpCount(comparisons=1) * (3 * 4)
    assert count_of("torchvision::roi_pool", x, rois, 1.0, 2, 2, out=(out, out)) == bins + maxima


def test_costs_that_depend_on_the_boxes_need_their_values() -> None:
    """Adaptive samples and the bins of roi_pool do not follow from shapes, nor from boxes with nan."""
    x, rois, out = spec(1, 1, 8, 8), spec(2, 5), spec(2, 1, 7, 7)
    with pytest.raises(DataDependentError):
        terms_of("torchvision::roi_align", x, rois, 1.0, 7, 7, 0, False, out=out)
    for op in ("roi_pool", "ps_roi_pool"):
        with pytest.raises(DataDependentError):
            terms_of(f"torchvision::{op}", x, rois, 1.0, 7, 7, out=(out, out))
    with pytest.raises(UncountedError, match="finite"):
        terms_of("torchvision::roi_pool", x, real([[0.0, math.nan, 1, 2, 3]]), 1.0, 7, 7, out=(out, out))


def test_a_network_that_pools_regions_is_complete() -> None:
    """A real run knows the boxes, and the report says that it was one."""
    import_torchvision()
    ops = torch.ops.torchvision

    class Regions(torch.nn.Module):
        def forward(self, x: torch.Tensor, boxes: torch.Tensor) -> Any:
            largest = ops.roi_pool(x, boxes, 0.25, 2, 2)[0]
            return largest, ops.ps_roi_pool(x, boxes, 0.25, 2, 2)[0], ops.roi_align(x, boxes, 0.25, 2, 2, -1, False)

    boxes = torch.tensor([[0.0, 3, 5, 22, 17], [0.0, 0, 0, 30, 40]])
    x = torch.rand(1, 4, 12, 12)
    result = profiler.profile(Regions(), (x, boxes))
    assert result.complete
    assert "depends on its data" in result.trace.real_run
    rules = (
        ("roi_pool", (spec(2, 4, 2, 2),) * 2, ()),
        ("ps_roi_pool", (spec(2, 1, 2, 2),) * 2, ()),
        ("roi_align", spec(2, 4, 2, 2), (-1, False)),
    )
    expected = OpCount()
    for op, out, more in rules:
        terms = terms_of(f"torchvision::{op}", spec(1, 4, 12, 12), real(boxes), 0.25, 2, 2, *more, out=out)
        expected = expected + total_of_terms(terms)
    assert result.total == expected


@given(st.integers(1, 7))
def test_nms_compares_every_pair(n: int) -> None:
    """There are areas, a sort, and an overlap for each pair; the bound of the sort is n·⌈log₂ n⌉ comparisons."""
    tally = Tally()
    boxes = [(*tally.array(2, low=0, high=20), *tally.array(2, low=20, high=40)) for _ in range(n)]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    for i in range(n):
        for j in range(i):
            (l1, t1, r1, b1), (l2, t2, r2, b2) = boxes[i], boxes[j]
            width = maximum(-maximum(-r1, -r2) - maximum(l1, l2), 0.0)
            height = maximum(-maximum(-b1, -b2) - maximum(t1, t2), 0.0)
            overlap = width * height
            assert isinstance(overlap / (areas[i] + areas[j] - overlap) > 0.5, bool)
    terms = terms_of("torchvision::nms", spec(n, 4), spec(n), 0.5, out=spec(n))
    assert_counted([term for term in terms if term.what != "sort"], tally)
    (sort,) = (term for term in terms if term.what == "sort")
    assert sort.count == OpCount(comparisons=n * math.ceil(math.log2(n)))
