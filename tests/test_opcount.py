"""Counts add up, and formulas are written as by hand."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import ONE_OF, SCALAR_OPERATIONS, ZERO, OpCount, Term, contraction, each, total

COUNTS = st.builds(OpCount, *(st.integers(0, 10**6) for _ in range(6)))
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


def evaluate(formula: str) -> OpCount:
    """The value of a formula, without its term: a product of sizes, alone (MACs) or × costs."""
    product = re.compile(r"[\d()·]+")
    head = product.match(formula)
    assert head is not None
    value = 1
    for size in re.findall(r"\d+", head.group()):
        value *= int(size)
    rest = formula[head.end() :].removeprefix(" ").removeprefix("× ").strip("()")
    if not rest:
        return OpCount(macs=value)
    singular = {name: kind for kind, name in ONE_OF.items()}
    count = ZERO
    for part in rest.split(" + "):
        number, _, kind = part.rpartition(" ")
        count = count + OpCount(**{singular.get(kind, kind): int(number or 1) * value})
    return count


def test_the_formula_of_a_convolution_is_written_as_by_hand() -> None:
    """It is the first one of AlexNet; sizes of one are left out."""
    term = contraction((1, 64, 55, 55), (3, 11, 11))
    assert term.formula == "(3·11·11)·(64·55·55)"
    assert term.count == OpCount(
        multiplies=363 * 64 * 55 * 55, adds=362 * 64 * 55 * 55, macs=363 * 64 * 55 * 55
    )  # fmt: skip


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (contraction((1, 4096), (9216,)), "9216·4096"),
        (contraction((2, 4096), (9216,)), "9216·(2·4096)"),
        (contraction((1, 1), (1,)), "1"),
        (each((64, 55, 55), "relu", comparisons=1), "64·55·55 comparisons"),
        (each((64, 27), "pool", comparisons=8), "64·27 × 8 comparisons"),
        (each((3, 5), "norm", multiplies=1, adds=2), "3·5 × (1 multiply + 2 adds)"),
        (each((1,), "mean", divides=1), "1 divides"),
        (each((0, 5), "nothing", adds=1), "0 adds"),
    ],
)
def test_formulas(term: Term, text: str) -> None:
    """Each form of a term."""
    assert term.formula == text


@given(SIZES, SIZES)
def test_the_formula_of_a_contraction_is_its_macs(outputs: tuple[int, ...], contracted: tuple[int, ...]) -> None:
    """It is evaluated without knowing the term."""
    term = contraction(outputs, contracted)
    assert evaluate(term.formula).macs == term.count.macs


@given(SIZES, st.dictionaries(st.sampled_from(SCALAR_OPERATIONS), st.integers(1, 9), min_size=1))
def test_the_formula_of_other_work_is_its_count(sizes: tuple[int, ...], one: dict[str, int]) -> None:
    """It has every kind of operation, with its number."""
    term = each(sizes, "work", **one)
    assert evaluate(term.formula) == term.count


@given(COUNTS, COUNTS, st.integers(0, 9))
def test_counts_add_and_multiply_field_by_field(a: OpCount, b: OpCount, n: int) -> None:
    """There are sums, differences and multiples."""
    assert (a + b) - b == a
    assert (a + b).flops == a.flops + b.flops
    assert n * (a + b) == n * a + b * n


def test_comparisons_are_not_flops() -> None:
    """MACs are not either: their multiplies and adds are counted as such."""
    assert OpCount(1, 2, 3, 100, 4, macs=1000).flops == 1 + 2 + 3 + 4


def test_an_empty_sum_costs_nothing() -> None:
    """It is a contraction over nothing, or a total of nothing."""
    assert contraction((3, 4), (0,)).count == ZERO
    assert total([]) == ZERO
    assert not ZERO
    assert OpCount(comparisons=1)


def test_integers_stay_exact() -> None:
    """They exceed a float and a machine integer."""
    assert Fraction(contraction((10**15, 3), (10**6,)).count.multiplies) == 3 * 10**21
