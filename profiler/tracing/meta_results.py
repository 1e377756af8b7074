"""Results of operations that torch's meta functions refuse, although they work on other devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _grouped_mm(
    self: torch.Tensor,
    mat2: torch.Tensor,
    offs: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """(rows, k), (g, k, m) → (rows, m), and so on; torch's meta function only takes aligned bfloat16."""
    shape = (*self.shape[:-1], mat2.shape[-1])
    if self.dim() == mat2.dim() == 2 and offs is not None:
        shape = (*offs.shape, *shape)
    elif mat2.dim() == 2:
        shape = shape[1:]
    return self.new_empty(shape, dtype=out_dtype or self.dtype)


META_RESULTS: dict[str, Callable[..., Any]] = {"aten::_grouped_mm": _grouped_mm}
"""The functions that compute results on meta, by the operation's name."""
