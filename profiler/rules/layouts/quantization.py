"""Quantization: to integers and back, as q = clamp(round(x / scale) + zero, low, high) and (q − zero)·scale.

Rounding is free.  Fake quantization is the one followed by the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, contraction, each
from profiler.rules.costs import first, largest_of
from profiler.rules.indexing import SUM_BAGS, embedding_bag
from profiler.rules.recurrent import GATES, Cell, network_terms, step_terms
from profiler.rules.registry import free, rule
from profiler.signatures import Packed, TensorSpec

QUANTIZE = OpCount(divides=1, adds=1, comparisons=2)
DEQUANTIZE = OpCount(adds=1, multiplies=1)


@rule("aten::quantize_per_tensor", "aten::quantize_per_channel", kind="elementwise")
def quantize(input: TensorSpec | Sequence[TensorSpec], *_: Any, out: Any) -> Iterator[Term]:
    """(*) → (*) of integers, for one tensor or a list of them."""
    for tensor in [input] if isinstance(input, TensorSpec) else input:
        yield Term("quantize", tensor.shape, QUANTIZE)


@rule("aten::quantize_per_tensor_dynamic", kind="elementwise")
def quantize_dynamic(input: TensorSpec, *_: Any, out: TensorSpec) -> Iterator[Term]:
    """(*) → (*) of integers: the least and the largest value give scale = (high − low)/range and zero = −low/scale."""
    yield Term("range", (), largest_of(input.size) * 2 + OpCount(adds=1, divides=2))
    yield Term("quantize", input.shape, QUANTIZE)


@rule("aten::dequantize", kind="elementwise")
def dequantize(input: TensorSpec | Sequence[TensorSpec], *, out: Any) -> Iterator[Term]:
    """(*) of integers → (*), for one tensor or a list of them."""
    for tensor in [input] if isinstance(input, TensorSpec) else input:
        yield Term("dequantize", tensor.shape, DEQUANTIZE)


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
    """(*) → (*): quantized and dequantized."""
    yield each(first(out).shape, "quantize and dequantize", multiplies=1, adds=2, divides=1, comparisons=2)


# Products of quantized numbers count as those of their float form; the sums are integers, and what brings them back to
# a scale is left out.


def _unpacked(packed: Packed) -> tuple[TensorSpec, TensorSpec | None]:
    """The weight and the bias of a layer whose weights are packed for a kernel."""
    if packed.weight is None:
        raise UncountedError(f"what an object of the class {packed.type} holds is not known")
    return packed.weight, packed.bias


def _product_terms(packed: Packed, out: TensorSpec, *, relu: bool = False) -> Iterator[Term]:
    weight, bias = _unpacked(packed)
    yield contraction(out.shape, tuple(weight.shape[1:]))
    if bias is not None:
        yield Term("bias", out.shape, OpCount(adds=1), role="bias")
    if relu:
        yield each(out.shape, "relu", comparisons=1)


@rule("quantized::linear", "quantized::linear_dynamic", "quantized::linear_dynamic_fp16", kind="linear", integers=True)
def quantized_linear(input: TensorSpec, packed: Packed, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(*, in), packed (out, in) → (*, out)."""
    yield from _product_terms(packed, out)


@rule("quantized::linear_relu", "quantized::linear_relu_dynamic", kind="linear", integers=True)
@rule("quantized::linear_relu_dynamic_fp16", kind="linear", integers=True)
def quantized_linear_relu(input: TensorSpec, packed: Packed, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """As :func:`quantized_linear`, then relu."""
    yield from _product_terms(packed, out, relu=True)


def _cell(cell: Cell, input: TensorSpec, hx: Any, w_ih: Any, w_hh: Any, *_: Any, out: Any) -> Iterator[Term]:
    """(N, in), the state(s) (N, H), packed (gates·H, in) and (gates·H, H), biases → the new state(s)."""
    (of_input, bias), (of_hidden, _bias) = _unpacked(w_ih), _unpacked(w_hh)
    gates_of_input, gates_of_hidden = TensorSpec(tuple(of_input.shape)), TensorSpec(tuple(of_hidden.shape))
    yield from step_terms(cell, input.shape[:-1], gates_of_input, gates_of_hidden, 0 if bias is None else 2)


for _name in GATES:
    rule(f"quantized::quantized_{_name}_cell_dynamic", kind="recurrent")(partial(_cell, _name))


@rule("quantized::embedding_byte", "quantized::embedding_4bit", kind="elementwise")
def quantized_embedding(packed: Any, indices: TensorSpec, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """Packed (n, d), (*) → (*, d): each number that is read is brought back to the scale and the bias of its row."""
    yield each(out.shape, "dequantize", multiplies=1, adds=1)


@rule("quantized::embedding_bag_byte", "quantized::embedding_bag_byte_rowwise_offsets", kind="reduction")
@rule("quantized::embedding_bag_4bit", "quantized::embedding_bag_4bit_rowwise_offsets", kind="reduction")
@rule("quantized::embedding_bag_2bit_rowwise_offsets", kind="reduction")
def quantized_embedding_bag(
    packed: Any,
    indices: TensorSpec,
    offsets: TensorSpec | None = None,
    scale_grad_by_freq: bool = False,
    mode: int = SUM_BAGS,
    pruned_weights: bool = False,
    per_sample_weights: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
    **__: Any,
) -> Iterator[Term]:
    """Packed (V, D), I indices in B bags → (B, D): each row that is read is dequantized, then added.

    Whatever ``mode`` says, the kernels compute sums.
    """
    width = out.shape[1]
    yield each((indices.size, width), "dequantize", multiplies=1, adds=1)
    weights = TensorSpec((1, width))  # how many rows there are does not matter
    yield from embedding_bag(weights, indices, indices, False, SUM_BAGS, False, per_sample_weights, out=out)


@rule("quantized::conv1d", "quantized::conv2d", "quantized::conv3d", kind="conv", integers=True)
def quantized_conv(input: TensorSpec, packed: Packed, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """(N, C_in, *in), packed (C_out, C_in/groups, *kernel) → (N, C_out, *out)."""
    yield from _product_terms(packed, out)


@rule("quantized::conv1d_relu", "quantized::conv2d_relu", "quantized::conv3d_relu", kind="conv", integers=True)
def quantized_conv_relu(input: TensorSpec, packed: Packed, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """As :func:`quantized_conv`, then relu."""
    yield from _product_terms(packed, out, relu=True)


@rule(
    "aten::_fused_moving_avg_obs_fq_helper",
    "aten::_fused_moving_avg_obs_fq_helper_functional",
    kind="elementwise",
    reads=("observer_on", "fake_quant_on"),
)
def observe_and_fake_quantize(
    self: TensorSpec,
    observer_on: TensorSpec,
    fake_quant_on: TensorSpec,
    running_min: TensorSpec,
    running_max: TensorSpec,
    scale: TensorSpec,
    zero_point: TensorSpec,
    averaging_const: float,
    quant_min: int,
    quant_max: int,
    ch_axis: int,
    per_row_fake_quant: bool = False,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(*) → (*), for each channel along ``ch_axis`` or as a whole, and its parts only where they are switched on.

    The observer finds the least and the largest value, moves both running ones to them by r + c·(x − r), and makes
    a scale and a zero of those.
    """
    channels = self.shape[ch_axis] if per_row_fake_quant else 1
    if _is_on(observer_on):
        yield Term("range", (channels,), largest_of(self.size // channels if channels else 0) * 2)
        yield each((channels, 2), "moving averages", multiplies=1, adds=2)
        yield each((channels,), "scales and zeros", adds=1, divides=2)
    if _is_on(fake_quant_on):
        yield from fake_quantize(self, out=out)


def _is_on(switch: TensorSpec) -> bool:
    value = switch.values
    return bool(value[0] if isinstance(value, list) else value)


# Packed weights are opaque: the products of a recurrent network follow from its sizes.


def _quantized_network(cell: Cell, input: TensorSpec, *args: Any, out: Any, **_: Any) -> Iterator[Term]:
    """As the recurrent network itself, from ``input, hx, params, …`` or ``data, batch_sizes, hx, params, …``."""
    hx, _params, has_biases, num_layers, dropout, train, bidirectional = (
        args[:7] if isinstance(args[2], bool) else args[1:8]
    )
    hidden = (hx if isinstance(hx, TensorSpec) else hx[0]).shape[-1]
    directions = 2 if bidirectional else 1
    gates = GATES[cell] * hidden
    layers = [
        (TensorSpec((gates, width)), TensorSpec((gates, hidden)))
        for width in (input.shape[-1], *[hidden * directions] * (num_layers - 1))
        for _direction in range(directions)
    ]
    steps = input.shape[:-1]
    yield from network_terms(cell, steps, layers, num_layers, has_biases, dropout if train else 0.0)


rule("aten::quantized_lstm", kind="recurrent")(partial(_quantized_network, "lstm"))
rule("aten::quantized_gru", kind="recurrent")(partial(_quantized_network, "gru"))


free("aten::_dyn_quant_pack_4bit_weight")


@rule("aten::_dyn_quant_matmul_4bit", kind="linear")
def dynamic_4bit_linear(
    inp: TensorSpec, packed: TensorSpec, block_size: int, in_features: int, out_features: int, *, out: TensorSpec
) -> Iterator[Term]:
    """(n, in), packed (out, in) → (n, out).

    Packed are two weights a number, a scale for each block, and a bias if there is one.  Raises UncountedError for a
    kernel that packs otherwise, since it does not say whether there is a bias.
    """
    bias = packed.size - out_features * (in_features // 2) - out_features * (in_features // block_size)
    if bias != 0 and bias - out_features != 0:
        raise UncountedError("_dyn_quant_matmul_4bit: the packed weights do not say whether there is a bias")
    yield contraction(out.shape, (in_features,))
    if bias:
        yield Term("bias", out.shape, OpCount(adds=1), role="bias")
