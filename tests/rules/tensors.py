"""Converts between tensors, the specs that rules take, and counting numbers."""

from __future__ import annotations

from typing import Any

import torch

from profiler.signatures import TensorSpec


def specs(tree: Any) -> Any:
    """``tree`` (a tensor, or lists and tuples of tensors) with a spec in place of every tensor."""
    if isinstance(tree, list | tuple):
        return [specs(item) for item in tree]
    if isinstance(tree, torch.Tensor):
        dtype = str(tree.dtype).removeprefix("torch.")
        return TensorSpec(tuple(tree.shape), dtype, isinstance(tree, torch.nn.Parameter))
    return tree


def values(array: Any, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A tensor with the values of nested lists of counting numbers."""

    def plain(item: Any) -> Any:
        return [plain(i) for i in item] if isinstance(item, list) else item.value

    return torch.tensor(plain(array), dtype=dtype)
