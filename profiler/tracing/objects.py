"""Finds the tensors inside objects of any kind: containers, attributes and slots."""

from __future__ import annotations

import types
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

import torch
from torch import nn

ATOMS = (
    type(None),
    type(...),
    type(NotImplemented),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    property,
    type,
    Enum,
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
    torch.Size,
    types.CodeType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    weakref.ref,
)
"""Immutable types without tensors, which a copy may share."""

PLAIN_CONTAINERS = (tuple, list, dict, set, frozenset, deque)


class OfTheProfiler:
    """An object of the profiler that a network under trace holds: what it holds is not the network's."""

    __slots__ = ()


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in ``value``, in order: in containers, and in the attributes and slots of objects.

    Containers yield a tensor as often as they contain it; attributes of objects yield only tensors that were not
    yielded before.  Modules are skipped, since their parameters are not inputs, and so are the profiler's own objects.
    """
    return _Search(opaque=True).of(value)


def returned_tensors(result: Any) -> list[torch.Tensor]:
    """The tensors in the result of a network, from which a backward pass starts.

    They are those in lists, tuples, mappings and dataclasses.  Objects of other classes are only searched if none of
    these needs a gradient; otherwise they are taken to be state for the next call, as a cache is.
    """
    plain = list(_Search(opaque=False).of(result))
    return plain if any(tensor.requires_grad for tensor in plain) else list(tensors_in(result))


class _Search:
    """One search; ``opaque`` says whether objects are entered that are neither containers nor dataclasses."""

    def __init__(self, *, opaque: bool) -> None:
        self._opaque = opaque
        self._given: dict[int, torch.Tensor] = {}
        self._entered: dict[int, Any] = {}

    def of(self, value: Any, *, again: bool = True) -> Iterator[torch.Tensor]:
        """The tensors in ``value``; tensors that were yielded before only with ``again``."""
        if isinstance(value, torch.Tensor):
            if again or id(value) not in self._given:
                self._given[id(value)] = value
                yield value
            return
        if isinstance(value, (*ATOMS, nn.Module, OfTheProfiler)) or id(value) in self._entered:
            return
        self._entered[id(value)] = value
        for item in _items(value):
            yield from self.of(item, again=again)
        if type(value) in PLAIN_CONTAINERS:
            del self._entered[id(value)]
        elif self._opaque or is_dataclass(value):
            for item in (*slots(value).values(), *named(value).values()):
                yield from self.of(item, again=False)


def _items(value: Any) -> Iterator[Any]:
    """The items of a container."""
    if isinstance(value, dict):
        yield from dict.values(value)
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (tuple, list, set, frozenset, deque)):
        yield from value


def slots(value: Any) -> dict[str, Any]:
    """The values of an object's slots."""
    found: dict[str, Any] = {}
    for name, slot in slot_descriptors(type(value)).items():
        try:
            found[name] = slot.__get__(value)
        except AttributeError:  # never set
            continue
    return found


def slot_descriptors(kind: type) -> dict[str, types.MemberDescriptorType]:
    """The slots of a class and of those that it is derived from."""
    return {
        name: slot
        for base in reversed(kind.__mro__)
        for name, slot in vars(base).items()
        if isinstance(slot, types.MemberDescriptorType)
    }


def named(value: Any) -> dict[str, Any]:
    """The ``__dict__`` of an object, without calling properties or ``__getattr__``."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}
