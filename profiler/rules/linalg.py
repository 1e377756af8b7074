"""Factorizations, solutions of linear systems and determinants.

Each is counted by the direct textbook algorithm in its docstring, for real numbers.  Eigenvalues and singular values
are computed by iteration, and the number of products of a matrix exponential depends on the norm: these, and operations
that use them (pseudo-inverse, rank, condition, spectral and nuclear norm), have no rule.  Source: G. H. Golub and C. F.
Van Loan, *Matrix Computations*, chapters 3 to 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import ZERO, OpCount, Term
from profiler.rules.costs import first, require_real, sum_of
from profiler.rules.registry import free, rule
from profiler.rules.sizes import minimum
from profiler.signatures import TensorSpec

free("aten::lu_unpack", "aten::_linalg_check_errors")


def falling(count: int, a: int) -> int:
    """Σ (a − j) over j < count."""
    return count * a - count * (count - 1) // 2


def _falling_products(count: int, a: int, b: int) -> int:
    """Σ (a − j)·(b − j) over j < count."""
    squares = (count - 1) * count * (2 * count - 1) // 6
    return count * a * b - (a + b) * (count * (count - 1) // 2) + squares


def cholesky_of(n: int) -> OpCount:
    """A = L·Lᵀ by rows (Cholesky–Banachiewicz): l_ij = (a_ij − Σ_k<j l_ik·l_jk) / l_jj, l_jj by a root."""
    inner = n * (n * n - 1) // 6
    return OpCount(multiplies=inner, adds=inner, divides=n * (n - 1) // 2, transcendentals=n)


def lu_of(m: int, n: int, pivot: bool = True) -> OpCount:
    """P·A = L·U by Gaussian elimination; the pivot of each column is its largest remaining element."""
    steps = minimum(m, n)
    below = falling(steps, m - 1)
    inner = _falling_products(steps, m - 1, n - 1)
    return OpCount(multiplies=inner, adds=inner, divides=below, comparisons=below if pivot else 0)


def triangular_solution_of(n: int, unit: bool = False) -> OpCount:
    """One right-hand side by substitution; a ``unit`` diagonal needs no divides."""
    inner = n * (n - 1) // 2
    return OpCount(multiplies=inner, adds=inner, divides=0 if unit else n)


def lu_solution_of(n: int) -> OpCount:
    """One right-hand side by L (whose diagonal is 1), then U."""
    return triangular_solution_of(n, unit=True) + triangular_solution_of(n)


def householder_of(m: int, n: int) -> OpCount:
    """R and the reflections I − τ·v·vᵀ (v₀ = 1) that make it, for an m×n matrix.

    A column x of length l ≥ 2 costs its norm (l multiplies, l − 1 adds, a root), τ = (β − x₀)/β with
    β = ∓norm, and v = x/(x₀ − β); then each column right of it is reflected, by l products with v, one with
    τ, and l products to subtract (2l − 1 multiplies and adds, since v₀ = 1).
    """
    steps = minimum(m - 1, n)
    lengths = falling(steps, m)
    reflected = _reflections_of(steps, m, n - 1)
    return OpCount(
        multiplies=lengths + reflected,
        adds=lengths - steps + 2 * steps + reflected,
        divides=steps + lengths - steps,
        transcendentals=steps,
    )


def householder_product_of(m: int, n: int, steps: int) -> OpCount:
    """The first n columns of the product of ``steps`` reflections, from the last to the first.

    A reflection of length l is applied to the columns right of its own (2l − 1 multiplies and adds each);
    its own becomes 1 − τ and −τ·v.
    """
    reflected = _reflections_of(steps, m, n - 1)
    return OpCount(multiplies=reflected + falling(steps, m - 1), adds=reflected + steps)


def _reflections_of(steps: int, m: int, columns: int) -> int:
    """Σ (2·(m − j) − 1)·(columns − j) over j < steps."""
    return 2 * _falling_products(steps, m, columns) - falling(steps, columns)


def _matrices(op: str, matrix: TensorSpec) -> tuple[tuple[int, ...], int, int]:
    """The sizes of the batch, and of one matrix; complex ones have no rule."""
    require_real(op, [matrix])
    *batch, m, n = matrix.shape
    return tuple(batch), m, n


@rule("aten::linalg_cholesky", "aten::linalg_cholesky_ex", "aten::cholesky", kind="matmul")
def cholesky(self: TensorSpec, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """(*, n, n) → (*, n, n)."""
    batch, n, _n = _matrices("aten::linalg_cholesky", self)
    yield Term("Cholesky factors", batch, cholesky_of(n))


@rule("aten::linalg_lu", "aten::linalg_lu_factor", "aten::linalg_lu_factor_ex", kind="matmul")
def lu(self: TensorSpec, *, pivot: bool = True, out: Any, **_: Any) -> Iterator[Term]:
    """(*, m, n) → its factors L and U."""
    batch, m, n = _matrices("aten::linalg_lu", self)
    yield Term("LU factors", batch, lu_of(m, n, pivot))


@rule("aten::linalg_det", "aten::det", "aten::_linalg_det", kind="matmul")
def det(self: TensorSpec, *, out: Any) -> Iterator[Term]:
    """(*, n, n) → (*): the product of U's diagonal; the sign of the permutation is free."""
    batch, n, _ = _matrices("aten::linalg_det", self)
    yield Term("LU factors", batch, lu_of(n, n))
    yield Term("determinants", batch, OpCount(multiplies=n - 1) if n > 0 else ZERO)


@rule("aten::linalg_slogdet", "aten::slogdet", "aten::_linalg_slogdet", kind="matmul")
def slogdet(self: TensorSpec, *, out: Any) -> Iterator[Term]:
    """(*, n, n) → signs (free) and log |det| (*): the sum of the logarithms of U's diagonal."""
    batch, n, _ = _matrices("aten::linalg_slogdet", self)
    yield Term("LU factors", batch, lu_of(n, n))
    yield Term("log-determinants", batch, OpCount(transcendentals=n) + sum_of(n))


@rule("aten::linalg_inv", "aten::linalg_inv_ex", "aten::inverse", kind="matmul")
def inv(self: TensorSpec, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """(*, n, n) → (*, n, n): the solutions for the n columns of the identity, dense."""
    batch, n, _n = _matrices("aten::linalg_inv", self)
    yield Term("LU factors", batch, lu_of(n, n))
    yield Term("solutions", (*batch, n), lu_solution_of(n))


@rule("aten::linalg_solve", "aten::linalg_solve_ex", "aten::_linalg_solve_ex", kind="matmul")
def solve(self: TensorSpec, B: TensorSpec, *, left: bool = True, out: Any, **_: Any) -> Iterator[Term]:
    """A (*, n, n), B (*, n, r) or (*, n) → X with A·X = B, or X·A = B for B (*, r, n)."""
    batch, n, _n = _matrices("aten::linalg_solve", self)
    yield Term("LU factors", batch, lu_of(n, n))
    vectors = len(B.shape) == 1 or (len(B.shape) == len(self.shape) - 1 and B.shape == self.shape[:-1])
    yield Term("solutions", _right_hand_sides(first(out), left or vectors, vectors), lu_solution_of(n))


@rule("aten::linalg_lu_solve", kind="matmul")
def lu_solve(
    LU: TensorSpec,
    pivots: TensorSpec,
    B: TensorSpec,
    *,
    left: bool = True,
    adjoint: bool = False,
    out: TensorSpec,
) -> Iterator[Term]:
    """Like :func:`solve`, from given factors; LU is (*, n, n)."""
    _, n, _n = _matrices("aten::linalg_lu_solve", LU)
    yield Term("solutions", _right_hand_sides(out, left), lu_solution_of(n))


@rule("aten::linalg_solve_triangular", kind="matmul")
def solve_triangular(
    self: TensorSpec,
    B: TensorSpec,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: TensorSpec,
) -> Iterator[Term]:
    """A (*, n, n) triangular, B (*, n, r) → X with A·X = B, or X·A = B for B (*, r, n)."""
    _, n, _n = _matrices("aten::linalg_solve_triangular", self)
    yield Term("solutions", _right_hand_sides(out, left), triangular_solution_of(n, unitriangular))


@rule("aten::triangular_solve", kind="matmul")
def triangular_solve(
    self: TensorSpec,
    A: TensorSpec,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any,
) -> Iterator[Term]:
    """B (*, n, r), A (*, n, n) triangular → X (*, n, r) with A·X = B."""
    _, n, _n = _matrices("aten::triangular_solve", A)
    yield Term("solutions", _right_hand_sides(first(out)), triangular_solution_of(n, unitriangular))


@rule("aten::cholesky_solve", "aten::_cholesky_solve_helper", kind="matmul")
def cholesky_solve(self: TensorSpec, input2: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """B (*, n, r), the Cholesky factor L (*, n, n) → X (*, n, r) with L·Lᵀ·X = B."""
    _, n, _n = _matrices("aten::cholesky_solve", input2)
    yield Term("solutions", _right_hand_sides(out), triangular_solution_of(n) * 2)


@rule("aten::cholesky_inverse", kind="matmul")
def cholesky_inverse(self: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """L (*, n, n) → (L·Lᵀ)⁻¹: the solutions for the n columns of the identity, dense."""
    batch, n, _n = _matrices("aten::cholesky_inverse", self)
    yield Term("solutions", (*batch, n), triangular_solution_of(n) * 2)


def _right_hand_sides(solution: TensorSpec, left: bool = True, vectors: bool = False) -> tuple[int, ...]:
    """The sizes of a solution without the dimension of the unknowns."""
    if vectors or not left:
        return solution.shape[:-1]
    return (*solution.shape[:-2], solution.shape[-1])


@rule("aten::geqrf", kind="matmul")
def geqrf(self: TensorSpec, *, out: Any) -> Iterator[Term]:
    """(*, m, n) → R and reflections (*, m, n), τ (*, min(m, n))."""
    batch, m, n = _matrices("aten::geqrf", self)
    yield Term("Householder reflections", batch, householder_of(m, n))


@rule("aten::linalg_householder_product", "aten::orgqr", kind="matmul")
def householder_product(self: TensorSpec, tau: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """Reflections (*, m, n), τ (*, k) → the first n columns of their product."""
    batch, m, n = _matrices("aten::linalg_householder_product", self)
    yield Term("product of reflections", batch, householder_product_of(m, n, tau.shape[-1]))


@rule("aten::ormqr", kind="matmul")
def ormqr(
    self: TensorSpec,
    input2: TensorSpec,
    input3: TensorSpec,
    left: bool = True,
    transpose: bool = False,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """Reflections (*, m, k), τ (*, k), C (*, m, n) → Q·C, or C·Q for C (*, n, m), never forming Q."""
    _, m, _k = _matrices("aten::ormqr", self)
    k = input2.shape[-1]
    reflected = 2 * falling(k, m) - k
    yield Term("reflected columns", _right_hand_sides(out, left), OpCount(multiplies=reflected, adds=reflected))


@rule("aten::linalg_qr", kind="matmul")
def qr(self: TensorSpec, mode: str = "reduced", *, out: Sequence[TensorSpec]) -> Iterator[Term]:
    """(*, m, n) → Q (*, m, k) unless ``mode`` is "r", R (*, k, n), by Householder reflections."""
    batch, m, n = _matrices("aten::linalg_qr", self)
    yield Term("Householder reflections", batch, householder_of(m, n))
    if mode != "r":
        columns = out[0].shape[-1]
        yield Term("product of reflections", batch, householder_product_of(m, columns, minimum(m - 1, n)))


@rule("aten::linalg_cross", "aten::cross", kind="elementwise")
def cross(self: TensorSpec, other: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, 3), (*, 3) → (*, 3): each component is a difference of two products."""
    require_real("aten::linalg_cross", [out])
    yield Term("components", out.shape, OpCount(multiplies=2, adds=1))
