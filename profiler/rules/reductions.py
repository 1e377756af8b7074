"""Reductions: sums, means, products, extremes, variances, norms and cumulative ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.records import TensorSpec
from profiler.rules.costs import (
    Dims,
    addition,
    is_complex,
    largest_of,
    mean_of,
    power,
    product,
    require_real,
    size_of,
    split_sizes,
    sum_of,
    variance_of,
)
from profiler.rules.registry import rule
from profiler.rules.softmax import logsumexp_of


def _over(input: TensorSpec, dim: Any) -> tuple[tuple[int, ...], int]:
    """The sizes of the results, and the number L of values that each is computed from."""
    kept, reduced = split_sizes(input.shape, None if isinstance(dim, bool) else dim)
    return kept, size_of(reduced)


@rule("aten::sum", "aten::nansum", "aten::trace", kind="reduction")
def sum(input: TensorSpec, dim: Dims = None, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): L − 1 adds a result."""
    kept, k = _over(input, dim)
    yield Term("sums", kept, sum_of(k, input))


@rule("aten::mean", kind="reduction")
def mean(input: TensorSpec, dim: Dims = None, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): L − 1 adds and a divide a result."""
    kept, k = _over(input, dim)
    yield Term("means", kept, mean_of(k, input))
