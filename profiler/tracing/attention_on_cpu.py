"""Attention on meta by the kernel that torch chooses on the CPU: a fused one does not save the scores.

On meta torch chooses the decomposed form, which makes and saves all scores, wherever gradients are needed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from profiler.tracing.private import fused_attention, without_modes

FUSED = 1
"""The number of the fused kernel among torch's choices."""


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """``F.scaled_dot_product_attention`` with these arguments, fused wherever it is on the CPU."""
    known = fused_attention()
    tensors = (query, key, value, attn_mask)
    if known is None or not query.is_meta or not _is_fused(known[0], tensors, dropout_p, is_causal, scale, enable_gqa):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        shown = torch.zeros_like(attn_mask, dtype=query.dtype)
        attn_mask = shown.masked_fill_(attn_mask.logical_not(), float("-inf"))
    result: torch.Tensor = known[1](query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)[0]
    return result


def _is_fused(choose: Any, tensors: Any, dropout_p: float, is_causal: bool, scale: Any, enable_gqa: bool) -> bool:
    """Whether torch chooses the fused kernel on the CPU; that does not depend on the size of the batch."""
    with without_modes(), torch.enable_grad():
        try:
            made = [None if tensor is None else _one_sample(tensor) for tensor in tensors]
            return bool(choose(*made, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa) == FUSED)
        except (RuntimeError, TypeError, NotImplementedError):
            return False


def _one_sample(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor on the CPU, without values, with the metadata of the first sample."""
    shape = (min(tensor.shape[0], 1), *tensor.shape[1:]) if tensor.dim() == 4 else tensor.shape
    made = torch.empty_strided(shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
    return made.requires_grad_(tensor.requires_grad)


REPLACED = {F.scaled_dot_product_attention: attention}
"""The functions that run in place of others where lifetimes of storages are noted."""
