"""Layers of transformers that are fused into one operation: each costs the same as without fusion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term, contraction, each
from profiler.rules.activations import gelu
from profiler.rules.attention import attention_terms, weighted_values
from profiler.rules.contractions import linear
from profiler.rules.costs import RELU, mean_of
from profiler.rules.normalization import layer_norm
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec


@rule("aten::_native_multi_head_attention", kind="attention")
def native_multi_head_attention(
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    embed_dim: int,
    num_head: int,
    qkv_weight: TensorSpec,
    qkv_bias: TensorSpec,
    proj_weight: TensorSpec,
    proj_bias: TensorSpec,
    mask: TensorSpec | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(N, L_q, D), (N, L_k, D) twice → (N, L_q, D): what ``nn.MultiheadAttention`` does unfused.

    The projections of query, key and value, attention, the projection of the result.  With
    ``need_weights`` the queries are scaled instead of the scores and the weights are averaged over the
    heads, as the unfused layer does.
    """
    batch, length, _embed = query.shape
    keys, d = key.shape[1], embed_dim // num_head
    rows = (batch, num_head, length)
    for operand in (query, key, value):
        projected = TensorSpec((*operand.shape[:-1], embed_dim), operand.dtype)
        yield from linear(operand, qkv_weight, qkv_bias, out=projected)
    if need_weights:
        yield each((batch, length, embed_dim), "scale", multiplies=1)
        yield contraction((*rows, keys), (d,), "scores")
        yield from weighted_values(rows, keys, d, mask, 0.0)
        if average_attn_weights:
            yield Term("mean over heads", (batch, length, keys), mean_of(num_head))
    else:
        yield from attention_terms(rows, keys, d, d, mask)
    yield from linear(query, proj_weight, proj_bias, out=query)


@rule("aten::_triton_multi_head_attention", kind="attention")
def triton_multi_head_attention(*args: Any, out: TensorSpec) -> Iterator[Term]:
    """As :func:`native_multi_head_attention`, without its weights."""
    mask = args[9] if len(args) > 9 else None
    yield from native_multi_head_attention(*args[:9], mask, False, out=out)


@rule("aten::_transform_bias_rescale_qkv", kind="attention")
def transform_bias_rescale_qkv(qkv: TensorSpec, qkv_bias: TensorSpec, num_heads: int, *, out: Any) -> Iterator[Term]:
    """(N, L, 3·D), (3·D) → queries, keys and values: the bias of each, and the scale of the queries."""
    yield Term("bias", qkv.shape, OpCount(adds=1), role="bias")
    yield each((*qkv.shape[:-1], qkv.shape[-1] // 3), "scale", multiplies=1)


@rule("aten::_transformer_encoder_layer_fwd", kind="linear")
def transformer_encoder_layer(
    src: TensorSpec,
    embed_dim: int,
    num_heads: int,
    qkv_weight: TensorSpec,
    qkv_bias: TensorSpec,
    proj_weight: TensorSpec,
    proj_bias: TensorSpec,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: TensorSpec,
    norm_bias_1: TensorSpec,
    norm_weight_2: TensorSpec,
    norm_bias_2: TensorSpec,
    ffn_weight_1: TensorSpec,
    ffn_bias_1: TensorSpec,
    ffn_weight_2: TensorSpec,
    ffn_bias_2: TensorSpec,
    mask: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, L, D) → (N, L, D): what ``nn.TransformerEncoderLayer`` does in eval mode, unfused."""
    attention = (embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, mask, False)
    yield from native_multi_head_attention(src, src, src, *attention, out=src)
    for weight, bias in ((norm_weight_1, norm_bias_1), (norm_weight_2, norm_bias_2)):
        yield each(src.shape, "residual", adds=1)
        yield from layer_norm(src, [embed_dim], weight, bias, out=src)
    hidden = TensorSpec((*src.shape[:-1], ffn_weight_1.shape[0]), src.dtype)
    yield from linear(src, ffn_weight_1, ffn_bias_1, out=hidden)
    if use_gelu:
        yield from gelu(hidden, out=hidden)
    else:
        yield Term("relu", hidden.shape, RELU)
    yield from linear(hidden, ffn_weight_2, ffn_bias_2, out=out)
