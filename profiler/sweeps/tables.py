"""The rows of a sweep → a long table: one row a point, with what varies, all totals and shares, status and error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from profiler.columns import FILES, FIRST, MAIN, Column
from profiler.measures import Measure, measures, measures_in
from profiler.records import KINDS
from profiler.schema import Table
from profiler.sweeps.store import Row, Store

NAME = "sweep"
"""The name of the table and of its files."""

SHOWN_FIGURES = {"macs": 4, "flops": 5, "parameters": 6, "multiplies": 7}
"""The totals that a narrow terminal shows, with the priorities of their columns."""

SHARES = 8
"""The priority of the first kind's share of the multiplies; the other kinds follow."""

KWARGS_COLUMN = Column("kwargs", priority=20, width=40, meaning="arguments of the builder of a candidate, as JSON")
STATUS = Column("status", "status", 2, meaning="complete; partial: the counts are lower bounds; failed: see the error")
ERROR = Column("error", priority=3, width=60, meaning="why the point has no figures")

RESERVED = ("target", "kwargs", "status", "error")


def reserved_columns() -> tuple[str, ...]:
    """The names of columns that every table has, which nothing that varies can have."""
    return (*RESERVED, *(measure.name for measure in measures()))


def kinds_in(store: Store) -> tuple[str, ...]:
    """The kinds of work that any point has, in the order of other tables."""
    found: set[str] = set()
    for figures in store.figures():
        found.update(json.loads(figures)["kinds"])
    return (*(kind for kind in KINDS if kind in found), *sorted(found.difference(KINDS)))


class Layout:
    """The columns of a sweep's table: ``names`` are those of what varies, ``kinds`` the kinds of work."""

    def __init__(self, names: Sequence[str], kinds: Sequence[str], *, with_kwargs: bool = False) -> None:
        self.names = tuple(names)
        self.kinds = tuple(kinds)
        self.with_kwargs = with_kwargs
        self.totals = measures()
        self.of_kinds = [(kind, column) for kind in kinds for column in _columns_of(kind)]

    def columns(self, units: Mapping[str, Any]) -> tuple[Column, ...]:
        """The columns; ``units`` are those of what varies."""
        return (
            Column("target", priority=FIRST),
            *(Column(name, units[name], 1, name) for name in self.names),
            *([KWARGS_COLUMN] if self.with_kwargs else []),
            *(replace(m.column(), priority=SHOWN_FIGURES.get(m.name, MAIN + m.priority)) for m in self.totals),
            *(column for _, (column, _) in self.of_kinds),
            STATUS,
            ERROR,
        )

    def row(self, row: Row) -> list[Any]:
        """The values of a row: a kind of work that the network does not do has zeros, a failed point has no figures."""
        figures = json.loads(row.figures) if row.figures else None
        totals = {} if figures is None else figures["totals"]
        return [
            row.target,
            *json.loads(row.values),
            *([row.kwargs] if self.with_kwargs else []),
            *(totals.get(measure.name) for measure in self.totals),
            *(_of_kind(figures, kind, column, name) for kind, (column, name) in self.of_kinds),
            row.status,
            row.error,
        ]


def _columns_of(kind: str) -> list[tuple[Column, str]]:
    """The columns for a kind of work, each with the name of its figure in the table of shares."""
    found = []
    for measure in measures_in("shares"):
        found.append((_of(kind, measure), measure.name))
        if "shares" in measure.shares:
            share = measure.share("shares")
            name = f"{kind}_{share.name}"
            heading = f"{kind}, share of {measure.heading}"
            priority = SHARES + KINDS.index(kind) if measure.name == "multiplies" and kind in KINDS else FILES
            column = replace(share, name=name, heading=heading, of=f"{kind}_{measure.name}", priority=priority)
            found.append((column, share.name))
    return found


def _of(kind: str, measure: Measure) -> Column:
    column = measure.column()
    return replace(
        column, name=f"{kind}_{measure.name}", heading=f"{kind}, {measure.heading}", figure="", priority=FILES
    )


def _of_kind(figures: dict[str, Any] | None, kind: str, column: Column, name: str) -> Any:
    if figures is None:
        return None
    row = figures["kinds"].get(kind)
    return column.type(0) if row is None else row.get(name)


def units_of(rows: Iterable[Row], names: Sequence[str]) -> dict[str, str]:
    """The units of what varies: whole numbers are sizes; values of other types are text."""
    whole = dict.fromkeys(names, True)
    for row in rows:
        for name, value in zip(names, json.loads(row.values), strict=True):
            whole[name] = whole[name] and type(value) is int
    return {name: "size" if whole[name] else "text" for name in names}


def tables_of(store: Store, layout: Layout, most: int) -> Iterator[Table]:
    """The table in parts of at most ``most`` rows each, all with the same columns; at least one part."""
    units = units_of(store.rows(), layout.names)
    columns = layout.columns(units)
    texts = [1 + place for place, name in enumerate(layout.names) if units[name] == "text"]
    rows = (layout.row(row) for row in store.rows())
    subject = "Points of the sweep"
    empty = True
    while part := list(islice(rows, most)):
        for values in part:
            for place in texts:
                values[place] = _text(values[place])
        empty = False
        yield Table.of(NAME, subject, columns, part)
    if empty:
        yield Table.of(NAME, subject, columns, ())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
