"""A network → its copy on the meta device: the same structure and shapes without the weights.

The trace runs on the copy, so the user's network is not changed by its forward pass.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from torch.overrides import TorchFunctionMode

from profiler.errors import FOREIGN_ERRORS, TraceError
from profiler.tracing.causal_bias import is_causal_bias
from profiler.tracing.parallel import check_whole, without_processes
from profiler.tracing.private import is_fake
from profiler.tracing.scripts import copy_script, script_roots


def to_meta(tensor: torch.Tensor) -> torch.Tensor:
    """A meta tensor of the same shape, strides and dtype, detached from any graph; a causal mask object stays."""
    if is_causal_bias(tensor):
        return tensor
    if is_fake(tensor):
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    with torch.no_grad():
        return torch.empty_like(tensor, device="meta").requires_grad_(False)


class _CopyShapesOnly(TorchFunctionMode):
    """While it is active, ``copy.deepcopy`` of a tensor returns a meta tensor."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = to_meta(tensor).requires_grad_(tensor.requires_grad)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def has_lazy_parts(model: nn.Module) -> bool:
    """Whether the model has lazy parameters or buffers, which have no shape before the first run."""
    return any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers()))


def _copy_parameter(parameter: nn.Parameter) -> nn.Parameter:
    make_lazy: Any = UninitializedParameter  # torch's stubs do not have its arguments
    is_without_shape: bool = is_lazy(parameter)
    if is_without_shape:
        unshaped: nn.Parameter = make_lazy(requires_grad=parameter.requires_grad, device="meta", dtype=parameter.dtype)
        return unshaped
    copied = nn.Parameter(to_meta(parameter), requires_grad=parameter.requires_grad)
    copied.__dict__.update(parameter.__dict__)
    return copied


def copy_to_meta(model: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """A deep copy of ``model`` with every tensor on the meta device; ``model`` is not changed.

    Ties between parameters are kept, and lazy ones stay lazy.  ``memo`` is as for :func:`deep_copy`.  Raises
    :class:`TraceError` if something in the network cannot be copied.
    """
    memo = {} if memo is None else memo
    check_whole(model)
    for parameter in model.parameters():
        memo[id(parameter)] = _copy_parameter(parameter)
    for buffer in model.buffers():
        memo[id(buffer)] = UninitializedBuffer().to("meta") if is_lazy(buffer) else to_meta(buffer)
    for script in script_roots(model):
        memo[id(script)] = copy_script(script, memo, on_meta=True)
    with _CopyShapesOnly():
        return deep_copy(model, memo)


def deep_copy(model: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """``copy.deepcopy``, but that attributes which cannot be copied (a lock, an open file) are shared.

    ``memo`` maps the ids of objects that are not copied to their replacements; the ids of all copied objects are added
    with their copies.  Raises :class:`TraceError` if something else cannot be copied.
    """
    memo = {} if memo is None else memo
    check_whole(model)
    for script in script_roots(model):
        if id(script) not in memo:
            memo[id(script)] = copy_script(script, memo, on_meta=False)
    try:
        return _copy_noted(model, {}, memo)
    except FOREIGN_ERRORS as error:
        shared = {id(value): value for value in _cannot_be_copied(model, memo)}
        try:
            return _copy_noted(model, shared, memo)
        except FOREIGN_ERRORS:
            raise TraceError(
                f"{type(model).__name__} cannot be copied for tracing: {type(error).__name__}: {error}; "
                "give the attribute that holds it a __deepcopy__, or set it after profiling"
            ) from error


def _copy_noted(model: nn.Module, shared: dict[int, Any], memo: dict[int, Any]) -> nn.Module:
    """A deep copy, whose objects are added to ``memo`` if it succeeds."""
    used = {**memo, **shared}
    without_processes(model, used)
    result = copy.deepcopy(model, used)
    kept = used.pop(id(used), [])  # deepcopy keeps copied objects alive there, so that ids are not reused
    memo.update(used)
    memo.setdefault(id(memo), []).extend(kept)
    return result


def _cannot_be_copied(model: nn.Module, memo: dict[int, Any]) -> Iterator[Any]:
    """The attributes of modules that cannot be copied, except for the modules in them."""
    modules = {id(module): module for module in model.modules()}
    for module in model.modules():
        for value in vars(module).values():
            try:
                copy.deepcopy(value, {**memo, **modules})
            except FOREIGN_ERRORS:
                yield value
