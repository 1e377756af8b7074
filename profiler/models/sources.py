"""Model sources: functions that list the networks which can be named as ``source:name``.

A source is registered with :func:`source` under the word before the colon, and returns all its networks
by name.  It is called only when a target asks for it, so it may import what it needs.
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
"""``inputs(**kwargs)``: what the network that is built from ``kwargs`` is given, positional or by keyword."""


Ask = Callable[[str, Mapping[str, InputValue]], Any]
"""``ask(method, inputs)``: what that method of the built network gives for ``inputs``, on the meta device.

Raises TraceError where the network refuses them.
"""

CompletedInputs = Callable[..., tuple[InputValue, ...] | Mapping[str, InputValue]]
"""``completed(inputs, ask, **kwargs)``: ``inputs`` with those that only the built network can say the size of."""


@dataclass(frozen=True, slots=True)
class Builder:
    """One network of a source: the family it is listed under, the function that builds it, and its usual inputs.

    ``inputs`` raises ValueError, or is None, where they are not known; ``completed`` adds what the network is asked
    for.  ``advice(**kwargs)`` is the next step where the network cannot be built or run, or nothing.
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
    """The optional ``package``.  Raises TargetError, which says how to install it, where it is missing."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        hint = f'pip install "static-flop-profiler[{package}]"'
        raise TargetError(f"{package} is not installed; install it with: {hint}") from error


def refuse_weights(kwargs: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """``kwargs`` without ``keys``, which ask for trained weights.  Raises ValueError where one does ask."""
    for key in keys:
        if kwargs.get(key):
            raise ValueError(f"{key} would be downloaded, and their values change no count; leave {key} out")
    return {key: value for key, value in kwargs.items() if key not in keys}
