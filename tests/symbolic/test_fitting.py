"""Interpolation: a polynomial for each remainder of a size, accepted only after points of each remainder agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler import fitting
from profiler.deriving import formula
from profiler.formulas import Formula, FormulaError
from profiler.render.formulas import text as shown
from profiler.symbolic.expressions import value_of
from profiler.symbolic.interpolation import Axis, quasi_polynomial
from profiler.symbolic.writing import text
from tests.symbolic.test_formula import assert_equal, profiled


def axis(name: str, step: int, start: int, degree: int, remainders: range | set[int] | None = None) -> Axis:
    """The points from ``start`` on for these remainders, by default for all."""
    firsts = sorted(range(start, start + step), key=lambda size: size % step)
    lines = [tuple(first + number * step for number in range(degree + 1)) for first in firsts]
    return Axis(name, step, tuple(line for line in lines if remainders is None or line[0] % step in remainders))


def fitted(function: Callable[..., int], *axes: Axis) -> str:
    """The quasi-polynomial as text, after it was compared with the function far beyond its points."""
    found = quasi_polynomial(axes, {point: function(*point) for point in product(*(each.points for each in axes))})
    sizes = [
        [size for size in range(each.points[0], each.points[0] + 5 * each.step) if size % each.step in each.remainders]
        for each in axes
    ]
    for point in product(*sizes):
        values = {each.name: size for each, size in zip(axes, point, strict=True)}
        assert value_of(found, values) == function(*point), point
    return text(found)


@pytest.mark.parametrize(
    ("function", "axes", "written"),
    [
        (lambda n: 7 * ((n - 3) // 4) + 5, (axis("H", 4, 9, 1),), "7·⌊(H + 1)/4⌋ − 2"),
        (lambda n: (n // 8) ** 2, (axis("H", 8, 20, 2),), "⌊H/8⌋²"),
        (lambda n: 3 * (n // 2) + n % 2, (axis("H", 4, 1, 1),), "⌊(H + 1)/2⌋ + 2·⌊H/2⌋"),
        (lambda n: n**2 // 64, (axis("h", 64, 64, 2, {0}),), "h²/64"),
        (lambda n: n**3 - n, (axis("h", 1, 2, 3),), "h³ − h"),
        (lambda n: 5 * (n // 3), (axis("H", 6, 60, 1, {0, 2, 5}),), "5·⌊(H + 1)/6⌋ + 5·⌊H/6⌋"),
        (
            lambda h, w: 7 * (h // 2) ** 2 * ((w + 3) // 4),
            (axis("H", 2, 9, 2), axis("W", 4, 12, 1)),
            "7·⌊H/2⌋²·⌊(W + 3)/4⌋",
        ),
    ],
)
def test_floors_are_found_again(function: Callable[..., int], axes: tuple[Axis, ...], written: str) -> None:
    """The floors that a person would write come out of the numbers alone."""
    assert fitted(function, *axes) == written


@given(
    st.lists(
        st.tuples(st.integers(-4, 4), st.integers(0, 5), st.sampled_from((1, 2, 3, 6)), st.integers(1, 2)), max_size=3
    ),
    st.integers(1, 9),
)
@settings(max_examples=6, deadline=None)
def test_any_sum_of_floors(parts: list[tuple[int, int, int, int]], start: int) -> None:
    """A sum of powers of floors is a quasi-polynomial, which is found exactly."""
    fitted(lambda n: sum(a * ((n + b) // m) ** power for a, b, m, power in parts), axis("n", 6, start, 2))


class Numbers(nn.Module):
    """A network that cannot run with symbols for sizes; ``check`` may refuse a height."""

    def __init__(self, inner: nn.Module, check: Callable[[int], bool] = lambda height: True) -> None:
        super().__init__()
        self.inner = inner
        self.check = check

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) → what the inner network makes of it."""
        if not all(type(size) is int for size in x.shape):
            raise TypeError("sizes have to be numbers")
        if not self.check(x.shape[2]):
            raise ValueError(f"the height {x.shape[2]} is refused")
        made: torch.Tensor = self.inner(x)
        return made


def strided() -> nn.Module:
    """A convolution and a pool with a total stride of 4."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(3, 2))


@pytest.mark.slow
def test_every_remainder_by_the_total_stride() -> None:
    """Formula and profile are equal whatever the remainders of height and width are."""
    model = Numbers(nn.Conv2d(3, 4, 3, stride=3, bias=False))
    found = formula(model, (2, 3, "H", "W"), sizes={"H": 8, "W": 10})
    assert found.fitted == ("H", "W")
    assert found.remainders == {"H": 3, "W": 3}
    assert found.text() == f"{2 * 3 * 3 * 3 * 4}·⌊H/3⌋·⌊W/3⌋"
    compared = {(point["H"] % 3, point["W"] % 3) for point in found.checked[:9]}
    assert compared == set(product(range(3), range(3)))
    assert not any(point in found.points for point in found.checked[:9])
    for point in ({"H": height, "W": 51 + height % 7} for height in range(33, 37)):
        assert_equal(found, profiled(model, (2, 3, "H", "W"), point), point)
    assert json.loads(found.to_json())["remainders"] == {"H": 3, "W": 3}
    lines = " ".join(shown(found).split())
    assert "fitted because: Numbers: it does not run with symbols for sizes: module " in lines
    sides = [sorted({point[name] for point in found.points}) for name in ("H", "W")]
    assert [len(sizes) for sizes in sides] == [6, 6]  # two of each remainder
    points = "; ".join(f"{name} = {', '.join(map(str, sizes))}" for name, sizes in zip("HW", sides, strict=True))
    assert f"36 profiles, at {points}; a polynomial for each remainder of H by 3" in lines


@pytest.mark.slow
def test_sizes_near_each_other_do_not_mislead() -> None:
    """A stride of 6, which is constant at several sizes in a row, is found by looking farther."""
    model = Numbers(nn.Sequential(nn.Conv2d(3, 4, 5, stride=3), nn.MaxPool2d(2, 2)))
    found = formula(model, (1, 3, "S", "S"), sizes={"S": 40})
    assert found.remainders == {"S": 6}
    for size in range(40, 52):
        assert_equal(found, profiled(model, (1, 3, "S", "S"), {"S": size}), {"S": size})


@pytest.mark.slow
def test_remainders_that_the_network_refuses() -> None:
    """They are outside of the domain, which says so in words."""

    def domain(check: Callable[[int], bool]) -> Formula:
        return formula(Numbers(strided(), check), (1, 3, "H", 32), sizes={"H": 36})

    even = domain(lambda height: height % 2 == 0)
    assert "H is a multiple of 2" in even.domain.words()
    some = domain(lambda height: height % 4 != 1)
    assert "H mod 4 = 0 or H mod 4 = 2 or H mod 4 = 3" in some.domain.words()
    with pytest.raises(FormulaError, match="needs H mod 4 = 0 or H mod 4 = 2"):
        some.at(H=37)


@pytest.mark.slow
def test_too_many_profiles_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the number, the limit, and what to do."""
    monkeypatch.setattr(fitting, "MOST_SAMPLES", 40)
    with pytest.raises(
        FormulaError, match="needs 80 profiles, for each remainder of H by 4 and W by 4, above the limit of 40"
    ):
        formula(Numbers(strided()), (1, 3, "H", "W"), sizes={"H": 33, "W": 40})
    monkeypatch.setattr(fitting, "MOST_SAMPLES", 6)
    with pytest.raises(FormulaError, match="a polynomial for each remainder by 4, for which more than 6 profiles"):
        formula(Numbers(strided()), (1, 3, "H", 32), sizes={"H": 33})


class Irregular(nn.Module):
    """Its work is a polynomial in the height for no step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W), as often as the height has digits 1 in base 2."""
        for _ in range(int(x.shape[2]).bit_count()):
            x = x * x
        return x


@pytest.mark.slow
def test_what_no_polynomial_fits_is_refused() -> None:
    """The message names the steps that were tried."""
    with pytest.raises(FormulaError, match="no formula in H: its cost is no polynomial of degree 4 or less"):
        formula(Numbers(Irregular()), (1, 3, "H", 1), sizes={"H": 30})


class Odd(nn.Module):
    """A step of work more at one size, far from all others that are looked at."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W), the same."""
        return x * x if x.shape[2] != 300 else x * x * x


@pytest.mark.slow
def test_a_fit_that_differs_at_the_sizes_of_the_tables_is_refused() -> None:
    """The values of the tables are among the points that are compared."""
    with pytest.raises(FormulaError, match="differs from its profile at H = 300"):
        formula(Numbers(Odd()), (1, 3, "H", 1), sizes={"H": 300})


@pytest.mark.slow
def test_a_fit_without_points_beyond_is_refused() -> None:
    """A fit has to be compared with a profile that it was not made from."""
    with pytest.raises(FormulaError, match="cannot be compared with a profile beyond H = "):
        formula(Numbers(Odd(), lambda height: height < 5), (1, 3, "H", 1), sizes={"H": 3})
