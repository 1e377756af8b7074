"""The tree of modules, each with its own work and its work together with everything below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

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
    return _tabulated(GROUPING, work, depth)


def tree(work: Work, depth: int) -> Table:
    """The tree down to ``depth``, each module with the figures of everything below it, under their plain names."""
    return _tabulated(replace(GROUPING, totals=False), work, depth)


def _tabulated(grouping: Grouping, work: Work, depth: int | None) -> Table:
    trace = work.trace
    records = [record for record in trace.modules if depth is None or _depth(record.name) <= depth]
    below, nothing = _with_all_below(work.by_module), Group()
    groups = [below.get(record.name, nothing) for record in records]
    cells: dict[str, Sequence[Any]] = {
        "module": [record.name or ROOT for record in records],
        "type": [record.type for record in records],
        "depth": [_depth(record.name) for record in records],
        "calls": [record.calls for record in records],
        "status": work.statuses(groups),
    }
    if trace.excluded is not None:
        groups.append(rest := left_out(trace))
        more = EXCLUDED, "", 0, calls_of_excluded(trace), work.status(rest)
        cells = {name: [*values, value] for (name, values), value in zip(cells.items(), more, strict=True)}
    return tabulate(grouping, groups, work, cells)


def _depth(name: str) -> int:
    """The depth of the module of that name below the network."""
    return name.count(".") + 1 if name else 0


def _with_all_below(own: Mapping[str, Group]) -> dict[str, Group]:
    """For the name of each module with own work, and for each beginning of it, a group with all work below.

    A module with nothing below it has the group of its own work.  Modules with the same parts share a group.
    """
    above: dict[str, str] = {}
    names: Iterable[str] = own
    while names := [name for name in names if name and name not in above]:
        found = {name: name.rpartition(".")[0] for name in names}
        above |= found
        names = found.values()
    parts: dict[str, list[Group]] = {name: [] for name in ("", *above.values())}
    for name, group in own.items():
        parts[name if name in parts else above[name]].append(group)
    below, nothing = dict(own), Group()
    shared: dict[tuple[Group, ...], Group] = {}
    for name in sorted(parts, key=_depth, reverse=True):
        key = tuple([part.same or part for part in parts[name]])
        below[name] = Group(parts=parts[name], itself=own.get(name, nothing), same=shared.get(key))
        shared.setdefault(key, below[name])
        if name:
            parts[above[name]].append(below[name])
    return below
