"""Products with a sparse operand, by the number of elements that it stores.

Each stored element is multiplied by its row or column of the dense operand, and each product is added to its place in
the result, which starts from zeros or from what is added.  An operation ``aten::x`` with a sparse operand is counted by
the rule of ``sparse::x``, and uncounted without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, each
from profiler.records import TensorSpec
from profiler.rules.contractions import linear_or_matmul
from profiler.rules.registry import rule


def sparse_products(a: TensorSpec, b: TensorSpec) -> Term:
    """(m, k) · (k, n) or (k), one of them sparse."""
    if a.is_complex or b.is_complex or (a.stored is None) == (b.stored is None):
        raise UncountedError("a product of two sparse or of complex matrices depends on where their elements are")
    stored, dense = (a.stored, b.shape[1:]) if a.stored is not None else (b.stored, a.shape[:-1])
    assert stored is not None
    return Term("products", (stored, prod(dense)), OpCount(multiplies=1, adds=1, macs=1), (1,))


@rule("sparse::matmul", "sparse::mm", "sparse::mv", "sparse::_sparse_mm", kind=linear_or_matmul, integers=True)
def sparse_matmul(a: TensorSpec, b: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(m, k) · (k, n) or (k) → (m, n) or (m)."""
    yield sparse_products(a, b)


@rule("sparse::addmm", "sparse::_sparse_addmm", kind=linear_or_matmul, integers=True)
def sparse_addmm(
    self: TensorSpec, a: TensorSpec, b: TensorSpec, beta: float = 1, alpha: float = 1, *, out: TensorSpec
) -> Iterator[Term]:
    """beta·(m, n) + alpha·(m, k) · (k, n) → (m, n)."""
    yield sparse_products(a, b)
    for name, factor in (("beta", beta), ("alpha", alpha)):
        if factor not in (0, 1):
            yield each(out.shape, name, multiplies=1)
