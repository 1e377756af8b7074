"""How often Python searches for garbage: many new objects, none of them garbage, would cause many searches."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RARELY = 2**17
"""The number of new objects after which Python searches for garbage in a run on meta; by default it is 700."""


class _Rare:
    """The runs that are under way, in all threads, and Python's own number."""

    lock = threading.Lock()
    runs = 0
    before = 0


@contextmanager
def rare_collection() -> Iterator[None]:
    """Within it, Python searches for garbage less often: a run makes many objects, and nothing on meta is large.

    The number is restored when the last run ends, unless somebody has changed it.
    """
    first, *others = gc.get_threshold()
    with _Rare.lock:
        if not _Rare.runs and 0 < first < RARELY:
            _Rare.before = first
            gc.set_threshold(RARELY, *others)
        _Rare.runs += 1
    try:
        yield
    finally:
        with _Rare.lock:
            _Rare.runs -= 1
            first, *others = gc.get_threshold()
            if not _Rare.runs and _Rare.before and first == RARELY:
                gc.set_threshold(_Rare.before, *others)
                _Rare.before = 0


@contextmanager
def without_collection() -> Iterator[None]:
    """Within it, Python does not search for garbage: many new objects, none of them garbage, would cause many searches.

    Nothing that runs for long, and no network, belongs within it.
    """
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


@contextmanager
def lasting_imports() -> Iterator[None]:
    """Within it, a command imports what its process needs until it ends; nothing that exists then is ever searched.

    Python would search all objects of torch for garbage several times while they are made, and again when the process
    ends.  Only for processes of our own, before they run a network.
    """
    with without_collection():
        yield
        gc.freeze()


def end_without_search() -> None:
    """Let the process end without a last search for garbage.  Only where no code of a user has run.

    An object of a user may do something when it is freed, such as writing the rest of a file.
    """
    gc.freeze()
