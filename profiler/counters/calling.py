"""How counters are given a network's inputs, and how their failures are told."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torch import nn

from profiler.errors import ProfilerError

MESSAGE_LENGTH = 300


def positional_arguments(model: nn.Module, inputs: Any) -> tuple[Any, ...]:
    """Keyword arguments in the order of the forward's parameters, with its defaults between them."""
    if not isinstance(inputs, Mapping):
        return tuple(inputs)
    bound = inspect.signature(model.forward).bind(**inputs)
    last = max(list(bound.signature.parameters).index(name) for name in bound.arguments) if bound.arguments else -1
    bound.apply_defaults()
    return tuple(bound.arguments[name] for name in list(bound.signature.parameters)[: last + 1])


def call(model: nn.Module, inputs: Any) -> Any:
    """``model`` called on ``inputs``, a tuple of positional or a mapping of keyword arguments."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


def failure(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, ProfilerError):
        return text
    return f"{type(error).__name__}: {text}"[:MESSAGE_LENGTH] if text else type(error).__name__


def installed_version(distribution: str) -> str:
    """The version of an installed package; an empty text where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
