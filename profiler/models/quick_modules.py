"""Shorter ways through the methods of ``nn.Module`` that every constructor calls, while networks are built.

Most modules get attributes that are plain values, or modules under new names.  For these, the methods here do what
those of torch do; anything else is left to torch.  So other threads may call them too.
"""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

import torch
from torch import nn

from profiler.models.layer_states import LayerState
from profiler.models.replacing import Replacements
from profiler.tracing.private import hooks_on_modules

_init = nn.Module.__init__
_set = nn.Module.__setattr__
_add = nn.Module.add_module
_set_of_object = object.__setattr__

_FRESH = LayerState(vars(nn.Module()))
"""What ``nn.Module`` itself gives a new module."""

_READ = frozenset({*vars(nn.Module()), *("call_super_init", "__dict__", "__getattr__", "__getattribute__")})
"""What a class may define by which a new module would get other attributes, or would find them elsewhere."""

_usual: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
"""For classes of modules, whether they define none of it."""


def _is_usual(kind: type[nn.Module]) -> bool:
    known = _usual.get(kind)
    if known is None:
        others = [base for base in kind.__mro__ if base not in (nn.Module, object)]
        known = all(_READ.isdisjoint(vars(base)) for base in others)
        known = _usual[kind] = known and super(nn.Module, kind).__setattr__ is object.__setattr__
    return known


@wraps(_init)
def _quick_init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
    if args or kwargs or not _is_usual(type(self)):
        _init(self, *args, **kwargs)
    else:
        self.__dict__.update(_FRESH.copy())


@wraps(_set)
def set_attribute(self: nn.Module, name: str, value: Any) -> None:
    """``nn.Module.__setattr__``; that itself is not replaced, since Python then visits all classes of modules."""
    if not isinstance(value, torch.Tensor) and not _holds(self, name):
        if not isinstance(value, nn.Module):
            if type(self).__mro__[-2] is nn.Module:
                _set_of_object(self, name, value)
            else:
                super(nn.Module, self).__setattr__(name, value)
            return
        if _takes_modules(self, name) and name not in self.__dict__["_non_persistent_buffers_set"]:
            self.__dict__["_modules"][name] = value
            return
    _set(self, name, value)


@wraps(_add)
def _quick_add(self: nn.Module, name: str, module: nn.Module | None) -> None:
    is_name = type(name) is str and name and "." not in name and not hasattr(type(self), name)
    if is_name and isinstance(module, nn.Module) and not _holds(self, name) and _takes_modules(self, name):
        self.__dict__["_modules"][name] = module
    else:
        _add(self, name, module)


def _holds(module: nn.Module, name: str) -> bool:
    """Whether the module has a parameter, buffer or module of that name, or was not made by ``nn.Module``."""
    held = module.__dict__
    try:
        return name in held["_parameters"] or name in held["_modules"] or name in held["_buffers"]
    except KeyError:
        return True


def _takes_modules(module: nn.Module, name: str) -> bool:
    """Whether nobody sees that it gets a module, and this takes the place of no other attribute."""
    return not hooks_on_modules and name not in module.__dict__ and _is_usual(type(module))


_METHODS = {"__init__": (_init, _quick_init), "add_module": (_add, _quick_add)}

STANDS_FOR = {_quick_init: _init, set_attribute: _set, _quick_add: _add}
"""The methods here, each with the one of torch that it stands for."""


def _methods() -> list[tuple[Any, str, Any]]:
    """Those of them whose method of torch nobody has replaced."""
    _usual.clear()
    own = vars(nn.modules.module)
    return [
        (nn.Module, name, quick)
        for name, (of_torch, quick) in _METHODS.items()
        if vars(nn.Module)[name] is of_torch and of_torch.__globals__ is own
    ]


_replaced = Replacements(_methods)


def quick_modules() -> AbstractContextManager[None]:
    """Within it, in any thread, modules are made and get their attributes in these shorter ways."""
    return _replaced.replaced()
