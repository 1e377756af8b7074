"""Layers, parameters and counts by kind of work, each with its share of the whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from profiler.columns import FIRST, Column
from profiler.records import KINDS, ParameterRecord
from profiler.schema import Table
from profiler.tabulate import Group, Grouping, Work, left_out, tabulate

GROUPING = Grouping(
    "shares", "Shares by kind of work", first=(Column("kind", priority=FIRST), Column("layers", "count", 10))
)


STATUS = Column("status", "status", 28, meaning="partial if work has no rule or is unseen")
"""The column that a partial profile has too: without it, the total would not be marked as a lower bound."""


def table(work: Work) -> Table:
    """One row for each kind of work, and a row ``total`` after them; shares are fractions of one.

    Excluded work is not in the total; it has a separate last row ``excluded``.
    """
    trace = work.trace
    layers = Counter(work.kinds.values())
    used: defaultdict[str, list[ParameterRecord]] = defaultdict(list)
    for record in trace.parameters:
        if not record.buffer:
            used[record.use].append(record)
    groups = {
        kind: Group(parameters=used.get(kind, ()), parts=(work.by_kind[kind],) if kind in work.by_kind else ())
        for kind in dict.fromkeys((*work.by_kind, *used))
    }
    rows = [groups[kind] for kind in KINDS if kind in groups]
    for kind, group in groups.items():
        group.cells = {"kind": kind, "layers": layers[kind]}
        group.known = kind != "uncounted"
    rows.append(Group({"kind": "total", "layers": layers.total()}, parts=[work.whole], known=True, in_footer=True))
    if trace.excluded is not None:
        rest = left_out(trace, kind="excluded")
        rest.cells["layers"] = len({tally.module for tally in rest.tallies if tally.module})
        rest.known = True
        rows.append(rest)
    if all(work.status(row) == "complete" for row in rows):
        return tabulate(GROUPING, rows, work)
    for row in rows:
        row.cells["status"] = work.status(row)
    return tabulate(replace(GROUPING, last=(STATUS,)), rows, work)
