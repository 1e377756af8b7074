"""Two sequences → a longest common subsequence of them.

The sequences are rows of a table of bits, so 64 cells are computed in one step; 20,000 items against 20,000 others
take less than a second.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

BITS_KEPT = 1 << 30
"""The maximum number of cells that are kept at a time, 128 MiB; longer sequences are halved first."""

Pairs = list[tuple[int, int]]


def common(first: Sequence[Hashable], second: Sequence[Hashable], bits_kept: int = BITS_KEPT) -> Pairs:
    """A longest common subsequence: pairs of places with equal items, both increasing.

    Items at the beginning and at the end that are equal are always paired.
    """
    found: Pairs = []
    waiting = [(0, len(first), 0, len(second))]
    while waiting:
        start, end, other, other_end = waiting.pop()
        while start < end and other < other_end and first[start] == second[other]:
            found.append((start, other))
            start, other = start + 1, other + 1
        while start < end and other < other_end and first[end - 1] == second[other_end - 1]:
            end, other_end = end - 1, other_end - 1
            found.append((end, other_end))
        if start == end or other == other_end:
            continue
        if (end - start) * (other_end - other) <= bits_kept or end - start == 1:
            pairs = _paired(first[start:end], second[other:other_end])
            found += [(start + place, other + at) for place, at in pairs]
        else:
            half = (start + end) // 2
            split = other + _best_split(first[start:half], first[half:end], second[other:other_end])
            waiting += [(half, end, split, other_end), (start, half, other, split)]
    return sorted(found)


def _paired(first: Sequence[Hashable], second: Sequence[Hashable]) -> Pairs:
    """The common subsequence, found by going back through all rows of the table."""
    rows = list(_rows(first, second))
    found: Pairs = []
    place, other = len(first), len(second)
    while place and other:
        if rows[place] >> (other - 1) & 1:
            other -= 1
            continue
        place -= 1
        if rows[place] >> (other - 1) & 1:
            other -= 1
            found.append((place, other))
    return found


def _rows(first: Iterable[Hashable], second: Sequence[Hashable]) -> Iterator[int]:
    """For no items of ``first``, then for one more each time: a number whose bit ``i`` is 0 if the longest common
    subsequence with the first ``i + 1`` items of ``second`` is longer than that with its first ``i`` (Hyyrö 2004).
    """
    places: dict[Hashable, int] = {}
    for place, item in enumerate(second):
        places[item] = places.get(item, 0) | 1 << place
    every = (1 << len(second)) - 1
    row = every
    yield row
    for item in first:
        equal = row & places.get(item, 0)
        row = (row + equal | row - equal) & every
        yield row


def _best_split(upper: Sequence[Hashable], lower: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Where to split ``second`` so that its halves have the most in common with ``upper`` and ``lower`` together."""
    above = _lengths(upper, second)
    below = _lengths(lower[::-1], second[::-1])[::-1]
    sums = [one + two for one, two in zip(above, below, strict=True)]
    return sums.index(max(sums))


def _lengths(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[int]:
    """The lengths of the longest common subsequences of ``first`` and each beginning of ``second``."""
    *_, last = _rows(first, second)
    lengths = [0]
    for bit in reversed(f"{last:0{len(second)}b}" if second else ""):
        lengths.append(lengths[-1] + (bit == "0"))
    return lengths
