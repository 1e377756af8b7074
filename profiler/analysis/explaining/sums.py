"""Tables of an explanation: rows of counts with their sum, without columns that are zero everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from profiler.analysis.explaining.document import Grid
from profiler.columns import FIRST, Column
from profiler.measures import find_measure
from profiler.opcount import COUNT_COLUMNS, ZERO, OpCount
from profiler.schema import Table

PRIORITIES = {"macs": 2, "multiplies": 3, "adds": 4, "flops": 5}
"""On narrow lines, other counts are left out first."""


MOST_ROWS = 40
"""The maximum number of rows; further ones are summed up in one row."""


@dataclass(frozen=True, slots=True)
class SumRow:
    """One row: its own cells, and its counts."""

    cells: Sequence[Any]
    count: OpCount


def summed(name: str, subject: str, columns: Sequence[Column], rows: Sequence[SumRow], total: str = "total") -> Grid:
    """A table of the rows, and a last row with their sum if there are several."""
    everything = ZERO
    for row in rows:
        everything = everything + row.count
    several = len(rows) > 1
    rows = _limited(columns, rows)
    shown = [figure for figure in COUNT_COLUMNS if getattr(everything, figure)]
    figures = [find_measure(figure).column() for figure in shown]
    schema = [*columns, *(_placed(column) for column in figures)]
    lines = [[*row.cells, *(getattr(row.count, figure) for figure in shown)] for row in rows]
    if several:
        blank = [_blank(column, [row.cells[place] for row in rows]) for place, column in enumerate(columns)]
        lines.append([total, *blank[1:], *(getattr(everything, figure) for figure in shown)])
    return Grid(Table.of(name, subject, schema, lines), total=several)


def _limited(columns: Sequence[Column], rows: Sequence[SumRow]) -> Sequence[SumRow]:
    """The costliest rows in their order, and one row with the sum of all others if there are too many."""
    if len(rows) <= MOST_ROWS:
        return rows
    costs = sorted(range(len(rows)), key=lambda place: (rows[place].count.flops, rows[place].count.comparisons))
    left = set(costs[: len(rows) - MOST_ROWS + 1])
    rest = ZERO
    for place in left:
        rest = rest + rows[place].count
    cells = [_blank(column, [rows[place].cells[number] for place in left]) for number, column in enumerate(columns)]
    kept = [row for place, row in enumerate(rows) if place not in left]
    return [*kept, SumRow([f"({len(left)} others)", *cells[1:]], rest)]


def _blank(column: Column, values: Sequence[Any]) -> Any:
    """The cell of the row of sums: the sum of a column of counts, nothing in other columns."""
    return sum(values) if column.unit == "count" else ""


def _placed(column: Column) -> Column:
    return Column(column.name, column.unit, PRIORITIES.get(column.name, 20), column.heading, meaning=column.meaning)


LAYER = Column("layer", "name", FIRST)
OPERATOR = Column("operator", "name", FIRST)
PHASE = Column("phase", priority=1)
CALLS = Column("calls", "count", 7)
