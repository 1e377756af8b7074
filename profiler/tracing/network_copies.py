"""Copies of a network as ``copy.deepcopy`` makes them, in a small part of its time.

Almost all of a network is modules that hold plain values, tensors and other modules.  These are copied directly; every
other object is given to ``copy.deepcopy``, with the same memo.
"""

from __future__ import annotations

import copy
import copyreg
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from profiler.tracing.objects import slot_descriptors

SHARED = frozenset(
    {
        *(type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes, type, range, property),
        *(types.FunctionType, types.BuiltinFunctionType, types.CodeType, weakref.ref),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
    }
)
"""Types of immutable values, which a copy has too."""

CONTAINERS = frozenset({OrderedDict, dict, list, set})
"""Types of containers of which an empty one is copied by a new one, unless it has attributes."""

HOOKS = frozenset(name for name, value in vars(nn.Module()).items() if type(value) is OrderedDict)
"""Attributes of every module that are dictionaries of hooks, almost always empty."""

HELD = frozenset({"_parameters", "_buffers", "_modules"})
"""Attributes of every module with what it holds by name."""

_MISSING = object()


class NetworkCopy:
    """The copies of modules and of everything in them.

    ``memo`` is that of ``copy.deepcopy``: it maps the ids of copied objects to their copies, and those of objects that
    are not to be copied to their replacements.  ``tensor`` gives the copy of a plain tensor that is not in it; without
    it such tensors are copied by ``copy.deepcopy`` too.
    """

    def __init__(self, memo: dict[int, Any], tensor: Callable[[torch.Tensor], torch.Tensor] | None = None) -> None:
        self._memo = memo
        self._plain: dict[type, bool] = {}
        self._tensor = tensor

    def copied(self, value: Any) -> Any:
        """The copy of an object."""
        kind = type(value)
        if kind in SHARED:
            return value
        known = self._memo.get(id(value), _MISSING)
        if known is not _MISSING:
            return known
        way = _WAYS.get(kind)
        if way is not None:
            return way(self, value)
        if isinstance(value, nn.Module):
            return self._module(value)
        return copy.deepcopy(value, self._memo)

    def _module(self, module: nn.Module) -> nn.Module:
        """The copy of a module: a new one of its class with copies of its attributes."""
        kind, memo = type(module), self._memo
        plain = self._plain.get(kind)
        if plain is None:
            plain = self._plain[kind] = is_copied_by_attributes(kind)
        if not plain or has_own_copy(module.__dict__):
            return copy.deepcopy(module, memo)
        made: Any = kind.__new__(kind)
        memo[id(module)] = made
        state = _state_of(module)
        for key, value in state.items():
            its_kind = type(value)
            if its_kind in SHARED:
                continue
            place = id(value)
            if place in memo:
                state[key] = memo[place]
            elif its_kind in CONTAINERS and not value and (its_kind is not OrderedDict or key in HOOKS):
                state[key] = memo[place] = its_kind()
            elif its_kind is dict and key in HELD:
                state[key] = self._held(value)
            elif its_kind is not tuple or not SHARED.issuperset(map(type, value)):
                state[key] = self.copied(value)
        made.__setstate__(state)
        new: nn.Module = made
        return new

    def _held(self, value: dict[str, Any]) -> dict[str, Any]:
        """The parameters, buffers or modules of a module, with few frames for each level of modules."""
        memo = self._memo
        new: dict[str, Any] = {}
        memo[id(value)] = new
        for name, item in value.items():
            if item is None:
                new[name] = None
                continue
            known = memo.get(id(item), _MISSING)
            if known is not _MISSING:
                new[name] = known
            else:
                new[name] = self._module(item) if isinstance(item, nn.Module) else self.copied(item)
        return new

    def _plain_tensor(self, value: torch.Tensor) -> torch.Tensor:
        if self._tensor is None:
            copied: torch.Tensor = copy.deepcopy(value, self._memo)
            return copied
        new = self._memo[id(value)] = self._tensor(value)
        return new

    def _dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        new: dict[Any, Any] = {}
        self._memo[id(value)] = new
        for key, item in value.items():
            new[self.copied(key)] = self.copied(item)
        return new

    def _ordered(self, value: OrderedDict[Any, Any]) -> OrderedDict[Any, Any]:
        if value.__dict__:  # it has attributes
            ordered: OrderedDict[Any, Any] = copy.deepcopy(value, self._memo)
            return ordered
        new: OrderedDict[Any, Any] = OrderedDict()
        self._memo[id(value)] = new
        for key, item in value.items():
            new[self.copied(key)] = self.copied(item)
        return new

    def _list(self, value: list[Any]) -> list[Any]:
        new: list[Any] = []
        self._memo[id(value)] = new
        new.extend(map(self.copied, value))
        return new

    def _set(self, value: set[Any]) -> set[Any]:
        new = self._memo[id(value)] = set(map(self.copied, value))
        return new

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        items = tuple(map(self.copied, value))
        known = self._memo.get(id(value), _MISSING)
        if known is not _MISSING:  # it contains itself
            return known
        if all(item is old for item, old in zip(items, value, strict=True)):
            return value
        self._memo[id(value)] = items
        return items

    def _method(self, value: types.MethodType) -> types.MethodType:
        new = self._memo[id(value)] = types.MethodType(value.__func__, self.copied(value.__self__))
        return new


_WAYS: dict[type, Callable[[NetworkCopy, Any], Any]] = {
    dict: NetworkCopy._dict,
    list: NetworkCopy._list,
    tuple: NetworkCopy._tuple,
    set: NetworkCopy._set,
    OrderedDict: NetworkCopy._ordered,
    types.MethodType: NetworkCopy._method,
    torch.Tensor: NetworkCopy._plain_tensor,
}
"""How values of each type are copied.  If an object held its own methods, only the search for garbage would end it."""


def is_copied_by_attributes(kind: type[nn.Module]) -> bool:
    """Whether modules of a class are copied by their ``__dict__``; ``__setstate__`` may be the class's own."""
    same = ("__reduce__", "__reduce_ex__", "__getstate__", "__getattr__", "__getattribute__")
    return (
        all(getattr(kind, name, None) is getattr(nn.Module, name, None) for name in same)
        and not any(hasattr(kind, name) for name in ("__deepcopy__", "__getnewargs__", "__getnewargs_ex__"))
        and kind not in copyreg.dispatch_table
        and not slot_descriptors(kind)
    )


def has_own_copy(attributes: dict[str, Any]) -> bool:
    """Whether a module decides itself how it is copied, by attributes that its class does not have."""
    return (
        "__deepcopy__" in attributes
        or "__reduce_ex__" in attributes
        or "__reduce__" in attributes
        or "__getstate__" in attributes
        or "__setstate__" in attributes
    )


def _state_of(module: nn.Module) -> dict[str, Any]:
    """What ``copy.deepcopy`` copies of a module: a new dictionary of its attributes."""
    if _GETSTATE is None:
        return dict(module.__dict__)
    state: dict[str, Any] = _GETSTATE(module)
    return state


_GETSTATE: Any = vars(nn.Module).get("__getstate__")
"""Some versions of torch define it, and leave compiled code out."""
