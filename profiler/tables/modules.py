"""The tree of modules, each with what it did itself and what it did together with all below it."""

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
        Column("depth", "depth", FILES, meaning="how far below the network itself"),
        Column("calls", "count", 27, meaning="how often it ran"),
    ),
    last=(Column("status", "status", HEADLINE + 1, meaning="partial where work has no rule or was not seen"),),
    totals=True,
)


def table(work: Work, depth: int | None = None) -> Table:
    """One row for each module; ``total`` figures are of all below it too.

    With ``depth``, modules further down are left out; they stay in the totals of those that are shown.
    """
    return tabulate(GROUPING, _groups(work, depth), work)


def tree(work: Work, depth: int) -> Table:
    """The tree down to ``depth``, each module with the figures of all below it, under their plain names."""
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
