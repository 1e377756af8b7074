"""Reductions cost what it costs to compute each result from its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import UncountedError
from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, maximum, minimum, product, spec, sqrt, total
from tests.rules.registered import assert_same_when_decomposed, count_of, kind_of, terms_of

SIZES = st.integers(1, 4)
Values = list[Counting]


def mean(xs: Values) -> Any:
    return total(xs) / float(len(xs))


def variance(xs: Values) -> Any:
    center = mean(xs)
    return total((x - center) ** 2 for x in xs) / max(len(xs) - 1.0, 1.0)


DEFINITIONS: dict[str, Callable[[Values], Any]] = {
    "sum": total,
    "nansum": total,
    "mean": mean,
    "prod": product,
    "amax": lambda xs: maximum(*xs),
    "argmin": lambda xs: minimum(*xs),
    "max": lambda xs: maximum(*xs),
    "aminmax": lambda xs: (maximum(*xs), minimum(*xs)),
    "var": variance,
    "std": lambda xs: sqrt(variance(xs)),
    "any": lambda xs: [x != 0.0 for x in xs],
}


@pytest.mark.parametrize("op", DEFINITIONS)
@given(a=SIZES, b=SIZES, c=SIZES)
def test_reduction_over_the_middle(op: str, a: int, b: int, c: int) -> None:
    """(a, b, c) reduced over its middle has a·c results from b values each."""
    tally = Tally()
    for xs in tally.array(a * c, b):
        DEFINITIONS[op](xs)
    x, out = spec(a, b, c), spec(a, c)
    for dim in (1, -2):
        keyword = {"dim": dim} if op == "aminmax" else {}
        assert_counted(terms_of(op, x, *([] if keyword else [dim]), **keyword, out=out), tally)
    assert kind_of(op, x, out=out) == "reduction"


@pytest.mark.parametrize("op", DEFINITIONS)
@given(a=SIZES, b=SIZES)
def test_reduction_to_one_value(op: str, a: int, b: int) -> None:
    """No dimension, or an empty list of dimensions, means all of them."""
    tally = Tally()
    DEFINITIONS[op](tally.array(a * b))
    for dims in ((), (None,), ([],), ([0, 1],), ([-1, -2],)):
        if dims == () or op not in ("aminmax", "argmin", "max"):
            assert_counted(terms_of(op, spec(a, b), *dims, out=spec()), tally)


def test_reductions_by_hand() -> None:
    """The mean over 7·7 of 2048 channels, and the sum of 10 values."""
    assert count_of("mean", spec(1, 2048, 7, 7), [2, 3], out=spec(1, 2048)) == OpCount(
        adds=2048 * (7 * 7 - 1), divides=2048
    )
    assert count_of("sum", spec(10), out=spec()) == OpCount(adds=9)


def test_max_of_two_tensors_is_elementwise() -> None:
    """max(x, y) compares element by element."""
    x = spec(2, 3)
    assert count_of("max", x, x, out=x) == OpCount(comparisons=6)
    assert kind_of("max", x, x, out=x) == "elementwise"
    assert count_of("max", x, 1, out=(spec(2), spec(2))) == OpCount(comparisons=2 * (3 - 1))
    assert kind_of("max", x, 1, out=(spec(2), spec(2))) == "reduction"


def test_variance_with_its_mean_costs_the_variance() -> None:
    """The mean is part of the variance's definition; the overload with a boolean reduces everything."""
    x = spec(4, 5)
    assert count_of("var_mean", x, [0], out=(spec(5), spec(5))) == count_of("var", x, [0], out=spec(5))
    assert count_of("std_mean", x, [0], out=(spec(5), spec(5))) == count_of("std", x, [0], out=spec(5))
    assert count_of("var", x, True, out=spec()) == count_of("var", x, out=spec())


def test_sums_of_complex_numbers_are_two_sums() -> None:
    """A complex sum adds two parts, a complex mean divides two."""
    z = spec(5, dtype="complex64")
    assert count_of("sum", z, out=spec(dtype="complex64")) == OpCount(adds=2 * 4)
    assert count_of("mean", z, out=spec(dtype="complex64")) == OpCount(adds=2 * 4, divides=2)
    assert count_of("prod", z, out=spec(dtype="complex64")) == OpCount(multiplies=4 * 4, adds=4 * 2)
    with pytest.raises(UncountedError, match="var"):
        terms_of("var", z, out=spec())


@pytest.mark.parametrize("p", [1, 2, 3, 0.5, -2, float("inf"), -float("inf"), 0])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_norms(p: float, dtype: str) -> None:
    """(Σ |x|ᵖ)^(1/p), its limits, and the number of values that are not zero."""
    tally = Tally()
    xs = tally.array(4, dtype=dtype)
    if p == 2:
        sqrt(total(x.real**2 + x.imag**2 if dtype == "complex64" else x**2 for x in xs))
    elif p == 0:
        parts = [[x.real, x.imag] if dtype == "complex64" else [x] for x in xs]
        tests = [[part != 0.0 for part in each] for each in parts]
        total(tally.number(float(any(each))) for each in tests)
    else:
        moduli = [abs(x) for x in xs]
        if abs(p) == float("inf"):
            maximum(*moduli)
        else:
            summed = total(x**p for x in moduli)
            if p != 1:
                sqrt(summed)
    x = spec(4, dtype=dtype)
    assert_counted(terms_of("linalg_vector_norm", x, p, out=spec()), tally)
    assert_counted(terms_of("norm", x, p, [0], out=spec()), tally)


def test_dist_is_the_norm_of_the_difference() -> None:
    """(5,) − (5,): 5 subtractions, 5 squares, 4 adds and a root."""
    expected = OpCount(multiplies=5, adds=5 + 4, transcendentals=1)
    assert count_of("dist", spec(5), spec(5), out=spec()) == expected


@given(SIZES, SIZES)
def test_cumulative_operations(rows: int, length: int) -> None:
    """L − 1 steps a row."""
    x = spec(rows, length)
    steps = rows * (length - 1)
    assert count_of("cumsum", x, 1, out=x) == OpCount(adds=steps)
    assert count_of("cumprod", x, -1, out=x) == OpCount(multiplies=steps)
    assert count_of("cummax", x, 1, out=(x, x)) == OpCount(comparisons=steps)
    expected = OpCount(comparisons=steps, adds=4 * steps, transcendentals=3 * steps)
    assert count_of("logcumsumexp", x, 1, out=x) == expected


def test_trace() -> None:
    """The diagonal of a 3×5 matrix has three values."""
    assert count_of("trace", spec(3, 5), out=spec()) == OpCount(adds=2)


@pytest.mark.parametrize("op", ["sum", "mean", "amax", "linalg_vector_norm", "logsumexp"])
def test_empty_reductions_cost_nothing(op: str) -> None:
    """There are no values to reduce, or no results."""
    arguments = ([0],) if op == "logsumexp" else (2, [0]) if op == "linalg_vector_norm" else ([0],)
    assert count_of(op, spec(0, 3), *arguments, out=spec(3)) == OpCount()
    assert count_of(op, spec(3, 0), *arguments, out=spec(0)) == OpCount()


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x.std(1),
        lambda x: torch.var_mean(x, (0, 1)),
        lambda x: x.std(unbiased=False),
        lambda x: x.norm(),
        lambda x: torch.linalg.norm(x, dim=1),
        lambda x: torch.nanmean(x, 1),
        lambda x: torch.nn.functional.normalize(x),
        lambda x: torch.nn.functional.cosine_similarity(x, x),
        lambda x: torch.nn.functional.pairwise_distance(x, x),
        lambda x: torch.diff(x),
        lambda x: torch.trapezoid(x),
    ],
)
def test_decomposed_operators_cost_the_same(run: Any) -> None:
    """Operators cost the same whole and decomposed."""
    assert_same_when_decomposed(run, (2, 3))
