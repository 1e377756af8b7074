"""Longest common subsequences, against the textbook's table of lengths."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from profiler.analysis.sequences import common


def length(first: list[str], second: list[str]) -> int:
    """The length of a longest common subsequence, cell by cell."""
    row = [0] * (len(second) + 1)
    for item in first:
        above = row
        row = [0]
        for place, other in enumerate(second):
            row.append(above[place] + 1 if item == other else max(above[place + 1], row[place]))
    return row[-1]


@pytest.mark.parametrize("kept", [1, 8, 1 << 30])
def test_it_is_common_and_the_longest(kept: int) -> None:
    """Pairs are equal items in increasing places, as many as possible, also if the table is halved for its size."""
    draw = Random(kept)
    for _ in range(300):
        first, second = (draw.choices("abc", k=draw.randint(0, 12)) for _ in range(2))
        found = common(first, second, kept)
        assert all(first[one] == second[other] for one, other in found)
        assert all(one < next_one and other < next_other for (one, other), (next_one, next_other) in pairwise(found))
        assert len(found) == length(first, second)


@pytest.mark.slow
def test_long_sequences_take_seconds() -> None:
    """20,000 items of a few types against as many in another order."""
    draw = Random(0)
    first, second = (draw.choices("abcdef", k=20_000) for _ in range(2))
    assert 10_000 < len(common(first, second)) < 20_000
