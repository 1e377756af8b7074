"""Reductions: sums, means, products, extremes, variances, norms and cumulative ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import (
    Dims,
    addition,
    largest_of,
    logsumexp_of,
    mean_of,
    norm_of,
    product,
    require_real,
    size_of,
    split_sizes,
    sum_of,
    variance_of,
)
from profiler.rules.registry import rule
from profiler.rules.sizes import is_positive, minimum
from profiler.signatures import TensorSpec


def _over(input: TensorSpec, dim: Any) -> tuple[tuple[int, ...], int]:
    """The sizes of the results, and the number L of values that each is computed from."""
    kept, reduced = split_sizes(input.shape, None if isinstance(dim, bool) else dim)
    return kept, size_of(reduced)


@rule("aten::sum", "aten::nansum", kind="reduction")
def sum(input: TensorSpec, dim: Dims = None, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): L − 1 adds a result."""
    kept, k = _over(input, dim)
    yield Term("sums", kept, sum_of(k, input))


@rule("aten::mean", kind="reduction")
def mean(input: TensorSpec, dim: Dims = None, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): L − 1 adds and a divide a result."""
    kept, k = _over(input, dim)
    yield Term("means", kept, mean_of(k, input))


@rule("aten::prod", kind="reduction")
def prod(input: TensorSpec, dim: Dims = None, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): L − 1 multiplies a result."""
    kept, k = _over(input, dim)
    if k > 0:
        yield Term("products", kept, product(input, input) * (k - 1))


def extreme_or_elementwise(input: TensorSpec, dim: Any = None, *_: Any, **__: Any) -> str:
    """``max`` of one tensor is a reduction, ``max`` of two an element-by-element comparison."""
    return "elementwise" if isinstance(dim, TensorSpec) else "reduction"


@rule("aten::max", "aten::min", kind=extreme_or_elementwise)
def extreme(input: TensorSpec, dim: Any = None, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): L − 1 comparisons a result; of two tensors, one comparison a result."""
    if isinstance(dim, TensorSpec):
        yield each(out.shape, "maxima", comparisons=1)
    else:
        yield from extreme_along(input, dim, out=out)


@rule("aten::amax", "aten::amin", "aten::argmax", "aten::argmin", kind="reduction")
def extreme_along(input: TensorSpec, dim: Dims = None, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): L − 1 comparisons a result."""
    kept, k = _over(input, dim)
    yield Term("extremes", kept, largest_of(k))


@rule("aten::aminmax", "aten::_aminmax", kind="reduction")
def aminmax(input: TensorSpec, *dims: int, dim: int | None = None, out: Any, **_: Any) -> Iterator[Term]:
    """(*, L) → two of (*): L − 1 comparisons for the least and as many for the largest."""
    kept, k = _over(input, dims[0] if dims else dim)
    yield Term("extremes", kept, largest_of(k) * 2)


@rule(
    "aten::any",
    "aten::all",
    "aten::count_nonzero",
    "aten::is_nonzero",
    "aten::nonzero",
    "aten::nonzero_numpy",
    "aten::nonzero_static",
    "aten::argwhere",
    "aten::equal",
    *(f"aten::{op}{layout}" for op in ("to_sparse", "_to_sparse") for layout in ("", "_csr", "_csc", "_bsr", "_bsc")),
    kind="reduction",
)
def truths(input: TensorSpec, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """Each value is compared, with zero or its counterpart; what follows is done on booleans and integers."""
    yield each(input.shape, "tests", comparisons=1)


@rule("aten::var", kind="reduction")
def var(input: TensorSpec, dim: Any = None, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): mean, L squared distances to it, their sum and a divide; the divisor is a constant."""
    require_real("aten::var", [input])
    kept, k = _over(input, dim)
    yield Term("variances", kept, variance_of(k))


@rule("aten::std", kind="reduction")
def std(input: TensorSpec, dim: Any = None, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L) → (*): the square root of the variance."""
    require_real("aten::std", [input])
    kept, k = _over(input, dim)
    yield Term("deviations", kept, variance_of(k) + OpCount(transcendentals=1))


@rule("aten::var_mean", kind="reduction")
def var_mean(input: TensorSpec, dim: Any = None, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """(*, L) → two of (*): the variance, whose definition computes the mean."""
    return var(input, dim, out=out[0])


@rule("aten::std_mean", kind="reduction")
def std_mean(input: TensorSpec, dim: Any = None, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """(*, L) → two of (*): the deviation, whose definition computes the mean."""
    return std(input, dim, out=out[0])


@rule("aten::linalg_vector_norm", "aten::norm", "aten::native_norm", kind="reduction")
def vector_norm(
    input: TensorSpec, ord: float | None = 2, dim: Dims = None, *_: Any, out: TensorSpec, **__: Any
) -> Iterator[Term]:
    """(*, L) → (*): (Σ |x|ᵖ)^(1/p)."""
    kept, k = _over(input, dim)
    if k > 0:
        yield Term("norms", kept, norm_of(k, 2 if ord is None else ord, input))


@rule("aten::linalg__powsum", kind="reduction")
def power_sum(
    input: TensorSpec, ord: float = 2, dim: Dims = None, *_: Any, out: TensorSpec, **__: Any
) -> Iterator[Term]:
    """(*, L) → (*): Σ |x|ᵖ, a p-norm without its root."""
    kept, k = _over(input, dim)
    if k > 0:
        yield Term("power sums", kept, norm_of(k, ord, input) - OpCount(transcendentals=int(ord != 1)))


@rule("aten::dist", kind="reduction")
def dist(input: TensorSpec, other: TensorSpec, p: float = 2, *, out: TensorSpec) -> Iterator[Term]:
    """The p-norm of input − other, which have the same shape or are broadcast to the larger."""
    larger = other if is_positive(other.size - input.size) else input
    yield Term("differences", larger.shape, addition(input, other))
    if larger.size > 0:
        yield Term("norms", (), norm_of(larger.size, p, larger))


@rule("aten::logsumexp", "aten::special_logsumexp", kind="reduction")
def logsumexp(input: TensorSpec, dim: Dims, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, L) → (*): max + log Σ exp(x − max)."""
    require_real("aten::logsumexp", [input])
    kept, k = _over(input, dim)
    yield Term("log-sum-exps", kept, logsumexp_of(k))


@rule("aten::trace", kind="reduction")
def trace(input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(H, W) → (): the sum of the diagonal."""
    yield Term("sums", (), sum_of(minimum(*input.shape), input))


def _steps(input: TensorSpec, dim: int) -> tuple[int, ...]:
    """The sizes whose product is the number of steps of a cumulative operation, L − 1 for each row."""
    kept, (k,) = split_sizes(input.shape or (1,), dim)
    return (*kept, k - 1 if k > 0 else 0)


@rule("aten::cumsum", kind="reduction")
def cumsum(input: TensorSpec, dim: int, *, out: TensorSpec, **_: Any) -> Iterator[Term]:
    """(*, L) → the same: L − 1 adds a row."""
    yield Term("steps", _steps(input, dim), addition(input, input))


@rule("aten::cumprod", kind="reduction")
def cumprod(input: TensorSpec, dim: int, *, out: TensorSpec, **_: Any) -> Iterator[Term]:
    """(*, L) → the same: L − 1 multiplies a row."""
    yield Term("steps", _steps(input, dim), product(input, input))


@rule("aten::cummax", "aten::cummin", kind="reduction")
def cummax(input: TensorSpec, dim: int, *, out: Any) -> Iterator[Term]:
    """(*, L) → the same, and the indices: L − 1 comparisons a row."""
    yield each(_steps(input, dim), "steps", comparisons=1)


@rule("aten::logcumsumexp", "aten::_logcumsumexp", kind="reduction")
def logcumsumexp(input: TensorSpec, dim: int, *, out: TensorSpec) -> Iterator[Term]:
    """(*, L) → the same: L − 1 steps a row, each the log-sum-exp of two values."""
    require_real("aten::logcumsumexp", [input])
    yield Term("steps", _steps(input, dim), logsumexp_of(2))


@rule("aten::_cummax_helper", "aten::_cummin_helper", kind="reduction")
def cummax_helper(
    input: TensorSpec, values: TensorSpec, indices: TensorSpec, dim: int, *, out: Any = None
) -> Iterator[Term]:
    """As cummax, into tensors that are given."""
    return cummax(input, dim, out=values)
