"""The tree of modules, each with its own work and its work together with everything below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from profiler.columns import FILES, FIRST, HEADLINE, Column
from profiler.records import EXCLUDED, ROOT, ModuleRecord
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
    return _tabulated(GROUPING, work, depth)


def tree(work: Work, depth: int) -> Table:
    """The tree down to ``depth``, each module with the figures of everything below it, under their plain names."""
    return _tabulated(replace(GROUPING, totals=False), work, depth)


def _tabulated(grouping: Grouping, work: Work, depth: int | None) -> Table:
    trace = work.trace
    records = [record for record in trace.modules if depth is None or _level(record) <= depth]
    below, nothing = _with_all_below(work.by_module), Group()
    groups = [below.get(record.name, nothing) for record in records]
    cells: dict[str, list[Any]] = {
        "module": [record.name or ROOT for record in records],
        "type": [record.type for record in records],
        "depth": [_level(record) for record in records],
        "calls": [record.calls for record in records],
        "status": work.statuses(groups),
    }
    if trace.excluded is not None:
        groups.append(rest := left_out(trace))
        for name, value in zip(cells, (EXCLUDED, "", 0, calls_of_excluded(trace), work.status(rest)), strict=True):
            cells[name].append(value)
    return tabulate(grouping, groups, work, cells)


def _level(record: ModuleRecord) -> int:
    """The depth of the module below the network."""
    return record.name.count(".") + 1 if record.name else 0


def _with_all_below(own: Mapping[str, Group]) -> dict[str, Group]:
    """For the name of each module with own work, and for each beginning of it, a group with all work below.

    A module with nothing below it has the group of its own work.
    """
    beginnings: set[str] = set()
    for name in own:
        while name:
            name = name.rpartition(".")[0]
            if name in beginnings:
                break
            beginnings.add(name)
    below: dict[str, Group] = {}
    for name, group in own.items():
        part = group
        while True:
            if name in below:
                below[name].parts.append(part)
                break
            if name in beginnings:
                part = Group(parts=[part], itself=own.get(name) or Group())
            below[name] = part
            if not name:
                break
            name = name.rpartition(".")[0]
    return below
