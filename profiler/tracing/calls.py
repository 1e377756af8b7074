"""The inputs of a network → the positional and the keyword arguments of one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Inputs = Any
"""The inputs of a network, in one of the forms of :func:`call_arguments`."""


def call_arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """``inputs`` as positional and keyword arguments of a call.

    ======================================================  =====================================================
    ``(args, kwargs)``: a tuple of exactly two, the first   positional and keyword arguments together
    a tuple or list, the second a dict with names as keys
    any other tuple or list                                 positional arguments
    a mapping of any class with names as keys               keyword arguments
    anything else                                           the only argument
    ======================================================  =====================================================

    Subclasses of tuple and list (a named tuple, a packed sequence) are one argument.  A network whose two arguments
    are a tuple and a dict takes them in a list, ``[(a, b), {"mask": m}]``, or as ``(((a, b), {"mask": m}), {})``.
    """
    if type(inputs) is tuple and len(inputs) == 2 and type(inputs[0]) in (tuple, list) and _is_named(inputs[1]):
        return tuple(inputs[0]), dict(inputs[1])
    if type(inputs) in (tuple, list):
        return tuple(inputs), {}
    if isinstance(inputs, Mapping) and all(isinstance(key, str) for key in inputs):
        return (), dict(inputs)
    return (inputs,), {}


def _is_named(value: Any) -> bool:
    return type(value) is dict and all(type(key) is str for key in value)
