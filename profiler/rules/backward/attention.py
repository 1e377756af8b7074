"""Gradients of scaled dot-product attention, whichever kernel computes them.

With the weights P = softmax(S) and the gradient g of the result, V has Pᵀ·g, and P has dP = g·Vᵀ; from that S has
P∘(dP − Σ dP∘P) row by row, Q has dS·K and K has dSᵀ·Q.  Every fused form costs what autograd runs unfused: Q and K,
each scaled by the root of the scale, have their gradients scaled by it; keys and values that heads share are repeated
for them, and their gradients added up.  A kernel that computes scores anew does so to save memory: that is left out.

A gradient that is not in the results (None) was not asked for, and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import Term, contraction, each
from profiler.rules.attention import scale_by
from profiler.rules.backward.softmax import softmax_backward
from profiler.rules.registry import gradient
from profiler.signatures import TensorSpec

Gradients = Sequence[TensorSpec | None]
"""For query, key and value, and for the bias where the operator gives one."""


def attention_gradients(
    query: TensorSpec, key: TensorSpec, value: TensorSpec, dropout: float, scale: float | None, out: Gradients
) -> Iterator[Term]:
    """(N, H, L_q, d_k), (N, H or fewer, L_k, d_k), (N, H or fewer, L_k, d_v) → their gradients, and a bias's.

    Raises UncountedError for nested tensors, whose lengths are not in their shapes.
    """
    if len(query.shape) != 4:
        raise UncountedError("the backward pass of fused attention has no rule for nested tensors")
    for_query, for_key, for_value, for_bias = (*out, None)[:4]
    *rows, d_k = query.shape
    keys, d_v = value.shape[-2:]
    scores = TensorSpec((*rows, keys), query.dtype)
    if for_value is not None:
        yield contraction((*rows[:-1], keys, d_v), rows[-1:], "value gradient")
        yield from _shared((*rows[:-1], keys, d_v), value, "sums of value gradients")
    if for_query is None and for_key is None and for_bias is None:
        return
    yield contraction(scores.shape, (d_v,), "gradient of the weights")
    if dropout > 0:
        yield each(scores.shape, "dropout", multiplies=1)
    yield from softmax_backward(scores, scores, -1, out=scores)
    if for_bias is not None:
        yield from _shared(scores.shape, for_bias, "sums of bias gradients")
    if for_query is not None:
        yield contraction(query.shape, (keys,), "query gradient")
        yield from scale_by(scale, d_k, query.shape)
    if for_key is not None:
        yield contraction((*rows[:-1], keys, d_k), rows[-1:], "key gradient")
        yield from scale_by(scale, d_k, (*rows[:-1], keys, d_k))
        yield from _shared((*rows[:-1], keys, d_k), key, "sums of key gradients")


def _shared(sizes: Sequence[int], operand: TensorSpec, what: str) -> Iterator[Term]:
    """Gradients of ``sizes`` added up for an operand that was repeated to these sizes."""
    elements = TensorSpec(tuple(sizes)).size
    if elements > operand.size:
        yield each((elements - operand.size,), what, adds=1)


def _gradients_of_rows(
    operands: tuple[TensorSpec, TensorSpec, TensorSpec],
    sums_q: TensorSpec | None,
    sums_k: TensorSpec | None,
    dropout: float,
    scale: float | None,
    out: Gradients,
) -> Iterator[Term]:
    """Query, key and value with their heads after their lengths: of one length (N, L, H, d), or packed.

    ``sums`` are the N + 1 places where packed sequences, (Σ L, H, d), begin and end: data, known in a real run.
    """
    if sums_q is None:
        batch = operands[0].shape[0]
        lengths = [tuple(operand.shape[1] for operand in operands)]
    else:
        batch = 1
        queries, keys = ([end - start for start, end in pairwise(sums.values)] for sums in (sums_q, sums_k or sums_q))
        lengths = [(of_query, of_key, of_key) for of_query, of_key in zip(queries, keys, strict=True)]
    for of_operands in lengths:
        query, key, value = (
            TensorSpec((batch, operand.shape[-2], length, operand.shape[-1]), operand.dtype)
            for operand, length in zip(operands, of_operands, strict=True)
        )
        yield from attention_gradients(query, key, value, dropout, scale, out)


def _asked_for(out: Gradients, mask: Sequence[bool]) -> Gradients:
    return [gradient if wanted else None for gradient, wanted in zip(out, mask, strict=True)]


def _require_dense(op: str, *lengths: TensorSpec | None) -> None:
    if any(length is not None for length in lengths):
        raise UncountedError(f"{op} has no rule for packed sequences")


@gradient("aten::_scaled_dot_product_flash_attention_for_cpu_backward", kind="attention")
def flash_attention_for_cpu_backward(
    grad: TensorSpec,
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    result: TensorSpec,
    logsumexp: TensorSpec,
    dropout_p: float,
    *_: Any,
    scale: float | None = None,
    out: Gradients,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`attention_gradients`; the mask has no gradient."""
    return attention_gradients(query, key, value, dropout_p, scale, out)


@gradient("aten::_scaled_dot_product_flash_attention_backward", kind="attention")
def flash_attention_backward(
    grad: TensorSpec,
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    result: TensorSpec,
    logsumexp: TensorSpec,
    cum_seq_q: TensorSpec | None,
    cum_seq_k: TensorSpec | None,
    max_q: int,
    max_k: int,
    dropout_p: float,
    *_: Any,
    scale: float | None = None,
    out: Gradients,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`attention_gradients`.  Raises UncountedError for packed sequences."""
    _require_dense("aten::_scaled_dot_product_flash_attention_backward", cum_seq_q, cum_seq_k)
    return attention_gradients(query, key, value, dropout_p, scale, out)


@gradient("aten::_scaled_dot_product_efficient_attention_backward", kind="attention")
def efficient_attention_backward(
    grad: TensorSpec,
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    attn_bias: TensorSpec | None,
    result: TensorSpec,
    logsumexp: TensorSpec,
    philox_seed: TensorSpec,
    philox_offset: TensorSpec,
    dropout_p: float,
    grad_input_mask: Sequence[bool],
    *_: Any,
    scale: float | None = None,
    out: Gradients,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`attention_gradients`, for what ``grad_input_mask`` asks for."""
    return attention_gradients(query, key, value, dropout_p, scale, _asked_for(out, grad_input_mask))


@gradient("aten::_scaled_dot_product_cudnn_attention_backward", "aten::_cudnn_attention_backward", kind="attention")
def cudnn_attention_backward(
    grad: TensorSpec,
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    result: TensorSpec,
    logsumexp: TensorSpec,
    philox_seed: TensorSpec,
    philox_offset: TensorSpec,
    attn_bias: TensorSpec | None,
    cum_seq_q: TensorSpec | None,
    cum_seq_k: TensorSpec | None,
    max_q: int,
    max_k: int,
    dropout_p: float,
    *_: Any,
    scale: float | None = None,
    out: Gradients,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`attention_gradients`; the bias has none.

    Raises UncountedError for packed sequences.
    """
    _require_dense("aten::_cudnn_attention_backward", cum_seq_q, cum_seq_k)
    return attention_gradients(query, key, value, dropout_p, scale, out)


@gradient("aten::_scaled_dot_product_fused_attention_overrideable_backward", kind="attention")
def overrideable_attention_backward(
    grad: TensorSpec,
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    attn_bias: TensorSpec | None,
    grad_input_mask: Sequence[bool],
    result: TensorSpec,
    logsumexp: TensorSpec,
    cum_seq_q: TensorSpec | None,
    cum_seq_k: TensorSpec | None,
    max_q: int,
    max_k: int,
    dropout_p: float,
    *_: Any,
    scale: float | None = None,
    out: Gradients,
    **__: Any,
) -> Iterator[Term]:
    """As :func:`attention_gradients`, for what ``grad_input_mask`` asks for.

    Raises UncountedError for packed sequences.
    """
    _require_dense("aten::_scaled_dot_product_fused_attention_overrideable_backward", cum_seq_q, cum_seq_k)
    return attention_gradients(query, key, value, dropout_p, scale, _asked_for(out, grad_input_mask))


@gradient("aten::_flash_attention_backward", kind="attention", reads=("cum_seq_q", "cum_seq_k"))
def flash_attention_of_rows_backward(
    grad: TensorSpec,
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    result: TensorSpec,
    logsumexp: TensorSpec,
    cum_seq_q: TensorSpec | None,
    cum_seq_k: TensorSpec | None,
    max_q: int,
    max_k: int,
    dropout_p: float,
    *_: Any,
    scale: float | None = None,
    out: Gradients,
    **__: Any,
) -> Iterator[Term]:
    """(N, L_q, H, d), (N, L_k, H or fewer, d) twice, or packed sequences → their gradients."""
    return _gradients_of_rows((query, key, value), cum_seq_q, cum_seq_k, dropout_p, scale, out)


@gradient("aten::_efficient_attention_backward", kind="attention", reads=("cu_seqlens_q", "cu_seqlens_k"))
def efficient_attention_of_rows_backward(
    grad: TensorSpec,
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    bias: TensorSpec | None,
    result: TensorSpec,
    cu_seqlens_q: TensorSpec | None,
    cu_seqlens_k: TensorSpec | None,
    max_seqlen_q: int,
    max_seqlen_k: int,
    logsumexp: TensorSpec,
    dropout_p: float,
    philox_seed: TensorSpec,
    philox_offset: TensorSpec,
    custom_mask_type: int,
    bias_requires_grad: bool,
    *_: Any,
    scale: float | None = None,
    out: Gradients,
    **__: Any,
) -> Iterator[Term]:
    """(N, L_q, H, d_k), (N, L_k, H, d_k), (N, L_k, H, d_v) → their gradients, and the bias's where it asks for one.

    Packed sequences, N = 1, have no rule with such a bias.
    """
    if cu_seqlens_q is not None and bias_requires_grad:
        raise UncountedError("aten::_efficient_attention_backward has no rule for a bias of packed sequences")
    asked_for = _asked_for(out, (True, True, True, bias_requires_grad))
    return _gradients_of_rows((query, key, value), cu_seqlens_q, cu_seqlens_k, dropout_p, scale, asked_for)
