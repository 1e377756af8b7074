"""Causal masks that are objects (``torch.nn.attention.bias``): tensor subclasses whose attributes describe the mask.

The attributes are lost in a dispatch mode and in a copy of the tensor.  So such a mask is never copied, it is created
outside of the modes, and attention with it is recorded as one operation.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from profiler.tracing.private import without_modes

_LOCK = threading.Lock()
_runs = 0


def _module() -> Any:
    """The module that defines them; None if it is not imported."""
    return sys.modules.get("torch.nn.attention.bias")


def is_causal_bias(value: Any) -> bool:
    """Whether the value is a causal mask object."""
    module = _module()
    return module is not None and isinstance(value, module.CausalBias)


@contextmanager
def causal_bias_traceable() -> Iterator[None]:
    """Within it, such a mask can be created while a dispatch mode is active, in all threads until the last one ends."""
    global _runs
    module = _module()
    if module is None:
        yield
        return
    bias = module.CausalBias

    def make(cls: Any, *sizes: Any) -> Any:
        with without_modes():
            return torch.Tensor.__new__(cls, *sizes)

    with _LOCK:
        if not _runs:
            bias.__new__ = make
        _runs += 1
    try:
        yield
    finally:
        with _LOCK:
            _runs -= 1
            if not _runs:
                del bias.__new__


def attention_with_bias(
    attention: Callable[..., Any],
    record: Callable[[str, Any, Any], Any],
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: Any,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """``attention`` with such a mask, aligned at the upper left or the lower right.

    ``record(name, args, kwargs)`` records everything within it as one operation, and yields a function that takes the
    result.  Raises ValueError if ``is_causal`` is given too, like torch.
    """
    if is_causal:
        raise ValueError("CausalBias should not be used with causal=True")
    rest = {"scale": scale, "enable_gqa": enable_gqa}
    queries, keys = attn_mask.seq_len_q, attn_mask.seq_len_kv
    if queries == keys or attn_mask.variant == _module().CausalVariant.UPPER_LEFT:
        return attention(query, key, value, None, dropout_p, True, **rest)
    given = (query, key, value, None, dropout_p, False)
    with record("aten::scaled_dot_product_attention", given, {"scale": scale, "causal_lower_right": True}) as give:
        shown = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
        result = attention(query, key, value, shown, dropout_p, False, **rest)
        give(result)
    return result
