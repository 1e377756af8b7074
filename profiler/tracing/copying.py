"""A network → its copy on the meta device: the same structure and shapes without the weights.

The trace runs on the copy, so whatever a forward pass does to its module, the user's network never sees it.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from profiler.errors import TraceError


def to_meta(tensor: torch.Tensor) -> torch.Tensor:
    """A meta tensor of the same shape, strides and dtype, detached from any graph."""
    with torch.no_grad():
        return torch.empty_like(tensor, device="meta").requires_grad_(False)


class _CopyShapesOnly(TorchFunctionMode):
    """While it is active, ``copy.deepcopy`` of a tensor gives its shape and no data."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = to_meta(tensor).requires_grad_(tensor.requires_grad)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _copy_parameter(parameter: nn.Parameter) -> nn.Parameter:
    twin = nn.Parameter(to_meta(parameter), requires_grad=parameter.requires_grad)
    twin.__dict__.update(parameter.__dict__)
    return twin


def copy_to_meta(model: nn.Module) -> nn.Module:
    """A deep copy of ``model`` with every tensor on the meta device; ``model`` is left as it is.

    Ties between parameters are kept.  Raises :class:`TraceError` where the network holds something that
    cannot be copied, or a lazy parameter that has no shape yet.
    """
    memo: dict[int, Any] = {}
    for name, parameter in model.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise TraceError(f"parameter {name} is lazy and has no shape yet: run the network once before profiling it")
        memo[id(parameter)] = _copy_parameter(parameter)
    for name, buffer in model.named_buffers():
        if nn.parameter.is_lazy(buffer):
            raise TraceError(f"buffer {name} is lazy and has no shape yet: run the network once before profiling it")
        memo[id(buffer)] = to_meta(buffer)
    try:
        with _CopyShapesOnly():
            return copy.deepcopy(model, memo)
    except Exception as error:
        raise TraceError(
            f"{type(model).__name__} cannot be copied for tracing: {type(error).__name__}: {error}; "
            "give the attribute that holds it a __deepcopy__, or set it after profiling"
        ) from error
