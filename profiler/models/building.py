"""A target and its kwargs → the network, on the meta device or as a real copy on the CPU.

On the meta device tensors have shapes and no data, so the size of a network does not matter.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from profiler.errors import FOREIGN_ERRORS, TargetError, shown
from profiler.models.refusals import next_step, refusal
from profiler.models.targets import find_builder
from profiler.models.torchvision_ops import with_operators
from profiler.tracing.causal_bias import is_causal_bias
from profiler.tracing.failures import FunctionFailures
from profiler.tracing.private import DispatchMode

PLAIN = frozenset({bool, int, float, str, type(None)})
"""Types of values without tensors."""

Placement = Callable[[], AbstractContextManager[Any]]


def build_model(
    target: str, kwargs: Mapping[str, Any] | None = None, *, base: Path | None = None, dtype: str = "float32"
) -> nn.Module:
    """The network that ``target`` builds from ``kwargs``, on the meta device, its floating tensors of ``dtype``.

    A builder that reads data cannot run on meta.  It is run on the CPU with only its parameters on meta, and if that
    fails too, wholly on the CPU; the network is then moved to meta.  The sources download nothing, and the random
    state is not changed.  Raises TargetError.
    """
    network = _build(target, kwargs or {}, base, (_on_meta, _parameters_on_meta, _WithoutRandomFills))
    return _cast(move_to_meta(network), dtype)


def build_real_model(
    target: str,
    kwargs: Mapping[str, Any] | None = None,
    *,
    base: Path | None = None,
    dtype: str = "float32",
    random_weights: bool = False,
) -> nn.Module:
    """The network on the CPU with real tensors; random initial weights are replaced by zeros, which is faster.

    It is used for counters that cannot run on meta; its outputs are meaningless.  With ``random_weights`` the builder's
    own initialization is used, from a fixed seed, for a network whose work depends on its values.  Raises TargetError.
    """
    placement = contextlib.nullcontext if random_weights else _WithoutRandomFills
    return _cast(_build(target, kwargs or {}, base, (placement,)), dtype)


def move_to_meta(network: nn.Module) -> nn.Module:
    """Replace every tensor of ``network`` by its meta copy, in place; a shared tensor stays shared.

    This includes parameters, buffers, and tensors in plain attributes, also within lists, tuples and dicts.
    Returns ``network``.
    """
    copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    seen: set[int] = set()

    def replaced(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.is_meta or nn.parameter.is_lazy(value) or is_causal_bias(value):
                return value
            if id(value) not in copies:
                copies[id(value)] = value, _meta_copy(value)  # the original is kept, so that its id is not reused
            return copies[id(value)][1]
        if type(value) is tuple:
            return tuple(map(replaced, value))
        if isinstance(value, (list, dict)) and id(value) not in seen:
            seen.add(id(value))
            for key, item in enumerate(value) if isinstance(value, list) else value.items():
                if type(item) not in PLAIN:  # most attributes of a module
                    value[key] = replaced(item)
        return value

    for module in network.modules():
        replaced(vars(module))
    return network


def _meta_copy(tensor: torch.Tensor) -> torch.Tensor:
    meta = tensor.detach().to("meta")
    if isinstance(tensor, nn.Parameter):
        meta = nn.Parameter(meta, requires_grad=tensor.requires_grad)
        meta.__dict__.update(tensor.__dict__)
    return meta


def _build(target: str, kwargs: Mapping[str, Any], base: Path | None, placements: tuple[Placement, ...]) -> nn.Module:
    found = find_builder(target, base)
    builder = found.build
    if isinstance(builder, nn.Module):
        if kwargs:
            raise TargetError(f"target {target}: it is already a network, expected no kwargs, found {shown(kwargs)}")
        return copy.deepcopy(builder)
    try:
        _check_signature(builder, kwargs)
        with _random_state_kept():
            network = with_operators(lambda: _first_that_works(builder, kwargs, placements))
    except FOREIGN_ERRORS as error:
        raise TargetError(f"target {target}: {refusal(error, kwargs)}{next_step(found, kwargs)}") from error
    if not isinstance(network, nn.Module):
        raise TargetError(f"target {target}: returned a {type(network).__name__}, expected a torch.nn.Module")
    return network


def _check_signature(builder: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError for kwargs that do not fit, before anything is built."""
    try:
        signature = inspect.signature(builder)
    except ValueError:  # some callables written in C have no signature
        return
    signature.bind(**kwargs)


def _first_that_works(builder: Callable[..., Any], kwargs: Mapping[str, Any], placements: tuple[Placement, ...]) -> Any:
    """``builder(**kwargs)`` under the first of ``placements`` in which it does not fail because of the meta device."""
    *tries, last = placements
    for placement in tries:
        failures = FunctionFailures()
        try:
            with failures, placement():
                return builder(**copy.deepcopy(dict(kwargs)))
        except FOREIGN_ERRORS as error:
            if not failures.on_meta(error):
                raise
    with last():
        return builder(**copy.deepcopy(dict(kwargs)))


@contextlib.contextmanager
def _on_meta() -> Iterator[None]:
    with torch.device("meta"), _WithoutFillsOnMeta():  # type: ignore[no-untyped-call]
        yield


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Within it, each parameter that this thread registers with a module is moved to meta before it is initialized."""
    thread = threading.get_ident()

    def empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is None or parameter.is_meta or nn.parameter.is_lazy(parameter) or threading.get_ident() != thread:
            return
        # Swapped, not replaced: the constructor may hold the parameter too.  One with views cannot be swapped.
        with contextlib.suppress(RuntimeError):
            torch.utils.swap_tensors(parameter, _meta_copy(parameter))  # type: ignore[no-untyped-call]

    handle = register_module_parameter_registration_hook(empty)
    try:
        yield
    finally:
        handle.remove()


FILLS = frozenset(
    f"aten::{name}_"
    for name in ("uniform", "normal", "random", "bernoulli", "exponential", "cauchy", "log_normal", "geometric")
)
"""Operators that fill a tensor with random numbers."""


class _WithoutFillsOnMeta(DispatchMode):
    """Leaves out random fills of tensors on meta, which have no elements: they take much of the time to build."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FILLS_ON_META and args[0].is_meta and _FILLS_ON_META[func](*args[1:], **(kwargs or {})):
            return args[0]
        return func(*args, **(kwargs or {}))


def _is_uniform(low: float = 0.0, high: float = 1.0, generator: Any = None) -> bool:
    return generator is None and low <= high


def _is_normal(mean: float = 0.0, deviation: float = 1.0, generator: Any = None) -> bool:
    return generator is None and deviation >= 0


_FILLS_ON_META: dict[Any, Callable[..., bool]] = {
    torch.ops.aten.uniform_.default: _is_uniform,
    torch.ops.aten.normal_.default: _is_normal,
}
"""Random fills, with whether torch accepts their arguments."""


class _WithoutRandomFills(DispatchMode):
    """Fills with zeros instead of random numbers, which take most of the time to build a large network."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name in FILLS:
            return args[0].zero_()
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    """Within it, torch's random state on the CPU is a fixed one; the old state is restored at the end."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _cast(network: nn.Module, dtype: str) -> nn.Module:
    """Convert the floating-point tensors of the network to ``dtype``, in place; complex tensors stay complex."""
    floating: torch.dtype = getattr(torch, dtype)
    network._apply(lambda tensor: tensor.to(floating) if tensor.is_floating_point() else tensor)  # type: ignore[no-untyped-call]
    return network
