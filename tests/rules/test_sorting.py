"""The counts of sorting and searching are bounds that the reference algorithms keep."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, spec, total
from tests.rules.registered import count_of, terms_of

VALUES = st.lists(st.floats(-1, 1), min_size=1, max_size=20)


def merge_sort(xs: list[Counting]) -> list[Counting]:
    if len(xs) == 1:
        return xs
    left, right = merge_sort(xs[: len(xs) // 2]), merge_sort(xs[len(xs) // 2 :])
    merged = []
    while left and right:
        merged.append((left if left[0] <= right[0] else right).pop(0))
    return merged + left + right


def tournament(xs: list[Counting], k: int) -> list[float]:
    """The k largest by a tournament: for the next winner, only the path of the last winner is played again."""
    width = 1 << max(len(xs) - 1, 0).bit_length()
    tree: list[Counting | None] = [None] * width + [*xs] + [None] * (width - len(xs))

    def play(node: int) -> None:
        a, b = tree[2 * node], tree[2 * node + 1]
        tree[node] = b if a is None else a if b is None else (b if a < b else a)

    for node in reversed(range(1, width)):
        play(node)
    winners = []
    for _ in range(k):
        winner = tree[1]
        assert winner is not None
        winners.append(float(winner.value.real))
        node = next(i for i in range(width, 2 * width) if tree[i] is winner)
        tree[node] = None
        while node > 1:
            node //= 2
            if len(winners) < k:
                play(node)
    return winners


@given(VALUES)
def test_sorting_is_bounded_by_merge_sort(values: list[float]) -> None:
    """L·⌈log₂ L⌉ comparisons are enough for L values."""
    tally = Tally()
    ordered = merge_sort([tally.number(value) for value in values])
    assert [x.value for x in ordered] == sorted(values)
    x = spec(len(values))
    assert tally.count.comparisons <= count_of("sort", x, out=(x, x)).comparisons
    bound = len(values) * math.ceil(math.log2(len(values)))
    assert count_of("sort", x, out=(x, x)) == OpCount(comparisons=bound)


@given(VALUES, st.data())
def test_selection_is_bounded_by_a_tournament(values: list[float], data: st.DataObject) -> None:
    """L − 1 comparisons find the largest, and ⌈log₂ L⌉ each one after it."""
    k = data.draw(st.integers(1, len(values)))
    tally = Tally()
    assert tournament([tally.number(value) for value in values], k) == sorted(values, reverse=True)[:k]
    x, out = spec(len(values)), spec(k)
    cost = count_of("topk", x, k, out=(out, out))
    assert tally.count.comparisons <= cost.comparisons
    assert count_of("topk", x, 1, out=(out, out)) == OpCount(comparisons=len(values) - 1)
    assert count_of("kthvalue", x, k, out=(spec(), spec())) == cost


def test_each_row_is_sorted_separately() -> None:
    """(3, 8) along its first dimension: 8 rows of 3; along its last: 3 rows of 8."""
    x = spec(3, 8)
    assert count_of("sort", x, 0, True, out=(x, x)) == OpCount(comparisons=8 * 3 * 2)
    assert count_of("sort", x, stable=True, dim=-1, out=(x, x)) == OpCount(comparisons=3 * 8 * 3)
    assert count_of("argsort", x, -1, out=x) == OpCount(comparisons=3 * 8 * 3)
    assert count_of("msort", x, out=x) == OpCount(comparisons=8 * 3 * 2)


def test_median_and_mode() -> None:
    """The median of 8 is its 4th smallest; a mode sorts and compares neighbors."""
    x = spec(2, 8)
    assert count_of("median", x, 1, out=(spec(2), spec(2))) == OpCount(comparisons=2 * (7 + 3 * 3))
    assert count_of("median", spec(8), out=spec()) == OpCount(comparisons=7 + 3 * 3)
    assert count_of("mode", x, out=(spec(2), spec(2))) == OpCount(comparisons=2 * (8 * 3 + 7))


def test_unique() -> None:
    """Distinct values are sorted and compared with their neighbors; distinct rows are compared value by value."""
    x = spec(4, 2)
    assert count_of("_unique2", x, True, out=(x, x, x)) == OpCount(comparisons=8 * 3 + 7)
    assert count_of("unique_consecutive", x, out=(x, x, x)) == OpCount(comparisons=7)
    assert count_of("unique_dim", x, 0, out=(x, x, x)) == OpCount(comparisons=2 * (4 * 2 + 3))
    assert count_of("unique_dim_consecutive", x, 0, out=(x, x, x)) == OpCount(comparisons=2 * 3)


@given(st.lists(st.floats(-1, 1), max_size=20).map(sorted), st.floats(-1, 1))
def test_searching_is_bounded_by_halving(values: list[float], wanted: float) -> None:
    """⌈log₂(L + 1)⌉ comparisons find a place among L sorted values."""
    tally = Tally()
    xs = [tally.number(value) for value in values]
    low, high = 0, len(xs)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if xs[middle] < wanted else (low, middle)
    bound = count_of("searchsorted", spec(len(xs)), spec(1), out=spec(1, dtype="int64")).comparisons
    assert tally.count.comparisons <= bound <= len(xs)
    assert count_of("bucketize", spec(5, 2), spec(7), out=spec(5, 2)) == OpCount(comparisons=5 * 2 * 3)


def test_membership_and_histogram() -> None:
    """Every element meets every candidate; a bin takes a scaled difference within two bounds, and a count."""
    assert count_of("isin", spec(3), spec(4), out=spec(3)) == OpCount(comparisons=3 * 4)
    inside = OpCount(multiplies=6, adds=6 * 2, divides=6, comparisons=6 * 2)
    assert count_of("histc", spec(6), 10, 0, 1, out=spec(10)) == inside
    assert count_of("histc", spec(6), 10, out=spec(10)) == inside + OpCount(comparisons=2 * 5)


def histogram(xs: list[Counting], edges: int, weights: list[Counting] | None, density: bool, ranged: bool) -> None:
    """Evenly spaced bins: the distance of each value in the range from the lower end, divided by the width of a bin."""
    low, high = xs[0], xs[0]
    if not ranged:
        for x in xs[1:]:
            low, high = (x if x < low else low), (x if x > high else high)
    places = []
    for x in xs:
        assert isinstance((x < -2.0) | (x > 2.0), bool)
        places.append(math.floor((x - low) * float(edges) / (high - low)) if high.value != low.value else 0)
    fill(xs[0].tally, places, [edges], weights, density)


def fill(tally: Tally, places: list[int], bins: list[int], weights: list[Counting] | None, density: bool) -> None:
    """The sums of weights in their bins; a density divides by the total and by the width of the bin on each axis."""
    hist = [tally.number(1.0) for _ in range(math.prod(bins))]
    if weights is not None:
        for place, weight in zip(places, weights, strict=True):
            hist[place % len(hist)] = hist[place % len(hist)] + weight
    if density:
        whole = total(hist)
        widths = [[tally.number(2.0) - tally.number(1.0) for _ in range(number)] for number in bins]
        for value in hist:
            density_of = value / whole
            for axis in widths:
                density_of = density_of / axis[0]


@given(st.integers(2, 9), st.integers(1, 4), st.booleans(), st.booleans(), st.booleans())
def test_histograms(n: int, bins: int, weighted: bool, density: bool, ranged: bool) -> None:
    """The range is found if it is not given, each value goes into its bin, and weights are added there."""
    tally = Tally()
    xs, weights = tally.array(n), tally.array(n, seed=1) if weighted else None
    if ranged:
        # the width of a given range is computed for each value, like that of a range that is found
        low, high = tally.number(-1.0), tally.number(1.0)
        for x in xs:
            assert isinstance((x < low) | (x > high), bool)
            (x - low) * float(bins) / (high - low)
        fill(tally, list(range(n)), [bins], weights, density)
    else:
        histogram(xs, bins, weights, density, ranged=False)
    options = {"range": [-1.0, 1.0] if ranged else None, "weight": spec(n) if weighted else None, "density": density}
    out = (spec(bins), spec(bins + 1))
    assert_counted(terms_of("histogram", spec(n), bins, **options, out=out), tally)


def test_histograms_by_given_edges_and_in_several_dimensions() -> None:
    """A search among L edges takes ⌈log₂(L + 1)⌉ comparisons; every axis has its own edges and widths."""
    searched = count_of("histogram", spec(20), spec(4), out=(spec(3), spec(4)))
    assert searched == OpCount(comparisons=20 * 3)
    x, out = spec(20, 2), spec(3, 4)
    bin_of = OpCount(multiplies=1, adds=2, divides=1, comparisons=2)
    edges = count_of("_histogramdd_bin_edges", x, [3, 4], out=[spec(4), spec(5)])
    assert edges == OpCount(comparisons=2 * 2 * 19)
    assert count_of("_histogramdd_from_bin_cts", x, [3, 4], out=out) == edges + bin_of * (20 * 2)
    given_range = count_of("_histogramdd_from_bin_cts", x, [3, 4], range=[0.0, 1, 0, 1], out=out)
    assert given_range == bin_of * (20 * 2)
    density = OpCount(adds=11 + 3 + 4, divides=3 * 12)
    found = count_of("_histogramdd_from_bin_cts", x, [3, 4], range=[0.0, 1, 0, 1], density=True, out=out)
    assert found == given_range + density
    tensors = [spec(4), spec(5)]
    searched = count_of("_histogramdd_from_bin_tensors", x, tensors, weight=spec(20), out=out)
    assert searched == OpCount(comparisons=20 * 3 + 20 * 3, adds=20)
