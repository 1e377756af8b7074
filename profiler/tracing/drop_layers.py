"""Layers that drop parts of their input in training, with some probability: in evaluation they return their input.

Their probability differs from block to block in most networks.  So in evaluation it is no part of a make.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

PROBABILITIES = {
    ("torchvision.ops.stochastic_depth", "StochasticDepth"): "p",
    ("timm.layers.drop", "DropPath"): "drop_prob",
}
"""The module and the name of each class, and the attribute that has the probability."""

MODULES = frozenset(module for module, _ in PROBABILITIES)

SHOWS = frozenset({"__format__", "__repr__", "__str__", "extra_repr", "format", "repr", "str"})
"""Names by which code gets a text that contains the probability."""


def drop_layers(kinds: Iterable[Any]) -> Mapping[type, str]:
    """Those of ``kinds`` that return their input in evaluation, with the names of their probabilities.

    Their code is that of the library.
    """
    found = {}
    for kind in kinds:
        name = PROBABILITIES.get((kind.__module__, kind.__qualname__))
        if name is not None and _is_of_library(kind):
            found[kind] = name
    return found


def is_of_drop_layer(function: FunctionType) -> bool:
    """Whether a function belongs to the module of a drop layer, as the library wrote it."""
    module = sys.modules.get(function.__globals__["__name__"])
    return (
        function.__globals__["__name__"] in MODULES
        and module is not None
        and function.__globals__ is vars(module)
        and function.__code__.co_filename == module.__file__
    )


def is_probability(value: Any) -> bool:
    """Whether it is a number that each of the layers accepts."""
    return type(value) in (int, float) and 0 <= value <= 1


def _is_of_library(kind: type) -> bool:
    """Whether a class, its forward and the functions that this one calls are those of the library."""
    module = sys.modules.get(kind.__module__)
    forward = vars(kind).get("forward")
    if module is None or vars(module).get(kind.__name__) is not kind or not isinstance(forward, FunctionType):
        return False
    named = [vars(module).get(name) for name in forward.__code__.co_names]
    return all(is_of_drop_layer(function) for function in (forward, *named) if isinstance(function, FunctionType))
