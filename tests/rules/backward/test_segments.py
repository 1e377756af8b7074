"""The gradients of reductions over segments: the loops compute autograd's values, and the rules equal their tallies."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
import torch

from profiler.errors import UncountedError
from profiler.opcount import OpCount
from tests.rules.counting import Tally, assert_counted, spec
from tests.rules.real_tensors import real
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import values

LENGTHS = [2, 3, 1]
"""No segment is empty: the gradient of an empty segment goes nowhere."""


@pytest.mark.parametrize("reduce", ["sum", "mean", "min", "max"])
def test_gradients_of_segments(reduce: str) -> None:
    """The gradient of a mean is divided by the length, that of an extreme by the number of values equal to it."""
    tally = Tally()
    xs, gs = tally.array(sum(LENGTHS), 2), tally.array(len(LENGTHS), 2, low=0.1, seed=1)
    xs[3] = xs[4]
    x = values(xs).requires_grad_()
    results = torch.segment_reduce(x, reduce, lengths=torch.tensor(LENGTHS))
    (expected,) = torch.autograd.grad(results, x, values(gs))
    found: list[list[Any]] = []
    for length, gradients, extremes in zip(LENGTHS, gs, results.tolist(), strict=True):
        rows = xs[len(found) : len(found) + length]
        columns = []
        for column, g, extreme in zip(zip(*rows, strict=True), gradients, extremes, strict=True):
            if reduce in ("min", "max"):
                equal = [value == extreme for value in column]
                share = g / float(sum(equal))
                columns.append([share if test else tally.number(0.0) for test in equal])
            else:
                columns.append([g if reduce == "sum" else g / float(length)] * length)
        found += [list(row) for row in zip(*columns, strict=True)]
    assert torch.allclose(values(found), expected)
    g_spec, x_spec = spec(len(LENGTHS), 2), spec(sum(LENGTHS), 2)
    offsets = [0, *accumulate(LENGTHS)]
    for options in ({"lengths": real(LENGTHS)}, {"offsets": real(offsets)}):
        terms = terms_of("_segment_reduce_backward", g_spec, g_spec, x_spec, reduce, out=x_spec, axis=0, **options)
        assert_counted(terms, tally)


def test_rows_of_segments() -> None:
    """Two rows have three segments of vectors of four; one segment is empty."""
    g, x, lengths = spec(2, 3, 4), spec(2, 5, 4), real([[2, 3, 0], [1, 1, 3]])
    found = count_of("_segment_reduce_backward", g, g, x, "max", lengths=lengths, axis=1, out=x)
    assert found == OpCount(comparisons=2 * 5 * 4, divides=(2 + 3) * 4)


def test_products_of_segments_are_uncounted() -> None:
    """The gradient depends on where zeros are."""
    g, x = spec(2, 2), spec(5, 2)
    with pytest.raises(UncountedError, match="products"):
        terms_of("_segment_reduce_backward", g, g, x, "prod", out=x)
