"""Gradients of convolutions: of a result's gradient g, the input has what g spreads, a weight sums over positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from profiler.opcount import Term
from profiler.rules.backward.contractions import ALL, Mask
from profiler.rules.convolutions import Sizes, conv_transpose
from profiler.rules.costs import sum_of
from profiler.rules.registry import gradient
from profiler.rules.terms import summed_products
from profiler.signatures import TensorSpec


@gradient("aten::convolution_backward", "aten::convolution_backward_overrideable", kind="conv", by_name=True)
@gradient("aten::_slow_conv2d_backward", "aten::mps_convolution_backward", kind="conv", by_name=True)
def convolution_backward(
    grad_output: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes = 1,
    transposed: bool = False,
    output_mask: Mask = ALL,
    *,
    out: Any,
) -> Iterator[Term]:
    """The gradients for input, weight and bias that ``output_mask`` requests; each costs the layer's macs.

    The input's gradient is the transposed convolution of ``grad_output`` (of a transposed convolution it is
    the plain one), a weight's sums over the batch and over all positions of the smaller map, and the
    bias's is a sum.
    """
    if output_mask[0]:
        if transposed:
            yield summed_products(input.shape, weight.shape[1:], input, "input gradient", "input gradient")
        else:
            yield from conv_transpose(grad_output, weight, None, stride, padding, dilation, out=input)
    batch, _, *positions = (input if transposed else grad_output).shape
    if output_mask[1]:
        yield summed_products(weight.shape, (batch, *positions), weight, "weight gradient", "weight gradient")
    if output_mask[2]:
        batch, channels, *positions = grad_output.shape
        yield Term("bias gradient", (channels,), sum_of(prod((batch, *positions)), grad_output), role="bias gradient")


@gradient("aten::mps_convolution_transpose_backward", kind="conv", by_name=True)
def convolution_transpose_backward(
    grad_output: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    output_mask: Sequence[bool],
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, C_in, *in), (C_in, C_out/groups, *kernel) → gradients of input and weight."""
    mask = (*output_mask, False)
    return convolution_backward(grad_output, input, weight, stride, padding, dilation, True, mask, out=out)
