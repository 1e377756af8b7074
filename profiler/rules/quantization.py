"""Quantisation: to integers and back, as q = clamp(round(x / scale) + zero, low, high) and (q − zero)·scale.

Rounding is free.  Fake quantisation is the one followed by the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, each
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
