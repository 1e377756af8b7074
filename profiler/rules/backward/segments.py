"""Gradients of reductions over segments, which lie one after the other along an axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import Term, each
from profiler.rules.registry import gradient
from profiler.rules.segments import segment_lengths
from profiler.signatures import TensorSpec


@gradient("aten::_segment_reduce_backward", kind="reduction", reads=("lengths", "offsets"))
def segment_reduce_backward(
    grad: TensorSpec,
    output: TensorSpec,
    data: TensorSpec,
    reduce: str,
    *,
    lengths: TensorSpec | None = None,
    offsets: TensorSpec | None = None,
    out: TensorSpec,
    **_: Any,
) -> Iterator[Term]:
    """(*, S, †), data (*, L, †), lengths (*, S) or offsets (*, S + 1) → (*, L, †).

    A sum's gradient is copied to its segment, a mean's divided by its length before.  An extreme's goes to the values
    that are equal to it, divided by how many they are.  The lengths are data, known in a real run.  Raises
    UncountedError for products, whose gradient depends on where zeros are.
    """
    if reduce == "prod":
        raise UncountedError("aten::_segment_reduce_backward has no rule for products")
    if reduce == "sum":
        return
    of_segments = segment_lengths(lengths, offsets)
    values = data.shape[len((lengths or offsets or data).shape) :]
    if reduce in ("min", "max"):
        yield each((sum(of_segments), *values), "values", comparisons=1)
    yield each((sum(length > 0 for length in of_segments), *values), "segments", divides=1)
