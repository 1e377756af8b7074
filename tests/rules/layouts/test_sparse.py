"""Products with sparse operands cost what a loop over their stored elements costs."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import DataDependentError, UncountedError
from profiler.opcount import OpCount, total
from profiler.rules import REGISTRY
from profiler.signatures import TensorSpec
from tests.rules.counting import Counting, Tally, assert_counted, mac, maximum
from tests.rules.real_tensors import real, recorded
from tests.rules.registered import count_of, terms_of

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:Sparse invariant")

Elements = list[tuple[tuple[int, ...], Counting]]
SIZES = st.integers(1, 4)
LAYOUTS = st.sampled_from([torch.sparse_coo, torch.sparse_csr])


def sparse(*shape: int, seed: int, layout: torch.layout = torch.sparse_coo) -> torch.Tensor:
    """A matrix that stores about half of its elements."""
    draw = torch.Generator().manual_seed(seed)
    dense = torch.randn(shape, dtype=torch.float64, generator=draw)
    kept = torch.rand(shape, generator=draw) < 0.5
    return (dense * kept).to_sparse(layout=layout)


def dense(*shape: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def elements(tensor: torch.Tensor, tally: Tally) -> Elements:
    """The stored elements as (place, number)."""
    coordinates = tensor.to_sparse_coo()  # type: ignore[no-untyped-call]
    places, values = coordinates._indices().T.tolist(), coordinates._values().tolist()
    return [(tuple(place), tally.number(value)) for place, value in zip(places, values, strict=True)]


def numbers(tensor: torch.Tensor, tally: Tally) -> Any:
    return [numbers(row, tally) for row in tensor] if tensor.ndim else tally.number(tensor.item())


def into_zeros(m: int, n: int, tally: Tally) -> list[list[Counting]]:
    return [[tally.number(0.0) for _ in range(n)] for _ in range(m)]


def values(rows: list[list[Counting]]) -> torch.Tensor:
    return torch.tensor([[x.value for x in row] for row in rows], dtype=torch.float64)


def meet(left: Elements, right: Elements) -> dict[tuple[int, int], Counting]:
    """The product of two sparse matrices, by place."""
    result: dict[tuple[int, int], Counting] = {}
    for (i, k), a in left:
        for (other, j), b in right:
            if k == other:
                result[i, j] = result[i, j] + mac(a, b) if (i, j) in result else mac(a, b)
    return result


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, k=SIZES, n=SIZES, seed=st.integers(0, 99), layout=LAYOUTS)
def test_sparse_by_dense(m: int, k: int, n: int, seed: int, layout: torch.layout) -> None:
    """Each stored element multiplies its row of the dense operand, and each product is added to its place."""
    tally = Tally()
    a, b = sparse(m, k, seed=seed, layout=layout), dense(k, n)
    result = into_zeros(m, n, tally)
    rows = numbers(b, tally)
    stored = elements(a, tally)
    for (i, q), value in stored:
        for j in range(n):
            result[i][j] = result[i][j] + mac(value, rows[q][j])
    found, terms = recorded(torch.matmul, a, b)
    assert torch.allclose(found, values(result))
    assert_counted(terms, tally)
    assert total(terms).macs == len(stored) * n
    assert_counted(recorded(torch.sparse.mm, a, b)[1], tally)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(m=SIZES, k=SIZES, n=SIZES, seed=st.integers(0, 99), layout=LAYOUTS)
def test_sparse_by_sparse(m: int, k: int, n: int, seed: int, layout: torch.layout) -> None:
    """Stored elements meet if the inner index is the same; the first product of a place needs no add."""
    tally = Tally()
    a, b = sparse(m, k, seed=seed, layout=layout), sparse(k, n, seed=seed + 100, layout=layout)
    result = meet(elements(a, tally), elements(b, tally))
    found, terms = recorded(torch.matmul, a, b)
    expected = torch.zeros(m, n, dtype=torch.float64)
    for place, value in result.items():
        expected[place] = float(value.value.real)
    with torch.inference_mode():
        assert torch.allclose(found.to_dense(), expected)
    assert_counted(terms, tally)
    assert total(terms).macs == tally.multiplies
    assert_counted(recorded(torch.sparse.mm, a, b)[1], tally)


def test_sparse_by_sparse_by_hand() -> None:
    """Columns of 2, 0 and 1 meet rows of 1, 3 and 2: 2·1 + 0·3 + 1·2 products at 3 places."""
    a = torch.tensor([[1.0, 0, 2], [3, 0, 0]]).to_sparse()
    b = torch.tensor([[0, 4.0, 0], [1, 1, 1], [5, 6, 0]]).to_sparse()
    products, places = 2 * 1 + 0 * 3 + 1 * 2, 3
    assert total(recorded(torch.sparse.mm, a, b)[1]) == OpCount(multiplies=4, adds=products - places, macs=4)


def test_elements_that_share_a_place_are_added_first() -> None:
    """Two of three stored elements share a place: one add, and then the cost of two elements."""
    places = torch.tensor([[0, 0, 1], [1, 1, 2]])
    a = torch.sparse_coo_tensor(places, torch.tensor([1.0, 2, 3]), (3, 3))
    b = torch.eye(3).to_sparse()
    assert total(recorded(torch.sparse.mm, a, b)[1]) == OpCount(multiplies=2, adds=1, macs=2)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    m=SIZES,
    k=SIZES,
    n=SIZES,
    beta=st.sampled_from([0.0, 1.0, 2.0]),
    alpha=st.sampled_from([1.0, 3.0]),
    added=st.booleans(),
    seed=st.integers(0, 99),
)
def test_added_products_of_sparse_matrices(
    m: int, k: int, n: int, beta: float, alpha: float, added: bool, seed: int
) -> None:
    """beta·C + alpha·A·B: alpha multiplies each result, beta each stored element, and only shared places take adds."""
    tally = Tally()
    a, b, c = sparse(m, k, seed=seed), sparse(k, n, seed=seed + 1), sparse(m, n, seed=seed + 2)
    held = elements(c, tally) if added else [((i, j), tally.number(1.0)) for i in range(m) for j in range(n)]
    result = meet(elements(a, tally), elements(b, tally))
    scaled = {place: value if alpha == 1 else alpha * value for place, value in result.items()}
    if beta != 0:
        for place, value in held:
            own = value if beta == 1 else beta * value
            scaled[place] = scaled[place] + own if place in scaled else own  # type: ignore[index]
    first = real(c) if added else TensorSpec((m, n), "float64")
    out = first if added else TensorSpec((m, n), "float64")
    assert_counted(terms_of("sparse::_sparse_addmm", first, real(a), real(b), beta=beta, alpha=alpha, out=out), tally)


def test_added_sparse_products_through_torch() -> None:
    """Torch's compressed layout calls its products this way, with zeros that are left out."""
    a, b = (sparse(4, 4, seed=seed, layout=torch.sparse_csr) for seed in (1, 2))
    tally = Tally()
    meet(elements(a, tally), elements(b, tally))
    assert_counted(recorded(torch.sparse.mm, a, b)[1], tally)


def test_added_product_by_hand() -> None:
    """3 stored elements meet 4 columns; beta and alpha multiply the 2·4 results once each."""
    a = torch.tensor([[1.0, 0, 2], [3, 0, 0]]).to_sparse()
    _, terms = recorded(
        lambda a, b, c: torch.sparse.addmm(c, a, b, beta=2.0, alpha=3.0), a, torch.ones(3, 4), torch.ones(2, 4)
    )
    assert total(terms) == OpCount(multiplies=3 * 4 + 2 * (2 * 4), adds=3 * 4, macs=3 * 4)


def test_batches_and_layers_with_sparse_weights() -> None:
    """Each stored element meets its own matrix of a batch, and every row of a layer's input."""
    a = torch.tensor([[[1.0, 0], [2, 3]], [[0, 0], [0, 4]]]).to_sparse()
    assert total(recorded(torch.bmm, a, torch.ones(2, 2, 5))[1]) == OpCount(multiplies=20, adds=20, macs=4 * 5)
    weight = torch.tensor([[1.0, 0, 2], [3, 0, 0]]).to_sparse()
    run = torch.nn.functional.linear
    _, terms = recorded(run, torch.ones(7, 3), weight)
    assert total(terms) == OpCount(multiplies=21, adds=21, macs=3 * 7)
    biased = terms_of("sparse::linear", TensorSpec((7, 3)), real(weight), TensorSpec((2,)), out=TensorSpec((7, 2)))
    assert total(biased) == OpCount(multiplies=21, adds=21 + 7 * 2, macs=21)


def test_a_sparse_matrix_on_the_right() -> None:
    """(5, 2) · (2, 3) with 3 stored elements: each of them meets 5 rows."""
    b = torch.tensor([[1.0, 0, 2], [3, 0, 0]]).to_sparse_csr()
    assert total(recorded(torch.matmul, torch.ones(5, 2), b)[1]) == OpCount(multiplies=15, adds=15, macs=3 * 5)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    m=SIZES,
    k=SIZES,
    n=SIZES,
    beta=st.sampled_from([0.0, 1.0, 2.0]),
    alpha=st.sampled_from([1.0, 3.0]),
    seed=st.integers(0, 99),
)
def test_sampled_products(m: int, k: int, n: int, beta: float, alpha: float, seed: int) -> None:
    """There is a sum of k products for each element that the mask stores, and for no other."""
    tally = Tally()
    mask, a, b = sparse(m, n, seed=seed, layout=torch.sparse_csr), dense(m, k), dense(k, n, seed=8)
    left, right = numbers(a, tally), numbers(b, tally)
    found = []
    for (i, j), value in elements(mask, tally):
        result = mac(left[i][0], right[0][j])
        for q in range(1, k):
            result = result + mac(left[i][q], right[q][j])
        if alpha != 1:
            result = alpha * result
        if beta != 0:
            result = result + (value if beta == 1 else beta * value)
        found.append(result.value)
    run = torch.sparse.sampled_addmm
    result, terms = recorded(lambda *operands: run(*operands, beta=beta, alpha=alpha), mask, a, b)
    assert torch.allclose(result.values(), torch.tensor(found, dtype=torch.float64))
    assert_counted(terms, tally)
    assert total(terms).macs == mask._nnz() * k


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, k=SIZES, n=SIZES, reduce=st.sampled_from(["sum", "mean", "amax", "amin"]), seed=st.integers(0, 99))
def test_reduced_products(m: int, k: int, n: int, reduce: str, seed: int) -> None:
    """The products of a row are summed, averaged, or compared."""
    tally = Tally()
    a, b = sparse(m, k, seed=seed, layout=torch.sparse_csr), dense(k, n)
    rows = numbers(b, tally)
    found = torch.zeros(m, n, dtype=torch.float64)
    multiply = mac if reduce in ("sum", "mean") else operator.mul  # an extreme sums nothing
    for i in range(m):
        own = [(place[1], value) for place, value in elements(a, tally) if place[0] == i]
        for j in range(n):
            products = [multiply(value, rows[q][j]) for q, value in own]
            if not products:
                continue
            if reduce in ("sum", "mean"):
                result = tally.number(0.0)
                for each in products:
                    result = result + each
                result = result / float(len(products)) if reduce == "mean" else result
            else:
                sign = 1 if reduce == "amax" else -1
                result = maximum(*(each if sign > 0 else -each for each in products))
                result = result if sign > 0 else -result
            found[i, j] = float(result.value.real)
    result, terms = recorded(torch.sparse.mm, a, b, reduce)
    assert torch.allclose(result, found)
    assert_counted(terms, tally)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(n=SIZES, r=st.integers(1, 3), unit=st.booleans(), upper=st.booleans(), seed=st.integers(0, 99))
def test_sparse_triangular_solutions(n: int, r: int, unit: bool, upper: bool, seed: int) -> None:
    """Substitution over the stored elements of the triangle; elements beyond it are not used."""
    tally = Tally()
    a = (sparse(n, n, seed=seed).to_dense() + 3 * torch.eye(n, dtype=torch.float64)).to_sparse_csr()
    b = dense(n, r)
    rows: dict[int, list[tuple[int, Counting]]] = {i: [] for i in range(n)}
    diagonal = {}
    for (i, j), value in elements(a, tally):
        if i == j:
            diagonal[i] = value
        elif (i < j) == upper:
            rows[i].append((j, value))
    found = numbers(b, tally)
    for column in range(r):
        for i in reversed(range(n)) if upper else range(n):
            for j, value in rows[i]:
                found[i][column] = found[i][column] - value * found[j][column]
            if not unit:
                found[i][column] = found[i][column] / diagonal[i]
    result, terms = recorded(lambda b, a: torch.triangular_solve(b, a, upper=upper, unitriangular=unit).solution, b, a)
    assert torch.allclose(result, values(found))
    assert_counted(terms, tally)


def test_row_sparse_results_and_sums_of_sparse_matrices() -> None:
    """hspmm is a product; sspaddmm keeps beta·self and alpha·(a·b) side by side; a·b fills the rows that a stores."""
    a = torch.tensor([[1.0, 0, 2], [0, 0, 0], [3, 0, 0]]).to_sparse()
    b = torch.ones(3, 4)
    assert total(recorded(torch.hspmm, a, b)[1]) == OpCount(multiplies=12, adds=12, macs=3 * 4)
    c = torch.eye(3, 4).to_sparse()
    result, terms = recorded(lambda c, a, b: torch.sspaddmm(c, a, b, beta=2, alpha=3), c, a, b)
    assert torch.allclose(result.to_dense(), 2 * c.to_dense() + 3 * a.to_dense() @ b)
    assert total(terms) == OpCount(multiplies=12 + 2 * 4 + 3, adds=12, macs=12)


def test_complex_products() -> None:
    """A complex product is 4 multiplies and 2 adds, and adding it takes 2 more."""
    a = torch.eye(3, dtype=torch.complex64).to_sparse()
    _, terms = recorded(torch.matmul, a, torch.ones(3, 2, dtype=torch.complex64))
    assert total(terms) == OpCount(multiplies=4, adds=2 + 2, macs=4) * (3 * 2)


def test_products_with_a_parameter_are_linear() -> None:
    """The summand of a product is no factor of it."""
    a, x = TensorSpec((3, 3), stored=2), TensorSpec((3, 4))
    weight = TensorSpec((3, 4), parameter=True)
    for operands, kind in (((x, a, x), "matmul"), ((x, a, weight), "linear"), ((weight, a, x), "matmul")):
        entry = REGISTRY.find("sparse::addmm")
        assert entry is not None
        found, terms = entry.apply(*operands, out=x)
        assert found == kind
        assert total(terms).macs == 2 * 4


def test_products_that_need_data_are_uncounted() -> None:
    """Which elements meet is data; a coordinate tensor on meta stores no elements at all."""
    a, x = TensorSpec((3, 3), stored=2), TensorSpec((3, 3))
    with pytest.raises(DataDependentError):
        count_of("sparse::mm", a, a, out=a)
    with pytest.raises(DataDependentError):
        count_of("sparse::mm", TensorSpec((3, 3), stored=0), x, out=x)
    assert count_of("sparse::mm", a, x, out=x) == OpCount(multiplies=6, adds=6, macs=6)
    with pytest.raises(UncountedError):
        count_of("sparse::linear", a, a, out=x)
