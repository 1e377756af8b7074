"""Interpolation costs what its separable definition costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import OpCount
from profiler.rules.resampling import antialiased_taps
from tests.rules.counting import Counting, Tally, assert_counted, maximum, minimum, spec, total
from tests.rules.registered import assert_same_when_decomposed, count_of, count_whole_and_decomposed, terms_of

SIZES = st.integers(1, 3)


def weigh(values: Sequence[Any], weights: Sequence[Any]) -> Any:
    return total(value * weight for value, weight in zip(values, weights, strict=True))


def interpolate(values: Any, weights: Sequence[Sequence[Any]]) -> Any:
    """Nested lists of values, weighed along one dimension after the other, starting with the innermost."""
    if len(weights) > 1:
        values = [interpolate(inner, weights[1:]) for inner in values]
    return weigh(values, weights[0])


@pytest.mark.parametrize(
    ("op", "dims", "taps"),
    [("linear1d", 1, 2), ("bilinear2d", 2, 2), ("trilinear3d", 3, 2), ("bicubic2d", 2, 4)],
)
@given(n=SIZES, c=SIZES, size=SIZES)
def test_resizing(op: str, dims: int, taps: int, n: int, c: int, size: int) -> None:
    """Every result is a nest of one-dimensional interpolations with constant weights."""
    tally = Tally()
    for _ in range(n * c * size**dims):
        interpolate(tally.array(*[taps] * dims), [[1 / taps] * taps] * dims)
    x, out = spec(n, c, *[2] * dims), spec(n, c, *[size] * dims)
    assert_counted(terms_of(f"upsample_{op}", x, [size] * dims, False, out=out), tally)
    assert_counted(terms_of(f"upsample_{op}", x, None, False, [2.0] * dims, out=out), tally)


def test_bilinear_by_hand() -> None:
    """The head of FCN resizes 21 maps to 520·520, by three linear interpolations each."""
    n = 21 * 520 * 520
    cost = count_of("upsample_bilinear2d", spec(1, 21, 65, 65), [520, 520], False, out=spec(1, 21, 520, 520))
    assert cost == OpCount(multiplies=6 * n, adds=3 * n)


def test_nearest_is_free() -> None:
    """It copies the nearest value."""
    run = lambda x: F.interpolate(x, scale_factor=2) + F.interpolate(x, scale_factor=2, mode="nearest-exact")  # noqa: E731
    assert count_whole_and_decomposed(run, (1, 1, 2, 2)) == (OpCount(adds=16), OpCount(adds=16))


@pytest.mark.parametrize(("mode", "taps"), [("bilinear", 2), ("bicubic", 4)])
@given(size=st.integers(2, 12), windows=st.integers(2, 12))
def test_antialiasing_windows_equal_those_of_the_kernel(mode: str, taps: int, size: int, windows: int) -> None:
    """No result of PyTorch's own kernel depends on more values than its window holds."""
    counted = antialiased_taps(size, windows, taps, Fraction(size, windows))
    x = torch.eye(size, dtype=torch.float64).view(1, size, 1, size).expand(1, size, 2, size)
    y = F.interpolate(x, size=(2, windows), mode=mode, antialias=True, align_corners=False)
    really = int((y[0, :, 0, :].abs() > 1e-12).sum())
    assert really <= counted <= windows * size
    reach = math.ceil(taps / 2 * max(size / windows, 1))
    assert counted <= windows * (2 * reach + 1)


def test_antialiasing_by_hand() -> None:
    """4×6 → 2×3 with scale 2 reaches 2 to each side of a center: windows of 3, 4, 3 of 6 values, and 3, 3 of 4."""
    x, out = spec(1, 5, 4, 6), spec(1, 5, 2, 3)
    width, height = 3 + 4 + 3, 3 + 3
    expected = OpCount(multiplies=5 * (4 * width + 3 * height), adds=5 * (4 * (width - 3) + 3 * (height - 2)))
    assert count_of("_upsample_bilinear2d_aa", x, [2, 3], False, out=out) == expected
    assert count_of("_upsample_bilinear2d_aa", x, None, False, [0.5, 0.5], out=out) == expected
    assert count_of("_upsample_bilinear2d_aa", x, [2, 3], False, 0.5, 0.5, out=out) == expected


def cubic_weights(t: Counting) -> list[Counting]:
    a = -0.75

    def inner(x: Counting) -> Counting:
        return ((a + 2) * x - (a + 3)) * x * x + 1.0

    def outer(x: Counting) -> Counting:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [outer(t + 1.0), inner(t), inner(1.0 - t), outer(2.0 - t)]


def grid_position(x: Counting, size: int, padding: int, align_corners: bool) -> Counting:
    x = (x + 1.0) / 2.0 * float(size - 1) if align_corners else ((x + 1.0) * float(size) - 1.0) / 2.0
    if padding == 2:
        distance = abs(x - -0.5)
        flips = float(math.floor(distance / float(size)))
        rest = distance - flips * x.tally.number(float(size))
        even, odd = rest + -0.5, float(size) - rest + -0.5
        x = even if flips % 2 == 0 else odd
    return minimum(maximum(x, 0.0), float(size - 1)) if padding else x


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sampling(dims: int, mode: int, padding: int, align_corners: bool) -> None:
    """Each point finds its position and weights once; each channel has its nest of interpolations."""
    if dims == 3 and mode == 2:
        pytest.skip("PyTorch has no tricubic sampling")
    n, c, points = 2, 3, 4
    tally = Tally()
    taps = 4 if mode == 2 else 2
    for point in tally.array(n * points, dims):
        weights = []
        for coordinate in point:
            position = grid_position(coordinate, 5, 0 if mode == 2 else padding, align_corners)
            if mode != 1:
                t = position - float(math.floor(position))
                weights.append(cubic_weights(t) if mode == 2 else [1.0 - t, t])
        if mode != 1:
            for _ in range(c):
                interpolate(tally.array(*[taps] * dims), weights)
    grid, out = spec(n, *[1] * (dims - 1), points, dims), spec(n, c, *[1] * (dims - 1), points)
    x = spec(n, c, *[5] * dims)
    for op in ("grid_sampler", f"grid_sampler_{dims}d"):
        assert_counted(terms_of(op, x, grid, mode, padding, align_corners, out=out), tally)


def test_affine_grid() -> None:
    """Each of the two coordinates of 3·4 points takes two products and two adds."""
    cost = count_of("affine_grid_generator", spec(1, 2, 3), [1, 1, 3, 4], False, out=spec(1, 3, 4, 2))
    assert cost == OpCount(multiplies=3 * 4 * 2 * 2, adds=3 * 4 * 2 * 2)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [{"size": (3, 5)}, {"scale_factor": 0.5}, {"scale_factor": (0.3, 1.5)}])
def test_decomposed_interpolation_costs_the_same(mode: str, antialias: bool, size: dict[str, Any]) -> None:
    """Operators cost the same whole and decomposed."""
    run = lambda x: F.interpolate(x, mode=mode, antialias=antialias, align_corners=False, **size)  # noqa: E731
    assert_same_when_decomposed(run, (2, 3, 10, 12))


@pytest.mark.slow
def test_decomposed_grid_samples_cost_the_same() -> None:
    """Operators cost the same whole and decomposed."""
    run = lambda x, theta: F.grid_sample(x, F.affine_grid(theta, [2, 3, 2, 2], False), align_corners=False)  # noqa: E731
    assert_same_when_decomposed(run, (2, 3, 4, 4), (2, 2, 3))
