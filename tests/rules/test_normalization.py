"""Normalizations cost what their definitions cost, in every equivalent operator."""

from __future__ import annotations

from itertools import product as index_product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, rsqrt, spec, sqrt, total
from tests.rules.registered import assert_same_when_decomposed, count_of, terms_of

SIZES = st.integers(1, 3)
EPSILON = 1e-5


def mean(xs: list[Counting]) -> Any:
    return total(xs) / float(len(xs))


def squared_distances(xs: list[Counting], center: Counting) -> Any:
    return total((x - center) ** 2 for x in xs)


def normalize(xs: list[Counting], center: Counting, variance: Counting) -> list[Counting]:
    inverse = 1.0 / sqrt(variance + EPSILON)
    return [(x - center) * inverse for x in xs]


def normalize_group(xs: list[Counting]) -> list[Counting]:
    center = mean(xs)
    return normalize(xs, center, squared_distances(xs, center) / float(len(xs)))


def scale(xs: list[Counting], weight: bool, bias: bool) -> None:
    for x in xs:
        y = 0.5 * x if weight else x
        if bias:
            y + 0.5


def parameter(present: bool, *shape: int) -> Any:
    return spec(*shape, parameter=True) if present else None


@pytest.mark.slow
@given(SIZES, SIZES, st.lists(SIZES, max_size=2), st.booleans(), st.booleans(), st.booleans())
def test_batch_norm_in_training(n: int, c: int, space: list[int], weight: bool, bias: bool, running: bool) -> None:
    """Each channel is normalized by its own statistics, and the running statistics are updated."""
    tally = Tally()
    for channel in range(c):
        xs = tally.array(n * torch.Size(space).numel(), seed=channel)
        center = mean(xs)
        spread = squared_distances(xs, center)
        scale(normalize(xs, center, spread / float(len(xs))), weight, bias)
        if running:
            unbiased = spread / max(len(xs) - 1.0, 1.0)
            for old, new in [(tally.number(0.0), center), (tally.number(1.0), unbiased)]:
                0.9 * old + 0.1 * new
    x, w, b = spec(n, c, *space), parameter(weight, c), parameter(bias, c)
    statistics = [spec(c) if running else None] * 2
    assert_counted(terms_of("batch_norm", x, w, b, *statistics, True, 0.1, 1e-5, True, out=x), tally)
    outs = (x, spec(c), spec(c))
    assert_counted(terms_of("native_batch_norm", x, w, b, *statistics, True, 0.1, 1e-5, out=outs), tally)
    assert_counted(terms_of("cudnn_batch_norm", x, w, b, *statistics, True, 0.1, 1e-5, out=outs), tally)
    assert_counted(terms_of("_native_batch_norm_legit", x, w, b, *statistics, True, 0.1, 1e-5, out=outs), tally)
    assert_counted(terms_of("_batch_norm_with_update", x, w, b, *statistics, 0.1, 1e-5, out=(*outs, x)), tally)
    if not running:
        assert_counted(terms_of("_native_batch_norm_legit", x, w, b, True, 0.1, 1e-5, out=outs), tally)


@given(SIZES, SIZES, st.lists(SIZES, max_size=2), st.booleans(), st.booleans())
def test_batch_norm_in_inference(n: int, c: int, space: list[int], weight: bool, bias: bool) -> None:
    """The running statistics are constants of the channel; its elements are shifted and scaled."""
    tally = Tally()
    for channel in range(c):
        xs = tally.array(n * torch.Size(space).numel(), seed=channel)
        scale(normalize(xs, tally.number(0.1), tally.number(1.0)), weight, bias)
    x, w, b = spec(n, c, *space), parameter(weight, c), parameter(bias, c)
    running = [spec(c), spec(c)]
    assert_counted(terms_of("batch_norm", x, w, b, *running, False, 0.1, 1e-5, True, out=x), tally)
    outs = (x, spec(0), spec(0))
    assert_counted(terms_of("native_batch_norm", x, w, b, *running, False, 0.1, 1e-5, out=outs), tally)
    legit = "_native_batch_norm_legit_no_training"
    assert_counted(terms_of(legit, x, w, b, *running, 0.1, 1e-5, out=outs), tally)


def test_batch_norm_by_hand() -> None:
    """The first batch norm of ResNet-18: 64 channels of 112·112, with weight and bias."""
    x, c = spec(1, 64, 112, 112), spec(64)
    n = 64 * 112 * 112
    expected = OpCount(multiplies=n + n, adds=64 + n + n, divides=64, transcendentals=64)
    assert count_of("batch_norm", x, c, c, c, c, False, 0.1, 1e-5, True, out=x) == expected


@given(st.lists(SIZES, max_size=2), st.lists(SIZES, min_size=1, max_size=2), st.booleans(), st.booleans())
def test_layer_norm(leading: list[int], normalized: list[int], weight: bool, bias: bool) -> None:
    """Each leading index is a separate group."""
    tally = Tally()
    for group, _ in enumerate(index_product(*map(range, leading))):
        scale(normalize_group(tally.array(torch.Size(normalized).numel(), seed=group)), weight, bias)
    x, w, b = spec(*leading, *normalized), parameter(weight, *normalized), parameter(bias, *normalized)
    assert_counted(terms_of("layer_norm", x, normalized, w, b, 1e-5, True, out=x), tally)
    outs = (x, spec(*leading, 1), spec(*leading, 1))
    assert_counted(terms_of("native_layer_norm", x, normalized, w, b, 1e-5, out=outs), tally)


@given(SIZES, SIZES, SIZES, st.lists(SIZES, max_size=2), st.booleans(), st.booleans())
def test_group_norm(n: int, groups: int, width: int, space: list[int], weight: bool, bias: bool) -> None:
    """The channels of one group of one sample share their statistics."""
    tally = Tally()
    area = torch.Size(space).numel()
    for group in range(n * groups):
        scale(normalize_group(tally.array(width * area, seed=group)), weight, bias)
    c = groups * width
    x, w, b = spec(n, c, *space), parameter(weight, c), parameter(bias, c)
    assert_counted(terms_of("group_norm", x, groups, w, b, 1e-5, True, out=x), tally)
    outs = (x, spec(n, groups), spec(n, groups))
    assert_counted(terms_of("native_group_norm", x, w, b, n, c, area, groups, 1e-5, out=outs), tally)


@given(SIZES, SIZES, SIZES, st.booleans(), st.booleans())
def test_instance_norm(n: int, c: int, length: int, weight: bool, bias: bool) -> None:
    """Each channel of each sample is a group."""
    tally = Tally()
    for group in range(n * c):
        scale(normalize_group(tally.array(length, seed=group)), weight, bias)
    x, w, b = spec(n, c, length), parameter(weight, c), parameter(bias, c)
    assert_counted(terms_of("instance_norm", x, w, b, None, None, True, 0.1, 1e-5, True, out=x), tally)


@given(st.lists(SIZES, max_size=2), SIZES, st.booleans())
def test_rms_norm(leading: list[int], width: int, weight: bool) -> None:
    """Each leading index is divided by its root mean square."""
    tally = Tally()
    for group, _ in enumerate(index_product(*map(range, leading))):
        xs = tally.array(width, seed=group)
        inverse = rsqrt(mean([x**2 for x in xs]) + EPSILON)
        scale([x * inverse for x in xs], weight, bias=False)
    x = spec(*leading, width)
    assert_counted(terms_of("rms_norm", x, [width], parameter(weight, width), out=x), tally)
    outs = (x, spec(*leading, 1))
    assert_counted(terms_of("_fused_rms_norm", x, [width], parameter(weight, width), 1e-5, out=outs), tally)


@given(SIZES, SIZES)
def test_weight_norm(rows: int, columns: int) -> None:
    """Each row is divided by its norm and multiplied by its gain."""
    tally = Tally()
    for row, gain in zip(tally.array(rows, columns), tally.array(rows, seed=1), strict=True):
        factor = gain / sqrt(total(v**2 for v in row))
        for v in row:
            v * factor
    v, g = spec(rows, columns, parameter=True), spec(rows, 1, parameter=True)
    assert_counted(terms_of("_weight_norm", v, g, 0, out=v), tally)
    assert_counted(terms_of("_weight_norm_interface", v, g, out=(v, g)), tally)


X = (2, 4, 3, 5)


@pytest.mark.parametrize(
    "run",
    [
        lambda x, w: F.batch_norm(x, None, None, w, w, True),
        lambda x, w: F.batch_norm(x, w.detach(), w.detach(), w, None, True),
        lambda x, w: F.batch_norm(x, w.detach(), w.detach(), w, w, False),
        lambda x, w: F.layer_norm(x, (3, 5)),
        lambda x, w: F.group_norm(x, 2, w, w),
        lambda x, w: F.instance_norm(x, weight=w, bias=w),
        lambda x, w: F.instance_norm(x, w.detach(), w.detach(), w, w),
        lambda x, w: F.instance_norm(x, w.detach(), w.detach(), use_input_stats=False),
        lambda x, w: F.rms_norm(x, (5,)),
        lambda x, w: F.local_response_norm(x, 2),
        lambda x, w: torch._weight_norm(x, w.view(1, 4, 1, 1), 1),
    ],
)
def test_decomposed_operators_cost_the_same(run: Any) -> None:
    """Operators cost the same whole and decomposed."""
    assert_same_when_decomposed(run, X, (4,))


def test_synchronized_and_quantized_batch_norm() -> None:
    """The steps of a batch norm over several processes cost together what one batch norm costs."""
    x, c = spec(2, 4, 3), spec(4)
    whole = count_of("batch_norm", x, c, c, None, None, True, 0.1, 1e-5, True, out=x)
    statistics = count_of("batch_norm_stats", x, 1e-5, out=(c, c))
    assert statistics + count_of("batch_norm_elemt", x, c, c, c, c, 1e-5, out=x) == whole
    with_running = count_of("batch_norm", x, c, c, c, c, True, 0.1, 1e-5, True, out=x)
    update = count_of("batch_norm_update_stats", x, c, c, 0.1, out=(c, c))
    without = count_of("batch_norm_update_stats", x, None, None, 0.1, out=(c, c))
    assert update - without == with_running - whole
    quantized = count_of("quantized_batch_norm", x, c, c, c, c, 1e-5, 0.1, 0, out=x)
    assert quantized == count_of("batch_norm", x, c, c, c, c, False, 0.1, 1e-5, True, out=x)
