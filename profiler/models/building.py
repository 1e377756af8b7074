"""A target and its kwargs → the network, on the meta device or as a real copy on the CPU.

On the meta device tensors have shapes and no data, so the size of a network does not matter.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from profiler.errors import FOREIGN_ERRORS, TargetError, shown
from profiler.models.placements import PLACEMENTS, Placement, WithoutRandomFills, meta_copy
from profiler.models.refusals import next_step, refusal
from profiler.models.targets import find_builder
from profiler.models.torchvision_ops import with_operators
from profiler.tracing.causal_bias import is_causal_bias
from profiler.tracing.failures import FunctionFailures
from profiler.tracing.walking import modules_of, tensors_of

PLAIN = frozenset({bool, int, float, str, type(None)})
"""Types of values without tensors."""

HOLDERS = frozenset({dict, OrderedDict, list, tuple, set})
"""Types of values without tensors if they are empty."""

TENSORS = frozenset({torch.Tensor, nn.Parameter})
"""Types of tensors that are on meta if they say so."""


def build_model(
    target: str, kwargs: Mapping[str, Any] | None = None, *, base: Path | None = None, dtype: str = "float32"
) -> nn.Module:
    """The network that ``target`` builds from ``kwargs``, on the meta device, its floating tensors of ``dtype``.

    A builder that reads data cannot run on meta.  It is run on the CPU with only its parameters on meta, and if that
    fails too, wholly on the CPU; the network is then moved to meta.  The sources download nothing, and the random
    state is not changed.  Raises TargetError.
    """
    network = _build(target, kwargs or {}, base, PLACEMENTS)
    modules = modules_of(network)
    _move_to_meta(modules)
    return _cast(network, modules, dtype)


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
    placement = contextlib.nullcontext if random_weights else WithoutRandomFills
    network = _build(target, kwargs or {}, base, (placement,))
    return _cast(network, modules_of(network), dtype)


def move_to_meta(network: nn.Module) -> nn.Module:
    """Replace every tensor of ``network`` by its meta copy, in place; a shared tensor stays shared.

    This includes parameters, buffers, and tensors in plain attributes, also within lists, tuples and dicts.
    Returns ``network``.
    """
    _move_to_meta(modules_of(network))
    return network


def _move_to_meta(modules: list[nn.Module]) -> None:
    copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    seen: set[int] = set()

    def replaced(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.is_meta or nn.parameter.is_lazy(value) or is_causal_bias(value):
                return value
            if id(value) not in copies:
                copies[id(value)] = value, meta_copy(value)  # the original is kept, so that its id is not reused
            return copies[id(value)][1]
        if type(value) is tuple:
            return tuple(map(replaced, value))
        if isinstance(value, (list, dict)) and id(value) not in seen:
            seen.add(id(value))
            for key, item in enumerate(value) if isinstance(value, list) else value.items():
                value[key] = replaced(item)
        return value

    done = PLAIN.union(kind for kind in set(map(type, modules)) if not issubclass(kind, (list, dict, torch.Tensor)))
    for module in modules:
        held = vars(module)
        for key, value in held.items():
            kind = type(value)
            if kind not in done and (kind not in HOLDERS or (value and not _is_done(value, done))):
                held[key] = replaced(value)


def _is_done(holder: Any, done: Collection[Any]) -> bool:
    """Whether the items have these types or are tensors on meta: most attributes hold sizes, modules or parameters."""
    for item in holder.values() if isinstance(holder, dict) else holder:
        kind = type(item)
        if kind not in done and not (kind in TENSORS and item.is_meta):
            return False
    return True


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
def _random_state_kept() -> Iterator[None]:
    """Within it, torch's random state on the CPU is a fixed one; the old state is restored at the end."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _cast(network: nn.Module, modules: list[nn.Module], dtype: str) -> nn.Module:
    """Convert the floating-point tensors of the network to ``dtype``, in place; complex tensors stay complex."""
    floating: torch.dtype = getattr(torch, dtype)
    if all(tensor.dtype is floating or not tensor.is_floating_point() for tensor in tensors_of(modules)):
        return network
    network._apply(lambda tensor: tensor.to(floating) if tensor.is_floating_point() else tensor)  # type: ignore[no-untyped-call]
    return network
