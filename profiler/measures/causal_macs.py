"""Causal MACs: those of inference less what a causal mask hides, which makes or uses a score that the mask sets to −∞.

The count itself is dense.  The figure only depends on the signature, so it is computed when it is needed.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

from profiler.measures import Measure, Whole
from profiler.records import OpCall
from profiler.signatures import Shape, Signature, parts_of

ATTENTION = frozenset(
    {
        *("aten::scaled_dot_product_attention", "aten::_scaled_dot_product_attention_math"),
        *("aten::_scaled_dot_product_attention_math_for_mps", "aten::_scaled_dot_product_flash_attention"),
        *("aten::_scaled_dot_product_flash_attention_for_cpu", "aten::_scaled_dot_product_efficient_attention"),
        *("aten::_scaled_dot_product_cudnn_attention", "aten::_scaled_dot_product_fused_attention_overrideable"),
    }
)
"""Operators that take ``is_causal``, or ``causal_lower_right`` for the mask of that name in torch."""


def hidden_macs(call: OpCall) -> int:
    """The number of MACs of a call that make or use a score which a causal mask hides.

    It is 0 if the rule of the operator does not count the MACs of dense attention.
    """
    signature, macs = call.signature, call.count.macs
    if not macs or signature.op not in ATTENTION:
        return 0
    if not signature.whole:
        return dict(call.answer.figures).get("hidden_macs", 0)
    if not (signature.argument("is_causal") or signature.argument("causal_lower_right")):
        return 0
    dense, hidden = _macs(signature)
    return hidden if dense == macs else 0


@lru_cache(maxsize=4096)
def _macs(signature: Signature) -> tuple[int, int]:
    """The macs of dense attention, and how many of them a causal mask hides."""
    dense, hidden = 0, 0
    for part in parts_of(signature):
        key, value = part.argument("key"), part.argument("value")
        out = part.result[0] if isinstance(part.result, tuple) else part.result
        rows, keys = out.shape[:-1], key.shape[-2]
        scores = (
            hidden_scores_from_below(rows, keys) if part.argument("causal_lower_right") else hidden_scores(rows, keys)
        )
        of_a_score = key.shape[-1] + value.shape[-1]
        dense += prod(rows) * keys * of_a_score
        hidden += scores * of_a_score
    many = prod(signature.samples)
    return dense * many, hidden * many


def hidden_scores(rows: Shape, keys: int) -> int:
    """The number of scores that a causal mask hides: query i, counted from 1, sees the first i keys and no other."""
    *batch, queries = rows
    met = min(queries, keys)
    seen = met * (met + 1) // 2 + (queries - met) * keys
    return prod(batch) * (queries * keys - seen)


def hidden_scores_from_below(rows: Shape, keys: int) -> int:
    """The same for a mask that is aligned at the end: the last query sees all keys, the one before it one fewer."""
    *batch, queries = rows
    met = min(queries, keys)
    return prod(batch) * ((queries - met) * keys + met * (met - 1) // 2)


def where_masked(whole: Whole) -> str | None:
    """A remark if a mask is causal; in the backward pass it is not known which products a mask hides."""
    hidden = whole.figure("macs") - whole.figure("causal_macs")
    return "without the scores that causal masks hide" if hidden and whole.mode == "inference" else None


MEASURE = Measure(
    "causal_macs",
    "causal MACs",
    "MACs of inference without those of scores that causal masks hide",
    lambda call: call.count.macs - hidden_macs(call),
    tables=(),
    fact=where_masked,
)
