"""The name and the arguments of an operator → its result on the meta device, made without torch's own kernel for it."""

from __future__ import annotations

from typing import Any

import torch

from profiler.tracing.layouts import LAYOUTS, contiguous
from profiler.tracing.layouts_of_training import OF_TRAINING

META = torch.device("meta")

KNOWN = {**LAYOUTS, **OF_TRAINING}
"""By the name of an operator, the layouts of its results for the plain case."""


def result_of(name: str, args: Any, kwargs: Any) -> Any:
    """The result of the operator ``name`` on meta tensors, as torch makes it; None if torch has to say.

    The operator must arrive below autograd.  ``args`` and ``kwargs`` are those that the dispatcher passes.
    """
    layout = KNOWN.get(name)
    if layout is None or torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return None
    try:
        found = layout(*args, **kwargs)
    except TypeError:  # an argument that is not one of the plain case
        return None
    if found is None or isinstance(found, torch.Tensor):
        return found
    if isinstance(found, list):
        return tuple([None if each is None else _made(*each) for each in found])
    return _made(*found)


def _made(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty_strided(shape, contiguous(shape), dtype=dtype, device=META)
