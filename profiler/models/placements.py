"""Where a builder runs: on the meta device, with only its parameters there, or on the CPU without random numbers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from profiler.garbage import rare_collection
from profiler.models.repeated_layers import layers_repeated
from profiler.tracing.private import DefaultDevice, DispatchMode

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
    meta = tensor.detach().to("meta")
    if isinstance(tensor, nn.Parameter):
        meta = nn.Parameter(meta, requires_grad=tensor.requires_grad)
        meta.__dict__.update(tensor.__dict__)
    return meta


class _WithoutFills(TorchFunctionMode):
    """Leaves out filling tensors on meta with numbers, which takes much of the time to build.

    It is left out if torch would accept it, which then changes nothing.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _only_fills(func, args, kwargs or {}):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


class OnMeta(DefaultDevice):
    """Creates new tensors on meta and leaves out filling them, in one mode."""

    def __init__(self) -> None:
        super().__init__("meta")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _only_fills(func, args, kwargs or {}):
            return args[0] if args else kwargs["tensor"]
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _all_on_meta() -> Iterator[None]:
    with rare_collection(), OnMeta(), layers_repeated():
        yield


@contextlib.contextmanager
def _parameters_on_meta_without_fills() -> Iterator[None]:
    with rare_collection(), _parameters_on_meta(), _WithoutFills(), layers_repeated(hooks=1):
        yield


def _only_fills(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether the call does nothing but fill a tensor on meta with numbers."""
    accepts = _FILLS_ON_META.get(func)
    if accepts is None:
        return False
    tensor = args[0] if args else kwargs.get("tensor")
    return _has_numbers(tensor) and _may_change(func, tensor) and accepts(*args, **kwargs)


def _has_numbers(tensor: Any) -> bool:
    """Whether it is a real tensor on meta with elements."""
    plain = type(tensor) in (torch.Tensor, nn.Parameter) and tensor.is_meta
    return plain and not tensor.is_complex() and 0 not in tensor.shape


def _may_change(func: Any, tensor: torch.Tensor) -> bool:
    """Whether autograd lets the function change the tensor in place."""
    return not tensor.requires_grad or func in _WITHOUT_GRADIENTS or not torch.is_grad_enabled()


_WITHOUT_GRADIENTS = frozenset({nn.init.uniform_, nn.init.normal_, nn.init.constant_, nn.init.kaiming_uniform_})
"""Functions that turn gradients off themselves."""


def _are_numbers(tensor: Any, *values: Any) -> bool:
    """Whether the tensor can take these numbers."""
    return all(type(value) in (int, float) for value in values) and tensor.is_floating_point()


def _is_uniform(tensor: Any, a: Any = 0.0, b: Any = 1.0, generator: Any = None) -> bool:
    return generator is None and _are_numbers(tensor, a, b) and a <= b


def _is_normal(tensor: Any, mean: Any = 0.0, std: Any = 1.0, generator: Any = None) -> bool:
    return generator is None and _are_numbers(tensor, mean, std) and std >= 0


def _is_kaiming(
    tensor: Any, a: Any = 0, mode: Any = "fan_in", nonlinearity: Any = "leaky_relu", generator: Any = None
) -> bool:
    known = mode in ("fan_in", "fan_out") and nonlinearity in ("leaky_relu", "relu", "linear", "conv2d", "tanh")
    return known and generator is None and _are_numbers(tensor, a) and tensor.dim() >= 2


def _is_constant(tensor: Any, val: Any) -> bool:
    return _are_numbers(tensor, val)


def _is_bounded(tensor: Any, min: Any = None, max: Any = None) -> bool:
    return _are_numbers(tensor, min, max)


def _is_alone(tensor: Any) -> bool:
    return True


def _is_floating(tensor: Any) -> bool:
    return bool(tensor.is_floating_point())


def _is_value(tensor: Any, value: Any) -> bool:
    return type(value) is int or _are_numbers(tensor, value)


_FILLS_ON_META: dict[Any, Callable[..., bool]] = {
    torch.Tensor.uniform_: _is_uniform,
    torch.Tensor.normal_: _is_normal,
    torch.Tensor.zero_: _is_alone,
    torch.Tensor.erfinv_: _is_floating,
    torch.Tensor.fill_: _is_value,
    torch.Tensor.mul_: _is_constant,
    torch.Tensor.add_: _is_constant,
    torch.Tensor.clamp_: _is_bounded,
    nn.init.uniform_: _is_uniform,
    nn.init.normal_: _is_normal,
    nn.init.constant_: _is_constant,
    nn.init.kaiming_uniform_: _is_kaiming,
}
"""Functions that only change the numbers of a tensor, with whether torch accepts their arguments."""


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
