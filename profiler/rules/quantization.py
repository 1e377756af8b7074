"""Quantisation: to integers and back, as q = clamp(round(x / scale) + zero, low, high) and (q − zero)·scale.

Rounding is free.  Fake quantisation is the one followed by the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, contraction, each
from profiler.records import TensorSpec
from profiler.rules.costs import first, largest_of
from profiler.rules.registry import rule

QUANTIZE = OpCount(divides=1, adds=1, comparisons=2)
DEQUANTIZE = OpCount(adds=1, multiplies=1)


@rule("aten::quantize_per_tensor", "aten::quantize_per_channel", kind="elementwise")
def quantize(input: TensorSpec | Sequence[TensorSpec], *_: Any, out: Any) -> Iterator[Term]:
    """(*) → (*) of integers, for one tensor or a list of them."""
    for tensor in [input] if isinstance(input, TensorSpec) else input:
        yield Term("quantise", tensor.shape, QUANTIZE)


@rule("aten::quantize_per_tensor_dynamic", kind="elementwise")
def quantize_dynamic(input: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*) → (*) of integers: the least and the largest value give scale = (high − low)/range and zero = −low/scale."""
    yield Term("range", (), largest_of(input.size) * 2 + OpCount(adds=1, divides=2))
    yield Term("quantise", input.shape, QUANTIZE)


@rule("aten::dequantize", kind="elementwise")
def dequantize(input: TensorSpec | Sequence[TensorSpec], *, out: Any) -> Iterator[Term]:
    """(*) of integers → (*), for one tensor or a list of them."""
    for tensor in [input] if isinstance(input, TensorSpec) else input:
        yield Term("dequantise", tensor.shape, DEQUANTIZE)


@rule(
    "aten::fake_quantize_per_tensor_affine",
    "aten::fake_quantize_per_channel_affine",
    "aten::fake_quantize_per_tensor_affine_cachemask",
    "aten::fake_quantize_per_channel_affine_cachemask",
    "aten::_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    "aten::_fake_quantize_learnable_per_tensor_affine",
    "aten::_fake_quantize_learnable_per_channel_affine",
    kind="elementwise",
)
def fake_quantize(input: TensorSpec, *_: Any, out: Any) -> Iterator[Term]:
    """(*) → (*): quantised and dequantised."""
    yield each(first(out).shape, "quantise and dequantise", multiplies=1, adds=2, divides=1, comparisons=2)


# Products of quantised numbers count as those of their float form; the sums are integers, and what brings them back to
# a scale is left out.


def _unpacked(packed: Any) -> tuple[Any, Any]:
    """The weight and the bias of a layer whose weights are packed for a kernel."""
    weight, bias = packed.unpack()
    return weight, bias


def _product_terms(packed: Any, out: TensorSpec, *, relu: bool = False) -> Iterator[Term]:
    weight, bias = _unpacked(packed)
    yield contraction(out.shape, tuple(weight.shape[1:]))
    if bias is not None:
        yield each(out.shape, "bias", adds=1)
    if relu:
        yield each(out.shape, "relu", comparisons=1)


@rule("quantized::linear", "quantized::linear_dynamic", kind="linear", integers=True)
def quantized_linear(input: TensorSpec, packed: Any, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, in), packed (out, in) → (*, out)."""
    yield from _product_terms(packed, out)


@rule("quantized::linear_relu", "quantized::linear_relu_dynamic", kind="linear", integers=True)
def quantized_linear_relu(input: TensorSpec, packed: Any, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """As :func:`quantized_linear`, then relu."""
    yield from _product_terms(packed, out, relu=True)


@rule("quantized::conv1d", "quantized::conv2d", "quantized::conv3d", kind="conv", integers=True)
def quantized_conv(input: TensorSpec, packed: Any, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(N, C_in, *in), packed (C_out, C_in/groups, *kernel) → (N, C_out, *out)."""
    yield from _product_terms(packed, out)


@rule("quantized::conv1d_relu", "quantized::conv2d_relu", "quantized::conv3d_relu", kind="conv", integers=True)
def quantized_conv_relu(input: TensorSpec, packed: Any, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """As :func:`quantized_conv`, then relu."""
    yield from _product_terms(packed, out, relu=True)
