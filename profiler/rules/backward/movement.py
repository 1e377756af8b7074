"""Gradients of what moves data: they are moved back."""

from __future__ import annotations

from profiler.rules.registry import free

free(
    "aten::select_backward",
    "aten::slice_backward",
    "aten::diagonal_backward",
    "aten::masked_scatter_backward",
    "aten::_pack_padded_sequence_backward",
    "aten::to_dense_backward",
    "aten::to_mkldnn_backward",
    "aten::_nested_select_backward",
    "aten::_nested_sum_backward",
)
