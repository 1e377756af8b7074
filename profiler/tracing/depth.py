"""Recursion depth for networks that are nested as deeply as torch can run them.

While a network is copied and traced there are more Python frames for each level of nesting than in its own forward, and
Python's recursion limit would stop a network that runs without tracing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FRAMES_FOR_ONE = 4
"""The number of frames for each frame of the network's own forward; copying needs the most."""

_LOCK = threading.Lock()
_runs = 0
_before = 0


@contextmanager
def room_for_deep_networks() -> Iterator[None]:
    """Within it, the recursion limit is higher; it is restored when the last thread leaves."""
    global _runs, _before
    with _LOCK:
        if not _runs:
            _before = sys.getrecursionlimit()
            sys.setrecursionlimit(FRAMES_FOR_ONE * _before)
        _runs += 1
    try:
        yield
    finally:
        with _LOCK:
            _runs -= 1
            if not _runs and sys.getrecursionlimit() == FRAMES_FOR_ONE * _before:  # else the network has set its own
                sys.setrecursionlimit(_before)
