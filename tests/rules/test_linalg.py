"""Factorizations, solutions and distances: the textbook algorithms, run on counting numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from profiler.errors import UncountedError
from profiler.opcount import OpCount
from profiler.rules.distances import distance_of
from tests.rules.counting import Counting, Tally, assert_counted, log, maximum, product, spec, sqrt, transcendental
from tests.rules.counting import total as summed
from tests.rules.registered import assert_same_when_decomposed, count_of, terms_of
from tests.rules.tensors import specs, values

SIZES = st.integers(1, 4)


def positive_definite(n: int, tally: Tally) -> Any:
    """A matrix with a Cholesky factor; making it is not counted."""
    root = values(Tally().array(n, n))
    matrix = root @ root.T + torch.eye(n, dtype=torch.float64)
    return numbers(matrix, tally)


def numbers(tensor: torch.Tensor, tally: Tally) -> Any:
    """Nested lists of counting numbers with the values of a tensor."""
    if tensor.ndim == 0:
        return tally.number(tensor.item())
    return [numbers(part, tally) for part in tensor]


def factor_cholesky(a: Any) -> Any:
    """Cholesky–Banachiewicz row by row: each entry of L follows from those before it."""
    n = len(a)
    l: Any = [[0.0] * n for _ in range(n)]  # noqa: E741 - the factor's usual name
    for i in range(n):
        for j in range(i + 1):
            rest = a[i][j]
            for k in range(j):
                rest = rest - l[i][k] * l[j][k]
            l[i][j] = sqrt(rest) if i == j else rest / l[j][j]
    return l


@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 7))
def test_cholesky_costs_what_its_loop_costs(n: int) -> None:
    """The rule equals the tally of Cholesky–Banachiewicz, whose result equals that of torch."""
    tally = Tally()
    a = positive_definite(n, tally)
    found = factor_cholesky(a)
    lower = torch.tensor([[x.value if isinstance(x, Counting) else x for x in row] for row in found])
    assert torch.allclose(lower.double(), torch.linalg.cholesky(values(a)))
    assert_counted(terms_of("linalg_cholesky_ex", spec(n, n), out=(spec(n, n), spec(dtype="int32"))), tally)


def factor_lu(a: Any) -> tuple[Any, list[int], int]:
    """Gaussian elimination with partial pivoting: L and U in one matrix, the order of the rows, and its sign."""
    m, n, sign = len(a), len(a[0]), 1
    a, order = [list(row) for row in a], list(range(len(a)))
    for j in range(min(m, n)):
        best = j
        for i in range(j + 1, m):
            if abs(a[i][j]) > abs(a[best][j]):
                best = i
        if best != j:
            a[j], a[best], order[j], order[best], sign = a[best], a[j], order[best], order[j], -sign
        for i in range(j + 1, m):
            a[i][j] = a[i][j] / a[j][j]
            for k in range(j + 1, n):
                a[i][k] = a[i][k] - a[i][j] * a[j][k]
    return a, order, sign


@settings(max_examples=20, deadline=None)
@given(m=SIZES, n=SIZES)
def test_lu_costs_what_its_loop_costs(m: int, n: int) -> None:
    """The rule equals the tally of the elimination of an m×n matrix, whose result equals that of torch."""
    tally = Tally()
    a = tally.array(m, n)
    found, _, _ = factor_lu(a)
    assert torch.allclose(values(found), torch.linalg.lu_factor(values(a)).LU)
    assert_counted(terms_of("linalg_lu_factor_ex", spec(m, n), out=()), tally)


def substitute(u: Any, b: Any, upper: bool, unit: bool) -> Any:
    """Solve a triangular system for one right-hand side, from the end or from the start."""
    n = len(b)
    x: Any = [None] * n
    for i in reversed(range(n)) if upper else range(n):
        rest = b[i]
        for k in range(i + 1, n) if upper else range(i):
            rest = rest - u[i][k] * x[k]
        x[i] = rest if unit else rest / u[i][i]
    return x


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(n=SIZES, r=st.integers(1, 3), upper=st.booleans(), unit=st.booleans(), left=st.booleans())
def test_triangular_solutions_cost_what_their_loops_cost(n: int, r: int, upper: bool, unit: bool, left: bool) -> None:
    """Each right-hand side takes one substitution, by columns or rows, with or without a unit diagonal."""
    tally = Tally()
    a, columns = tally.array(n, n, low=1.0, high=2.0), tally.array(r, n)
    found = [substitute(a, column, upper, unit) for column in columns]
    matrix, b = values(a), values(columns).T
    assert torch.allclose(
        values(found).T, torch.linalg.solve_triangular(matrix, b, upper=upper, unitriangular=unit), rtol=1e-4
    )
    shape = spec(n, r) if left else spec(r, n)
    options = {"upper": upper, "left": left, "unitriangular": unit}
    assert_counted(terms_of("linalg_solve_triangular", spec(n, n), shape, **options, out=shape), tally)
    if left:
        terms = terms_of("triangular_solve", shape, spec(n, n), upper, False, unit, out=(shape, spec(n, n)))
        assert_counted(terms, tally)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(n=SIZES, r=st.integers(1, 3))
def test_solutions_and_inverses_cost_what_their_loops_cost(n: int, r: int) -> None:
    """There is one elimination, then two substitutions for each right-hand side; an inverse has n of them."""
    for columns_wanted in (r, n):
        tally = Tally()
        a, columns = tally.array(n, n), tally.array(columns_wanted, n)
        factors, order, _ = factor_lu(a)
        found = []
        for column in columns:
            y = substitute(factors, [column[i] for i in order], upper=False, unit=True)
            found.append(substitute(factors, y, upper=True, unit=False))
        assert torch.allclose(values(found).T, torch.linalg.solve(values(a), values(columns).T))
        b = spec(n, columns_wanted)
        assert_counted(terms_of("_linalg_solve_ex", spec(n, n), b, out=(b, spec(n, n))), tally)
    assert_counted(terms_of("linalg_inv_ex", spec(n, n), out=(spec(n, n), spec())), tally)


@settings(max_examples=10, deadline=None)
@given(n=SIZES)
def test_determinants_cost_what_their_loops_cost(n: int) -> None:
    """Elimination is followed by the product of the diagonal, or by the sum of its logarithms."""
    tally, tally_of_logs = Tally(), Tally()
    for each in (tally, tally_of_logs):
        a = each.array(n, n)
        factors, _, sign = factor_lu(a)
        diagonal = [factors[i][i] for i in range(n)]
        if each is tally:
            assert abs(sign * product(diagonal).value - torch.linalg.det(values(a)).item()) < 1e-9
        else:
            logs = summed(log(abs(x)) for x in diagonal)
            assert abs(logs.value - torch.linalg.slogdet(values(a)).logabsdet.item()) < 1e-9
    assert_counted(terms_of("_linalg_det", spec(n, n), out=()), tally)
    assert_counted(terms_of("_linalg_slogdet", spec(n, n), out=()), tally_of_logs)


def reflect(v: Any, tau: Any, column: Any) -> Any:
    """(I − τ·v·vᵀ)·column, where v₀ = 1."""
    w = tau * summed([column[0], *(v[i] * column[i] for i in range(1, len(v)))])
    return [column[0] - w, *(column[i] - w * v[i] for i in range(1, len(v)))]


def reflections(columns: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """The columns of R, and the reflections (v, τ) that make them."""
    columns = [list(column) for column in columns]
    made = []
    for j in range(min(len(columns), len(columns[0]) - 1)):
        x = columns[j][j:]
        norm = sqrt(summed(value * value for value in x))
        beta = -norm if x[0].value > 0 else norm
        tau = (beta - x[0]) / beta
        gap = x[0] - beta
        v = [None, *(value / gap for value in x[1:])]
        columns[j][j:] = [beta, *(0.0 for _ in x[1:])]
        for column in columns[j + 1 :]:
            column[j:] = reflect(v, tau, column[j:])
        made.append((v, tau))
    return columns, made


def multiply_reflections(made: Any, m: int, n: int, tally: Tally) -> Any:
    """The first n columns of their product, made from the last reflection to the first."""
    columns: Any = [[tally.number(float(i == j)) for i in range(m)] for j in range(n)]
    for j, (v, tau) in reversed(list(enumerate(made))):
        for column in columns[j + 1 :]:
            column[j:] = reflect(v, tau, column[j:])
        columns[j][j:] = [1.0 - tau, *(-(tau * value) for value in v[1:])]
    return columns


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, n=SIZES, mode=st.sampled_from(["reduced", "complete", "r"]))
def test_qr_costs_what_its_loop_costs(m: int, n: int, mode: str) -> None:
    """Householder reflections are followed by their product; Q·R is the matrix again."""
    tally = Tally()
    a = tally.array(n, m)
    r, made = reflections(a)
    assert_counted(terms_of("geqrf", spec(m, n), out=()), tally)
    q, _ = torch.linalg.qr(values(a).T, mode=mode)
    if mode != "r":
        found = values(multiply_reflections(made, m, q.shape[1], tally)).T
        upper = torch.tensor([[x.value if isinstance(x, Counting) else x for x in column] for column in r]).T
        assert torch.allclose(found.float() @ upper.float()[: q.shape[1]], values(a).T.float(), atol=1e-5)
    assert_counted(terms_of("linalg_qr", spec(m, n), mode, out=(specs(q), spec(n, n))), tally)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, n=SIZES, data=st.data())
def test_products_of_reflections_cost_what_their_loops_cost(m: int, n: int, data: st.DataObject) -> None:
    """householder_product takes any number of reflections of an m×n matrix."""
    assume(n <= m)
    count = data.draw(st.integers(0, n))
    tally = Tally()
    made = [([None, *tally.array(m - j - 1, seed=j)], tally.array(seed=j)) for j in range(count)]
    found = values(multiply_reflections(made, m, n, tally)).T
    matrix = torch.zeros(m, n, dtype=torch.float64)
    for j, (v, _) in enumerate(made):
        matrix[j + 1 :, j] = torch.tensor([x.value for x in v[1:]])
    taus = torch.tensor([tau.value for _, tau in made], dtype=torch.float64)
    assert torch.allclose(found, torch.linalg.householder_product(matrix, taus))
    terms = terms_of("linalg_householder_product", spec(m, n), spec(count), out=spec(m, n))
    assert_counted(terms, tally)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, columns=st.integers(1, 3), left=st.booleans(), data=st.data())
def test_reflections_of_a_matrix_cost_what_their_loops_cost(
    m: int, columns: int, left: bool, data: st.DataObject
) -> None:
    """ormqr applies each reflection to every column (or row), from the last to the first."""
    k = data.draw(st.integers(1, m))
    tally = Tally()
    made = [([None, *tally.array(m - j - 1, seed=j)], tally.array(seed=j)) for j in range(k)]
    c = tally.array(columns, m)
    found = [list(column) for column in c]
    for j, (v, tau) in reversed(list(enumerate(made))):
        for column in found:
            column[j:] = reflect(v, tau, column[j:])
    matrix = torch.zeros(m, k, dtype=torch.float64)
    for j, (v, _) in enumerate(made):
        matrix[j + 1 :, j] = torch.tensor([x.value for x in v[1:]])
    taus = torch.tensor([tau.value for _, tau in made], dtype=torch.float64)
    assert torch.allclose(values(found).T, torch.ormqr(matrix, taus, values(c).T))
    shape = spec(m, columns) if left else spec(columns, m)
    assert_counted(terms_of("ormqr", spec(m, k), spec(k), shape, left, False, out=shape), tally)


def distance(x: Any, y: Any, p: float, tally: Tally) -> Counting:
    """The p-norm of x − y."""
    if p == 0:
        return summed(tally.number(float(a != b)) for a, b in zip(x, y, strict=True))  # type: ignore[no-any-return]
    gaps = [abs(a - b) for a, b in zip(x, y, strict=True)]
    if p == math.inf:
        return maximum(*gaps)
    if p == 1:
        return summed(gaps)  # type: ignore[no-any-return]
    return transcendental(lambda s: s ** (1 / p), summed(gap**p for gap in gaps))


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(n=SIZES, r=SIZES, m=SIZES, p=st.sampled_from([0.0, 1.0, 2.0, 3.0, 2.5, math.inf]))
def test_distances_cost_what_their_loops_cost(n: int, r: int, m: int, p: float) -> None:
    """cdist takes each pair of rows of two matrices, pdist each pair of different rows of one."""
    tally = Tally()
    x, y = tally.array(n, m), tally.array(r, m, seed=1)
    found = [[distance(a, b, p, tally) for b in y] for a in x]
    expected = torch.cdist(values(x), values(y), p=p)
    assert torch.allclose(values(found), expected)
    assert_counted(terms_of("cdist", spec(n, m), spec(r, m), p, out=specs(expected)), tally)
    pairs = n * (n - 1) // 2
    assert count_of("_pdist_forward", spec(n, m), p, out=spec(pairs)) == distance_of(m, p) * pairs


def test_euclidean_distance_by_hand() -> None:
    """A pair takes m differences, m squares, m − 1 adds and a root, whichever kernel computes it."""
    n, r, m = 30, 5, 4
    expected = OpCount(multiplies=m, adds=m + m - 1, transcendentals=1) * (n * r)
    x, y, out = spec(n, m), spec(r, m), spec(n, r)
    assert count_of("cdist", x, y, out=out) == expected
    assert count_of("_cdist_forward", x, y, 2.0, None, out=out) == expected
    assert count_of("_euclidean_dist", x, y, out=out) == expected


def test_batches_and_vectors() -> None:
    """A batch multiplies the cost; a matrix that a batch shares is factorized once."""
    one = count_of("linalg_lu_factor_ex", spec(3, 3), out=())
    assert one == OpCount(multiplies=4 + 1, adds=4 + 1, divides=2 + 1, comparisons=2 + 1)
    assert count_of("linalg_lu_factor_ex", spec(5, 2, 3, 3), out=()) == one * 10
    solution = OpCount(multiplies=6, adds=6, divides=3)
    shared = count_of("_linalg_solve_ex", spec(3, 3), spec(5, 3, 2), out=(spec(5, 3, 2),))
    assert shared == one + solution * (5 * 2)
    assert count_of("linalg_solve", spec(3, 3), spec(3), out=spec(3)) == one + solution
    assert count_of("linalg_solve", spec(7, 3, 3), spec(7, 3), out=spec(7, 3)) == (one + solution) * 7
    assert count_of("linalg_lu_solve", spec(3, 3), spec(3), spec(3, 2), out=spec(3, 2)) == solution * 2
    triangular = OpCount(multiplies=3, adds=3, divides=3)
    assert count_of("cholesky_solve", spec(3, 2), spec(3, 3), out=spec(3, 2)) == triangular * (2 * 2)
    assert count_of("cholesky_inverse", spec(3, 3), out=spec(3, 3)) == triangular * (2 * 3)
    assert count_of("linalg_lu_factor_ex", spec(3, 3), pivot=False, out=()).comparisons == 0


def test_cross_product_by_hand() -> None:
    """Three components, each a difference of two products."""
    assert count_of("linalg_cross", spec(7, 3), spec(7, 3), out=spec(7, 3)) == OpCount(multiplies=6 * 7, adds=3 * 7)


def test_empty_matrices_cost_nothing() -> None:
    """A matrix may have no rows, no columns or no coordinates."""
    empty = spec(0, 0)
    for op in ("linalg_cholesky_ex", "linalg_lu_factor_ex", "_linalg_det", "_linalg_slogdet", "linalg_inv_ex"):
        assert count_of(op, empty, out=()) == OpCount()
    assert count_of("cdist", spec(3, 0), spec(4, 0), out=spec(3, 4)) == OpCount()


def test_complex_matrices_have_no_rule() -> None:
    """They are uncounted, not counted as real ones."""
    with pytest.raises(UncountedError, match="linalg_inv has no rule for complex"):
        count_of("linalg_inv_ex", spec(3, 3, dtype="complex64"), out=())


@pytest.mark.slow
def test_decomposed_operators_cost_the_same() -> None:
    """Composite operators cost the same whole and decomposed."""
    linalg = torch.linalg
    for run in (linalg.inv, linalg.det, linalg.slogdet, linalg.cholesky, linalg.lu_factor, linalg.lu, linalg.qr):
        assert_same_when_decomposed(run, (2, 4, 4))
    assert_same_when_decomposed(linalg.solve, (4, 4), (2, 4, 3))
    assert_same_when_decomposed(linalg.cross, (2, 3), (2, 3))
    assert_same_when_decomposed(torch.cdist, (2, 30, 4), (2, 5, 4))
    assert_same_when_decomposed(torch.cdist, (2, 3, 4), (2, 5, 4))
    assert_same_when_decomposed(torch.pdist, (5, 4))
