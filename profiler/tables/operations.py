"""The cost of each operation, by kind and phase."""

from __future__ import annotations

from typing import Any

from profiler.calls import Tally
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


def _key(tally: Tally) -> tuple[str, str, str, str]:
    operation = tally.operation
    return operation.signature.op, operation.kind, operation.phase, operation.answer.status


def table(work: Work) -> Table:
    """One row for each operation, the uncounted ones first, then the costliest; the free ones last."""
    order = {"uncounted": 0, "counted": 1, "free": 2}

    def rank(item: tuple[Any, Group]) -> tuple[int, int, int, str]:
        (op, _, _, status), group = item
        flops, comparisons = work.cost(group)
        return order[status], -flops, -comparisons, op

    found = gathered(work.anywhere, _key)
    modules: dict[Group, set[str]] = {group: set() for group in found.values()}
    ran_in = {tally.operation: modules[group] for group in found.values() for tally in group.tallies}
    for tally in work.tallies:
        ran_in[tally.operation].add(tally.module)
    rows = []
    for key, group in sorted(found.items(), key=rank):
        group.cells = dict(zip(("op", "kind", "phase", "status"), key, strict=True))
        group.cells |= {"calls": group.times, "modules": len(modules[group])}
        rows.append(group)
    if work.trace.excluded is not None:
        rest = left_out(work.trace, op=EXCLUDED, kind="excluded", phase="")
        rest.cells["status"] = "uncounted" if work.figures.partial(rest) else "counted"
        rest.cells |= {"calls": rest.times, "modules": len({tally.module for tally in rest.tallies})}
        rows.append(rest)
    return tabulate(GROUPING, rows, work)
