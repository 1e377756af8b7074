"""Attributes of torch that are replaced while any thread builds a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_ABSENT = object()


class Replacements:
    """Attributes with their replacements, which ``make`` returns as (owner, name, replacement).

    All threads see a replacement, so it has to find out whether it is called in one that builds.
    """

    def __init__(self, make: Callable[[], list[tuple[Any, str, Any]]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._builders = 0
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Within it, in any thread, the attributes are replaced; afterwards they are as before.

        An attribute that somebody else has replaced in the meantime keeps its new value.
        """
        with self._lock:
            if not self._builders:
                for owner, name, new in self._make():
                    self._replaced.append((owner, name, vars(owner).get(name, _ABSENT), new))
                    setattr(owner, name, new)
            self._builders += 1
        try:
            yield
        finally:
            with self._lock:
                self._builders -= 1
                while not self._builders and self._replaced:
                    self._restore(*self._replaced.pop())

    def _restore(self, owner: Any, name: str, before: Any, new: Any) -> None:
        if vars(owner).get(name) is not new:
            return
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
