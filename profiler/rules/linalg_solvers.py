"""Least squares and indefinite systems: what a factorization costs depends on the rank or the pivots that it found.

Source: G. H. Golub and C. F. Van Loan, *Matrix Computations*: Householder QR with column pivoting and the complete
orthogonal decomposition (chapter 5), the method of Bunch and Kaufman (chapter 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term
from profiler.rules.costs import require_real, size_of, weighted_sum_of
from profiler.rules.linalg import falling, householder_of, triangular_solution_of
from profiler.rules.registry import rule
from profiler.rules.sizes import maximum, minimum
from profiler.rules.terms import linear_or_matmul, summed_products
from profiler.signatures import TensorSpec

SINGULAR_VALUES = ("gelsd", "gelss")
"""The drivers of least squares that iterate."""


def reflected_of(steps: int, m: int) -> OpCount:
    """One right-hand side of length m through ``steps`` reflections of length m, m − 1, …: 2·l − 1 each."""
    inner = 2 * falling(steps, m) - steps
    return OpCount(multiplies=inner, adds=inner)


def least_squares_of(m: int, n: int) -> tuple[OpCount, OpCount]:
    """The factorization of an m×n matrix of full rank, and one right-hand side.

    m ≥ n: A = Q·R, then R·x = Qᵀ·b.  m < n: Aᵀ = Q·R, then Rᵀ·y = b and x = Q·y, the solution of least norm.
    """
    tall, wide = maximum(m, n), minimum(m, n)
    solution = reflected_of(minimum(tall - 1, wide), tall) + triangular_solution_of(wide)
    return householder_of(tall, wide), solution


def pivoted_qr_of(m: int, n: int) -> OpCount:
    """A·P = Q·R, each step's column being the one of largest norm; |r_kk| against rcond·|r_00| tells the rank.

    The squared norms of the columns are computed once, and lose the square of each row that is finished.
    """
    steps = minimum(m, n)
    norms = weighted_sum_of(m) * n if m > 0 else OpCount()
    choice = OpCount(comparisons=falling(steps, n - 1))
    downdates = falling(steps - 1, n - 1) if steps > 0 else 0
    rank = OpCount(multiplies=1, comparisons=steps - 1) if steps > 0 else OpCount()
    return householder_of(m, n) + norms + choice + OpCount(multiplies=downdates, adds=downdates) + rank


def complete_orthogonal_of(n: int, rank: int) -> OpCount:
    """The reflections that clear what lies right of the first ``rank`` columns of R, from its last row to the first.

    Row i keeps its diagonal element: a reflection of length n − rank + 1, applied to the i rows above it.
    """
    if rank == n:
        return OpCount()
    length = n - rank + 1
    applied = rank * (rank - 1) // 2 * (2 * length - 1)
    made = OpCount(multiplies=length, adds=length - 1 + 2, divides=1 + length - 1, transcendentals=1) * rank
    return made + OpCount(multiplies=applied, adds=applied)


@rule("aten::linalg_lstsq", kind="matmul", reads=("out",))
def lstsq(
    self: TensorSpec, b: TensorSpec, rcond: float | None = None, *, driver: str | None = None, out: Any
) -> Iterator[Term]:
    """A (*, m, n), B (*, m, r) or (*, m) → X (*, n, r) or (*, n), with residuals and ranks if they are requested.

    The driver "gels" is Householder QR and takes the rank to be full.  "gelsy" pivots and finds the rank; where that
    is less than n it goes on to the complete orthogonal decomposition.  The drivers by singular values iterate.
    """
    require_real("aten::linalg_lstsq", [self, b])
    if driver in SINGULAR_VALUES:
        raise UncountedError("aten::linalg_lstsq has no rule for drivers that compute singular values, which iterate")
    *batch, m, n = self.shape
    solution, residuals, ranks = out[:3]
    if self.size == 0:
        return
    vectors = len(solution.shape) < len(self.shape)
    sides = 1 if vectors else solution.shape[-1]
    if ranks.size == 0:
        factors, one = least_squares_of(m, n)
        yield Term("QR factors", tuple(batch), factors)
        yield Term("solutions", (*batch, sides), one)
    for rank, matrices in sorted(Counter(_flat(ranks.values)).items() if ranks.size else ()):
        yield Term("pivoted QR factors", (matrices,), pivoted_qr_of(m, n) + complete_orthogonal_of(n, rank))
        one = reflected_of(minimum(m - 1, n), m) + triangular_solution_of(rank)
        if rank < n:
            inner = rank * (2 * (n - rank + 1) - 1)
            one = one + OpCount(multiplies=inner, adds=inner)
        yield Term("solutions", (matrices, sides), one)
    if residuals.size:
        yield Term("residuals", residuals.shape, weighted_sum_of(m - n))


def _flat(values: Any) -> list[Any]:
    """The numbers of nested lists, or of one number."""
    return [number for item in values for number in _flat(item)] if isinstance(values, list) else [values]


def _blocks(pivots: TensorSpec) -> Iterator[list[tuple[int, bool]]]:
    """For each matrix: the rows and columns left at each pivot, and whether the pivot is a block of two.

    The rows of a block of two are named by negative numbers.
    """
    n = pivots.shape[-1]
    rows = _flat(pivots.values)
    for start in range(0, len(rows), max(n, 1)):
        blocks, k = [], 0
        while k < n:
            double = rows[start + k] < 0
            blocks.append((n - k, double))
            k += 2 if double else 1
        yield blocks


def ldl_of(blocks: list[tuple[int, bool]]) -> OpCount:
    """P·A·Pᵀ = L·D·Lᵀ, pivots chosen as Bunch and Kaufman do.

    A choice looks for the largest of its column and of the column which that leads to, and makes three tests of
    |a_kk| ≥ α·λ, |a_kk|·σ ≥ α·λ·λ and |a_rr| ≥ α·σ; all of them count.  A single pivot divides its column and takes
    l·c from the triangle that is left.  A block of two is solved with, by its determinant, for each row of its two
    columns, and takes two such products.
    """
    count = OpCount()
    for left, double in blocks:
        if left > 1:
            count = count + OpCount(multiplies=4, comparisons=2 * (left - 2) + 3)
        rest = left - 2 if double else left - 1
        triangle = rest * (rest + 1) // 2
        if double:
            count = count + OpCount(multiplies=2, adds=1) + OpCount(multiplies=4, adds=2, divides=2) * rest
            count = count + OpCount(multiplies=2, adds=2) * triangle
        else:
            count = count + OpCount(divides=rest) + OpCount(multiplies=1, adds=1) * triangle
    return count


def ldl_solution_of(blocks: list[tuple[int, bool]]) -> tuple[OpCount, OpCount]:
    """What the blocks of D cost once, and what one right-hand side does, by L, D and Lᵀ."""
    inner = sum(2 * (left - 2) if double else left - 1 for left, double in blocks)
    doubles = sum(double for _, double in blocks)
    pivots = OpCount(divides=len(blocks) - doubles) + OpCount(multiplies=4, adds=2, divides=2) * doubles
    return OpCount(multiplies=2, adds=1) * doubles, OpCount(multiplies=2 * inner, adds=2 * inner) + pivots


@rule("aten::linalg_ldl_factor_ex", "aten::linalg_ldl_factor", kind="matmul", reads=("out",))
def ldl_factor(self: TensorSpec, *, out: Any, **_: Any) -> Iterator[Term]:
    """(*, n, n) symmetric → L and D in one (*, n, n), pivots (*, n)."""
    require_real("aten::linalg_ldl_factor", [self])
    for blocks, matrices in Counter(map(tuple, _blocks(out[1]))).items():
        yield Term("LDL factors", (matrices,), ldl_of(list(blocks)))


@rule("aten::linalg_ldl_solve", kind="matmul", reads=("pivots",))
def ldl_solve(
    LD: TensorSpec, pivots: TensorSpec, B: TensorSpec, *, hermitian: bool = False, out: TensorSpec
) -> Iterator[Term]:
    """L and D (*, n, n), pivots (*, n), B (*, n, r) → X (*, n, r)."""
    require_real("aten::linalg_ldl_solve", [LD, B])
    factors = Counter(map(tuple, _blocks(pivots)))
    matrices = factors.total()
    sides = size_of((*out.shape[:-2], out.shape[-1]))
    for blocks, number in factors.items():
        once, one = ldl_solution_of(list(blocks))
        if once:
            yield Term("blocks of two", (number,), once)
        yield Term("solutions", (number * sides // matrices,), one)


@rule("aten::_compute_linear_combination", kind="matmul", integers=True)
def linear_combination(input: TensorSpec, coefficients: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(m, *), (n, m) → (n, *): sums of m products."""
    yield summed_products(out.shape, coefficients.shape[-1:], out)


def _any_parameter(first: list[TensorSpec], second: list[TensorSpec], *, out: Any) -> str:
    return linear_or_matmul(*first, *second, out=out)


@rule("aten::_foreach_mm", kind=_any_parameter, integers=True)
def foreach_mm(self: list[TensorSpec], mat2: list[TensorSpec], *, out: list[TensorSpec]) -> Iterator[Term]:
    """Pairs (n, k) · (k, m) → (n, m)."""
    for first, result in zip(self, out, strict=True):
        yield summed_products(result.shape, first.shape[-1:], result)
