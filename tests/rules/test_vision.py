"""Operators on regions of interest cost what their definitions do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import UncountedError
from profiler.opcount import OpCount
from profiler.rules import REGISTRY
from tests.rules.counting import Counting, Tally, assert_counted, maximum, spec, total
from tests.rules.registered import count_of, terms_of


def axis(
    start: Counting, end: Counting, aligned: bool, pooled: int, samples: int
) -> list[list[tuple[Counting, Counting]]]:
    """The two weights of every sample, bin by bin, along one axis."""
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


@given(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.booleans())
def test_roi_align(boxes: int, channels: int, height: int, width: int, samples: int, aligned: bool) -> None:
    """Each bin is the mean of its bilinear samples; positions and weights are shared by the channels."""
    tally = Tally()
    for x1, y1, x2, y2 in tally.array(boxes, 4, low=0, high=40):
        rows, columns = axis(y1, y2, aligned, height, samples), axis(x1, x2, aligned, width, samples)
        for row in rows * channels:
            for column in columns:
                values = []
                for top, bottom in row:
                    for left, right in column:
                        a, b, c, d = tally.array(4)
                        values.append(top * (left * a + right * b) + bottom * (left * c + right * d))
                total(values) / float(len(values))
    x, rois = spec(1, channels, 8, 8), spec(boxes, 5)
    arguments = (x, rois, 0.25, height, width, samples)
    out = spec(boxes, channels, height, width)
    assert_counted(terms_of("torchvision::roi_align", *arguments, aligned, out=out), tally)
    if aligned:
        assert_counted(terms_of("torchvision::ps_roi_align", *arguments, out=(out, out)), tally)


def test_roi_align_backward() -> None:
    """The positions of the forward pass, and each bin's gradient over 2·2 samples to four places each."""
    rois, x, g = spec(2, 5), spec(1, 3, 8, 8), spec(2, 3, 4, 4)
    n = 2 * 3 * 4 * 4
    forward = count_of("torchvision::roi_align", x, rois, 1.0, 4, 4, 2, True, out=g)
    positions = forward - OpCount(multiplies=6 * 4, adds=3 * 4 + 3, divides=1) * n
    backward = count_of("torchvision::_roi_align_backward", g, rois, 1.0, 4, 4, 1, 3, 8, 8, 2, True, out=x)
    assert backward - positions == OpCount(multiplies=(2 + 4) * 4, adds=4 * 4, divides=1) * n


def test_what_depends_on_the_boxes_is_uncounted() -> None:
    """An adaptive number of samples, and the bins of roi_pool, cannot be told from shapes."""
    with pytest.raises(UncountedError, match="sampling_ratio"):
        terms_of("torchvision::roi_align", spec(1, 1, 8, 8), spec(2, 5), 1.0, 7, 7, 0, False, out=spec(2, 1, 7, 7))
    assert REGISTRY.find("torchvision::roi_pool") is None


@given(st.integers(1, 7))
def test_nms_compares_every_pair(n: int) -> None:
    """Areas, a sort, and an overlap for each pair; the sort's bound is n·⌈log₂ n⌉ comparisons."""
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
