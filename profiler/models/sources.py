"""Model sources: functions that list the networks which can be named as ``source:name``.

A source is registered with :func:`source` under the word before the colon, and returns all its networks
by name.  It is called only when a target uses it, so it may import what it needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from profiler.config import InputValue
from profiler.errors import TargetError

DefaultInputs = Callable[..., tuple[InputValue, ...] | Mapping[str, InputValue]]
"""``inputs(**kwargs)``: the inputs of the network that is built from ``kwargs``, positional or by keyword."""


Ask = Callable[[str, Mapping[str, InputValue]], Any]
"""``ask(method, inputs)``: the result of that method of the built network for ``inputs``, on the meta device.

Raises TraceError if the network refuses them.
"""

CompletedInputs = Callable[..., tuple[InputValue, ...] | Mapping[str, InputValue]]
"""``completed(inputs, ask, **kwargs)``: ``inputs`` with those whose size only the built network knows."""


@dataclass(frozen=True, slots=True)
class Builder:
    """One network of a source: the family it is listed under, the function that builds it, and its usual inputs.

    ``inputs`` raises ValueError, or is None, if they are not known; ``completed`` adds inputs whose size the built
    network tells.  ``advice(**kwargs)`` is the next step if the network cannot be built or run, or empty.
    """

    family: str
    build: Callable[..., nn.Module]
    inputs: DefaultInputs | None = None
    completed: CompletedInputs | None = None
    advice: Callable[..., str] | None = None


Source = Callable[[Path], Mapping[str, Builder]]
"""``source(base) -> networks``: every name that may follow the colon, with its builder.

``base`` is the folder that a relative path in a builder's kwargs starts from.
"""

SOURCES: dict[str, Source] = {}


def source(name: str) -> Callable[[Source], Source]:
    """Register the decorated function as the source ``name``; a name can be registered once."""

    def register(networks: Source) -> Source:
        if name in SOURCES:
            raise TargetError(f"model source {name!r} is registered already; a source can be registered once")
        SOURCES[name] = networks
        return networks

    return register


def import_extra(package: str) -> ModuleType:
    """The optional ``package``.  Raises TargetError, which says how to install it, if it is missing."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        hint = f'pip install "static-flop-profiler[{package}]"'
        raise TargetError(f"{package} is not installed; install it with: {hint}") from error


def refuse_weights(kwargs: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """``kwargs`` without ``keys``, which request trained weights.  Raises ValueError if one of them does."""
    for key in keys:
        if kwargs.get(key):
            raise ValueError(f"{key} would be downloaded, and their values change no count; leave {key} out")
    return {key: value for key, value in kwargs.items() if key not in keys}
