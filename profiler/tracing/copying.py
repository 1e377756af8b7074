"""A network → its copy on the meta device: the same structure and shapes without the weights.

The trace runs on the copy, so the user's network is not changed by its forward pass.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import empty_strided, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from torch.overrides import TorchFunctionMode

from profiler.errors import FOREIGN_ERRORS, TraceError
from profiler.garbage import without_collection
from profiler.tracing.causal_bias import is_causal_bias
from profiler.tracing.network_copies import SHARED, NetworkCopy
from profiler.tracing.parallel import check_whole, without_processes
from profiler.tracing.private import is_fake, is_wrapped
from profiler.tracing.scripts import copy_script, roots_among
from profiler.tracing.tensors import PLAIN
from profiler.tracing.walking import named_buffers, named_modules, named_parameters, tensors_of

META = torch.device("meta")


def to_meta(tensor: torch.Tensor) -> torch.Tensor:
    """A meta tensor of the same shape, strides and dtype, detached from any graph; a causal mask object stays."""
    if has_plain_memory(tensor):
        return empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
    if is_causal_bias(tensor):
        return tensor
    if is_fake(tensor):
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
    with torch.no_grad():
        return torch.empty_like(tensor, device=META).requires_grad_(False)


def has_plain_memory(tensor: torch.Tensor) -> bool:
    """Whether the shape and strides of a tensor say all about its memory, which has no gaps."""
    return (
        type(tensor) in PLAIN
        and tensor.layout is torch.strided
        and not (tensor.is_nested or tensor.is_quantized or is_wrapped(tensor))
        and (tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)))
    )


class _CopyShapesOnly(TorchFunctionMode):
    """While it is active, ``copy.deepcopy`` of a tensor returns a meta tensor."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = _shape_only(tensor)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _shape_only(tensor: torch.Tensor) -> torch.Tensor:
    """The copy of a tensor that is neither a parameter nor a buffer."""
    return to_meta(tensor).requires_grad_(tensor.requires_grad)


def has_lazy_parts(modules: Iterable[nn.Module]) -> bool:
    """Whether ``modules`` have lazy parameters or buffers, which have no shape before the first run."""
    return any(map(is_lazy, tensors_of(modules)))


def _copy_parameter(parameter: nn.Parameter) -> nn.Parameter:
    new: nn.Parameter
    is_without_shape: bool = is_lazy(parameter)
    if type(parameter) is nn.Parameter and has_plain_memory(parameter):
        # created with its class and flag: nn.Parameter would create a second tensor
        made: Any = empty_strided(
            parameter.shape,
            parameter.stride(),
            dtype=parameter.dtype,
            device=META,
            requires_grad=parameter.requires_grad,
        )
        made.__class__ = nn.Parameter
        new = made
    elif is_without_shape:
        make_lazy: Any = UninitializedParameter  # torch's stubs do not have its arguments
        new = make_lazy(requires_grad=parameter.requires_grad, device="meta", dtype=parameter.dtype)
        return new
    else:
        new = nn.Parameter(to_meta(parameter), requires_grad=parameter.requires_grad)
    if parameter.__dict__:
        new.__dict__.update(parameter.__dict__)
    return new


@without_collection()
def copy_to_meta(model: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """A deep copy of ``model`` with every tensor on the meta device; ``model`` is not changed.

    Ties between parameters are kept, and lazy ones stay lazy.  ``memo`` is as for :func:`deep_copy`.  Raises
    :class:`TraceError` if something in the network cannot be copied.
    """
    memo = {} if memo is None else memo
    named = named_modules(model)
    check_whole(named)
    for _, parameter in named_parameters(named):
        memo[id(parameter)] = _copy_parameter(parameter)
    for _, buffer in named_buffers(named):
        memo[id(buffer)] = UninitializedBuffer().to("meta") if is_lazy(buffer) else to_meta(buffer)
    modules = [module for _, module in named]
    for script in roots_among(modules):
        memo[id(script)] = copy_script(script, memo, on_meta=True)
    with _CopyShapesOnly():
        return _copy_with_shared(model, modules, memo, _shape_only)


def deep_copy(model: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """``copy.deepcopy``, but that attributes which cannot be copied (a lock, an open file) are shared.

    ``memo`` maps the ids of objects that are not copied to their replacements; the ids of all copied objects are added
    with their copies.  Raises :class:`TraceError` if something else cannot be copied.
    """
    memo = {} if memo is None else memo
    named = named_modules(model)
    check_whole(named)
    modules = [module for _, module in named]
    for script in roots_among(modules):
        if id(script) not in memo:
            memo[id(script)] = copy_script(script, memo, on_meta=False)
    return _copy_with_shared(model, modules, memo, None)


def _copy_with_shared(model: nn.Module, modules: list[nn.Module], memo: dict[int, Any], tensor: Any) -> nn.Module:
    """The copy of a network with all its ``modules``; ``tensor`` is as for :class:`NetworkCopy`."""
    try:
        return _copy_noted(model, modules, {}, memo, tensor)
    except FOREIGN_ERRORS as error:
        shared = {id(value): value for value in _cannot_be_copied(modules, memo, tensor)}
        try:
            return _copy_noted(model, modules, shared, memo, tensor)
        except FOREIGN_ERRORS:
            raise TraceError(
                f"{type(model).__name__} cannot be copied for tracing: {type(error).__name__}: {error}; "
                "give the attribute that holds it a __deepcopy__, or set it after profiling"
            ) from error


def _copy_noted(
    model: nn.Module, modules: list[nn.Module], shared: dict[int, Any], memo: dict[int, Any], tensor: Any
) -> nn.Module:
    """A deep copy, whose objects are added to ``memo`` if it succeeds."""
    used = {**memo, **shared}
    copying = NetworkCopy(used, tensor)
    without_processes(modules, used, copying.copied)
    result: nn.Module = copying.copied(model)
    kept = used.pop(id(used), [])  # deepcopy keeps copied objects alive there, so that ids are not reused
    memo.update(used)
    memo.setdefault(id(memo), []).extend(kept)
    return result


def _cannot_be_copied(modules: list[nn.Module], memo: dict[int, Any], tensor: Any) -> Iterator[Any]:
    """The attributes of modules that cannot be copied, except for the modules in them."""
    known: ChainMap[int, Any] = ChainMap({}, {id(module): module for module in modules}, memo)
    for module in modules:
        for value in vars(module).values():
            if type(value) in SHARED:
                continue
            try:
                NetworkCopy(cast(Any, known.new_child()), tensor).copied(value)
            except FOREIGN_ERRORS:
                yield value
