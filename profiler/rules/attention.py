"""Scaled dot-product attention: softmax(scale·Q·Kᵀ + mask)·V, whichever kernel computes it.

Every fused form costs what this definition costs, dense: Q·Kᵀ has all of its L_q·L_k scores for every query
head, also where keys are shared between heads or a causal mask hides half of them.  The scale multiplies
each score once (torch's unfused path multiplies Q and K by its square root instead, which is the same to
the result); a scale of 1 is none.  A floating-point mask is added to each score; a boolean or causal mask
only fills in −∞, which is free.  Dropout multiplies each weight by its mask and by its scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import Term, contraction, each
from profiler.rules.costs import first, softmax_of
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec

Sizes = tuple[int, ...]

BIAS = {"attn_bias": "attn_mask"}
LENGTHS = ("cum_seq_q", "cum_seq_k", "seqused_k")
EFFICIENT = {"cu_seqlens_q": "cum_seq_q", "cu_seqlens_k": "cum_seq_k", "seqlen_k": "seqused_k", "bias": "attn_mask"}
"""What other kernels call the parameters of a rule."""


def scale_by(scale: float | None, d_k: int, sizes: Sequence[int]) -> Iterator[Term]:
    """The scale, 1/√d_k where none is given, multiplied into numbers of these sizes; no term if it is 1."""
    if scale != 1 and (scale is not None or d_k != 1):
        yield each(sizes, "scale", multiplies=1)


def attention_terms(
    rows: Sizes,
    keys: int,
    d_k: int,
    d_v: int,
    mask: TensorSpec | None = None,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Iterator[Term]:
    """``rows`` queries (batch, heads, L_q) of size d_k, ``keys`` = L_k keys, values of size d_v."""
    scores = (*rows, keys)
    yield contraction(scores, (d_k,), "scores")
    yield from scale_by(scale, d_k, scores)
    yield from weighted_values(rows, keys, d_v, mask, dropout)


def weighted_values(rows: Sizes, keys: int, d_v: int, mask: TensorSpec | None, dropout: float) -> Iterator[Term]:
    """All that follows the scaled scores."""
    scores = (*rows, keys)
    if mask is not None and mask.is_arithmetic:
        yield each(scores, "mask", adds=1)
    yield Term("softmax rows", rows, softmax_of(keys))
    if dropout > 0:
        yield each(scores, "dropout", multiplies=2)
    yield contraction((*rows, d_v), (keys,), "weighted values")


@rule("aten::scaled_dot_product_attention", "aten::_scaled_dot_product_attention_math", kind="attention", by_name=True)
@rule("aten::_scaled_dot_product_attention_math_for_mps", kind="attention", by_name=True)
@rule("aten::_scaled_dot_product_fused_attention_overrideable", kind="attention", by_name=BIAS)
@rule("aten::_scaled_dot_product_flash_attention", kind="attention", by_name=True)
@rule("aten::_scaled_dot_product_flash_attention_for_cpu", kind="attention", by_name=True)
@rule("aten::_scaled_dot_product_efficient_attention", kind="attention", by_name=BIAS)
@rule("aten::_scaled_dot_product_cudnn_attention", kind="attention", by_name=BIAS)
@rule("aten::_triton_scaled_dot_attention", kind="attention", by_name={"q": "query", "k": "key", "v": "value"})
def scaled_dot_product_attention(
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    attn_mask: TensorSpec | None = None,
    dropout_p: float = 0.0,
    scale: float | None = None,
    *,
    out: Any,
) -> Iterator[Term]:
    """(*, H, L_q, d_k), (*, H or fewer, L_k, d_k), (*, H or fewer, L_k, d_v) → (*, H, L_q, d_v).

    The log-sum-exp kept for the backward pass is no extra work.
    """
    rows, keys = first(out).shape[:-1], key.shape[-2]
    yield from attention_terms(rows, keys, query.shape[-1], value.shape[-1], attn_mask, dropout_p, scale)


@rule("aten::_flash_attention_forward", kind="attention", reads=LENGTHS, by_name=True)
@rule("aten::_flash_attention_forward_no_dropout_inplace", kind="attention", reads=LENGTHS, by_name=True)
@rule("aten::_efficient_attention_forward", kind="attention", reads=LENGTHS, by_name=EFFICIENT)
def attention_of_rows(
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    cum_seq_q: TensorSpec | None,
    cum_seq_k: TensorSpec | None,
    dropout_p: float,
    attn_mask: TensorSpec | None = None,
    scale: float | None = None,
    seqused_k: TensorSpec | None = None,
    alibi_slopes: TensorSpec | None = None,
    block_table: TensorSpec | None = None,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, L_q, H, d_k), (N, L_k, H or fewer, d_k), (N, L_k, H or fewer, d_v) → (N, L_q, H, d_v).

    Alibi adds slope·distance to each score.  Packed sequences, (Σ L_q, H, d) and the sums of their lengths, are counted
    by their lengths in a real run; keys in pages raise UncountedError.
    """
    if block_table is not None:
        raise UncountedError("flash attention has no rule for keys in pages")
    d_k = query.shape[-1]
    for rows, keys in _sequences(query, key, cum_seq_q, cum_seq_k, seqused_k):
        if alibi_slopes is not None:
            yield each((*rows, keys), "alibi", multiplies=1, adds=1)
        yield from attention_terms(rows, keys, d_k, value.shape[-1], attn_mask, dropout_p, scale)


def _sequences(
    query: TensorSpec,
    key: TensorSpec,
    sums_q: TensorSpec | None,
    sums_k: TensorSpec | None,
    used_k: TensorSpec | None,
) -> Iterator[tuple[Sizes, int]]:
    """The rows and keys of sequences with their heads last: of one length (N, L, H, d), or packed.

    ``sums`` are the N + 1 places where packed sequences begin and end, ``used`` how many keys each of them has.
    """
    heads = query.shape[-2]
    if sums_q is None:
        batch, length = query.shape[:2]
        if used_k is None:
            yield (batch, heads, length), key.shape[1]
        else:
            yield from (((1, heads, length), keys) for keys in used_k.values)
        return
    queries = [end - start for start, end in pairwise(sums_q.values)]
    keys = [end - start for start, end in pairwise((sums_k or sums_q).values)] if used_k is None else used_k.values
    yield from (((1, heads, length), number) for length, number in zip(queries, keys, strict=True))


@rule("aten::_cudnn_attention_forward", kind="attention", by_name=BIAS)
def cudnn_attention_forward(
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    attn_mask: TensorSpec | None,
    cum_seq_q: TensorSpec | None,
    cum_seq_k: TensorSpec | None,
    dropout_p: float = 0.0,
    scale: float | None = None,
    *,
    out: Any,
) -> Iterator[Term]:
    """As :func:`scaled_dot_product_attention`.

    Raises UncountedError for packed sequences.
    """
    if cum_seq_q is not None or cum_seq_k is not None:
        raise UncountedError("aten::_cudnn_attention_forward has no rule for packed sequences")
    yield from scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, scale, out=out)


@rule("higher_order::flex_attention", kind="attention")
def flex_attention(
    query: TensorSpec,
    key: TensorSpec,
    value: TensorSpec,
    score_mod: Any,
    block_mask: Any,
    scale: float,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """As :func:`scaled_dot_product_attention`; hiding scores is free, and the count is dense.

    What ``score_mod`` and ``mask_mod`` do for each score is recorded separately, as the operations in them.
    """
    yield from scaled_dot_product_attention(query, key, value, scale=scale, out=out)
