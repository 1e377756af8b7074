"""Convolutions and transposed ones.

A result that sums K products costs K multiplies and K − 1 adds; a bias adds 1.  Padded zeros count as
operands.  Source of the shapes: the operator documentation of ``torch.nn.functional``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import RELU, addition, expand
from profiler.rules.registry import rule
from profiler.rules.sizes import of_sizes
from profiler.rules.terms import bias_terms, scale_terms, summed_products
from profiler.signatures import TensorSpec

Sizes = Sequence[int] | int
"""One size for each spatial dimension, or one for all of them."""


@rule("aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution_mode", kind="conv", by_name=True)
@rule("aten::mkldnn_convolution", "aten::_nnpack_spatial_convolution", kind="conv", by_name=True)
@rule(
    "aten::_mps_convolution",
    "aten::miopen_convolution",
    "aten::miopen_depthwise_convolution",
    kind="conv",
    by_name=True,
)
@rule("aten::cudnn_convolution", kind="conv", by_name=True)  # its bias is added by an operation of its own
@rule("aten::thnn_conv2d", "aten::_slow_conv2d_forward", "aten::slow_conv_dilated2d", kind="conv", by_name=True)
@rule("aten::slow_conv3d", "aten::slow_conv3d_forward", "aten::slow_conv_dilated3d", kind="conv", by_name=True)
@rule("aten::_conv_depthwise2d", "aten::conv_depthwise3d", kind="conv", by_name=True)
def conv(input: TensorSpec, weight: TensorSpec, bias: TensorSpec | None = None, *, out: TensorSpec) -> Iterator[Term]:
    """(N, C_in, *in) or (C_in, *in), (C_out, C_in/groups, *kernel) → (N, C_out, *out) or (C_out, *out)."""
    yield summed_products(out.shape, weight.shape[1:], out)
    yield from bias_terms(bias, weight.shape[1:], out)


@rule("aten::cudnn_convolution_relu", "aten::miopen_convolution_relu", kind="conv", by_name=True)
def conv_relu(input: TensorSpec, weight: TensorSpec, bias: TensorSpec | None, *, out: TensorSpec) -> Iterator[Term]:
    """As :func:`conv`, then relu."""
    yield from conv(input, weight, bias, out=out)
    yield Term("relu", out.shape, RELU)


@rule("aten::cudnn_convolution_add_relu", "aten::miopen_convolution_add_relu", kind="conv", by_name=True)
def conv_add_relu(
    input: TensorSpec, weight: TensorSpec, alpha: float | None, bias: TensorSpec | None, *, out: TensorSpec
) -> Iterator[Term]:
    """As :func:`conv`, then + alpha·z, then relu."""
    yield from conv(input, weight, bias, out=out)
    yield from scale_terms(out.shape, 1 if alpha is None else alpha, out, "alpha")
    yield Term("sums", out.shape, addition(out, out))
    yield Term("relu", out.shape, RELU)


@rule("aten::conv_tbc", kind="conv", by_name=True)
def conv_tbc(weight: TensorSpec, bias: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """(time, N, C_in), (kernel, C_in, C_out) → (time, N, C_out)."""
    yield summed_products(out.shape, weight.shape[:2], out)
    yield from bias_terms(bias, weight.shape[:2], out)


@rule("aten::convolution", "aten::_convolution", "aten::convolution_overrideable", kind="conv", by_name=True)
def convolution(
    input: TensorSpec,
    weight: TensorSpec,
    bias: TensorSpec | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    *,
    out: TensorSpec,
) -> Iterable[Term]:
    """As :func:`conv`, or :func:`conv_transpose` where ``transposed``."""
    if transposed:
        return conv_transpose(input, weight, bias, stride, padding, dilation, out=out)
    return conv(input, weight, bias, out=out)


@rule("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d", kind="conv", by_name=True)
@rule("aten::slow_conv_transpose2d", "aten::slow_conv_transpose3d", kind="conv", by_name=True)
@rule("aten::cudnn_convolution_transpose", "aten::_mps_convolution_transpose", kind="conv", by_name=True)
@rule("aten::miopen_convolution_transpose", kind="conv", by_name=True)
def conv_transpose(
    input: TensorSpec,
    weight: TensorSpec,
    bias: TensorSpec | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C_in, *in) or (C_in, *in), (C_in, C_out/groups, *kernel) → (N, C_out, *out) or (C_out, *out).

    Every input element is multiplied by its C_out/groups · ∏ kernel weights and each product is added to
    the accumulator of its position.  Dense as a convolution is: a product that falls on the rim which
    ``padding`` cuts off costs its multiply and its add too.  Accumulators start at the bias; without one
    the first product of an output is assigned, not added, so that an output which receives no product
    (``stride`` beyond the kernel, ``output_padding``) costs nothing.  Zeros that were put around the input before
    are operands as well.
    """
    parts = (2,) if out.is_complex else ()
    contracted = (*weight.shape[1:], *parts)
    k = prod(contracted)
    # The products spread from an input element instead of meeting in an output, so each of the K is added.
    yield Term("products", (*input.shape, *parts), OpCount(multiplies=k, adds=k, macs=k), contracted)
    if bias is None and weight.shape[0] > 0:
        reached = _reached_outputs(input, weight, stride, padding, dilation, out)
        yield each((*reached, *parts), "first products", adds=-1)


def _reached_outputs(
    input: TensorSpec, weight: TensorSpec, stride: Sizes, padding: Sizes, dilation: Sizes, out: TensorSpec
) -> tuple[int, ...]:
    """``out.shape`` with each spatial size cut to the positions on which at least one product falls."""
    kernel = weight.shape[2:]
    dims = len(kernel)
    spatial = tuple(
        _reached_positions(*sizes)
        for sizes in zip(
            input.shape[-dims:],
            kernel,
            out.shape[-dims:],
            expand(stride, dims),
            expand(padding, dims),
            expand(dilation, dims),
            strict=True,
        )
    )
    return (*out.shape[:-dims], *spatial)


@of_sizes
def _reached_positions(size: int, kernel: int, out: int, stride: int, padding: int, dilation: int) -> int:
    if dilation == 1 and kernel >= stride:  # no gaps: only what output_padding adds can be out of reach
        return min(out, (size - 1) * stride + kernel - padding)
    positions = {i * stride + j * dilation - padding for i in range(size) for j in range(kernel)}
    return sum(1 for position in positions if 0 <= position < out)
