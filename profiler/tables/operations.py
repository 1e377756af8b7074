"""The cost of each operation, by kind and phase."""

from __future__ import annotations

from typing import Any

from profiler.columns import FIRST, Column
from profiler.records import EXCLUDED
from profiler.schema import Table
from profiler.tabulate import Group, Grouping, Work, gathered, left_out, tabulate

GROUPING = Grouping(
    "operations",
    "Operations",
    first=(
        Column("op", "name", FIRST),
        Column("kind", priority=3),
        Column("phase", priority=8),
        Column("status", priority=2, meaning="counted, free, or uncounted if it has no rule"),
        Column("calls", "count", 9),
        Column("modules", "count", 26, meaning="number of modules that ran it"),
    ),
)


def table(work: Work) -> Table:
    """One row for each operation, the uncounted ones first, then the costliest; the free ones last."""
    order = {"uncounted": 0, "counted": 1, "free": 2}

    def rank(item: tuple[Any, Group]) -> tuple[int, int, int, str]:
        (op, _, _, status), group = item
        flops, comparisons = work.cost(group)
        return order[status], -flops, -comparisons, op

    found = gathered(work.tallies, lambda tally: (tally.op, tally.kind, tally.phase, tally.status))
    rows = []
    for key, group in sorted(found.items(), key=rank):
        group.cells = dict(zip(("op", "kind", "phase", "status"), key, strict=True))
        rows.append(group)
    if work.trace.excluded is not None:
        rest = left_out(work.trace, op=EXCLUDED, kind="excluded", phase="")
        rest.cells["status"] = "uncounted" if work.figures.partial(rest) else "counted"
        rows.append(rest)
    for group in rows:
        group.cells |= {"calls": group.times, "modules": len({tally.module for tally in group.tallies})}
    return tabulate(GROUPING, rows, work)
