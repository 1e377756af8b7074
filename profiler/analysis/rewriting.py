"""Two profiles of one network, before and after a rewrite → a comparison by kind of work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from profiler.columns import FIRST, MAIN, Column
from profiler.measures import HEADLINE as FLOPS
from profiler.measures import measures_in
from profiler.profiles import Profile
from profiler.records import KINDS
from profiler.schema import Table

CHANGES = ("before", "after", "saved")


def changed_figures() -> tuple[str, ...]:
    """The figures that are compared."""
    return tuple(measure.name for measure in measures_in("rewriting"))


def rewriting_table(before: Profile, after: Profile) -> Table:
    """One row per kind of work and a last row ``total``: each figure before, after, and the difference.

    Uncounted figures are missing.
    """
    old, new = (_by_kind(profile) for profile in (before, after))
    kinds = [kind for kind in (*KINDS, "total") if kind in old or kind in new]
    columns = [Column("kind", priority=FIRST)]
    for measure in measures_in("rewriting"):
        priority = measure.priority + (0 if measure.name == FLOPS else MAIN)
        each = [replace(measure.column(change), priority=priority) for change in CHANGES]
        columns += [each[0], *(replace(column, of=each[0].name) for column in each[1:])]
    rows = [[kind, *_cells(old.get(kind, {}), new.get(kind, {}))] for kind in kinds]
    return Table.of("rewriting", "Before and after, by kind of work", columns, rows, footer=1)


def disappeared(before: Profile, after: Profile) -> tuple[str, ...]:
    """The layers that did arithmetic before and do none after."""
    tables = [profile.tabulated("layers") for profile in (before, after)]
    working = [{name for name, flops in zip(table["layer"], table["flops"], strict=True) if flops} for table in tables]
    return tuple(name for name in tables[0]["layer"] if name in working[0] - working[1])


def _by_kind(profile: Profile) -> dict[str, dict[str, Any]]:
    return {row["kind"]: row for row in profile.tabulated("shares").records()}


def _cells(old: dict[str, Any], new: dict[str, Any]) -> list[object]:
    cells: list[object] = []
    for figure in changed_figures():
        was, now = old.get(figure, 0), new.get(figure, 0)
        cells += [was, now, None if was is None or now is None else was - now]
    return cells
