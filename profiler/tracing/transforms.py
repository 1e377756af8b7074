"""What the transforms of ``torch.func`` hide: ``vmap`` shows a function the shape of a single sample.

A function that is recorded whole gets wrapped tensors.  Its cost is that of one sample, by its rule, times the number
of samples; the tensors are recorded with the mapped sizes in front.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from profiler.tracing.private import batch_of, forward_derivatives, is_wrapped, transforming, unwrapped

Levels = dict[int, int]
"""The sizes that nested calls of ``vmap`` map over, by the level of the transform, counted from outside."""


def physical(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor inside all wrappers, which has a storage."""
    while is_wrapped(tensor):
        tensor = unwrapped(tensor)
    return tensor


def levels_of(tensors: Iterable[torch.Tensor]) -> Levels:
    """The sizes that are mapped over in any of ``tensors``."""
    levels: Levels = {}
    for tensor in tensors:
        while is_wrapped(tensor):
            batch = batch_of(tensor)
            if batch is not None:
                levels[batch[0]] = batch[1]
            tensor = unwrapped(tensor)
    return levels


def batch_sizes(tensor: torch.Tensor) -> tuple[int, ...]:
    """The hidden sizes of the tensor, that of the outermost ``vmap`` first."""
    return tuple(size for _, size in sorted(levels_of([tensor]).items())) if is_wrapped(tensor) else ()


def may_carry_tangents(tensors: Iterable[torch.Tensor]) -> bool:
    """Whether a function of ``tensors`` may compute a forward-mode derivative too.

    A wrapped tensor may have a tangent at any of its levels, and torch does not show at which.
    """
    if not forward_derivatives():
        return False
    return any(is_wrapped(tensor) or (not transforming() and _tangent(tensor) is not None) for tensor in tensors)


def _tangent(tensor: torch.Tensor) -> Any:
    return torch.autograd.forward_ad.unpack_dual(tensor).tangent  # type: ignore[no-untyped-call]
