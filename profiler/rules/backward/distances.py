"""Gradients of the distances between rows, ‖x − y‖ₚ; g is the gradient of a distance D.

With d = x − y a row x has, from each other row, g·sgn(d) for p = 1, d·(g/D) for p = 2, g·sgn(d) where |d| is D for
p = ∞, else sgn(d)·|d|ᵖ⁻¹·(g/Dᵖ⁻¹), which for p > 2 is d·|d|ᵖ⁻²·(g/Dᵖ⁻¹).  A distance of zero has none, nor has p = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from profiler.opcount import OpCount, Term
from profiler.rules.costs import power, require_real, sum_of
from profiler.rules.registry import gradient
from profiler.signatures import TensorSpec

DIFFERENCE = OpCount(adds=1)


def pair_gradient(p: float) -> tuple[OpCount, OpCount]:
    """What the gradient of one distance costs: once, and for each coordinate, its difference included."""
    if p == 0:
        return OpCount(), OpCount()
    if p == 1:
        return OpCount(), DIFFERENCE + OpCount(multiplies=1)
    if p == float("inf"):
        return OpCount(), DIFFERENCE + OpCount(multiplies=1, comparisons=1)
    once = power(1.0, p - 1) + OpCount(divides=1, comparisons=1)
    if p == 2:
        return once, DIFFERENCE + OpCount(multiplies=1)
    if p > 2:
        return once, DIFFERENCE + power(1.0, p - 2) + OpCount(multiplies=2)
    zero_difference = OpCount(comparisons=int(p < 1))
    return once, DIFFERENCE + zero_difference + power(1.0, p - 1) + OpCount(multiplies=2)


@gradient("aten::_cdist_backward", kind="reduction")
def cdist_backward(
    grad: TensorSpec, x1: TensorSpec, x2: TensorSpec, p: float, cdist: TensorSpec, *, out: TensorSpec
) -> Iterator[Term]:
    """(*, P, R), (*, P, M), (*, R, M) → the gradient of the first rows, (*, P, M): each a sum over the R others."""
    require_real("aten::_cdist_backward", [grad, x1, x2])
    if p == 0:
        return
    once, coordinate = pair_gradient(p)
    yield Term("distances", grad.shape, once)
    yield Term("differences", (*grad.shape, x1.shape[-1]), coordinate)
    yield Term("sums", out.shape, sum_of(grad.shape[-1]))


@gradient("aten::_pdist_backward", kind="reduction")
def pdist_backward(
    grad: TensorSpec, self: TensorSpec, p: float, pdist: TensorSpec, *, out: TensorSpec
) -> Iterator[Term]:
    """(N·(N − 1)/2,), (N, M) → (N, M): each pair's is added to one row, subtracted from the other."""
    require_real("aten::_pdist_backward", [grad, self])
    if p == 0:
        return
    once, coordinate = pair_gradient(p)
    yield Term("distances", grad.shape, once)
    yield Term("differences", (*grad.shape, *self.shape[1:]), coordinate)
    yield Term("sums", self.shape, sum_of(self.shape[0] - 1 if prod(self.shape) else 0))
