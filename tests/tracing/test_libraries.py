"""The state of a library whose code is trusted as a whole: every change of what it holds is noticed."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.libraries import Library, library_state

SOURCE = """
from collections import OrderedDict
class Layer:
    size = 2
    def forward(self): return self.size
class Settings:
    pass
settings = Settings()
settings.kind = "sdpa"
REGISTRY = {"a": Layer, "b": Settings}
ORDERED = OrderedDict(first=1, second=2)
NAMES = ["a", "b"]
SEEN = {1, 2}
def build(): return Layer()
"""


@pytest.fixture
def library() -> Iterator[Any]:
    """A library of two modules."""
    found = []
    for name in ("trusted_library", "trusted_library.inner"):
        module = ModuleType(name)
        sys.modules[name] = module
        exec(SOURCE, vars(module))
        found.append(module)
    yield found[1]
    for name in [name for name in sys.modules if name.startswith("trusted_library")]:
        del sys.modules[name]


def _swapped(library: Any) -> None:
    """Two attributes have each other's values."""
    library.NAMES, library.SEEN = library.SEEN, library.NAMES


def _renamed(library: Any) -> None:
    """An attribute has another name, and the same place and value: it is the last one."""
    library.make = vars(library).pop("build")


def _imported_again(library: Any) -> None:
    """A module of the same name and contents."""
    module = ModuleType("trusted_library.inner")
    vars(module).update(vars(library))
    sys.modules["trusted_library.inner"] = module


def _imported(library: Any) -> None:
    sys.modules["trusted_library.later"] = ModuleType("trusted_library.later")


CHANGES: dict[str, Callable[[Any], object]] = {
    "a function": lambda library: setattr(library, "build", library.Layer.forward),
    "a new attribute": lambda library: setattr(library, "N", 1),
    "a missing attribute": lambda library: delattr(library, "build"),
    "attributes swapped": _swapped,
    "an attribute renamed": _renamed,
    "an equal value": lambda library: setattr(library.Layer, "size", 2.0),
    "a method": lambda library: setattr(library.Layer, "forward", library.build),
    "an attribute of an object": lambda library: setattr(library.settings, "kind", "eager"),
    "an entry": lambda library: library.REGISTRY.update(a=library.Settings),
    "a new entry": lambda library: library.REGISTRY.update(c=library.Settings),
    "an entry of an ordered dictionary": lambda library: library.ORDERED.update(first=3),
    "an item of a list": lambda library: library.NAMES.append("c"),
    "an item of a set": lambda library: library.SEEN.add(3),
    "a module": _imported,
    "a module that is imported again": _imported_again,
}


def holds(state: Library) -> bool:
    """Whether a library still is in this state."""
    return state.unchanged


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_noticed(library: Any, name: str) -> None:
    """The state is known to have changed, and the next one is another one."""
    before = library_state("trusted_library")
    assert holds(before)
    assert library_state("trusted_library") is before
    CHANGES[name](library)
    assert not holds(before)
    after = library_state("trusted_library")
    assert after is not before
    assert holds(after)


def test_another_order_is_no_change(library: Any) -> None:
    """An attribute or an entry that is removed and added again comes last."""
    before = library_state("trusted_library")
    for space, name in ((vars(library), "Layer"), (library.REGISTRY, "a"), (library.ORDERED, "first")):
        space[name] = space.pop(name)
    assert isinstance(library.ORDERED, OrderedDict)
    assert holds(before)


def test_a_function_of_somebody_else_makes_its_code_open(library: Any) -> None:
    """It may do anything."""
    library_state("trusted_library")
    library.build = _swapped
    with pytest.raises(OpenCodeError):
        library_state("trusted_library")
