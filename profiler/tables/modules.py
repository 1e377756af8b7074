"""The tree of modules, each with its own work and its work together with everything below it."""

from __future__ import annotations

from dataclasses import replace

from profiler.columns import FILES, FIRST, HEADLINE, Column
from profiler.records import EXCLUDED, ROOT
from profiler.schema import Table
from profiler.tabulate import Group, Grouping, Work, calls_of_excluded, left_out, tabulate

GROUPING = Grouping(
    "modules",
    "Modules",
    first=(
        Column("module", "name", FIRST),
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
    own = work.by_module()
    below: dict[str, list[Group]] = {}
    for name, group in own.items():
        for ancestor in _with_ancestors(name):
            below.setdefault(ancestor, []).append(group)
    groups = []
    for record in trace.modules:
        level = record.name.count(".") + 1 if record.name else 0
        if depth is None or level <= depth:
            cells = {"module": record.name or ROOT, "type": record.type, "depth": level, "calls": record.calls}
            group = Group(cells, parts=below.get(record.name, []), itself=own.get(record.name, Group()))
            cells["status"] = group.status
            groups.append(group)
    if trace.excluded is not None:
        rest = left_out(trace, module=EXCLUDED, type="", depth=0, calls=calls_of_excluded(trace))
        rest.cells["status"] = rest.status
        groups.append(rest)
    return groups


def _with_ancestors(name: str) -> list[str]:
    """``"a.b.c"`` → ``["a.b.c", "a.b", "a", ""]``."""
    names = [name] if name else []
    while "." in name:
        name = name.rpartition(".")[0]
        names.append(name)
    return [*names, ""]
