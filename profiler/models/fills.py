"""Functions that do nothing but fill a tensor with numbers, and the calls of them that change nothing on meta."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from profiler.models.repeated_layers import builds_as_at_first
from profiler.models.replacing import Replacements
from profiler.tracing.private import without_functions


def only_fills(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether the call does nothing but fill a tensor on meta with numbers."""
    accepts = ON_META.get(func)
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


ON_META: dict[Any, Callable[..., bool]] = {
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


INITIALIZERS: dict[str, Callable[..., bool]] = {
    "kaiming_normal_": _is_kaiming,
    "constant_": _is_constant,
    "ones_": _is_alone,
    "zeros_": _is_alone,
}
"""Functions of ``torch.nn.init`` that many builders call for each layer, with whether torch accepts their arguments."""


def initializers_left_out() -> AbstractContextManager[None]:
    """Within it, these functions return at once, where they would change nothing and no mode of others sees them.

    A function mode sees most of them only in their parts, of which each takes longer than all this.
    """
    return _replaced.replaced()


def _initializer(function: Callable[..., Any], accepts: Callable[..., bool]) -> Callable[..., Any]:
    @functools.wraps(function)
    def initialize(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if builds_as_at_first():
            with without_functions():
                nothing_else = _has_numbers(tensor) and _accepted(accepts, tensor, args, kwargs)
            if nothing_else:
                return tensor
        return function(tensor, *args, **kwargs)

    return initialize


def _accepted(accepts: Callable[..., bool], tensor: torch.Tensor, args: Any, kwargs: Any) -> bool:
    try:
        return accepts(tensor, *args, **kwargs)
    except TypeError:  # arguments that the function does not have: torch says so
        return False


_replaced = Replacements(
    lambda: [(nn.init, name, _initializer(getattr(nn.init, name), accepts)) for name, accepts in INITIALIZERS.items()]
)
