"""A function that makes inputs from a network → the inputs of the network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from profiler.errors import FOREIGN_ERRORS, ProfilerError, TargetError
from profiler.models.real_copies import BYTES_LIMIT
from profiler.models.sources import SOURCES
from profiler.models.targets import find_builder, reason
from profiler.tracing.objects import tensors_in
from profiler.tracing.randomness import fixed_random_state

Constructor = Callable[..., Any]
"""``constructor(network, **kwargs)``: a tensor, a tuple of arguments, a mapping of keyword arguments, …"""


def is_constructor(inputs: Any) -> bool:
    """Whether ``inputs`` is a function that makes them, or a callable object that contains no tensors."""
    if inspect.isroutine(inputs) or isinstance(inputs, partial):
        return True
    if not callable(inputs) or isinstance(inputs, (torch.Tensor, Mapping, tuple, list)):
        return False
    return not any(True for _ in tensors_in(list(getattr(inputs, "__dict__", {}).values())))


def find_constructor(text: str, base: Path | None = None) -> Constructor:
    """The function that ``path/to/net.py:make_inputs`` or ``package.module:make_inputs`` names.

    A relative path starts from ``base``.  Raises :class:`TargetError`.
    """
    place = text.rpartition(":")[0]
    if place in SOURCES:
        raise TargetError(f"inputs.from: {text} names a network, expected a function, such as path/to/net.py:inputs")
    try:
        found: Any = find_builder(text, base).build
    except TargetError as error:
        raise TargetError(f"inputs.from: {error}") from error
    if isinstance(found, nn.Module):
        raise TargetError(f"inputs.from: {text} is a network, expected a function that takes a network")
    constructor: Constructor = found
    return constructor


def construct_inputs(
    constructor: Constructor, network: nn.Module, kwargs: Mapping[str, Any] | None = None, *, name: str = ""
) -> Any:
    """The result of ``constructor(network, **kwargs)``, with torch's random numbers from a fixed seed.

    For a network on the meta device, meta is the default device.  If the constructor fails there, or makes integers
    (the work of a network may depend on their values), it is called without a default device, unless its tensors would
    take more than ``BYTES_LIMIT``; a network on meta may have real inputs.  Raises :class:`TargetError`.
    """
    name = name or getattr(constructor, "__qualname__", "") or type(constructor).__name__
    on_meta = any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))

    def made(placement: AbstractContextManager[Any]) -> Any:
        with fixed_random_state(), placement:
            result = constructor(network, **(kwargs or {}))
        if result is None:
            raise TargetError(f"inputs from {name}: it returned nothing, expected the inputs of the network")
        return result

    try:
        if not on_meta:
            return made(nullcontext())
        return _for_meta(made)
    except ProfilerError:
        raise
    except FOREIGN_ERRORS as error:
        raise TargetError(f"inputs from {name}: it raised {reason(error)}") from error


def _for_meta(made: Callable[[AbstractContextManager[Any]], Any]) -> Any:
    try:
        result = made(torch.device("meta"))
    except ProfilerError:
        raise
    except FOREIGN_ERRORS:  # it fails on meta; any other error is raised again below
        return made(nullcontext())
    found = list(tensors_in(result))
    size = sum(tensor.numel() * tensor.element_size() for tensor in found)
    unknown = any(tensor.is_meta and not (tensor.is_floating_point() or tensor.is_complex()) for tensor in found)
    if not unknown or size > BYTES_LIMIT:
        return result
    try:
        return made(nullcontext())
    except FOREIGN_ERRORS:
        return result
