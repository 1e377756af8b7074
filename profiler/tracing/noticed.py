"""Attributes that differ from layer to layer and that few calls read: each look at one in a run is noticed.

The layers of transformers know their numbers, by which they find their part of a cache of keys and values.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, cast

from torch import nn

from profiler.tracing.libraries import TRUSTED

NOTICED = "layer_idx"
"""The name of the attribute.  It is an integer."""

_FINDS_OTHERS = nn.Module.__getattr__.__code__
"""What finds the attributes of a module that are not in its dictionary: parameters, buffers and modules."""


def is_noticed(module: nn.Module) -> bool:
    """Whether looks at the attribute of a module can be noticed: it has one, and is of a library that is trusted."""
    held = module.__dict__
    if NOTICED not in held:
        return False
    kind = cast(Any, type(module))
    return type(held[NOTICED]) is int and type(held["_buffers"]) is dict and _may_be_noticed(kind)


class Looks:
    """How often the attribute was read in any module that is noticed, in all of a run."""

    def __init__(self) -> None:
        self.number = 0

    def notice(self, module: nn.Module) -> None:
        """Notice looks at the attribute of a module from now on."""
        held = module.__dict__
        value = held.pop(NOTICED)
        held["_buffers"] = _Among(held["_buffers"], value, self)


class _Among(dict[str, Any]):
    """The buffers of a module.  Only torch, when it looks for an attribute, also finds the noticed one among them."""

    def __init__(self, buffers: dict[str, Any], value: int, looks: Looks) -> None:
        super().__init__(buffers)
        self._value = value
        self._looks = looks

    def __contains__(self, name: object) -> bool:
        if name == NOTICED and sys._getframe(1).f_code is _FINDS_OTHERS:
            self._looks.number += 1
            return True
        return super().__contains__(name)

    def __missing__(self, name: str) -> int:
        if name == NOTICED and sys._getframe(1).f_code is _FINDS_OTHERS:
            return self._value
        raise KeyError(name)


@cache
def _may_be_noticed(kind: Any) -> bool:
    """Whether modules of a class have no other way to find the attribute."""
    usual = getattr(kind, "__getattr__", None) is nn.Module.__getattr__
    of_object = getattr(kind, "__getattribute__", None) is object.__getattribute__
    is_trusted = kind.__module__.partition(".")[0] in TRUSTED
    return is_trusted and usual and of_object and not hasattr(kind, NOTICED) and _works()


@cache
def _works() -> bool:
    """Whether this version of torch finds attributes among the buffers as it should."""
    module, looks = nn.Module(), Looks()
    module.__dict__[NOTICED] = 3
    looks.notice(module)
    try:
        found = module.__getattr__(NOTICED)
    except AttributeError:
        return False
    return bool(found == 3 and looks.number == 1)
