"""The counting number counts what is done to it, and the check built on it can fail."""

from __future__ import annotations

import math

import pytest

from profiler.opcount import OpCount, contraction, each
from tests.rules.counting import (
    Counting,
    Tally,
    assert_counted,
    cos,
    erf,
    exp,
    log,
    mac,
    maximum,
    minimum,
    product,
    rsqrt,
    sigmoid,
    sin,
    spec,
    sqrt,
    tanh,
    total,
)


def numbers(*values: complex) -> tuple[Tally, list[Counting]]:
    tally = Tally()
    return tally, [tally.number(value) for value in values]


def test_arithmetic_is_counted_by_kind() -> None:
    """Each operator counts one operation of its kind, on either side of a plain number."""
    tally, (x, y) = numbers(3.0, 2.0)
    assert (x * y + x - y).value == 7.0
    assert (2.0 * x + 1.0).value == 7.0
    assert (1.0 - x / y).value == -0.5
    assert (1.0 / y - 5.0).value == -4.5
    assert tally.count == OpCount(multiplies=2, adds=5, divides=2)


def test_sum_and_product_of_k_items_cost_k_minus_one() -> None:
    """The ints 0 and 1 that start a sum and a product are no operands."""
    tally, xs = numbers(1.0, 2.0, 3.0, 4.0)
    assert total(xs).value == 10.0
    assert product(xs).value == 24.0
    assert tally.count == OpCount(adds=3, multiplies=3)
    accumulator: Counting | int = 0
    for x in xs:
        accumulator += x
    assert tally.count == OpCount(adds=6, multiplies=3)
    assert total([]) == 0


def test_a_zero_or_one_that_is_an_operand_counts() -> None:
    """A padded zero, or a scale of 1.0, is an operand like any other."""
    tally, (x, zero) = numbers(3.0, 0.0)
    assert (x + zero + 0.0).value == 3.0
    assert (1.0 * x * zero).value == 0.0
    assert tally.count == OpCount(adds=2, multiplies=2)


def test_comparisons() -> None:
    """max, min and the order relations count one comparison for each value after the first."""
    tally, xs = numbers(1.0, 5.0, 3.0)
    assert max(xs).value == 5.0
    assert min(xs).value == 1.0
    assert maximum(*xs).value == 5.0
    assert minimum(*xs).value == 1.0
    assert isinstance(maximum(xs[0], 2.0), Counting)
    assert xs[0] < 2.0 <= xs[1]
    assert xs[0] != 2.0
    assert tally.count == OpCount(comparisons=4 * 2 + 1 + 2 + 1)


def test_transcendentals() -> None:
    """exp, log, sqrt, rsqrt, tanh, erf, sin, cos and a fractional power are one each."""
    tally, (x,) = numbers(0.5)
    for function, plain in [(exp, math.exp), (log, math.log), (sqrt, math.sqrt), (tanh, math.tanh), (erf, math.erf)]:
        assert function(x).value == plain(0.5)
    assert (sin(x).value, cos(x).value) == (math.sin(0.5), math.cos(0.5))
    assert rsqrt(x).value == 1 / math.sqrt(0.5)
    assert (x**0.5).value == 0.5**0.5
    assert tally.count == OpCount(transcendentals=9)


def test_sigmoid_is_counted_by_its_definition() -> None:
    """1 / (1 + exp(−x)) is one of each; the sign is free."""
    tally, (x,) = numbers(0.0)
    assert sigmoid(x).value == 0.5
    assert tally.count == OpCount(transcendentals=1, adds=1, divides=1)


def test_integer_powers_are_repeated_multiplication() -> None:
    """A power p costs p − 1 multiplies; a negative one also costs a divide."""
    tally, (x,) = numbers(2.0)
    assert [(x**p).value for p in (0, 1, 2, 3.0, -2)] == [1.0, 2.0, 4.0, 8.0, 0.25]
    assert tally.count == OpCount(multiplies=0 + 0 + 1 + 2 + 1, divides=1)


def test_free_operations() -> None:
    """Sign, absolute value, conjugation, floor and ceiling cost nothing."""
    tally, (x, z) = numbers(-1.5, 1 + 2j)
    assert ((-x).value, abs(x).value, math.floor(x), math.ceil(x)) == (1.5, 1.5, -2, -1)
    assert (z.conjugate().value, z.real.value, z.imag.value) == (1 - 2j, 1.0, 2.0)
    assert tally.count == OpCount()


def test_complex_arithmetic_is_counted_in_real_operations() -> None:
    """A complex product is 4 multiplies + 2 adds, a sum 2 adds."""
    tally, (z, w) = numbers(1 + 2j, 3 - 1j)
    assert (z * w).value == (1 + 2j) * (3 - 1j)
    assert tally.count == OpCount(multiplies=4, adds=2)
    assert (z + w - w).value == 1 + 2j
    assert tally.count == OpCount(multiplies=4, adds=2 + 4)
    assert abs((z / w).value - (1 + 2j) / (3 - 1j)) < 1e-12
    assert tally.count == OpCount(multiplies=4 + 6, adds=6 + 3, divides=2)


def test_a_real_factor_of_a_complex_number_costs_two_multiplies() -> None:
    """Scaling a complex number scales its two parts."""
    tally, (z,) = numbers(1 + 2j)
    assert (2.0 * z).value == 2 + 4j
    assert tally.count == OpCount(multiplies=2)


def test_a_counting_number_does_not_convert() -> None:
    """Conversion and truth raise, so no plain function can bypass the tally."""
    _, (x,) = numbers(1.0)
    with pytest.raises(TypeError):
        math.exp(x)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="truth"):
        bool(x)


def test_arrays_are_nested_reproducible_and_counted_together() -> None:
    """The same shape and seed give the same values; different seeds do not."""
    tally = Tally()
    first, second, other = tally.array(2, 3), tally.array(2, 3), tally.array(2, 3, seed=1)
    assert [[x.value for x in row] for row in first] == [[x.value for x in row] for row in second]
    assert first[0][0].value != other[0][0].value
    assert isinstance(tally.array(dtype="complex64").value, complex)
    total(x * y for row, column in zip(first, second, strict=True) for x, y in zip(row, column, strict=True))
    assert tally.count == OpCount(multiplies=6, adds=5)


def test_the_check_passes_on_equal_counts() -> None:
    """Terms that equal the tally are accepted."""
    tally, xs = numbers(1.0, 2.0, 3.0)
    sigmoid(total(mac(x, x) for x in xs))
    assert_counted([contraction((1,), (3,)), each((1,), "sigmoid", transcendentals=1, adds=1, divides=1)], tally)


@pytest.mark.parametrize("kind", ["multiplies", "adds", "divides", "comparisons", "transcendentals"])
def test_the_check_fails_on_a_wrong_value_of_each_kind(kind: str) -> None:
    """One operation too many or too few, of any kind, is an error that names the kind and both figures."""
    tally, (x, y) = numbers(1.0, 2.0)
    maximum(x * y + x, exp(x) / y)
    right = dict.fromkeys(["multiplies", "adds", "divides", "comparisons", "transcendentals"], 1)
    assert_counted([each((1,), "all", **right)], tally)
    for wrong in (0, 2):
        with pytest.raises(AssertionError, match=f"{kind}: the rule says {wrong}, 1 were done"):
            assert_counted([each((1,), "all", **{**right, kind: wrong})], tally)


@pytest.mark.parametrize("kind", [1.0, 1j])
def test_products_of_a_contraction_are_macs(kind: complex) -> None:
    """A real product is one mac, a complex one four; a product outside of a contraction is none."""
    tally, xs = numbers(2 * kind, 3 * kind, 4 * kind)
    assert total(mac(x, x) for x in xs).value == 4 * kind**2 + 9 * kind**2 + 16 * kind**2
    each_one = 4 if isinstance(kind, complex) else 1
    assert tally.count.macs == tally.count.multiplies == 3 * each_one
    plain, (x,) = numbers(2.0)
    total([x * x, x * x])
    assert plain.count == OpCount(multiplies=2, adds=1)
    with pytest.raises(AssertionError, match="macs: the rule says 2, 0 were done"):
        assert_counted([contraction((1,), (2,))], plain)


def test_spec_makes_what_a_rule_gets() -> None:
    """A spec carries shape, dtype and whether it is a parameter."""
    assert (spec(2, 3).shape, spec(2, 3).size) == ((2, 3), 6)
    assert spec(2, dtype="complex64").is_complex
    assert spec(2, parameter=True).parameter
