"""Contractions: convolutions, linear layers and matrix products.

A result that sums K products costs K multiplies and K − 1 adds; a bias adds 1.  Padded zeros count as
operands.  Source of the shapes: the operator documentation of ``torch.nn.functional``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

from profiler.opcount import OpCount, Term, contraction, each
from profiler.records import TensorSpec
from profiler.rules.registry import rule

Scalar = int | float | complex
Sizes = Sequence[int] | int
"""One size for each spatial dimension, or one for all of them."""


def linear_or_matmul(*operands: Any, out: TensorSpec, **_: Any) -> str:
    """``linear`` where an operand is a parameter, ``matmul`` where all are activations."""
    weights = any(isinstance(operand, TensorSpec) and operand.parameter for operand in operands)
    return "linear" if weights else "matmul"


def added_product_kind(input: TensorSpec, *factors: Any, out: TensorSpec, **_: Any) -> str:
    """As :func:`linear_or_matmul`, where what the product is added to is no operand of it."""
    return linear_or_matmul(*factors, out=out)


def summed_products(outputs: Sequence[int], contracted: Sequence[int], out: TensorSpec, what: str = "products") -> Term:
    """``outputs`` results, each the sum of ∏ ``contracted`` products; complex ones where ``out`` is complex.

    A complex result of K products is two real ones of 2K products each, so that it costs 4K multiplies,
    4K − 2 adds and 4K macs.
    """
    if out.is_complex:
        return contraction((*outputs, 2), (*contracted, 2), what)
    return contraction(outputs, contracted, what)


def added(outputs: Sequence[int], out: TensorSpec, what: str) -> Term:
    """One add a result; two where it is complex."""
    return each((*outputs, 2) if out.is_complex else outputs, what, adds=1)


def scaled(outputs: Sequence[int], factor: Scalar, out: TensorSpec, what: str) -> Iterator[Term]:
    """One multiply a result by ``factor``, nothing where that is 1."""
    if factor == 1:
        return
    if isinstance(factor, complex):
        yield each(outputs, what, multiplies=4, adds=2)
    else:
        yield each((*outputs, 2) if out.is_complex else outputs, what, multiplies=1)


def bias_terms(bias: TensorSpec | None, out: TensorSpec) -> Iterator[Term]:
    """One add a result where there is a bias."""
    if bias is not None:
        yield added(out.shape, out, "bias")


def added_product_terms(
    factor_sizes: Sequence[int], out: TensorSpec, beta: Scalar, alpha: Scalar, what: str = "products"
) -> Iterator[Term]:
    """``beta·input + alpha·product``, where the product contracts ``factor_sizes``.

    Scaling and adding are done once for each result, also where ``input`` is broadcast; a ``beta`` of 0
    leaves ``input`` out.
    """
    yield summed_products(out.shape, factor_sizes, out, what)
    yield from scaled(out.shape, alpha, out, "alpha")
    if beta != 0:
        yield from scaled(out.shape, beta, out, "beta")
        yield added(out.shape, out, "bias")


# Linear layers and matrix products


@rule("aten::linear", kind=linear_or_matmul)
def linear(input: TensorSpec, weight: TensorSpec, bias: TensorSpec | None = None, *, out: TensorSpec) -> Iterator[Term]:
    """(*, in), (out, in) or (in,) → (*, out) or (*)."""
    yield summed_products(out.shape, weight.shape[-1:], out)
    yield from bias_terms(bias, out)


@rule("aten::matmul", "aten::mm", "aten::bmm", kind=linear_or_matmul)
def matmul(self: TensorSpec, other: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*, n, k) or (k,), (*, k, m) or (k,) → (*, n, m), (*, n), (*, m) or (); further arguments are dtypes."""
    yield summed_products(out.shape, self.shape[-1:], out)


@rule("aten::addmm", "aten::baddbmm", kind=added_product_kind)
def addmm(
    self: TensorSpec,
    mat1: TensorSpec,
    mat2: TensorSpec,
    *_: Any,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: TensorSpec,
) -> Iterator[Term]:
    """input, (*, n, k), (*, k, m) → (*, n, m), by beta·input + alpha·(mat1 @ mat2)."""
    yield from added_product_terms(mat1.shape[-1:], out, beta, alpha)


# Convolutions


@rule("aten::conv1d", "aten::conv2d", "aten::conv3d", kind="conv")
def conv(
    input: TensorSpec, weight: TensorSpec, bias: TensorSpec | None = None, *_: Any, out: TensorSpec, **__: Any
) -> Iterator[Term]:
    """(N, C_in, *in) or (C_in, *in), (C_out, C_in/groups, *kernel) → (N, C_out, *out) or (C_out, *out)."""
    yield summed_products(out.shape, weight.shape[1:], out)
    yield from bias_terms(bias, out)


@rule("aten::convolution", "aten::_convolution", kind="conv")
def convolution(
    input: TensorSpec,
    weight: TensorSpec,
    bias: TensorSpec | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
    *_: Any,
    out: TensorSpec,
) -> Iterable[Term]:
    """As :func:`conv`, or :func:`conv_transpose` where ``transposed``; further arguments pick a kernel."""
    if transposed:
        return conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation, out=out)
    return conv(input, weight, bias, out=out)


@rule("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d", kind="conv")
def conv_transpose(
    input: TensorSpec,
    weight: TensorSpec,
    bias: TensorSpec | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C_in, *in) or (C_in, *in), (C_in, C_out/groups, *kernel) → (N, C_out, *out) or (C_out, *out).

    Every input element is multiplied by its C_out/groups · ∏ kernel weights and each product is added to
    the accumulator of its position.  Dense as a convolution is: a product that falls on the rim which
    ``padding`` cuts off costs its multiply and its add too.  Accumulators start at the bias; without one
    the first product of an output is assigned, not added, so that an output which receives no product
    (``stride`` beyond the kernel, ``output_padding``) costs nothing.
    """
    parts = (2,) if out.is_complex else ()
    contracted = (*weight.shape[1:], *parts)
    k = prod(contracted)
    # The products spread from an input element instead of meeting in an output, so each of the K is added.
    yield Term("products", (*input.shape, *parts), OpCount(multiplies=k, adds=k, macs=k), contracted)
    if bias is None:
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
            per_dimension(stride, dims),
            per_dimension(padding, dims),
            per_dimension(dilation, dims),
            strict=True,
        )
    )
    return (*out.shape[:-dims], *spatial)


def _reached_positions(size: int, kernel: int, out: int, stride: int, padding: int, dilation: int) -> int:
    if dilation == 1 and kernel >= stride:  # no gaps: only what output_padding adds can be out of reach
        return min(out, (size - 1) * stride + kernel - padding)
    positions = {i * stride + j * dilation - padding for i in range(size) for j in range(kernel)}
    return sum(1 for position in positions if 0 <= position < out)


def per_dimension(sizes: Sizes, dims: int) -> tuple[int, ...]:
    """One size for each of ``dims`` dimensions; a single one stands for all."""
    if isinstance(sizes, Sequence):
        return tuple(sizes) if len(sizes) == dims else tuple(sizes) * dims
    return (sizes,) * dims
