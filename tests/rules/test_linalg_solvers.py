"""Least squares and indefinite systems: the textbook algorithms, run on counting numbers."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import profiler
from profiler.errors import DataDependentError, UncountedError
from profiler.opcount import OpCount, total
from tests.rules.counting import Counting, Tally, assert_counted, spec, sqrt
from tests.rules.counting import total as summed
from tests.rules.real_tensors import real, recorded
from tests.rules.registered import count_of, kind_of, terms_of
from tests.rules.tensors import values

SIZES = st.integers(1, 4)
SEEDS = st.integers(0, 99)


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def numbers(tensor: torch.Tensor, tally: Tally) -> Any:
    return [numbers(part, tally) for part in tensor] if tensor.ndim else tally.number(tensor.item())


def reflection(x: list[Counting]) -> tuple[Counting, list[Counting], Counting]:
    """β, v without its leading 1, and τ, with (I − τ·v·vᵀ)·x = β·e₀."""
    norm = sqrt(summed(value * value for value in x))
    beta = -norm if x[0].value > 0 else norm  # type: ignore[operator]
    tau = (beta - x[0]) / beta
    gap = x[0] - beta
    return beta, [value / gap for value in x[1:]], tau


def reflect(v: list[Counting], tau: Counting, column: list[Counting]) -> list[Counting]:
    w = tau * summed([column[0], *(a * b for a, b in zip(v, column[1:], strict=True))])
    return [column[0] - w, *(value - w * a for a, value in zip(v, column[1:], strict=True))]


def triangularize(columns: list[list[Counting]], steps: int) -> list[tuple[list[Counting], Counting]]:
    """Make ``columns`` upper triangular in place, and return the reflections that did it."""
    made = []
    for j in range(steps):
        beta, v, tau = reflection(columns[j][j:])
        columns[j][j:] = [beta, *(tau.tally.number(0.0) for _ in v)]
        for column in columns[j + 1 :]:
            column[j:] = reflect(v, tau, column[j:])
        made.append((v, tau))
    return made


def substitute(rows: Any, b: list[Counting], *, upper: bool) -> list[Counting]:
    n = len(b)
    x: Any = [None] * n
    for i in reversed(range(n)) if upper else range(n):
        rest = b[i]
        for k in range(i + 1, n) if upper else range(i):
            rest = rest - rows[i][k] * x[k]
        x[i] = rest / rows[i][i]
    return x  # type: ignore[no-any-return]


def apply(made: list[tuple[list[Counting], Counting]], column: list[Counting], *, backwards: bool) -> list[Counting]:
    column = list(column)
    for j, (v, tau) in reversed(list(enumerate(made))) if backwards else enumerate(made):
        column[j:] = reflect(v, tau, column[j:])
    return column


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(m=SIZES, n=SIZES, r=st.integers(1, 3), seed=SEEDS)
def test_least_squares_of_full_rank(m: int, n: int, r: int, seed: int) -> None:
    """QR of the matrix, or of its transpose, and each right-hand side through it; residuals if m > n."""
    tally = Tally()
    a, b = random(m, n, seed=seed), random(m, r, seed=seed + 1)
    tall, wide = max(m, n), min(m, n)
    columns = numbers(a.T if m >= n else a, tally)
    made = triangularize(columns, min(tall - 1, wide))
    found = []
    for side in numbers(b.T, tally):
        if m >= n:
            turned = apply(made, side, backwards=False)
            found.append(substitute([[column[i] for column in columns] for i in range(n)], turned[:n], upper=True))
            if m > n:
                summed(value * value for value in turned[n:])
        else:
            y = substitute(columns, side, upper=False)
            found.append(apply(made, [*y, *(tally.number(0.0) for _ in range(n - m))], backwards=True))
    result, terms = recorded(lambda a, b: torch.linalg.lstsq(a, b, driver="gels"), a, b)
    assert torch.allclose(values(found).T, result.solution)
    assert_counted(terms, tally)


def pivoted(columns: list[list[Counting]], rcond: float) -> tuple[list[int], list[tuple[list[Counting], Counting]]]:
    """QR with column pivoting, in place; return the order of the columns, and the reflections."""
    n, m = len(columns), len(columns[0])
    order, steps = list(range(n)), min(m, n)
    squares: Any = [summed(value * value for value in column) for column in columns]
    made = []
    for j in range(steps):
        best = j
        for k in range(j + 1, n):
            if squares[k] > squares[best]:
                best = k
        swapped: Any = (columns, order, squares)
        for row in swapped:
            row[j], row[best] = row[best], row[j]
        if j < m - 1:
            beta, v, tau = reflection(columns[j][j:])
            columns[j][j:] = [beta, *(tau.tally.number(0.0) for _ in v)]
            for column in columns[j + 1 :]:
                column[j:] = reflect(v, tau, column[j:])
            made.append((v, tau))
        if j < steps - 1:
            for k in range(j + 1, n):
                squares[k] = squares[k] - columns[k][j] * columns[k][j]
    threshold = rcond * abs(columns[0][0])
    for k in range(1, steps):
        assert isinstance(abs(columns[k][k]) > threshold, bool)
    return order, made


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(m=SIZES, n=SIZES, rank=st.integers(1, 4), r=st.integers(1, 2), seed=SEEDS)
def test_least_squares_of_any_rank(m: int, n: int, rank: int, r: int, seed: int) -> None:
    """Column pivoting finds the rank; if it is less than n, R is reduced from the right as well."""
    tally = Tally()
    rank = min(rank, m, n)
    nearly = 1e-13 * random(m, n, seed=seed + 3)  # so that no reflection is of zeros
    a, b = random(m, rank, seed=seed) @ random(rank, n, seed=seed + 1) + nearly, random(m, r, seed=seed + 2)
    columns = numbers(a.T, tally)
    order, made = pivoted(columns, 1e-10)
    rows = [[column[i] for column in columns] for i in range(rank)]
    right = []
    if rank < n:
        for i in reversed(range(rank)):
            beta, v, tau = reflection([rows[i][i], *rows[i][rank:]])
            for row in rows[:i]:
                changed = reflect(v, tau, [row[i], *row[rank:]])
                row[i], row[rank:] = changed[0], changed[1:]
            rows[i][i] = beta
            right.append((i, v, tau))
    found = []
    for side in numbers(b.T, tally):
        turned = apply(made, side, backwards=False)
        x = substitute(rows, turned[:rank], upper=True)
        x += [tally.number(0.0) for _ in range(n - rank)]
        for i, v, tau in reversed(right):
            changed = reflect(v, tau, [x[i], *x[rank:]])
            x[i], x[rank:] = changed[0], changed[1:]
        found.append([x[order.index(k)] for k in range(n)])
    for driver in (None, "gelsy"):
        result, terms = recorded(partial(torch.linalg.lstsq, rcond=1e-10, driver=driver), a, b)
        assert int(result.rank) == rank
        assert torch.allclose(values(found).T, result.solution)
        assert_counted(terms, tally)


def test_least_squares_by_hand() -> None:
    """A column of 2: its norm takes 2 multiplies, an add and a root; τ and v take an add and a divide each."""
    factor = OpCount(multiplies=2, adds=1 + 2, divides=2, transcendentals=1)
    solution = OpCount(multiplies=3, adds=3, divides=1)
    residual = OpCount(multiplies=1)
    shapes = spec(2, 1), spec(2, 1)
    out = spec(1, 1), spec(1), spec(0, dtype="int64"), spec(0)
    assert count_of("linalg_lstsq", *shapes, driver="gels", out=out) == factor + solution + residual


def test_batches_of_least_squares_have_their_own_ranks() -> None:
    """One of two matrices has rank 2, the other rank 1; each vector is one right-hand side."""
    a = torch.stack([random(4, 2, seed=1), torch.ones(4, 2, dtype=torch.float64)])
    b = random(2, 4, seed=2)
    run = torch.linalg.lstsq
    both = total(recorded(run, a, b)[1])
    alone = [total(recorded(run, a[i], b[i, :, None])[1]) for i in (0, 1)]
    assert both == alone[0] + alone[1]
    assert alone[0] != alone[1]


def test_least_squares_by_singular_values_are_uncounted() -> None:
    """These drivers iterate; without data, the rank is not known either."""
    shapes, out = (spec(4, 2), spec(4, 1)), (spec(2, 1), spec(0), spec(dtype="int64"), spec(0))
    with pytest.raises(UncountedError, match="singular"):
        terms_of("linalg_lstsq", *shapes, driver="gelsd", out=out)
    with pytest.raises(DataDependentError):
        terms_of("linalg_lstsq", *shapes, out=out)


ALPHA = (1 + math.sqrt(17)) / 8


def factor_ldl(a: list[list[Counting]]) -> tuple[list[list[Counting]], list[int]]:
    """Bunch and Kaufman's method on the lower triangle, with LAPACK's pivots; every comparison of a choice is made."""
    n, k = len(a), 0
    pivots = [0] * n
    while k < n:
        largest, double, swap = k, False, k
        if k < n - 1:
            candidates = list(range(k + 1, n))
            largest = candidates[0]
            for i in candidates[1:]:
                if abs(a[i][k]) > abs(a[largest][k]):
                    largest = i
            column_max = abs(a[largest][k])
            row = [abs(a[max(largest, j)][min(largest, j)]) for j in range(k, n) if j != largest]
            row_max = row[0]
            for value in row[1:]:
                row_max = value if value > row_max else row_max
            bound = ALPHA * column_max
            first = abs(a[k][k]) >= bound
            second = abs(a[k][k]) * row_max >= bound * column_max
            third = abs(a[largest][largest]) >= ALPHA * row_max
            if not first and not second:
                swap = largest
                double = not third
        at = k + 1 if double else k
        if swap != at:
            exchange(a, at, swap, k)
        if double:
            eliminate_two(a, k)
            pivots[k] = pivots[k + 1] = -(swap + 1)
        else:
            eliminate_one(a, k)
            pivots[k] = swap + 1
        k += 2 if double else 1
    return a, pivots


def exchange(a: Any, p: int, q: int, k: int) -> None:
    """Swap rows and columns p < q of the part from k on, in the lower triangle."""
    n = len(a)
    full = [[a[max(i, j)][min(i, j)] for j in range(k, n)] for i in range(k, n)]
    order = list(range(n - k))
    order[p - k], order[q - k] = order[q - k], order[p - k]
    for i in range(k, n):
        for j in range(k, i + 1):
            a[i][j] = full[order[i - k]][order[j - k]]


def eliminate_one(a: Any, k: int) -> None:
    n = len(a)
    column = [a[i][k] for i in range(k + 1, n)]
    for i in range(k + 1, n):
        a[i][k] = a[i][k] / a[k][k]
    for j in range(k + 1, n):
        for i in range(j, n):
            a[i][j] = a[i][j] - a[i][k] * column[j - k - 1]


def eliminate_two(a: Any, k: int) -> None:
    n = len(a)
    determinant = a[k][k] * a[k + 1][k + 1] - a[k + 1][k] * a[k + 1][k]
    columns = [(a[i][k], a[i][k + 1]) for i in range(k + 2, n)]
    for i in range(k + 2, n):
        first, second = a[i][k], a[i][k + 1]
        a[i][k] = (a[k + 1][k + 1] * first - a[k + 1][k] * second) / determinant
        a[i][k + 1] = (a[k][k] * second - a[k + 1][k] * first) / determinant
    for j in range(k + 2, n):
        one, two = columns[j - k - 2]
        for i in range(j, n):
            a[i][j] = a[i][j] - (a[i][k] * one + a[i][k + 1] * two)


def solve_ldl(a: Any, pivots: list[int], b: list[list[Counting]]) -> None:
    """Apply L, D and Lᵀ to each right-hand side; the order of rows is left out, since it costs nothing."""
    n, k = len(a), 0
    blocks = []
    while k < n:
        double = pivots[k] < 0
        determinant = a[k][k] * a[k + 1][k + 1] - a[k + 1][k] * a[k + 1][k] if double else None
        blocks.append((k, determinant))
        k += 2 if double else 1
    for z in b:
        for k, determinant in blocks:
            for i in range(k + (1 if determinant is None else 2), n):
                z[i] = z[i] - a[i][k] * z[k]
                if determinant is not None:
                    z[i] = z[i] - a[i][k + 1] * z[k + 1]
        for k, determinant in blocks:
            if determinant is None:
                z[k] = z[k] / a[k][k]
            else:
                first, second = z[k], z[k + 1]
                z[k] = (a[k + 1][k + 1] * first - a[k + 1][k] * second) / determinant
                z[k + 1] = (a[k][k] * second - a[k + 1][k] * first) / determinant
        for k, determinant in reversed(blocks):
            for at in (k,) if determinant is None else (k, k + 1):
                for i in range(k + (1 if determinant is None else 2), n):
                    z[at] = z[at] - a[i][at] * z[i]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 6), r=st.integers(1, 2), seed=SEEDS)
def test_indefinite_systems(n: int, r: int, seed: int) -> None:
    """The loop has the pivots that torch reports, and these decide which blocks have size one or two."""
    tally, solving = Tally(), Tally()
    root = random(n, n, seed=seed)
    a = root + root.T
    found, pivots = factor_ldl(numbers(a, tally))
    result, terms = recorded(torch.linalg.ldl_factor, a)
    assert result.pivots.tolist() == pivots
    diagonal = torch.tensor([found[i][i].value for i in range(n)], dtype=torch.float64)
    assert torch.allclose(result.LD.diagonal(), diagonal)
    assert_counted(terms, tally)
    b = random(n, r, seed=seed + 1)
    solve_ldl(numbers(result.LD, solving), pivots, numbers(b.T, solving))
    assert_counted(recorded(torch.linalg.ldl_solve, *result, b)[1], solving)


def test_indefinite_systems_by_hand() -> None:
    """A zero diagonal makes one block of size two: only its determinant is computed."""
    a = torch.tensor([[0.0, 1], [1, 0]])
    search = OpCount(multiplies=4, comparisons=3)
    determinant = OpCount(multiplies=2, adds=1)
    out = torch.linalg.ldl_factor(a)
    assert count_of("linalg_ldl_factor_ex", spec(2, 2), out=(real(out.LD), real(out.pivots))) == search + determinant
    solved = OpCount(multiplies=4, adds=2, divides=2)
    found = count_of("linalg_ldl_solve", real(out.LD), real(out.pivots), spec(2, 3), out=spec(2, 3))
    assert found == determinant + solved * 3


def test_batches_of_indefinite_systems() -> None:
    """Each matrix has its own pivots and its share of the right-hand sides."""
    a = torch.stack([torch.tensor([[0.0, 1], [1, 0]]), torch.eye(2)])
    factors = torch.linalg.ldl_factor(a)
    b = torch.ones(2, 2, 3)
    both = total(recorded(torch.linalg.ldl_solve, *factors, b)[1])
    alone = [total(recorded(torch.linalg.ldl_solve, factors.LD[i], factors.pivots[i], b[i])[1]) for i in (0, 1)]
    assert both == alone[0] + alone[1]


def test_linear_combinations_and_lists_of_products() -> None:
    """(4, 3) coefficients of three (5, 2) take 40 sums of 3 products; a list of products costs the sum of them."""
    combined = count_of("_compute_linear_combination", spec(3, 5, 2), spec(4, 3), out=spec(4, 5, 2))
    assert combined == OpCount(multiplies=3, adds=2, macs=3) * 40
    lists = [spec(2, 3), spec(4, 5)], [spec(3, 6, parameter=True), spec(5, 1)]
    out = [spec(2, 6), spec(4, 1)]
    products = OpCount(multiplies=3, adds=2, macs=3) * 12 + OpCount(multiplies=5, adds=4, macs=5) * 4
    assert count_of("_foreach_mm", *lists, out=out) == products
    assert kind_of("_foreach_mm", *lists, out=out) == "linear"


L = torch.linalg


@pytest.mark.parametrize(
    "run",
    [
        L.pinv,
        L.cond,
        L.matrix_rank,
        L.svdvals,
        L.eigvals,
        L.eigh,
        L.matrix_exp,
        lambda a: L.matrix_norm(a, 2),
        lambda a: L.matrix_norm(a, "nuc"),
        lambda a: torch.svd_lowrank(a, 2),
    ],
)
def test_iterative_algorithms_make_a_profile_partial(run: Any) -> None:
    """No profile with eigenvalues, singular values or exponentials is complete."""

    class Run(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return run(x + x)

    assert profiler.profile(Run(), torch.eye(4)).status == "partial"


@pytest.mark.parametrize(
    "run",
    [
        lambda a: L.lstsq(a, a).solution,
        lambda a: L.ldl_solve(*L.ldl_factor(a), a),
        lambda a: L.matrix_power(a, -2),
        lambda a: L.multi_dot([a, a, a]),
        lambda a: L.lu_solve(*L.lu_factor(a), a),
        lambda a: L.cond(a, 1),
        lambda a: L.tensorinv(a.reshape(2, 2, 4), 2),
    ],
)
def test_direct_algorithms_leave_a_profile_complete(run: Any) -> None:
    """There is a real run if the rank or the pivots decide the cost."""

    class Run(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return run(x + x)

    result = profiler.profile(Run(), torch.eye(4))
    assert result.complete
    assert result.total.flops > 16
