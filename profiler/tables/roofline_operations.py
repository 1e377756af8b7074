"""The time that each operation at least takes on a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from profiler.columns import FIRST, Column
from profiler.schema import Table
from profiler.tables._of_device import KIND, Named, roofline
from profiler.tabulate import Work, gathered


def table(work: Work) -> Table:
    """One row for each operation and kind of work, the slowest first."""
    found = roofline("roofline_operations", " of operations", (Column("op", "name", FIRST), KIND), _rows(work), work)
    times, ops = found["time_at_least"], found["op"]
    body = range(len(found) - found.footer)
    order = sorted(body, key=lambda row: (-(times[row] or 0), ops[row]))
    places = [*order, *range(len(body), len(found))]
    return replace(found, values=tuple([values[place] for place in places] for values in found.values))


def _rows(work: Work) -> Iterator[Named]:
    groups = gathered(work.anywhere, lambda tally: (tally.op, tally.kind))
    for cells, group in groups.items():
        yield cells, group.tallies, False
