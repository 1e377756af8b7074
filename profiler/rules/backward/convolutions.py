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


@gradient("aten::convolution_backward", "aten::convolution_backward_overrideable", kind="conv")
def convolution_backward(
    grad_output: TensorSpec, input: TensorSpec, weight: TensorSpec, *args: Any, out: Any
) -> Iterator[Term]:
    """The gradients for input, weight and bias that ``output_mask`` asks for; each costs the layer's macs.

    The input's gradient is the transposed convolution of ``grad_output`` (of a transposed convolution it is
    the plain one), a weight's sums over the batch and over all positions of the smaller map, and the
    bias's is a sum.
    """
    stride, padding, dilation, transposed, output_padding, groups, mask = args[-7:]
    if mask[0]:
        if transposed:
            yield summed_products(input.shape, weight.shape[1:], input, "input gradient", "input gradient")
        else:
            yield from conv_transpose(
                grad_output, weight, None, stride, padding, output_padding, groups, dilation, out=input
            )
    batch, _, *positions = (input if transposed else grad_output).shape
    if mask[1]:
        yield summed_products(weight.shape, (batch, *positions), weight, "weight gradient", "weight gradient")
    if mask[2]:
        batch, channels, *positions = grad_output.shape
        yield Term("bias gradient", (channels,), sum_of(prod((batch, *positions)), grad_output), role="bias gradient")


@gradient("aten::_slow_conv2d_backward", kind="conv")
def slow_conv2d_backward(
    grad_output: TensorSpec,
    self: TensorSpec,
    weight: TensorSpec,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    output_mask: Mask = ALL,
    *,
    out: Any,
    **_: Any,
) -> Iterator[Term]:
    """(N, C_in, *in), (C_out, C_in, *kernel) → gradients of input, weight and bias."""
    how = (stride, padding, (1, 1), False, (0, 0), 1)
    return convolution_backward(grad_output, self, weight, *how, output_mask, out=out)


@gradient("aten::mps_convolution_backward", kind="conv")
def mps_convolution_backward(
    self: TensorSpec,
    grad_output: TensorSpec,
    weight: TensorSpec,
    padding: Sizes,
    stride: Sizes,
    dilation: Sizes,
    groups: int,
    output_mask: Mask,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, C_in, *in), (C_out, C_in/groups, *kernel) → gradients of input, weight and bias."""
    how = (stride, padding, dilation, False, 0, groups)
    return convolution_backward(grad_output, self, weight, *how, output_mask, out=out)


@gradient("aten::mps_convolution_transpose_backward", kind="conv")
def mps_convolution_transpose_backward(
    self: TensorSpec,
    grad_output: TensorSpec,
    weight: TensorSpec,
    padding: Sizes,
    output_padding: Sizes,
    stride: Sizes,
    dilation: Sizes,
    groups: int,
    output_mask: Sequence[bool],
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, C_in, *in), (C_in, C_out/groups, *kernel) → gradients of input and weight."""
    how = (stride, padding, dilation, True, output_padding, groups)
    mask = (*output_mask, False)
    return convolution_backward(grad_output, self, weight, *how, mask, out=out)
