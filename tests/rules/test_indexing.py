"""Combining values by index costs one operation for each value; placing them is free."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from profiler.errors import DataDependentError
from profiler.opcount import OpCount
from profiler.rules.costs import broadcast
from profiler.rules.indexing import indexed_sizes
from profiler.signatures import TensorSpec
from tests.rules.counting import Counting, Tally, assert_counted, maximum, product, spec, sqrt, total
from tests.rules.real_tensors import real, recorded
from tests.rules.registered import assert_same_when_decomposed, count_of, kind_of, terms_of

X = spec(4, 3)


def index(*shape: int) -> TensorSpec:
    return spec(*shape, dtype="int64")


def test_scatter_adds_or_moves() -> None:
    """Placing moves data; adding costs one add for each value."""
    assert count_of("scatter", X, 0, index(2, 3), spec(2, 3), out=X) == OpCount()
    assert kind_of("scatter", X, 0, index(2, 3), spec(2, 3), out=X) == "movement"
    assert count_of("scatter", X, 0, index(2, 3), spec(2, 3), reduce="multiply", out=X) == OpCount(multiplies=6)
    assert kind_of("scatter", X, 0, index(2, 3), spec(2, 3), reduce="multiply", out=X) == "reduction"
    assert count_of("scatter_add", X, 0, index(2, 3), spec(2, 3), out=X) == OpCount(adds=6)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("sum", OpCount(adds=6)),
        ("mean", OpCount(adds=6, divides=12)),
        ("prod", OpCount(multiplies=6)),
        ("amax", OpCount(comparisons=6)),
    ],
)
def test_reduction_by_index(how: str, expected: OpCount) -> None:
    """Every value is combined with the value at its place; a mean divides every result."""
    assert count_of("scatter_reduce", X, 0, index(2, 3), spec(2, 3), how, include_self=True, out=X) == expected
    assert count_of("index_reduce", X, 0, index(2), spec(2, 3), how, out=X) == expected


def test_index_add() -> None:
    """There is an add for each value, and a multiply if alpha is not one."""
    assert count_of("index_add", X, 0, index(2), spec(2, 3), out=X) == OpCount(adds=6)
    assert count_of("index_add", X, 0, index(2), spec(2, 3), alpha=2, out=X) == OpCount(adds=6, multiplies=6)


def test_index_put() -> None:
    """x[i] = v moves data; x[i] += v adds at every indexed place, however v is broadcast."""
    assert count_of("index_put", X, [index(5)], spec(3), out=X) == OpCount()
    assert count_of("index_put", X, [index(5)], spec(3), True, out=X) == OpCount(adds=5 * 3)
    assert kind_of("index_put", X, [index(5)], spec(3), True, out=X) == "reduction"
    assert count_of("put", X, index(5), spec(5), True, out=X) == OpCount(adds=5)


@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.data())
def test_indexed_sizes(shape: list[int], data: st.DataObject) -> None:
    """The sizes are those that torch finds for the same indices."""
    x = torch.zeros(shape)
    indices: list[Any] = []
    for _ in shape[:3]:
        kind = data.draw(st.sampled_from(["slice", "vector", "matrix"]))
        sizes = {"slice": None, "vector": (2,), "matrix": (2, 1)}[kind]
        indices.append(None if sizes is None else torch.zeros(sizes, dtype=torch.long))
    assume(any(each is not None for each in indices))
    picked = torch.ops.aten.index.Tensor(x, indices)
    specs = [None if each is None else index(*each.shape) for each in indices]
    assert torch.Size(indexed_sizes(tuple(shape), specs)).numel() == picked.numel()


def test_a_mask_may_select_everything() -> None:
    """A boolean index of two dimensions indexes both of them."""
    assert indexed_sizes((4, 3, 5), [spec(4, 3, dtype="bool")]) == (12, 5)


@given(st.lists(st.sampled_from([1, 3]), max_size=3), st.lists(st.sampled_from([1, 3]), max_size=3))
def test_broadcast(a: list[int], b: list[int]) -> None:
    """Two shapes are broadcast as in torch."""
    assert broadcast(a, b) == tuple((torch.zeros(a) + torch.zeros(b)).shape)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_embedding_bag(bags: list[int], width: int, mode: int, weighted: bool) -> None:
    """Bags of looked-up rows are summed, averaged or maximized column by column."""
    weighted = weighted and mode == 0
    tally = Tally()
    for size in bags:
        rows = tally.array(size, width)
        if weighted:
            rows = [[0.5 * x for x in row] for row in rows]
        for column in zip(*rows, strict=True):
            if mode == 2:
                maximum(*column)
            else:
                summed = total(column)
                if mode == 1:
                    summed / float(size)
    weight, indices = spec(9, width, parameter=True), index(sum(bags))
    out = (spec(len(bags), width), index(0), index(0), index(0))
    samples = spec(sum(bags)) if weighted else None
    for op in ("embedding_bag", "_embedding_bag"):
        terms = terms_of(op, weight, indices, index(len(bags)), False, mode, False, samples, out=out)
        assert_counted(terms, tally)


def test_renorm() -> None:
    """Each slice takes its norm, a comparison, maxnorm / (norm + ε), and the scaling."""

    def renormalize(xs: list[Counting]) -> None:
        norm = sqrt(total(x**2 for x in xs))
        factor = 1.0 / (norm + 1e-7) if norm > 0.0 else norm
        for x in xs:
            x * factor

    tally = Tally()
    for row in tally.array(4, 3):
        renormalize(row)
    assert_counted(terms_of("renorm", X, 2, 0, 1.0, out=X), tally)
    assert_counted(terms_of("embedding_renorm_", spec(9, 3), index(4), 1.0, 2.0, out=spec(9, 3)), tally)


def test_decomposed_operators_cost_the_same() -> None:
    """Operators cost the same whole and decomposed."""
    indices = torch.zeros(2, 3, dtype=torch.long, device="meta")
    assert_same_when_decomposed(lambda w: F.embedding_bag(indices, w, mode="mean"), (5, 4))
    columns = lambda x: F.fold(F.unfold(x, 2), (3, 3), 2)  # noqa: E731
    assert_same_when_decomposed(columns, (1, 2, 3, 3))


def test_bincount() -> None:
    """There is one add for each weight; counting integers without weights is free."""
    assert count_of("bincount", index(7), spec(7), out=spec(3)) == OpCount(adds=7)
    assert not terms_of("bincount", index(7), out=index(3))


REDUCTIONS: dict[str, Callable[[list[Counting]], Any]] = {
    "sum": total,
    "prod": product,
    "max": lambda xs: maximum(*xs),
    "min": lambda xs: -maximum(*(-x for x in xs)),
    "mean": lambda xs: total(xs) / float(len(xs)),
}


@pytest.mark.slow
@pytest.mark.parametrize("reduce", REDUCTIONS)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(1, 2), st.booleans(), st.booleans())
def test_segments(reduce: str, lengths: list[int], width: int, with_initial: bool, by_offsets: bool) -> None:
    """Each segment is reduced on its own, after an initial value if there is one; an empty segment costs nothing."""
    tally = Tally()
    rows = tally.array(sum(lengths), width)
    first = tally.number(0.5)
    start, found = 0, []
    for length in lengths:
        for column in range(width):
            values = [row[column] for row in rows[start : start + length]]
            if with_initial and values:
                values = [first, *values]
            if values:
                result = REDUCTIONS[reduce](values)
                if reduce == "mean" and with_initial:
                    result = tally.number(result.value * len(values) / length)
                found.append(result.value)
        start += length
    data = torch.tensor([[x.value for x in row] for row in rows], dtype=torch.float64).reshape(-1, width)
    offsets = torch.tensor([0, *itertools.accumulate(lengths)])
    segments: dict[str, Any] = {"offsets": offsets} if by_offsets else {"lengths": torch.tensor(lengths)}
    initial = 0.5 if with_initial else None
    result, terms = recorded(partial(torch.segment_reduce, reduce=reduce, initial=initial, **segments), data)
    kept = result[torch.tensor([length > 0 for length in lengths])]
    assert torch.allclose(torch.tensor(found, dtype=kept.dtype), kept.flatten())
    assert_counted(terms, tally)


def test_segments_along_another_axis() -> None:
    """3 columns of 4 values have segments of 2 and 2, and of 1 and 3; without data the lengths are not known."""
    lengths = real([[2, 2], [1, 3]])
    found = count_of("segment_reduce", spec(2, 4, 3), "sum", lengths=lengths, axis=1, out=spec(2, 2, 3))
    assert found == OpCount(adds=(1 + 1 + 0 + 2) * 3)
    with pytest.raises(DataDependentError):
        terms_of("segment_reduce", spec(4), "sum", lengths=index(2), out=spec(2))
