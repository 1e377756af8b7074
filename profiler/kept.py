"""Tables that are kept with the trace that they follow from.

A profile that is answered from an earlier one has the trace of that one, so its tables are the same.  A table is kept
if it follows from the trace alone: it is one of the profiler's own, and is made without a device, a model of energy, a
throughput and reports of counters.  Nobody can change its values.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from threading import Lock

from profiler import catalog
from profiler.measures import Measure, Ratio, measures, ratios
from profiler.records import Trace
from profiler.schema import Table
from profiler.tabulate import Work

MOST_VALUES = 2**20
"""The maximum number of values in the kept tables of all traces together; the oldest tables are forgotten."""

OWN = str(catalog.PACKAGE / "tables")
"""The folder of the profiler's own tables."""

Make = Callable[[Work], Table]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A table, with the figures and ratios that there were when it was made.

    The ``headline`` of the convention is kept alive, since its id is a part of the key.
    """

    table: Table
    headline: Measure | None
    measures: tuple[Measure, ...]
    ratios: tuple[Ratio, ...]


class _Keeping:
    """The kept tables of all traces, the oldest first: the trace, its key there, and the number of values."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tables: deque[tuple[weakref.ref[Trace], Hashable, int]] = deque()
        self._values = 0

    def keep(self, trace: Trace, key: Hashable, known: _Kept) -> None:
        """Keep it with the trace; the oldest tables are forgotten if there are too many."""
        values = len(known.table) * len(known.table.columns)
        if values > MOST_VALUES // 4:
            return
        with self._lock:
            trace.kept[key] = known
            self._tables.append((weakref.ref(trace), key, values))
            self._values += values
            while self._values > MOST_VALUES:
                oldest, its_key, number = self._tables.popleft()
                self._values -= number
                its_trace = oldest()
                if its_trace is not None:
                    its_trace.kept.pop(its_key, None)


_KEEPING = _Keeping()


def kept_table(make: Make, work: Work) -> Table:
    """The table that ``make`` makes of ``work``: the one that is kept with the trace, if there is one.

    Each caller gets a table of its own, since data frames, which may be changed, are made of it.
    """
    if not _follows_from_trace(make, work):
        return make(work)
    key = make, id(work.headline)
    known: _Kept | None = work.trace.kept.get(key)
    if known is None or known.measures is not measures() or known.ratios is not ratios():
        table = make(work)
        known = _Kept(replace(table, values=tuple(map(tuple, table.values))), work.headline, measures(), ratios())
        _KEEPING.keep(work.trace, key, known)
    return replace(known.table)


def _follows_from_trace(make: Make, work: Work) -> bool:
    """Whether ``make`` is one of the profiler's own tables, and ``work`` has nothing but a trace and a headline."""
    code = getattr(make, "__code__", None)
    others = [
        getattr(work, part.name) == part.default for part in fields(work) if part.name not in ("trace", "headline")
    ]
    return all(others) and code is not None and code.co_filename.startswith(OWN)
