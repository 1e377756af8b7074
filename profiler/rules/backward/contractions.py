"""Gradients of linear layers and matrix products.

With y = x·wᵀ + b and the gradient g of y, x has g·w, w has gᵀ·x, and b the sum of g over the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import sum_of
from profiler.rules.registry import gradient
from profiler.rules.terms import factors_kind, summed_products
from profiler.signatures import TensorSpec

Sizes = int | Sequence[int]
Mask = Sequence[bool]
"""Which gradients are requested: of the input, the weight and the bias."""

ALL = (True, True, True)


def linear_gradients(input_shape: Sequence[int], grad: TensorSpec, weight: TensorSpec, mask: Mask) -> Iterator[Term]:
    """(*, in), (*, out), (out, in) → gradients of input, weight and bias."""
    rows = grad.shape[:-1]
    if mask[0]:
        yield summed_products(input_shape, weight.shape[:1], grad, "input gradient", "input gradient")
    if mask[1]:
        yield summed_products(weight.shape, rows, grad, "weight gradient", "weight gradient")
    if mask[2]:
        yield Term("bias gradient", weight.shape[:1], sum_of(prod(rows), grad), role="bias gradient")


@gradient("aten::linear_backward", "aten::mkldnn_linear_backward", kind="linear")
def linear_backward(
    self: TensorSpec, grad_output: TensorSpec, weight: TensorSpec, output_mask: Mask, *, out: Any
) -> Iterator[Term]:
    """(*, in), (*, out), (out, in) → gradients of input, weight and bias."""
    return linear_gradients(self.shape, grad_output, weight, output_mask)


@gradient("aten::mkldnn_linear_backward_input", kind="linear")
def linear_backward_input(
    input_size: Sequence[int], grad_output: TensorSpec, weight: TensorSpec, *, out: Any
) -> Iterator[Term]:
    """(*, out), (out, in) → (*, in)."""
    return linear_gradients(tuple(input_size), grad_output, weight, (True, False, False))


@gradient("aten::mkldnn_linear_backward_weights", kind="linear")
def linear_backward_weights(
    grad_output: TensorSpec, input: TensorSpec, weight: TensorSpec, bias_defined: bool, *, out: Any
) -> Iterator[Term]:
    """(*, out), (*, in) → gradients of weight and bias."""
    return linear_gradients(input.shape, grad_output, weight, (False, True, bias_defined))


def _factors_kind(grad: TensorSpec, self: TensorSpec, other: TensorSpec, *_: Any, out: Any) -> str:
    return factors_kind(self, other, out=grad)


@gradient("aten::matmul_backward", kind=_factors_kind)
def matmul_backward(
    grad: TensorSpec, self: TensorSpec, other: TensorSpec, mask: Sequence[bool], *, out: Any
) -> Iterator[Term]:
    """(*, n, m), (*, n, k), (*, k, m) → gradients of both factors; nested tensors, whose n differ, or dense ones.

    Each of the products n·m·k is added to its place in the gradient, the first one of a place being no add.
    """
    k = self.shape[-1]
    products = OpCount(multiplies=k, adds=k, macs=k)
    for wanted, factor, what in zip(mask, (self, other), ("first factor", "second factor"), strict=True):
        if wanted:
            yield Term(f"gradient of the {what}", grad.shape, products, (k,))
            yield each(factor.shape, "first products", adds=-1)
