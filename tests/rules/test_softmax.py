"""Softmax, its logarithm and log-sum-exp cost what their shifted definitions cost."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, exp, log, maximum, spec, total
from tests.rules.registered import assert_same_when_decomposed, count_of, terms_of

SIZES = st.integers(1, 4)


def softmax(xs: list[Counting]) -> list[Counting]:
    largest = maximum(*xs)
    exps = [exp(x - largest) for x in xs]
    whole = total(exps)
    return [e / whole for e in exps]


def log_softmax(xs: list[Counting]) -> list[Counting]:
    largest = maximum(*xs)
    shifted = [x - largest for x in xs]
    logarithm = log(total(exp(x) for x in shifted))
    return [x - logarithm for x in shifted]


def logsumexp(xs: list[Counting]) -> Counting:
    largest = maximum(*xs)
    return largest + log(total(exp(x - largest) for x in xs))


@pytest.mark.slow
@given(SIZES, SIZES, SIZES)
def test_rows_run_along_the_dimension(n: int, length: int, after: int) -> None:
    """(n, L, after) along its middle has n·after rows of L."""
    for op, definition in (("softmax", softmax), ("log_softmax", log_softmax)):
        tally = Tally()
        for row in range(n * after):
            definition(tally.array(length, seed=row))
        x = spec(n, length, after)
        for dim in (1, -2):
            assert_counted(terms_of(op, x, dim, out=x), tally)
            assert_counted(terms_of(f"_{op}", x, dim, False, out=x), tally)


@given(SIZES, SIZES)
def test_logsumexp(rows: int, length: int) -> None:
    """Each row costs its maximum, exps, sum and logarithm."""
    tally = Tally()
    for row in tally.array(rows, length):
        logsumexp(row)
    assert_counted(terms_of("logsumexp", spec(rows, length), [1], out=spec(rows)), tally)


def test_softmax_by_hand() -> None:
    """The attention rows of ViT-B/16: 12 heads, 197 queries, 197 keys."""
    x = spec(1, 12, 197, 197)
    rows = 12 * 197
    expected = OpCount(comparisons=rows * 196, adds=rows * (197 + 196), transcendentals=rows * 197, divides=rows * 197)
    assert count_of("softmax", x, -1, out=x) == expected


def test_a_scalar_is_a_row_of_one() -> None:
    """softmax of a scalar subtracts, exponentiates and divides once."""
    assert count_of("softmax", spec(), 0, out=spec()) == OpCount(adds=1, transcendentals=1, divides=1)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_rows_cost_nothing(shape: tuple[int, int]) -> None:
    """There are no rows, or no values in them."""
    for op in ("softmax", "log_softmax"):
        assert count_of(op, spec(*shape), 1, out=spec(*shape)) == OpCount()


def test_decomposed_operators_cost_the_same() -> None:
    """Operators cost the same whole and decomposed."""
    assert_same_when_decomposed(lambda x: F.softmax(x, -1, dtype=torch.float64), (2, 3))
    assert_same_when_decomposed(lambda x: F.log_softmax(x, 0), (2, 3))
    assert_same_when_decomposed(lambda x: F.softmin(x, 0), (2, 3))


def test_masked_softmax_is_dense() -> None:
    """Masked values count like the others."""
    x = spec(2, 5)
    assert count_of("_masked_softmax", x, spec(2, 5, dtype="bool"), out=x) == count_of("softmax", x, 1, out=x)
