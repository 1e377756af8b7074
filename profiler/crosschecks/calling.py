"""How counters are given a network's inputs, and how their failures are reported."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.tracing import Inputs, call_arguments
from profiler.tracing.object_copies import InputCopy
from profiler.tracing.objects import tensors_in

MESSAGE_LENGTH = 300


def call(model: nn.Module, inputs: Inputs) -> Any:
    """``model`` called on ``inputs``."""
    arguments, options = call_arguments(inputs)
    return model(*arguments, **options)


def all_by_position(model: nn.Module, inputs: Inputs) -> tuple[Any, ...] | None:
    """All arguments in the order of the forward's parameters, with defaults in between; None if some need names."""
    arguments, options = call_arguments(inputs)
    if not options:
        return arguments
    signature = inspect.signature(model.forward)
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    named = [name for name, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    if not set(options) <= set(named):
        return None
    bound = signature.bind(*arguments, **options)
    order = [name for name, kind in kinds.items() if name in named or kind is inspect.Parameter.POSITIONAL_ONLY]
    last = max(order.index(name) for name in bound.arguments if name in order)
    bound.apply_defaults()
    return tuple(bound.arguments[name] for name in order[: last + 1])


def all_by_name(model: nn.Module, inputs: Inputs) -> dict[str, Any] | None:
    """All arguments with the names of the forward's parameters; None if some have no name."""
    arguments, options = call_arguments(inputs)
    parameters = inspect.signature(model.forward).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    if any(parameter.kind is parameter.POSITIONAL_ONLY for parameter in parameters) or len(names) < len(arguments):
        return None if arguments else options
    return {**dict(zip(names, arguments, strict=False)), **options}


@contextmanager
def positional(model: nn.Module, inputs: Inputs) -> Iterator[tuple[Any, ...]]:
    """Positional arguments for a counter that passes no others.

    If the forward has keyword-only parameters, ``model`` gets another forward meanwhile, which takes their tensors by
    position.
    """
    arguments = all_by_position(model, inputs)
    if arguments is not None:
        yield arguments
    else:
        with _forward_of_tensors(model, inputs) as tensors:
            yield tensors


@contextmanager
def positional_tensors(model: nn.Module, inputs: Inputs) -> Iterator[tuple[Any, ...]]:
    """The same for a counter that passes tensors only, in lists, tuples and dicts; objects are rebuilt from these."""
    arguments = all_by_position(model, inputs)
    if arguments is not None and all(map(_is_traceable, arguments)):
        yield arguments
    else:
        with _forward_of_tensors(model, inputs) as tensors:
            yield tensors


def _is_traceable(value: Any) -> bool:
    """Whether TorchScript's tracer accepts it as an argument."""
    if type(value) in (tuple, list):
        return all(map(_is_traceable, value))
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_traceable, value.values()))
    return value is None or isinstance(value, (torch.Tensor, str))


@contextmanager
def _forward_of_tensors(model: nn.Module, inputs: Inputs) -> Iterator[tuple[torch.Tensor, ...]]:
    """All tensors inside ``inputs``; calling ``model`` on them has the same effect as calling it on ``inputs``."""
    whole = call_arguments(inputs)
    tensors = {id(tensor): tensor for tensor in tensors_in(whole)}
    original, own = model.forward, vars(model).get("forward")

    def forward(*given: torch.Tensor) -> Any:
        new = dict(zip(tensors, given, strict=True))
        made = InputCopy(whole, lambda tensor: new.get(id(tensor), tensor), keep_memory=False)
        arguments, options = made.result
        result = original(*arguments, **options)
        return result if _is_traceable(result) else tuple(tensors_in(result))

    model.__dict__["forward"] = forward
    try:
        yield tuple(tensors.values())
    finally:
        if own is None:
            del model.__dict__["forward"]
        else:
            model.__dict__["forward"] = own


def failure(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, ProfilerError):
        return text
    return f"{type(error).__name__}: {text}"[:MESSAGE_LENGTH] if text else type(error).__name__


def installed_version(distribution: str) -> str:
    """The version of an installed package without the build (``+cpu``); empty if it is not installed."""
    try:
        return version(distribution).partition("+")[0]
    except PackageNotFoundError:
        return ""
