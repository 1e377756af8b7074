"""The name and the arguments of an operator → the layouts of its results on meta, without torch's own kernel for it."""

from __future__ import annotations

from typing import Any

import torch

from profiler.tracing.layouts import LAYOUTS
from profiler.tracing.layouts_of_training import OF_TRAINING
from profiler.tracing.strides import contiguous

KNOWN = {**LAYOUTS, **OF_TRAINING}
"""By the name of an operator, the layouts of its results for the plain case."""

Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
"""Shape, strides and dtype of a new tensor."""

Results = tuple[Layout | int | None, ...]
"""The results of an operation: layouts of new tensors, places of arguments that it returns, and None."""


def results_of(name: str, args: Any, kwargs: Any) -> tuple[Results, type | None] | None:
    """The results of the operator ``name`` on meta tensors, as torch makes them; None if torch has to say.

    The second value is the type of what holds them, and None for a single result.  The operator must arrive below
    autograd.  ``args`` and ``kwargs`` are those that the dispatcher passes.
    """
    layout = KNOWN.get(name)
    if layout is None or torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return None
    try:
        found = layout(*args, **kwargs)
    except TypeError:  # an argument that is not one of the plain case
        return None
    if found is None:
        return None
    if isinstance(found, list):
        return tuple([None if each is None else _layout(*each) for each in found]), tuple
    if isinstance(found, torch.Tensor):
        place = next((place for place, argument in enumerate(args) if argument is found), None)
        return None if place is None else ((place,), None)
    return (_layout(*found),), None


def _layout(shape: tuple[int, ...], dtype: torch.dtype, strides: tuple[int, ...] | None = None) -> Layout:
    return shape, contiguous(shape) if strides is None else strides, dtype
