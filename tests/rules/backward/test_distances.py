"""The gradients of distances: the loops compute autograd's values, and the rules equal their tallies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import UncountedError
from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, spec, total, transcendental
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import values

ORDERS = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, float("inf")]


def power_of(x: Counting, exponent: float) -> Counting:
    if exponent == int(exponent):
        return x ** int(exponent)
    return transcendental(lambda value: value**exponent, x)


def sign(x: Counting) -> float:
    """The sign is free, as changes of sign are."""
    assert isinstance(x.value, float)
    return float(x.value > 0) - float(x.value < 0)


def pair(g: Counting, distance: Counting, x: list[Counting], y: list[Counting], p: float) -> list[Any]:
    """The gradient of one distance for the row x."""
    slope = g
    if p not in (1, float("inf")):
        no_distance = distance == 0.0
        slope = g / (power_of(distance, p - 1) if p != 2 else distance)
        slope = g.tally.number(0.0) if no_distance else slope
    found = []
    for a, b in zip(x, y, strict=True):
        d = a - b
        if p == 1:
            found.append(slope * sign(d))
        elif p == 2:
            found.append(d * slope)
        elif p == float("inf"):
            gradient, largest = slope * sign(d), abs(d) == distance
            found.append(gradient if largest else g.tally.number(0.0))
        elif p > 2:
            found.append(d * power_of(abs(d), p - 2) * slope)
        else:
            if p < 1:
                assert d != 0.0
            found.append(power_of(abs(d), p - 1) * sign(d) * slope)
    return found


@pytest.mark.parametrize("p", ORDERS)
@settings(max_examples=6, deadline=None)
@given(rows=st.integers(1, 3), others=st.integers(1, 3), size=st.integers(1, 4))
def test_gradients_of_cdist(p: float, rows: int, others: int, size: int) -> None:
    """The gradient of a row sums over the rows of the other set."""
    draw, tally = Tally(), Tally()
    x, y, g = draw.array(rows, size), draw.array(others, size, seed=1), draw.array(rows, others, seed=2)
    first, second = values(x).requires_grad_(), values(y)
    distances = torch.cdist(first, second, p)
    (expected,) = torch.autograd.grad(distances, first, values(g))
    found = []
    for i in range(rows):
        row = [tally.number(a.value) for a in x[i]]
        each = [
            pair(tally.number(g[i][j].value), tally.number(distances[i, j].item()), row, y[j], p) for j in range(others)
        ]
        found.append([total(column) for column in zip(*each, strict=True)])
    assert torch.allclose(values(found), expected)
    g_spec, x_spec, y_spec = spec(rows, others), spec(rows, size), spec(others, size)
    assert_counted(terms_of("_cdist_backward", g_spec, x_spec, y_spec, p, g_spec, out=x_spec), tally)


@pytest.mark.parametrize("p", ORDERS)
@settings(max_examples=6, deadline=None)
@given(rows=st.integers(1, 4), size=st.integers(1, 3))
def test_gradients_of_pdist(p: float, rows: int, size: int) -> None:
    """The gradient of each pair is added to one row and subtracted from the other."""
    draw, tally = Tally(), Tally()
    pairs = [(i, j) for i in range(rows) for j in range(i + 1, rows)]
    x, g = draw.array(rows, size), draw.array(len(pairs))
    tensor = values(x).requires_grad_()
    distances = torch.nn.functional.pdist(tensor, p)
    (expected,) = torch.autograd.grad(distances, tensor, torch.tensor([each.value for each in g], dtype=torch.double))
    parts: list[list[list[Any]]] = [[] for _ in range(rows)]
    for (i, j), gradient, distance in zip(pairs, g, distances.tolist(), strict=True):
        row = [tally.number(a.value) for a in x[i]]
        for_pair = pair(tally.number(gradient.value), tally.number(distance), row, x[j], p)
        parts[i].append(for_pair)
        parts[j].append([-each for each in for_pair])
    for vectors, theirs in zip(parts, expected, strict=True):
        if vectors:
            assert torch.allclose(values([total(column) for column in zip(*vectors, strict=True)]), theirs)
    g_spec, x_spec = spec(len(pairs)), spec(rows, size)
    assert_counted(terms_of("_pdist_backward", g_spec, x_spec, p, g_spec, out=x_spec), tally)


def test_distances_by_hand() -> None:
    """Batches of 3 and 4 rows of 5 values: slopes, their products with differences, and sums of 4."""
    g, x, y = spec(2, 3, 4), spec(2, 3, 5), spec(2, 4, 5)
    found = count_of("_cdist_backward", g, x, y, 2.0, g, out=x)
    pairs = 2 * 3 * 4
    assert found == OpCount(
        divides=pairs, comparisons=pairs, multiplies=pairs * 5, adds=pairs * 5 + 2 * 3 * 5 * (4 - 1)
    )
    assert count_of("_cdist_backward", g, x, y, 0.0, g, out=x) == OpCount()
    assert count_of("_pdist_backward", spec(6), spec(4, 5), 0.0, spec(6), out=spec(4, 5)) == OpCount()


def test_complex_rows_have_no_rule() -> None:
    """They are uncounted, and not counted as real ones."""
    x = spec(3, 5, dtype="complex64")
    with pytest.raises(UncountedError, match="complex"):
        terms_of("_cdist_backward", spec(3, 3), x, x, 2.0, spec(3, 3), out=x)
