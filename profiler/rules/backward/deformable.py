"""The gradients of a deformable convolution, as torchvision's operator computes them.

Its results are sums of weights times columns, and a column is a bilinear sample of the input at a moved position, times
a mask.  Only the operands are kept for the backward pass: positions are recomputed, and samples where the gradient
of the weight or of the mask needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, contraction, each
from profiler.rules.costs import LINEAR_TAPS, interpolation_of, spread_of, sum_of, weighted_sum_of
from profiler.rules.registry import gradient
from profiler.rules.terms import summed_products
from profiler.signatures import TensorSpec

AXES = 2

SLOPE = OpCount(adds=LINEAR_TAPS, multiplies=1) + interpolation_of(LINEAR_TAPS, AXES - 1)
"""What a column's gradient gives a coordinate: two differences of neighbors, interpolated, times the gradient."""


@gradient("torchvision::_deform_conv2d_backward", kind="conv")
def deform_conv2d_backward(
    grad: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec,
    offset: TensorSpec,
    mask: TensorSpec,
    bias: TensorSpec,
    *args: Any,
    out: Sequence[TensorSpec | None],
) -> Iterator[Term]:
    """The gradients of input, weight, offset, mask and bias that are in ``out``; None means not requested.

    (N, C_out, *out), (N, C_in, H, W), (C_out, C_in/groups, *kernel), (N, 2·offset_groups·∏ kernel, *out), and a mask
    (N, offset_groups·∏ kernel, *out) where there is one.  A column's gradient sums over the channels of the results
    in its group; offsets and masks sum over the channels that share them.
    """
    *_, groups, offset_groups, use_mask = args
    for_input, for_weight, for_offset, for_mask, for_bias = (gradient is not None for gradient in out)
    for_mask = for_mask and use_mask
    batch, channels = input.shape[:2]
    places = (*weight.shape[2:], *grad.shape[-2:])
    columns, shared = (batch, channels, *places), channels // offset_groups
    if for_input or for_weight or for_offset or for_mask:
        yield each((offset.size // AXES,), "positions", adds=6)
    if for_weight or for_mask:
        yield Term("bilinear samples", columns, interpolation_of(LINEAR_TAPS, AXES))
    if for_weight:
        if use_mask:
            yield each(columns, "mask", multiplies=1)
        yield summed_products(weight.shape, (batch, *grad.shape[-2:]), grad, "weight gradient", "weight gradient")
    if for_input or for_offset or for_mask:
        yield contraction(columns, (weight.shape[0] // groups,), "column gradient")
    if use_mask and (for_input or for_offset):
        yield each(columns, "mask of gradients", multiplies=1)
    if for_input:
        yield Term("spread", columns, spread_of(LINEAR_TAPS, AXES))
    if for_offset:
        yield Term("slopes", (*columns, AXES), SLOPE)
        yield Term("sums of slopes", (batch, offset_groups, *places, AXES), sum_of(shared))
    if for_mask:
        yield Term("mask gradient", (batch, offset_groups, *places), weighted_sum_of(shared))
    if for_bias:
        yield Term(
            "bias gradient",
            grad.shape[1:2],
            sum_of(batch * grad.shape[-2] * grad.shape[-1], grad),
            role="bias gradient",
        )
