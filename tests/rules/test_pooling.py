"""Pools cost what their windows cost; adaptive pools have windows of different sizes."""

from __future__ import annotations

import math
from itertools import product as index_product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import OpCount
from profiler.rules.pooling import adaptive_window_total
from tests.rules.counting import Counting, Tally, assert_counted, maximum, spec, total
from tests.rules.registered import assert_same_when_decomposed, count_of, terms_of

SMALL = st.integers(1, 3)


def pooled_size(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(3, 5), SMALL, SMALL), min_size=1, max_size=3), st.integers(0, 1), SMALL)
def test_windows_are_dense(axes: list[tuple[int, int, int]], padding: int, channels: int) -> None:
    """Every window counts in full, padded values included, whatever the stride."""
    padding = min(padding, *(kernel // 2 for _, kernel, _ in axes))
    dims = len(axes)
    sizes = [pooled_size(size, kernel, stride, padding) for size, kernel, stride in axes]
    window = math.prod(kernel for _, kernel, _ in axes)
    largest, average = Tally(), Tally()
    for _ in range(channels * math.prod(sizes)):
        maximum(*largest.array(window))
        total(average.array(window)) / float(window)
    x, out = spec(channels, *(size for size, _, _ in axes)), spec(channels, *sizes)
    kernel, stride = [kernel for _, kernel, _ in axes], [stride for _, _, stride in axes]
    assert_counted(terms_of(f"max_pool{dims}d", x, kernel, stride, [padding] * dims, out=out), largest)
    assert_counted(terms_of(f"max_pool{dims}d_with_indices", x, kernel, stride, out=(out, out)), largest)
    assert_counted(terms_of(f"avg_pool{dims}d", x, kernel, stride, [padding] * dims, out=out), average)


def test_max_pool_by_hand() -> None:
    """AlexNet's first pool: 3×3 windows on 64 maps of 55×55, stride 2."""
    pooled = count_of("max_pool2d", spec(1, 64, 55, 55), [3, 3], [2, 2], out=spec(1, 64, 27, 27))
    assert pooled == OpCount(comparisons=64 * 27 * 27 * (3 * 3 - 1))


def test_one_kernel_size_holds_for_all_dimensions() -> None:
    """``[3]`` and ``3`` are 3×3 in two dimensions."""
    x, out = spec(1, 6, 6), spec(1, 2, 2)
    counts = {count_of("avg_pool2d", x, kernel, out=out) for kernel in (3, (3,), (3, 3))}
    assert counts == {OpCount(adds=2 * 2 * 8, divides=2 * 2)}


@given(st.integers(1, 40), st.integers(1, 40))
def test_adaptive_windows(size: int, windows: int) -> None:
    """The closed form is the sum over the windows from ⌊i·L/w⌋ to ⌈(i+1)·L/w⌉."""
    held = sum(math.ceil((i + 1) * size / windows) - i * size // windows for i in range(windows))
    assert adaptive_window_total(size, windows) == held


def adaptive_windows(xs: Any, sizes: list[int], outs: list[int]) -> list[list[Counting]]:
    """The values in each window, of nested lists of as many dimensions as ``sizes``."""
    windows = []
    for index in index_product(*map(range, outs)):
        ranges = [
            range(i * size // out, -((i + 1) * size // -out)) for i, size, out in zip(index, sizes, outs, strict=True)
        ]
        values = []
        for place in index_product(*ranges):
            value = xs
            for i in place:
                value = value[i]
            values.append(value)
        windows.append(values)
    return windows


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=3), SMALL)
def test_adaptive_pools(axes: list[tuple[int, int]], planes: int) -> None:
    """There are k − 1 adds and a divide, or k − 1 comparisons, for each true window."""
    sizes, outs = [size for size, _ in axes], [out for _, out in axes]
    average, largest = Tally(), Tally()
    for _ in range(planes):
        for values in adaptive_windows(average.array(*sizes), sizes, outs):
            total(values) / float(len(values))
        for values in adaptive_windows(largest.array(*sizes), sizes, outs):
            maximum(*values)
    dims = len(axes)
    x, out = spec(planes, *sizes), spec(planes, *outs)
    assert_counted(terms_of(f"adaptive_avg_pool{dims}d", x, outs, out=out), average)
    assert_counted(terms_of(f"adaptive_max_pool{dims}d", x, outs, out=(out, out)), largest)


def test_adaptive_pool_by_hand() -> None:
    """6×6 from 6×6 in AlexNet are copies by windows of one; 7×7 to 1×1 is a mean."""
    same = count_of("adaptive_avg_pool2d", spec(1, 256, 6, 6), [6, 6], out=spec(1, 256, 6, 6))
    assert same == OpCount(divides=256 * 6 * 6)
    mean = count_of("_adaptive_avg_pool2d", spec(1, 512, 7, 7), [1, 1], out=spec(1, 512, 1, 1))
    assert mean == OpCount(adds=512 * (7 * 7 - 1), divides=512)


@pytest.mark.parametrize(
    ("run", "shape"),
    [
        (lambda x: F.max_pool1d(x, 3, 2, 1), (2, 3, 9)),
        (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 3, 9, 8)),
        (lambda x: F.max_pool3d(x, 2), (2, 3, 4, 4, 4)),
        (lambda x: F.avg_pool1d(x, 3), (2, 3, 9)),
        (lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), (2, 3, 9, 8)),
        (lambda x: F.adaptive_avg_pool1d(x, 4), (2, 3, 9)),
        (lambda x: F.adaptive_avg_pool2d(x, 1), (2, 3, 9, 8)),
        (lambda x: F.adaptive_avg_pool2d(x, (4, 3)), (2, 3, 9, 8)),
        (lambda x: F.adaptive_avg_pool3d(x, 1), (2, 3, 4, 4, 4)),
        (lambda x: F.adaptive_max_pool1d(x, 4), (2, 3, 9)),
        (lambda x: F.lp_pool2d(x, 2, 2), (2, 3, 4, 4)),
        (lambda x: torch.max_pool2d(x, 2), (3, 4, 4)),
    ],
)
def test_decomposed_operators_cost_the_same(run: Any, shape: tuple[int, ...]) -> None:
    """Operators cost the same whole and decomposed."""
    assert_same_when_decomposed(run, shape)


def test_fractional_pools() -> None:
    """The windows have a fixed size; their random positions are free."""
    out = spec(1, 3, 2, 2)
    cost = count_of("fractional_max_pool2d", spec(1, 3, 5, 5), [2, 3], [2, 2], spec(1, 3, 2), out=(out, out))
    assert cost == OpCount(comparisons=3 * 2 * 2 * (2 * 3 - 1))
    out = spec(1, 3, 2, 2, 2)
    x = spec(1, 3, 5, 5, 5)
    cost = count_of("fractional_max_pool3d", x, [2, 2, 2], [2, 2, 2], spec(1, 3, 3), out=(out, out))
    assert cost == OpCount(comparisons=3 * 2 * 2 * 2 * (2 * 2 * 2 - 1))
