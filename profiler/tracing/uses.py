"""What a parameter is used for: its kind, from the operations of the forward pass that read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from profiler.records import OpCall, ParameterRecord

LOOKUPS = frozenset(
    {
        *("aten::embedding", "aten::embedding_bag", "aten::_embedding_bag", "aten::_embedding_bag_forward_only"),
        *("aten::embedding_renorm", "aten::embedding_renorm_", "aten::index", "aten::_unsafe_index"),
        *("aten::index_select", "aten::gather", "aten::take", "aten::take_along_dim", "quantized::embedding_byte"),
        *("quantized::embedding_4bit", "quantized::embedding_bag_byte", "quantized::embedding_bag_4bit"),
        *("quantized::embedding_bag_byte_rowwise_offsets", "quantized::embedding_bag_4bit_rowwise_offsets"),
    }
)
"""Operators that read rows of a table, of which some also add up or rescale what they read."""


def with_use(record: ParameterRecord, readers: Iterable[OpCall]) -> ParameterRecord:
    """The record with its kind: that of the costliest operation of the forward pass among its ``readers``.

    A table of which rows are read, and nothing is computed with as a whole, is an ``embedding``.  The backward pass
    and the optimizer do not matter, so that the kind is the same in both modes.
    """
    calls = [call for call in readers if call.phase == "forward"]
    if not calls:
        return record
    others = [call for call in calls if call.op not in LOOKUPS]
    costliest = max(others, key=_cost, default=None)
    if len(others) < len(calls) and (costliest is None or costliest.status == "free"):
        return replace(record, use="embedding")
    assert costliest is not None
    return replace(record, use=costliest.kind)


def _cost(call: OpCall) -> tuple[int, int, bool]:
    return call.count.flops, call.count.comparisons, call.status != "free"
