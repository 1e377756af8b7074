"""The tree of modules, each with its own work and its work together with everything below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from profiler.columns import FILES, FIRST, HEADLINE, Column
from profiler.records import EXCLUDED, ROOT
from profiler.schema import Table
from profiler.tabulate import Group, Grouping, Work, calls_of_excluded, left_out, tabulate

GROUPING = Grouping(
    "modules",
    "Modules",
    first=(
        Column("module", "name", FIRST, refers_to="module"),
        Column("type", priority=22, meaning="class of the module"),
        Column("depth", "depth", FILES, meaning="depth below the network"),
        Column("calls", "count", 27, meaning="number of calls"),
    ),
    last=(Column("status", "status", HEADLINE + 1, meaning="partial if work has no rule or is unseen"),),
    totals=True,
)


def table(work: Work, depth: int | None = None) -> Table:
    """One row for each module; ``total`` figures include everything below it.

    With ``depth``, deeper modules are left out; they stay in the totals of the shown ones.
    """
    return tabulate(GROUPING, _groups(work, depth), work)


def tree(work: Work, depth: int) -> Table:
    """The tree down to ``depth``, each module with the figures of everything below it, under their plain names."""
    return tabulate(replace(GROUPING, totals=False), _groups(work, depth), work)


def _groups(work: Work, depth: int | None) -> list[Group]:
    trace = work.trace
    own = work.by_module
    below = _with_all_below(own)
    groups = []
    for record in trace.modules:
        name = record.name
        level = name.count(".") + 1 if name else 0
        if depth is None or level <= depth:
            group = below.get(name) or Group()
            group.itself = own.get(name) or Group()
            group.cells = {"module": name or ROOT, "type": record.type, "depth": level, "calls": record.calls}
            groups.append(group)
    for group, status in zip(groups, work.statuses(groups), strict=True):
        group.cells["status"] = status
    if trace.excluded is not None:
        rest = left_out(trace, module=EXCLUDED, type="", depth=0, calls=calls_of_excluded(trace))
        rest.cells["status"] = work.status(rest)
        groups.append(rest)
    return groups


def _with_all_below(own: Mapping[str, Group]) -> dict[str, Group]:
    """For the name of each module with own work, and for each beginning of it, a group with all work below."""
    below: dict[str, Group] = {}
    for name, group in own.items():
        part = group
        while True:
            known = below.get(name)
            if known is not None:
                known.parts.append(part)
                break
            part = below[name] = Group(parts=[part])
            if not name:
                break
            name = name.rpartition(".")[0]
    return below
