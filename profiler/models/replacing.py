"""Attributes of torch that are replaced while any thread builds a network."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_ABSENT = object()


def _dictionaries_in(module: Any) -> list[dict[Any, Any]]:
    """The namespace of a module, and the dictionaries in it."""
    if not isinstance(module, ModuleType):
        return []
    space = vars(module)
    return [space, *[value for value in list(space.values()) if type(value) is dict]]


class Replacements:
    """Attributes with their replacements, which ``make`` returns as (owner, name, replacement).

    All threads see a replacement, so it has to find out whether it is called in one that builds.  A module that is
    imported meanwhile may take a replacement into its own namespace; there the original is put in its place afterwards.
    """

    def __init__(self, make: Callable[[], list[tuple[Any, str, Any]]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._builders = 0
        self._replaced: list[tuple[Any, str, Any, Any]] = []
        self._modules: frozenset[str] = frozenset()

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Within it, in any thread, the attributes are replaced; afterwards they are as before.

        An attribute that somebody else has replaced in the meantime keeps its new value.
        """
        with self._lock:
            if not self._builders:
                self._modules = frozenset(sys.modules)
                for owner, name, new in self._make():
                    self._replaced.append((owner, name, vars(owner).get(name, _ABSENT), new))
                    setattr(owner, name, new)
            self._builders += 1
        try:
            yield
        finally:
            with self._lock:
                self._builders -= 1
                if not self._builders:
                    self._restore_in_new_modules()
                    while self._replaced:
                        self._restore(*self._replaced.pop())

    def _restore_in_new_modules(self) -> None:
        """Put the originals back into modules that were imported meanwhile, and into dictionaries in these."""
        new = sys.modules.keys() - self._modules
        originals = {id(stand_in): before for _, _, before, stand_in in self._replaced if before is not _ABSENT}
        for name in new:
            for space in _dictionaries_in(sys.modules.get(name)):
                for key, value in list(space.items()):
                    if id(value) in originals:
                        space[key] = originals[id(value)]

    def _restore(self, owner: Any, name: str, before: Any, new: Any) -> None:
        if vars(owner).get(name) is not new:
            return
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
