"""Sorting, selecting and searching, in comparisons.

How many comparisons really happen depends on the values and the algorithm, so these are stated bounds:
sorting L values is L·⌈log₂ L⌉ (no merge sort needs more); selecting the k largest is L − 1 for the first and
⌈log₂ L⌉ for each of the others (a tournament); finding a place among L sorted values is ⌈log₂(L + 1)⌉.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import Sizes, size_of, split_sizes, sum_of
from profiler.rules.registry import rule
from profiler.rules.sizes import ceil_log2, is_positive
from profiler.signatures import TensorSpec


def sorting_of(k: int) -> OpCount:
    """Sorting k values."""
    return OpCount(comparisons=k * ceil_log2(k))


def selection_of(chosen: int, k: int) -> OpCount:
    """Finding the ``chosen`` largest of k values."""
    if not (is_positive(chosen) and is_positive(k - chosen + 1)):
        return OpCount()
    return OpCount(comparisons=k - 1 + (chosen - 1) * ceil_log2(k))


def _rows(input: TensorSpec, dim: int) -> tuple[Sizes, int]:
    kept, (k,) = split_sizes(input.shape or (1,), dim)
    return kept, k


@rule("aten::sort", "aten::argsort", kind="sort")
def sort(input: TensorSpec, *dims: Any, dim: int = -1, out: Any, **_: Any) -> Iterator[Term]:
    """(*, L) → the same, and indices: every row along ``dim``."""
    rows, k = _rows(input, dims[0] if dims else dim)
    yield Term("rows", rows, sorting_of(k))


@rule("aten::msort", kind="sort")
def msort(input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(L, *) → the same: sorted along the first dimension."""
    return sort(input, 0, out=out)


@rule("aten::topk", kind="sort")
def topk(input: TensorSpec, k: int, dim: int = -1, *_: Any, out: Any) -> Iterator[Term]:
    """(*, L) → (*, k), and indices."""
    rows, length = _rows(input, dim)
    yield Term("rows", rows, selection_of(k, length))


@rule("aten::kthvalue", kind="sort")
def kthvalue(input: TensorSpec, k: int, dim: int = -1, *_: Any, out: Any) -> Iterator[Term]:
    """(*, L) → (*), and indices: the last of the k smallest."""
    return topk(input, k, dim, out=out)


@rule("aten::median", "aten::nanmedian", kind="sort")
def median(input: TensorSpec, dim: int | None = None, *_: Any, out: Any) -> Iterator[Term]:
    """(*, L) → (*): the value at place ⌊(L + 1)/2⌋, of all values where no dimension is given."""
    rows, reduced = split_sizes(input.shape, dim)
    k = size_of(reduced)
    yield Term("rows", rows, selection_of((k + 1) // 2, k))


@rule("aten::mode", kind="sort")
def mode(input: TensorSpec, dim: int = -1, *_: Any, out: Any) -> Iterator[Term]:
    """(*, L) → (*): the rows are sorted and neighbors compared."""
    rows, k = _rows(input, dim)
    yield Term("rows", rows, sorting_of(k))
    yield each((*rows, k - 1 if k > 0 else 0), "neighbors", comparisons=1)


@rule("aten::_unique", "aten::_unique2", kind="sort")
def unique(input: TensorSpec, *_: Any, out: Any, **__: Any) -> Iterator[Term]:
    """(*) → the distinct values: all are sorted and neighbors compared."""
    yield Term("sort", (), sorting_of(input.size))
    yield from unique_consecutive(input, out=out)


@rule("aten::unique_consecutive", kind="sort")
def unique_consecutive(
    input: TensorSpec, inverse: bool = False, counts: bool = False, dim: int | None = None, *, out: Any
) -> Iterator[Term]:
    """(*) → runs of equal values: neighbors, or neighboring slices along ``dim``, are compared."""
    slices, values = (input.size, 1) if dim is None else _slices(input, dim)
    yield each((slices - 1 if slices > 0 else 0, values), "neighbors", comparisons=1)


@rule("aten::unique_dim", kind="sort")
def unique_dim(input: TensorSpec, dim: int, *_: Any, out: Any) -> Iterator[Term]:
    """(*, L, *) → its distinct slices: sorted and neighbors compared, value by value to the last."""
    slices, values = _slices(input, dim)
    yield Term("sort", (values,), sorting_of(slices))
    yield from unique_consecutive(input, dim=dim, out=out)


@rule("aten::unique_dim_consecutive", kind="sort")
def unique_dim_consecutive(input: TensorSpec, dim: int, *_: Any, out: Any) -> Iterator[Term]:
    """(*, L, *) → runs of equal slices."""
    return unique_consecutive(input, dim=dim, out=out)


def _slices(input: TensorSpec, dim: int) -> tuple[int, int]:
    """The number of slices along ``dim`` and the number of values in one."""
    others, (slices,) = split_sizes(input.shape, dim)
    return slices, size_of(others)


@rule("aten::searchsorted", kind="sort")
def searchsorted(sorted_sequence: TensorSpec, values: Any, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, L), (*, V) → (*, V): a binary search for each value."""
    yield each(out.shape, "searches", comparisons=ceil_log2(sorted_sequence.shape[-1] + 1))


@rule("aten::bucketize", kind="sort")
def bucketize(values: Any, boundaries: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*), (L) → (*): a binary search for each value."""
    return searchsorted(boundaries, values, out=out)


@rule("aten::isin", kind="sort")
def isin(elements: Any, test_elements: Any, *, out: TensorSpec, **_: Any) -> Iterator[Term]:
    """(*), (T) → (*): every element against every one to be found."""
    tests = test_elements.size if isinstance(test_elements, TensorSpec) else 1
    yield each((*out.shape, tests), "tests", comparisons=1)


BIN = OpCount(multiplies=1, adds=2, divides=1, comparisons=2)
"""⌊(x − min)·bins/(max − min)⌋ of a value inside the range."""


def range_of(k: int) -> OpCount:
    """The least and the largest of k values."""
    return OpCount(comparisons=2 * (k - 1)) if k > 0 else OpCount()


@rule("aten::histc", kind="sort")
def histc(input: TensorSpec, bins: int = 100, min: float = 0, max: float = 0, *, out: TensorSpec) -> Iterator[Term]:
    """(*) → (bins): the bin of each value; the range is found if not given."""
    if min == max:
        yield Term("range", (), range_of(input.size))
    yield Term("bins", input.shape, BIN)


@rule("aten::histogram", kind="sort")
def histogram(
    input: TensorSpec,
    bins: int | TensorSpec = 100,
    *,
    range: Sequence[float] | None = None,
    weight: TensorSpec | None = None,
    density: bool = False,
    out: tuple[TensorSpec, TensorSpec],
) -> Iterator[Term]:
    """(*) → (bins), and their edges, which are evenly spaced or given; a search for each value where they are."""
    if isinstance(bins, TensorSpec):
        yield each(input.shape, "searches", comparisons=ceil_log2(bins.size + 1))
    else:
        if range is None:
            yield Term("range", (), range_of(input.size))
        yield Term("bins", input.shape, BIN)
    yield from _filled(weight, density, out[0], out[1].size - 1)


@rule("aten::_histogramdd_bin_edges", kind="sort")
def histogramdd_edges(
    input: TensorSpec, bins: Sequence[int], *, range: Sequence[float] | None = None, out: Any, **_: Any
) -> Iterator[Term]:
    """(N, D) → D evenly spaced edges; the range of each coordinate is found if not given."""
    if not range:
        yield Term("ranges", input.shape[-1:], range_of(_points(input)))


@rule("aten::_histogramdd_from_bin_cts", kind="sort")
def histogramdd_counted(
    input: TensorSpec,
    bins: Sequence[int],
    *,
    range: Sequence[float] | None = None,
    weight: TensorSpec | None = None,
    density: bool = False,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, D) → a histogram in D dimensions: the bin of each coordinate."""
    if not range:
        yield Term("ranges", input.shape[-1:], range_of(_points(input)))
    yield Term("bins", input.shape, BIN)
    yield from _filled(weight, density, out, sum(bins))


@rule("aten::_histogramdd_from_bin_tensors", kind="sort")
def histogramdd_searched(
    input: TensorSpec,
    bins: Sequence[TensorSpec],
    *,
    weight: TensorSpec | None = None,
    density: bool = False,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, D) → a histogram in D dimensions: a search among the edges for each coordinate."""
    for edges in bins:
        yield each(input.shape[:-1], "searches", comparisons=ceil_log2(edges.size + 1))
    yield from _filled(weight, density, out, sum(edges.size - 1 for edges in bins))


def _points(input: TensorSpec) -> int:
    return size_of(input.shape[:-1])


def _filled(weight: TensorSpec | None, density: bool, hist: TensorSpec, widths: int) -> Iterator[Term]:
    """The weights put into their bins; a density divides each bin by the sum of all, then by its width along each axis.

    Without weights the bins are counted up, which is work on integers.
    """
    if weight is not None:
        yield each(weight.shape, "weights", adds=1)
    if density:
        yield Term("sum", (), sum_of(hist.size))
        yield each((widths,), "widths", adds=1)
        yield each(hist.shape, "densities", divides=1 + len(hist.shape))
