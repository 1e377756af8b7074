"""Where a builder runs: on the meta device, with only its parameters there, or on the CPU without random numbers."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from profiler.garbage import rare_collection
from profiler.models.fills import initializers_left_out, only_fills
from profiler.models.layer_states import META
from profiler.models.meta_results import REPEATED, MetaResults
from profiler.models.repeated_layers import layers_repeated
from profiler.tracing.failures import FunctionFailures
from profiler.tracing.private import DefaultDevice, DispatchMode
from profiler.tracing.strides import contiguous

Placement = Callable[[], AbstractContextManager[Any]]


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Within it, each parameter that this thread registers with a module is moved to meta before it is initialized."""
    thread = threading.get_ident()

    def empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is None or parameter.is_meta or nn.parameter.is_lazy(parameter) or threading.get_ident() != thread:
            return
        # Swapped, not replaced: the constructor may hold the parameter too.  One with views cannot be swapped.
        with contextlib.suppress(RuntimeError):
            torch.utils.swap_tensors(parameter, meta_copy(parameter))  # type: ignore[no-untyped-call]

    handle = register_module_parameter_registration_hook(empty)
    try:
        yield
    finally:
        handle.remove()


def meta_copy(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor on meta with the same metadata; of a parameter, a parameter with the same attributes."""
    if _is_dense(tensor):
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
    meta = tensor.detach().to("meta")
    if isinstance(tensor, nn.Parameter):
        meta = nn.Parameter(meta, requires_grad=tensor.requires_grad)
        meta.__dict__.update(tensor.__dict__)
    return meta


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether it is a plain tensor whose elements are in order, as most buffers are."""
    is_plain = type(tensor) is torch.Tensor and tensor.layout is torch.strided and not tensor.is_nested
    return is_plain and tensor.stride() == contiguous(tensor.shape)


class _WithoutFills(TorchFunctionMode):
    """Leaves out filling tensors on meta with numbers, which takes much of the time to build.

    It is left out if torch would accept it, which then changes nothing.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if only_fills(func, args, kwargs or {}):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


class OnMeta(DefaultDevice):
    """Creates new tensors on meta, leaves out filling them, and runs equal functions of tensors once, in one mode."""

    def __init__(self) -> None:
        super().__init__("meta")
        self._results = MetaResults()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if only_fills(func, args, kwargs or {}):
            return args[0] if args else kwargs["tensor"]
        run = functools.partial(super().__torch_function__, func, types, args, kwargs)
        return self._results.call(func, args, kwargs or {}, run) if func in REPEATED else run()


@contextlib.contextmanager
def _all_on_meta() -> Iterator[None]:
    layers = layers_repeated(modes=frozenset({FunctionFailures, OnMeta}), device=META)
    with rare_collection(), OnMeta(), layers, initializers_left_out():
        yield


@contextlib.contextmanager
def _parameters_on_meta_without_fills() -> Iterator[None]:
    layers = layers_repeated(hooks=1, modes=frozenset({FunctionFailures, _WithoutFills}))
    with rare_collection(), _parameters_on_meta(), _WithoutFills(), layers, initializers_left_out():
        yield


FILLS = frozenset(
    f"aten::{name}_"
    for name in ("uniform", "normal", "random", "bernoulli", "exponential", "cauchy", "log_normal", "geometric")
)
"""Operators that fill a tensor with random numbers."""


class WithoutRandomFills(DispatchMode):
    """Fills with zeros instead of random numbers, which take most of the time to build a large network."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name in FILLS:
            return args[0].zero_()
        return func(*args, **(kwargs or {}))


PLACEMENTS: tuple[Placement, ...] = (_all_on_meta, _parameters_on_meta_without_fills, WithoutRandomFills)
"""Where a network on meta is built: in the first of these that works."""
