"""Element-by-element work on sparse tensors, reductions of them and changes of layout, by the elements they store.

A function that maps zero to zero costs its work on each stored element; other elements are not touched.
Where elements that share a place are added up, each but the first costs an add.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import addition, log_softmax_of, norm_of, product, quotient, softmax_of
from profiler.rules.layouts.sparse import coalesced, places_of, stored_in
from profiler.rules.reductions import truths
from profiler.rules.registry import REGISTRY, CostRule, rule
from profiler.rules.terms import Scalar, scale_terms
from profiler.signatures import TensorSpec

KEEP_ZERO = (
    *("abs", "absolute", "asin", "asinh", "atan", "atanh", "arcsin", "arcsinh", "arctan", "arctanh"),
    *("deg2rad", "rad2deg", "erf", "erfinv", "expm1", "frac", "log1p", "sin", "sinh", "tan", "tanh"),
    *("pow", "relu", "round", "sqrt", "square"),
)
"""What torch does to the stored elements alone."""

LAYOUTS = ("", "_csr", "_csc", "_bsr", "_bsc")


def duplicates(before: int, after: int, item: TensorSpec) -> Iterator[Term]:
    """What adding up elements that share a place costs, where ``before`` of them become ``after``."""
    if before > after:
        yield Term("duplicates", (before - after,), addition(item, item))


def on_stored(op: str) -> CostRule:
    """The rule of the dense ``aten::op``, for the stored elements; those that share a place are added up first."""

    def cost(input: TensorSpec, *args: Any, out: TensorSpec, **kwargs: Any) -> Iterator[Term]:
        entry = REGISTRY.find(f"aten::{op}")
        if entry is None:
            raise UncountedError(f"aten::{op} has no rule, neither for dense tensors nor for sparse ones")
        stored = stored_in(out)
        yield from duplicates(stored_in(input), stored, input)
        values = replace(_plain(input), shape=(stored,))
        _, terms = entry.apply(values, *args, out=replace(_plain(out), shape=(stored,)), **kwargs)
        yield from terms

    return cost


def _plain(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.shape, spec.dtype, spec.parameter)


for _op in KEEP_ZERO:
    rule(f"sparse::{_op}", kind="activation" if _op in ("relu", "tanh") else "elementwise")(on_stored(_op))


@rule("sparse::add", "sparse::sub", "sparse::subtract", kind="elementwise")
def sparse_add(input: TensorSpec, other: TensorSpec, alpha: Scalar = 1, *, out: TensorSpec) -> Iterator[Term]:
    """input ± alpha·other, where a sparse operand stores something: nothing is added if only one of two does."""
    first, second = _stored(input), _stored(other)
    if first is not None and second is not None:
        yield from duplicates(first + second, stored_in(out), out)
    else:
        yield Term("sums", (second or first or 0,), addition(out, out))
    yield from scale_terms((out.size if second is None else second,), alpha, out, "alpha")


@rule("sparse::add_", "sparse::sub_", "sparse::subtract_", kind="elementwise")
def sparse_add_in_place(input: TensorSpec, other: TensorSpec, alpha: Scalar = 1, *, out: TensorSpec) -> Iterator[Term]:
    """input ±= alpha·other, into a dense input: for a sparse one, its old stored elements are not known any more."""
    if input.stored is not None:
        raise UncountedError("in-place addition to a sparse tensor is counted as x + y only")
    return sparse_add(input, other, alpha, out=out)


def _stored(operand: TensorSpec) -> int | None:
    return None if operand.stored is None else stored_in(operand)


@rule("sparse::mul", "sparse::multiply", kind="elementwise")
def sparse_mul(input: Any, other: Any, *, out: TensorSpec) -> Iterator[Term]:
    """input · other, where the result stores an element: where both operands do, if both are sparse."""
    sparse = [operand for operand in (input, other) if isinstance(operand, TensorSpec) and operand.stored is not None]
    if len(sparse) == 2 and any(len(set(places)) < len(places) for places in map(places_of, sparse)):
        raise UncountedError("a product of sparse tensors is counted for coalesced ones only")
    yield Term("products", (stored_in(out),), product(input, other))


@rule("sparse::div", "sparse::divide", "sparse::true_divide", kind="elementwise")
def sparse_div(input: TensorSpec, other: Any, *, rounding_mode: str | None = None, out: TensorSpec) -> Iterator[Term]:
    """input / other, a number, for each stored element."""
    yield from duplicates(stored_in(input), stored_in(out), input)
    yield Term("quotients", (stored_in(out),), quotient(input, other))


@rule("sparse::_coalesce", kind="reduction")
def coalesce(self: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """Elements that share a place are added up."""
    yield from duplicates(stored_in(self), stored_in(out), self)


@rule("aten::to_dense", "aten::_to_dense", "sparse::to_dense", "sparse::_to_dense", kind="reduction")
def to_dense(self: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """Movement, but for elements that share a place, which are added up."""
    if self.stored is not None:
        yield from coalesced(self)[1]


@rule(
    *(f"sparse::{op}{layout}" for op in ("to_sparse", "_to_sparse") for layout in LAYOUTS),
    kind="reduction",
)
def to_sparse(self: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*) → the same, sparse: each value of a dense tensor against zero; of a sparse one only duplicates are added."""
    if self.stored is None:
        yield from truths(self, out=out)
    else:
        yield from coalesced(self)[1]


def grouped(input: TensorSpec, dims: Any) -> tuple[int, int, int]:
    """Of a reduction over ``dims``: stored elements, results that any falls on, and elements of one result.

    The results are where the dimensions that stay say; a dense dimension of a hybrid tensor is reduced whole.
    """
    every = range(len(input.shape))
    along = {dim % len(input.shape) for dim in ([dims] if isinstance(dims, int) else dims or every)}
    places = places_of(input)
    sparse_dims = len(input.positions)
    groups = {tuple(index for dim, index in enumerate(place) if dim not in along) for place in places}
    slices = input.shape[sparse_dims:]
    kept = prod(size for dim, size in enumerate(slices, sparse_dims) if dim not in along)
    return len(places) * prod(slices), len(groups), kept


def _reduction(what: str, combine: Callable[[Any, Any], OpCount]) -> CostRule:
    def cost(input: TensorSpec, *dims: Any, out: TensorSpec, dim: Any = None, **_: Any) -> Iterator[Term]:
        """(*) sparse → the results with stored elements, each combined from its stored elements."""
        chosen = dims[0] if dims and not isinstance(dims[0], bool) else dim
        stored, groups, kept = grouped(input, chosen)
        yield Term(what, (stored - groups * kept,), combine(input, input))

    return cost


rule("sparse::sum", "sparse::_sparse_sum", "sparse::_sparse_csr_sum", kind="reduction")(_reduction("sums", addition))
rule("sparse::_sparse_csr_prod", kind="reduction")(_reduction("products", product))


@rule("sparse::norm", "sparse::native_norm", kind="reduction")
def sparse_norm(
    input: TensorSpec, p: float | None = 2, dim: Sequence[int] | None = None, *_: Any, out: TensorSpec, **__: Any
) -> Iterator[Term]:
    """The p-norm of all stored elements."""
    if dim:
        raise UncountedError("the norm of a sparse tensor is counted over all its dimensions only")
    places, added = coalesced(input)
    yield from added
    k = len(places) * prod(input.shape[len(input.positions) :])
    if k > 0:
        yield Term("norms", (), norm_of(k, 2 if p is None else p, input))


def _softmax(one: Callable[[int], OpCount]) -> CostRule:
    def cost(self: TensorSpec, dim: int, *_: Any, out: TensorSpec) -> Iterator[Term]:
        """Rows along ``dim`` of the stored elements; other elements count as −∞."""
        places, added = coalesced(self)
        yield from added
        sparse_dims = len(self.positions)
        slices, dim = self.shape[sparse_dims:], dim % len(self.shape)
        if dim < sparse_dims:
            rows = Counter(place[:dim] + place[dim + 1 :] for place in places)
            for length, number in sorted(Counter(rows.values()).items()):
                yield Term("rows", (number, *slices), one(length))
        else:
            length = self.shape[dim]
            others = slices[: dim - sparse_dims] + slices[dim - sparse_dims + 1 :]
            yield Term("rows", (len(places), *others), one(length))

    return cost


rule("sparse::_sparse_softmax", kind="softmax")(_softmax(softmax_of))
rule("sparse::_sparse_log_softmax", kind="softmax")(_softmax(log_softmax_of))


@rule("sparse::any", kind="reduction")
def any_stored(input: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """Each stored element is compared with zero."""
    yield each((stored_in(input),), "tests", comparisons=1)
