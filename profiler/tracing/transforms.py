"""What the transforms of ``torch.func`` hide: ``vmap`` shows a function one sample's shape of what is many.

A function that is recorded whole is given wrapped tensors.  Its cost is that of one sample, by its rule, times the
number of samples; the tensors are recorded with the sizes of what was mapped over in front.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from profiler.tracing.private import batch_of, forward_derivatives, is_wrapped, transforming, unwrapped

Levels = dict[int, int]
"""The sizes that nested calls of ``vmap`` map over, by which of the running transforms it is, counted from outside."""


def physical(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor that all transforms together have wrapped: the one which has a storage."""
    while is_wrapped(tensor):
        tensor = unwrapped(tensor)
    return tensor


def levels_of(tensors: Iterable[torch.Tensor]) -> Levels:
    """What is mapped over in any of ``tensors``."""
    levels: Levels = {}
    for tensor in tensors:
        while is_wrapped(tensor):
            batch = batch_of(tensor)
            if batch is not None:
                levels[batch[0]] = batch[1]
            tensor = unwrapped(tensor)
    return levels


def batch_sizes(tensor: torch.Tensor) -> tuple[int, ...]:
    """The sizes that the tensor has and does not show, that of the outermost ``vmap`` first."""
    return tuple(size for _, size in sorted(levels_of([tensor]).items())) if is_wrapped(tensor) else ()


def may_carry_tangents(tensors: Iterable[torch.Tensor]) -> bool:
    """Whether a function of ``tensors`` may compute a forward-mode derivative too.

    What a transform has wrapped may hold a tangent at any of its levels, and torch does not tell which.
    """
    if not forward_derivatives():
        return False
    return any(is_wrapped(tensor) or (not transforming() and _tangent(tensor) is not None) for tensor in tensors)


def _tangent(tensor: torch.Tensor) -> Any:
    return torch.autograd.forward_ad.unpack_dual(tensor).tangent  # type: ignore[no-untyped-call]
