"""Distances between rows, by their definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import ZERO, OpCount, Term
from profiler.rules.costs import largest_of, power, sum_of
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec


def distance_of(m: int, p: float) -> OpCount:
    """The p-norm of the difference of two points with m coordinates.

    p = 2 squares and takes a root; 0 counts the coordinates that differ, 1 adds their distances and ∞ takes
    the largest, all without powers or roots; any other p takes m powers and a root of its own.
    """
    if m == 0:
        return ZERO
    if p == 0:
        return OpCount(comparisons=m) + sum_of(m)
    if p == float("inf"):
        return OpCount(adds=m) + largest_of(m)
    root = OpCount(transcendentals=0 if p == 1 else 1)
    return OpCount(adds=m) + power(None, p) * m + sum_of(m) + root


@rule("aten::cdist", "aten::_cdist_forward", kind="reduction")
def cdist(x1: TensorSpec, x2: TensorSpec, p: float = 2, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, P, m), (*, R, m) → (*, P, R), by the definition, also where a kernel uses a matrix product."""
    yield Term("distances", out.shape, distance_of(x1.shape[-1], p))


@rule("aten::_euclidean_dist", kind="reduction")
def euclidean_dist(x1: TensorSpec, x2: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """As :func:`cdist` with p = 2."""
    yield from cdist(x1, x2, out=out)


@rule("aten::pdist", "aten::_pdist_forward", kind="reduction")
def pdist(self: TensorSpec, p: float = 2, *, out: TensorSpec) -> Iterator[Term]:
    """(n, m) → (n·(n − 1)/2,): the distance of each pair."""
    yield Term("distances", out.shape, distance_of(self.shape[-1], p))
