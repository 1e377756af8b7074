"""Gradients of scaled dot-product attention, whichever kernel computes them.

With the weights P = softmax(S) and the gradient g of the result, V has Pᵀ·g, and P has dP = g·Vᵀ; from that S has
P∘(dP − Σ dP∘P) row by row, Q has dS·K and K has dSᵀ·Q.  Every fused form costs what autograd runs unfused: Q and K,
each scaled by the root of the scale, have their gradients scaled by it; keys and values that heads share are repeated
for them, and their gradients added up.  A kernel that recomputes scores does so to save memory; that is not counted.

A gradient that is not in the results (None) was not requested, and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from profiler.errors import UncountedError
from profiler.opcount import Term, contraction, each
from profiler.rules.attention import scale_by
from profiler.rules.backward.softmax import softmax_backward
from profiler.rules.registry import gradient
from profiler.rules.sizes import is_positive
from profiler.signatures import TensorSpec

EFFICIENT = {"cu_seqlens_q": "cum_seq_q", "cu_seqlens_k": "cum_seq_k"}
"""What another kernel calls the parameters of a rule."""

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
    if is_positive(elements - operand.size):
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


def _requested(out: Gradients, mask: Sequence[bool]) -> Gradients:
    return [gradient if wanted else None for gradient, wanted in zip(out, mask, strict=True)]


@gradient("aten::_scaled_dot_product_flash_attention_for_cpu_backward", kind="attention", by_name=True)
@gradient("aten::_scaled_dot_product_flash_attention_backward", kind="attention", by_name=True)
@gradient("aten::_scaled_dot_product_efficient_attention_backward", kind="attention", by_name=True)
@gradient("aten::_scaled_dot_product_cudnn_attention_backward", kind="attention", by_name=True)
@gradient("aten::_cudnn_attention_backward", kind="attention", by_name=True)
@gradient("aten::_scaled_dot_product_fused_attention_overrideable_backward", kind="attention", by_name=True)
def fused_attention_backward(
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    dropout_p: float,
    grad_input_mask: Sequence[bool] | None = None,
    cum_seq_q: TensorSpec | None = None,
    cum_seq_k: TensorSpec | None = None,
    scale: float | None = None,
    *,
    out: Gradients,
) -> Iterator[Term]:
    """As :func:`attention_gradients`, for the gradients that ``grad_input_mask`` requests; a mask has no gradient.

    Raises UncountedError for packed sequences.
    """
    if cum_seq_q is not None or cum_seq_k is not None:
        raise UncountedError("the backward pass of fused attention has no rule for packed sequences")
    wanted = out if grad_input_mask is None else _requested(out, grad_input_mask)
    return attention_gradients(query, key, value, dropout_p, scale, wanted)


@gradient("aten::_flash_attention_backward", kind="attention", reads=("cum_seq_q", "cum_seq_k"), by_name=True)
@gradient("aten::_efficient_attention_backward", kind="attention", reads=("cum_seq_q", "cum_seq_k"), by_name=EFFICIENT)
def attention_of_rows_backward(
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    cum_seq_q: TensorSpec | None,
    cum_seq_k: TensorSpec | None,
    dropout_p: float,
    bias_requires_grad: bool = False,
    scale: float | None = None,
    *,
    out: Gradients,
) -> Iterator[Term]:
    """(N, L_q, H, d_k), (N, L_k, H or fewer, d_k), (N, L_k, H or fewer, d_v) → their gradients, and that of a bias.

    Packed sequences, N = 1, have no rule where a bias has a gradient.
    """
    if cum_seq_q is not None and bias_requires_grad:
        raise UncountedError("the backward pass of attention has no rule for a bias of packed sequences")
    wanted = _requested((*out, None)[:4], (True, True, True, bias_requires_grad))
    return _gradients_of_rows((query, key, value), cum_seq_q, cum_seq_k, dropout_p, scale, wanted)
