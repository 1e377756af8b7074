"""Elementwise work and reductions of sparse tensors cost what they do to the stored elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import DataDependentError, UncountedError
from profiler.opcount import OpCount, Term, total
from profiler.signatures import TensorSpec
from tests.rules.counting import Counting, Tally, assert_counted, exp, log, maximum, product, sqrt, transcendental
from tests.rules.counting import total as summed
from tests.rules.real_tensors import real, recorded
from tests.rules.registered import count_of, terms_of

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:Sparse invariant")

Elements = dict[tuple[int, ...], Counting]
SIZES = st.integers(1, 4)
SEEDS = st.integers(0, 99)


def sparse(*shape: int, seed: int = 0, pairs: bool = False) -> torch.Tensor:
    """A matrix that stores about half of its elements, between ¼ and ¾; with ``pairs`` it stores each of them twice."""
    draw = torch.Generator().manual_seed(seed)
    dense = (torch.rand(shape, dtype=torch.float64, generator=draw) / 2 + 0.25) * (
        torch.rand(shape, generator=draw) < 0.5
    )
    found = dense.to_sparse()
    if not pairs:
        return found
    indices, values = found._indices(), found._values()
    return torch.sparse_coo_tensor(torch.cat([indices, indices], 1), torch.cat([values, values]), shape)


def elements(tensor: torch.Tensor, tally: Tally) -> Elements:
    """The stored elements by place; those that share a place are added."""
    found: Elements = {}
    for place, value in zip(map(tuple, tensor._indices().T.tolist()), tensor._values().tolist(), strict=True):
        number = tally.number(value)
        found[place] = found[place] + number if place in found else number
    return found


def counted(run: Callable[..., Any], *inputs: Any) -> OpCount:
    return total(recorded(run, *inputs)[1])


FUNCTIONS: dict[str, Callable[[Counting], Counting]] = {
    "relu": lambda x: maximum(x, 0.0),
    "sqrt": sqrt,
    "tanh": lambda x: transcendental(lambda value: value, x),
    "square": lambda x: x * x,
    "abs": abs,
    "deg2rad": lambda x: x * 0.017,
}


@pytest.mark.parametrize("op", FUNCTIONS)
@given(m=SIZES, n=SIZES, seed=SEEDS, pairs=st.booleans())
@settings(max_examples=8, deadline=None)
def test_functions_that_keep_zero(op: str, m: int, n: int, seed: int, pairs: bool) -> None:
    """There is one evaluation for each stored place; elements that share it are added first."""
    tally = Tally()
    x = sparse(m, n, seed=seed, pairs=pairs)
    for value in elements(x, tally).values():
        FUNCTIONS[op](value)
    assert_counted(recorded(getattr(torch, op), x)[1], tally)


def test_powers_scales_and_compressed_layouts() -> None:
    """The cube of 3 stored elements, their half, a third of them, and the relu of a compressed matrix."""
    x = torch.tensor([[1.0, 0, 2], [3, 0, 0]]).to_sparse()
    assert counted(lambda x: x**3, x) == OpCount(multiplies=2 * 3)
    assert counted(lambda x: x * 0.5, x) == OpCount(multiplies=3)
    assert counted(lambda x: 2.0 * x, x) == OpCount(multiplies=3)
    assert counted(lambda x: x * torch.tensor(2.0), x) == OpCount(multiplies=3)
    assert counted(lambda x: x / 3.0, x) == OpCount(divides=3)
    assert counted(torch.relu, x.to_sparse_csr()) == OpCount(comparisons=3)
    assert counted(lambda x: x.clone().relu_(), x) == OpCount(comparisons=3)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, n=SIZES, seed=SEEDS, alpha=st.sampled_from([1.0, 2.0]), compressed=st.booleans())
def test_sums_and_products_of_two(m: int, n: int, seed: int, alpha: float, compressed: bool) -> None:
    """Two elements are added, or multiplied, if both are stored; alpha multiplies all of the second tensor."""
    sums, products = Tally(), Tally()
    a, b = sparse(m, n, seed=seed), sparse(m, n, seed=seed + 1)
    left, right = elements(a, sums), elements(b, sums)
    for place, value in right.items():
        scaled = value if alpha == 1 else alpha * value
        left[place] = left[place] + scaled if place in left else scaled
    left, right = elements(a, products), elements(b, products)
    for place in left.keys() & right.keys():
        left[place] * right[place]
    if compressed:
        a, b = a.to_sparse_csr(), b.to_sparse_csr()
    assert_counted(recorded(lambda a, b: torch.add(a, b, alpha=alpha), a, b)[1], sums)
    assert_counted(recorded(torch.mul, a, b)[1], products)


def test_a_dense_operand() -> None:
    """A stored element is added to, or multiplied by, the dense one at its place."""
    a, x = torch.tensor([[1.0, 0, 2], [3, 0, 0]]).to_sparse(), torch.ones(2, 3)
    assert counted(torch.mul, a, x) == OpCount(multiplies=3)
    assert counted(torch.add, x, a) == OpCount(adds=3)
    assert counted(lambda x, a: x.clone().add_(a, alpha=2), x, a) == OpCount(adds=3, multiplies=3)


def test_in_place_sums_and_duplicates_are_uncounted() -> None:
    """An in-place sum overwrites how many elements met; a product of duplicates is no elementwise product."""
    spec = TensorSpec((3, 3), stored=4)
    with pytest.raises(UncountedError, match="in-place"):
        terms_of("sparse::add_", spec, spec, out=spec)
    twice = real(sparse(3, 3, pairs=True))
    with pytest.raises(UncountedError, match="coalesced"):
        terms_of("sparse::mul", twice, twice, out=twice)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, n=SIZES, seed=SEEDS)
def test_duplicates(m: int, n: int, seed: int) -> None:
    """Coalescing, and changing the layout, adds elements that share a place."""
    tally = Tally()
    x = sparse(m, n, seed=seed, pairs=True)
    elements(x, tally)
    for run in (
        lambda x: x.coalesce(),
        lambda x: x.to_dense(),
        lambda x: x.to_sparse_csr(),
    ):
        assert_counted(recorded(run, x)[1], tally)


def test_layouts_of_tensors_without_duplicates_are_movement() -> None:
    """Going to dense and back is free, except for a comparison of every value with zero."""
    x = sparse(4, 5)
    assert recorded(lambda x: x.to_dense(), x)[1] == []
    assert counted(lambda x: x.to_sparse(), torch.ones(4, 5)) == OpCount(comparisons=20)
    assert counted(lambda x: x.to_sparse_csr(), torch.ones(4, 5)) == OpCount(comparisons=20)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, n=SIZES, seed=SEEDS, dim=st.sampled_from([None, 0, 1]))
def test_sums(m: int, n: int, seed: int, dim: int | None) -> None:
    """Stored elements along the dimensions are summed; a result without any costs nothing."""
    tally = Tally()
    x = sparse(m, n, seed=seed)
    groups: dict[Any, list[Counting]] = {}
    for place, value in elements(x, tally).items():
        groups.setdefault(None if dim is None else place[1 - dim], []).append(value)
    for values in groups.values():
        summed(values)
    run = (lambda x: x.sum()) if dim is None else (lambda x: x.sum(dim))
    assert_counted(recorded(run, x)[1], tally)
    sum_of_sparse = torch.sparse.sum
    assert_counted(recorded(sum_of_sparse, x)[1] if dim is None else recorded(sum_of_sparse, x, dim)[1], tally)
    if dim is not None:
        assert_counted(recorded(lambda x: x.to_sparse_csr().sum(dim, keepdim=True), x)[1], tally)
        products = Tally()
        for values in groups.values():
            product(products.number(value.value) for value in values)
        compressed = x.to_sparse_csr()
        assert_counted(recorded(lambda x: torch._sparse_csr_prod(x, [dim], True), compressed)[1], products)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(m=SIZES, n=SIZES, seed=SEEDS, dim=st.sampled_from([0, 1]))
def test_softmax(m: int, n: int, seed: int, dim: int) -> None:
    """The softmax runs over the stored elements of each row."""
    plain, logarithmic = Tally(), Tally()
    x = sparse(m, n, seed=seed)
    for tally in (plain, logarithmic):
        rows: dict[int, list[Counting]] = {}
        for place, value in elements(x, tally).items():
            rows.setdefault(place[1 - dim], []).append(value)
        for row in rows.values():
            largest = maximum(*row)
            shifted = [value - largest for value in row]
            if tally is plain:
                exps = [exp(value) for value in shifted]
                sum_of_exps = summed(exps)
                for value in exps:
                    value / sum_of_exps
            else:
                logarithm = log(summed(exp(value) for value in shifted))
                for value in shifted:
                    value - logarithm
    assert_counted(recorded(torch.sparse.softmax, x, dim)[1], plain)
    assert_counted(recorded(torch.sparse.log_softmax, x, dim)[1], logarithmic)


def hybrid() -> torch.Tensor:
    """(4, 5) places; 3 of them store two numbers each."""
    places, slices = torch.tensor([[0, 1, 1], [2, 0, 4]]), torch.tensor([[1.0, 2], [3, 4], [5, 6]])
    return torch.sparse_coo_tensor(places, slices, (4, 5, 2)).coalesce()


def terms_of_hybrid(op: str, *args: Any, out: Any) -> OpCount:
    return total(terms_of(f"sparse::{op}", real(hybrid()), *args, out=out))


def test_hybrid_tensors() -> None:
    """Each place stores a slice; reductions may go along places, along slices, or both."""
    assert terms_of_hybrid("_sparse_sum", [0], out=None) == OpCount()
    assert terms_of_hybrid("_sparse_sum", [1], out=None) == OpCount(adds=2)
    assert terms_of_hybrid("_sparse_sum", [2], out=None) == OpCount(adds=3)
    assert terms_of_hybrid("_sparse_sum", [0, 1], out=None) == OpCount(adds=2 * 2)
    assert terms_of_hybrid("_sparse_sum", None, out=None) == OpCount(adds=5)
    row_of_two = OpCount(comparisons=1, adds=3, transcendentals=2, divides=2)
    row_of_one = OpCount(adds=1, transcendentals=1, divides=1)
    assert terms_of_hybrid("_sparse_softmax", 2, out=None) == row_of_two * 3
    assert terms_of_hybrid("_sparse_softmax", 1, out=None) == (row_of_one + row_of_two) * 2


def test_norms_and_tests() -> None:
    """The Euclidean norm of 3 stored elements, and whether any of them is not zero."""
    x = torch.tensor([[1.0, 0, 2], [3, 0, 0]]).to_sparse()
    assert counted(torch.norm, x) == OpCount(multiplies=3, adds=2, transcendentals=1)
    assert counted(torch.any, x) == OpCount(comparisons=3)


def test_stored_elements_are_not_known_on_meta() -> None:
    """A coordinate tensor stores nothing on meta; work on it is uncounted and not zero."""
    nothing = TensorSpec((3, 3), stored=0)
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("relu", (nothing,)),
        ("add", (nothing, nothing)),
        ("mul", (nothing, 2.0)),
        ("sum", (nothing,)),
        ("_coalesce", (nothing,)),
        ("to_dense", (nothing,)),
        ("_sparse_softmax", (nothing, 1)),
    ]
    for op, operands in calls:
        with pytest.raises(DataDependentError):
            count_of(f"sparse::{op}", *operands, out=nothing)
    held = TensorSpec((3, 3), stored=2)
    terms: list[Term] = list(terms_of("sparse::relu", held, out=held))
    assert total(terms) == OpCount(comparisons=2)
