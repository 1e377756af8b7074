"""Products with sparse operands, by the elements that they store.

With a dense operand, each stored element is multiplied by its row or column of it, and each product is added to its
place in the result, which starts from zeros or from what is added.  Of two sparse operands, a stored element (i, k)
meets each stored (k, j); a place of the result that c products fall on costs c − 1 adds, and no other is touched.
That depends on where the elements are, so it is known in a real run only.  Elements stored twice are added first.

An operation ``aten::x`` with a sparse operand is counted by the rule of ``sparse::x``, and uncounted without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import addition, mean_of, product
from profiler.rules.registry import rule
from profiler.rules.terms import Scalar, added_product_kind, bias_terms, factors_kind, scale_terms
from profiler.signatures import TensorSpec

Place = tuple[int, ...]


def stored_in(sparse: TensorSpec) -> int:
    """How many elements ``sparse`` stores.

    A coordinate tensor has none on the meta device, whatever it stores; there this raises DataDependentError.
    """
    assert sparse.stored is not None
    if sparse.stored == 0:
        return len(places_of(sparse))
    return sparse.stored


def places_of(sparse: TensorSpec) -> list[Place]:
    """The index of each stored element (or, in a hybrid tensor, each stored slice), duplicates included."""
    return list(zip(*sparse.positions, strict=True))


def coalesced(sparse: TensorSpec) -> tuple[set[Place], Iterator[Term]]:
    """The different places of ``sparse``, and what adding up the elements that share one costs."""
    stored = places_of(sparse)
    places = set(stored)
    slices = sparse.shape[len(sparse.positions) :]
    return places, _sums((len(stored) - len(places), *slices), "duplicates", sparse)


def _sums(how_many: tuple[int, ...], what: str, item: TensorSpec) -> Iterator[Term]:
    if prod(how_many):
        yield Term(what, how_many, addition(item, item))


def multiplied(a: TensorSpec, b: TensorSpec, what: str, *sizes: int, sums: bool = True) -> Term:
    """∏ ``sizes`` products that are summed, each with the add of it to its place if ``sums``."""
    one = product(a, b) + (addition(_larger(a, b), _larger(a, b)) if sums else OpCount())
    return Term(what, sizes, one + OpCount(macs=product(a, b).multiplies), (1,))


def _larger(a: TensorSpec, b: TensorSpec) -> TensorSpec:
    """The one whose type the result has: the complex one, if either is."""
    return a if a.is_complex else b


def sparse_products(a: TensorSpec, b: TensorSpec) -> Term:
    """(*, m, k) · (*, k, n) or (k), one of them sparse."""
    if a.stored is not None:
        return multiplied(a, b, "products", stored_in(a), b.shape[-1] if len(b.shape) > 1 else 1)
    rows = a.shape[:-1] if len(b.shape) == 2 else a.shape[-2:-1]
    return multiplied(a, b, "products", stored_in(b), prod(rows))


def meetings(a: TensorSpec, b: TensorSpec) -> tuple[int, set[Place], list[Term]]:
    """For (m, k) · (k, n), both sparse: the number of products, the places they fall on, and the terms of all this."""
    (left, first), (right, second) = coalesced(a), coalesced(b)
    if len(a.positions) != 2 or len(b.positions) != 2:
        raise UncountedError("a product of two sparse tensors is counted for two matrices only")
    columns: dict[int, list[int]] = {}
    for k, j in right:
        columns.setdefault(k, []).append(j)
    number = sum(len(columns.get(k, ())) for _, k in left)
    places: set[Place] = {(i, j) for i, k in left for j in columns.get(k, ())}
    terms = [*first, *second, multiplied(a, b, "products", number, sums=False)]
    return number, places, terms


def _both_sparse(a: TensorSpec, b: TensorSpec) -> bool:
    return a.stored is not None and b.stored is not None


@rule("sparse::matmul", "sparse::mm", "sparse::mv", "sparse::bmm", kind=factors_kind, integers=True)
@rule("sparse::_sparse_sparse_matmul", "sparse::hspmm", kind=factors_kind, integers=True)
def sparse_matmul(a: TensorSpec, b: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(*, m, k) · (*, k, n) or (k) → (*, m, n) or (m)."""
    if not _both_sparse(a, b):
        yield sparse_products(a, b)
        return
    number, places, terms = meetings(a, b)
    yield from terms
    yield from _sums((number - len(places),), "sums", out)


@rule("sparse::linear", kind=factors_kind, integers=True)
def sparse_linear(
    input: TensorSpec, weight: TensorSpec, bias: TensorSpec | None = None, *, out: TensorSpec
) -> Iterator[Term]:
    """(*, in), (out, in) → (*, out), one of the two sparse."""
    if _both_sparse(input, weight):
        raise UncountedError("linear has no rule for a sparse input and a sparse weight")
    if weight.stored is not None:
        yield multiplied(input, weight, "products", stored_in(weight), prod(input.shape[:-1]))
    else:
        yield multiplied(input, weight, "products", stored_in(input), weight.shape[0])
    yield from bias_terms(bias, weight.shape[-1:], out)


@rule("sparse::addmm", "sparse::_sparse_addmm", "sparse::baddbmm", kind=added_product_kind, integers=True)
def sparse_addmm(
    self: TensorSpec, a: TensorSpec, b: TensorSpec, beta: Scalar = 1, alpha: Scalar = 1, *, out: TensorSpec
) -> Iterator[Term]:
    """beta·(*, m, n) + alpha·(*, m, k) · (*, k, n) → (*, m, n)."""
    if not _both_sparse(a, b):
        yield sparse_products(a, b)
        for name, factor in (("beta", beta), ("alpha", alpha)):
            if factor != 0:
                yield from scale_terms(out.shape, factor, out, name)
        return
    number, places, terms = meetings(a, b)
    yield from terms
    yield from _sums((number - len(places),), "sums", out)
    yield from scale_terms((len(places),), alpha, out, "alpha")
    if beta == 0:
        return
    if self.stored is None:
        yield from scale_terms(out.shape, beta, out, "beta")
        yield from _sums((len(places),), "added", out)
    else:
        held, duplicates = coalesced(self)
        yield from duplicates
        yield from scale_terms((len(held),), beta, out, "beta")
        yield from _sums((len(held & places),), "added", out)


@rule("sparse::sspaddmm", kind=added_product_kind, integers=True)
def sspaddmm(
    self: TensorSpec, a: TensorSpec, b: TensorSpec, *, beta: Scalar = 1, alpha: Scalar = 1, out: TensorSpec
) -> Iterator[Term]:
    """beta·sparse (m, n) + alpha·sparse (m, k) · (k, n) → sparse (m, n), the two stored beside each other."""
    yield sparse_products(a, b)
    rows = len({i for i, _ in places_of(a)})
    yield from scale_terms((rows, b.shape[-1]), alpha, out, "alpha")
    if beta != 0:
        yield from scale_terms((stored_in(self),), beta, out, "beta")


@rule("sparse::sparse_sampled_addmm", kind=added_product_kind)
def sampled_addmm(
    self: TensorSpec, mat1: TensorSpec, mat2: TensorSpec, *, beta: Scalar = 1, alpha: Scalar = 1, out: TensorSpec
) -> Iterator[Term]:
    """beta·self + alpha·(m, k) · (k, n) where self (m, n) stores an element: a sum of k products for each."""
    stored, k = stored_in(self), mat1.shape[-1]
    one = product(mat1, mat2)
    sums = addition(out, out) * (k - 1) if k > 0 else OpCount()
    yield Term("products", (stored,), one * k + sums + OpCount(macs=one.multiplies * k), (k,))
    yield from scale_terms((stored,), alpha, out, "alpha")
    if beta != 0:
        yield from scale_terms((stored,), beta, out, "beta")
        yield from _sums((stored,), "added", out)


@rule("sparse::_sparse_mm_reduce_impl", kind=factors_kind)
def sparse_mm_reduce(
    self: TensorSpec, other: TensorSpec, reduce: str, *, out: tuple[TensorSpec, TensorSpec]
) -> Iterator[Term]:
    """(m, k) sparse · (k, n) → (m, n), the products of a row combined to a sum, a mean or an extreme.

    A mean divides the rows that store something; an extreme of L products takes L − 1 comparisons.
    """
    columns = other.shape[-1]
    if reduce == "sum":
        yield sparse_products(self, other)
        return
    stored = stored_in(self)
    rows = len({place[0] for place in places_of(self)})
    if reduce == "mean":
        yield sparse_products(self, other)
        yield Term("means", (rows, columns), mean_of(1, other))
    else:
        yield each((stored, columns), "products", multiplies=1)
        yield each((stored - rows, columns), "extremes", comparisons=1)


@rule("sparse::triangular_solve", kind="matmul")
def sparse_triangular_solve(
    self: TensorSpec,
    A: TensorSpec,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: tuple[TensorSpec, TensorSpec],
) -> Iterator[Term]:
    """B (n, r), sparse triangular A (n, n) → X with A·X = B, by substitution over what A stores in its triangle."""
    if A.is_complex or self.stored is not None or len(A.shape) != 2:
        raise UncountedError("triangular_solve has no rule for batches of sparse, or for complex, triangles")
    inner = sum(i < j if upper else i > j for i, j in places_of(A))
    yield each((inner, self.shape[-1]), "products", multiplies=1, adds=1)
    if not unitriangular:
        yield each(self.shape, "quotients", divides=1)
