"""The state of libraries whose code is trusted as a whole, since it is too dynamic to be read.

Their networks do the same work again as long as none of their modules, classes and registries has changed.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import is_
from types import FunctionType, ModuleType
from typing import Any

from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.objects import named

TRUSTED = frozenset({"transformers"})
"""The libraries.  What their networks read besides their arguments and attributes is in their modules and classes."""

USED = frozenset(
    {
        *("accelerate", "huggingface_hub", "numpy", "packaging", "regex", "requests", "safetensors", "tokenizers"),
        *("torch", "torchvision", "tqdm", "typing_extensions", "yaml"),
    }
)
"""Other libraries, whose functions are in the modules of trusted ones."""

CONTAINERS = frozenset({dict, OrderedDict, list, set})

LARGEST = 512
"""The maximum number of entries of a registry.  Larger tables are the names of all classes that a library has."""


@dataclass(frozen=True, slots=True)
class Library:
    """The modules of a library, and what they hold, each with a copy of its contents.

    ``mappings`` are the attributes of modules, classes and objects, and registries in these, ``others`` are other
    containers in them.  Containers in other containers are not looked at.
    """

    name: str
    modules: dict[str, ModuleType]
    mappings: Mappings
    others: tuple[tuple[Any, Any], ...]

    @property
    def unchanged(self) -> bool:
        """Whether it has the same modules, and each of them the same contents."""
        return (
            same_items(_modules_of(self.name), self.modules)
            and self.mappings.unchanged
            and all(same_contents(container, values) for container, values in self.others)
        )


class Mappings:
    """Mappings, each with a copy of its contents."""

    def __init__(self, mappings: Iterable[Mapping[Any, Any]]) -> None:
        self._mappings = list(mappings)
        self._copies = [dict(mapping) for mapping in self._mappings]
        self._lengths = list(map(len, self._copies))
        self._keys = list(chain.from_iterable(self._copies))
        self._values = list(chain.from_iterable([copy.values() for copy in self._copies]))

    @property
    def unchanged(self) -> bool:
        """Whether all of them have the same objects under the same keys, in whatever order."""
        return self._are_in_order() or all(map(same_items, self._mappings, self._copies))

    def _are_in_order(self) -> bool:
        """Whether they are unchanged and in the same order: this is found out sooner, and nearly always holds."""
        values = [mapping.values() for mapping in self._mappings]
        return (
            list(map(len, self._mappings)) == self._lengths
            and all(map(is_, chain.from_iterable(values), self._values))
            and all(map(is_, chain.from_iterable(self._mappings), self._keys))
        )


def same_items(space: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether two mappings have the same objects under the same keys, in whatever order."""
    if space.keys() != values.keys():
        return False
    return all(map(is_, space.values(), values.values())) or all(space[key] is values[key] for key in values)


def same_contents(container: Any, values: Any) -> bool:
    """Whether a container has the same objects as a copy of it."""
    if isinstance(container, dict):
        return same_items(container, values)
    if isinstance(container, set):
        return bool(container == values)
    return len(container) == len(values) and all(map(is_, container, values))


def library_state(name: str) -> Library:
    """The present state of a library.

    Raises :class:`OpenCodeError` if one of its functions is neither its own nor of a library that it is known to use:
    then somebody has replaced it.
    """
    known = _states.get(name)
    if known is None or not known.unchanged:
        known = _states[name] = _read_state(name)
    return known


_states: dict[str, Library] = {}
"""The last known states."""


def _read_state(name: str) -> Library:
    modules = _modules_of(name)
    spaces: dict[int, Mapping[str, Any]] = {}
    containers: dict[int, Any] = {}
    waiting: list[Any] = list(modules.values())
    while waiting:
        holder = waiting.pop()
        space = vars(holder) if isinstance(holder, (ModuleType, type)) else named(holder)
        if id(holder) in spaces:
            continue
        spaces[id(holder)] = space
        for item in list(space.values()):
            inside: list[Any] = []
            if type(item) in CONTAINERS and id(item) not in containers and len(item) <= LARGEST:
                containers[id(item)] = item
                inside = list(item.values() if isinstance(item, dict) else item)
            for value in (item, *inside):
                if isinstance(value, FunctionType):
                    _check(value, name)
                elif id(value) not in spaces and _belongs(value, name):
                    waiting.append(value)
    others = [container for container in containers.values() if not isinstance(container, dict)]
    return Library(
        name,
        modules,
        Mappings([*spaces.values(), *[each for each in containers.values() if isinstance(each, dict)]]),
        tuple([(container, container.copy()) for container in others]),
    )


def _belongs(item: Any, name: str) -> bool:
    """Whether an object is a class or an object of the library."""
    kind = item if isinstance(item, type) else type(item)
    return not isinstance(item, ModuleType) and kind.__module__.partition(".")[0] == name


def _check(function: FunctionType, name: str) -> None:
    root = (function.__globals__.get("__name__") or "").partition(".")[0]
    if root != name and root not in USED and root not in sys.stdlib_module_names and root != "":
        raise OpenCodeError(f"{function.__qualname__} in {name}")


def _modules_of(library: str) -> dict[str, ModuleType]:
    """The modules of a library that are imported, by their names."""
    inside = f"{library}."
    every = list(sys.modules.items())
    return {name: module for name, module in every if name == library or name.startswith(inside)}
