"""Reductions of segments; the lengths are data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import require_real
from profiler.rules.indexing import COMBINING
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec


@rule("aten::segment_reduce", kind="reduction", reads=("lengths", "offsets"))
def segment_reduce(
    data: TensorSpec,
    reduce: str,
    *,
    lengths: TensorSpec | None = None,
    offsets: TensorSpec | None = None,
    initial: Any = None,
    out: TensorSpec,
    **_: Any,
) -> Iterator[Term]:
    """(*, L, †), lengths (*, S) or offsets (*, S + 1) → (*, S, †): the values of each segment, one after the other.

    A segment of k values is combined by k − 1 operations, or k with an initial value, and a mean of at least one
    value is divided.
    """
    of_segments = segment_lengths(lengths, offsets)
    axis = len(lengths.shape if lengths is not None else offsets.shape if offsets is not None else ()) - 1
    values = data.shape[axis + 1 :]
    filled = [length for length in of_segments if length > 0]
    combinations = sum(filled) - (len(filled) if initial is None else 0)
    require_real("aten::segment_reduce", [data])
    yield Term(reduce, (combinations, *values), COMBINING.get(reduce, OpCount(adds=1)))
    if reduce == "mean":
        yield each((len(filled), *values), "means", divides=1)


def segment_lengths(lengths: TensorSpec | None, offsets: TensorSpec | None) -> list[int]:
    """The length of every segment, of all rows one after the other.

    Raises DataDependentError where the values of what gives them are not known.
    """
    if lengths is not None:
        return [length for row in _rows(lengths) for length in row]
    return [] if offsets is None else [end - start for row in _rows(offsets) for start, end in pairwise(row)]


def _rows(indices: TensorSpec) -> list[list[int]]:
    """The values of (*, L) as rows."""
    rows = [indices.values]
    for _ in indices.shape[:-1]:
        rows = [row for nested in rows for row in nested]
    return rows
