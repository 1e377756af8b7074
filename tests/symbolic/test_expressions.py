"""Floors, remainders and greatest common divisors of named sizes equal Python's, at every size tried."""

from __future__ import annotations

import math

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from profiler.symbolic.expressions import (
    ceil_log2,
    floor_of,
    greatest_common_divisor,
    in_floors,
    is_multiple,
    merged,
    remainder_of,
    symbol,
    value_of,
)
from profiler.symbolic.quasilinear import is_never_negative, larger, smaller
from profiler.symbolic.writing import latex, machine, python, simplified, text

B, H, W = (symbol(name) for name in "BHW")
NUMBERS = st.integers(-9, 9)
DIVISORS = st.integers(1, 9)
SIZES = st.integers(1, 300)


@given(NUMBERS, DIVISORS, NUMBERS, DIVISORS, SIZES)
def test_floors_within_floors(a: int, b: int, c: int, d: int, n: int) -> None:
    """They are dissolved without a change of value, whatever the signs are."""
    assert value_of(floor_of(floor_of(H + a, b) + c, d), {"H": n}) == ((n + a) // b + c) // d
    assert value_of(floor_of(-floor_of(H + a, b) + c, d), {"H": n}) == (-((n + a) // b) + c) // d


@given(NUMBERS, DIVISORS, NUMBERS, NUMBERS, DIVISORS, SIZES, SIZES)
def test_floors_of_sums_of_two_sizes(a: int, b: int, c: int, d: int, e: int, n: int, m: int) -> None:
    """Whole parts are taken out without a change of value."""
    found = floor_of(a * H + c * W + d * floor_of(W, b), e)
    assert value_of(found, {"H": n, "W": m}) == (a * n + c * m + d * (m // b)) // e


@given(NUMBERS, DIVISORS, DIVISORS, SIZES)
def test_remainders_and_common_divisors(a: int, b: int, d: int, n: int) -> None:
    """They are exact functions of floors."""
    size = floor_of(H + a, b)
    assert value_of(remainder_of(size, d), {"H": n}) == (n + a) // b % d
    assert value_of(greatest_common_divisor(size, d), {"H": n}) == math.gcd((n + a) // b, d)
    assert value_of(in_floors(greatest_common_divisor(size, d)), {"H": n}) == math.gcd((n + a) // b, d)
    assert value_of(is_multiple(size, d), {"H": n}) == ((n + a) // b % d == 0)


@given(st.integers(1, 10**15))
def test_logarithms(k: int) -> None:
    """The rounded logarithm is exact for large sizes too."""
    assert value_of(ceil_log2(H), {"H": k}) == (k - 1).bit_length()


def test_equal_sizes_are_equal_expressions() -> None:
    """Two ways to the same size give one expression."""
    assert floor_of(floor_of(H - 7, 4) - 2, 2) == floor_of(H - 15, 8)
    assert merged(floor_of(H - 7, 4) + 1) == merged(floor_of(H - 3, 4))
    assert floor_of(4 * H + 3, 6) == floor_of(2 * H + 1, 3)


def test_large_counts_are_exact() -> None:
    """Values beyond the exact range of floats keep every digit."""
    assert value_of(B**5 * (10**20 + 1), {"B": 7}) == 7**5 * (10**20 + 1)


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        (floor_of(H, 4), "⌊H/4⌋"),
        (merged(floor_of(H - 7, 4) + 1) * B * 3, "3·B·⌊(H − 3)/4⌋"),
        (2 * B**2 - H, "2·B² − H"),
        (-3 * B, "−3·B"),
        (sympy.Rational(1, 2) * B * (B + 1), "B·(B + 1)/2"),
        (sympy.Max(B, H), "max(B, H)"),
        (ceil_log2(B), "⌈log₂(B)⌉"),
        (greatest_common_divisor(floor_of(H, 32), 6), "gcd(⌊H/32⌋, 6)"),
    ],
)
def test_text(expression: sympy.Expr, written: str) -> None:
    """Formulas are written as a person would write them."""
    assert text(expression) == written


def test_names_are_in_the_given_order() -> None:
    """A product has its names in the order in which the sizes are declared."""
    h, s = symbol("h"), symbol("s")
    assert text(24 * B * s * h**2 + 4 * B * s**2 * h, "Bsh") == "4·B·s²·h + 24·B·s·h²"


def test_what_terms_share_is_in_front() -> None:
    """Names that every one of several terms has are written once."""
    assert text(simplified(B * H + B * W + B)) == "B·(H + W + 1)"


@pytest.mark.slow
@given(NUMBERS, DIVISORS, NUMBERS, SIZES, SIZES)
def test_python_and_sympy_read_what_is_written(a: int, b: int, c: int, n: int, m: int) -> None:
    """The texts for programs have the value of the expression."""
    shared = greatest_common_divisor(floor_of(H + 9, 2), b)
    made = simplified(3 * B * merged(floor_of(H + a, b) + c) ** 2 - 5 * B * floor_of(H + c, 7) + c * B * shared)
    made += H * (H - 1) / 2 - B * (B + 1) * (B + 2) / 6  # whole numbers, whose terms are fractions
    expected = value_of(made, {"B": m, "H": n})
    assert eval(python(made), {"B": m, "H": n, "math": math}) == expected
    assert sympy.sympify(machine(made)).subs({"B": m, "H": n}) == expected


def test_latex() -> None:
    """Floors are fractions between brackets of their height."""
    assert latex(3 * floor_of(H - 3, 4)) == r"3 \cdot \left\lfloor \frac{H - 3}{4} \right\rfloor"


@pytest.mark.slow
@given(NUMBERS, DIVISORS, NUMBERS, DIVISORS, NUMBERS)
def test_answers_about_all_sizes(a: int, b: int, c: int, d: int, e: int) -> None:
    """An answer about all sizes is right for every size that is tried."""
    difference = floor_of(H + a, b) * d - floor_of(c * H + e, d)
    values = [value_of(difference, {"H": n}) for n in range(2, 400)]
    if not difference.free_symbols:
        return
    assert is_never_negative(difference) == all(value >= 0 for value in values)


@pytest.mark.slow
@given(NUMBERS, DIVISORS, NUMBERS, DIVISORS, SIZES)
def test_smaller_and_larger(a: int, b: int, c: int, d: int, n: int) -> None:
    """They are one of two sizes where that is known, and a function of both else."""
    one, other, size = floor_of(H + a, b), floor_of(H + c, d), n + 1
    values = (size + a) // b, (size + c) // d
    assert value_of(smaller(one, other), {"H": size}) == min(values)
    assert value_of(larger(one, other), {"H": size}) == max(values)
