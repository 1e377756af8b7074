"""The columns of a table → texts, exact values and places in the order, for the cells of a page.

Scripts sort by the place of a value in its column, a small integer, so integers of any size are in the right order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from profiler.columns import TYPES, Column
from profiler.formatting import UNKNOWN, format_table, is_missing
from profiler.printable import visible
from profiler.schema import Table

NUMBERS = tuple(unit for unit, type in TYPES.items() if type in (int, float))
"""The units whose values are numbers."""

EMPTY = -2
"""The place of a cell without text; it is sorted last, as a missing value is."""

MISSING = -1
"""The place of an unknown value."""

EXACT_IN_JSON = 2**53
"""Scripts read larger integers exactly only from text."""

DIGITS = re.compile("([0-9]+)")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell shows: its text, its place in the order of its column, and its value if the text rounds it."""

    text: str
    place: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class CellColumn:
    """One column: its schema, the different cells in their order, and the number of the cell of each row.

    The ``rows`` of missing and empty cells are negative: :data:`MISSING` and :data:`EMPTY`.
    """

    column: Column
    distinct: tuple[Cell, ...]
    rows: tuple[int, ...]

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, which are right-aligned."""
        return self.column.unit in NUMBERS

    def cell(self, row: int) -> Cell:
        """The cell of a row."""
        place = self.rows[row]
        return self.distinct[place] if place >= 0 else Cell(UNKNOWN if place == MISSING else "", place)


def cell_columns(table: Table) -> list[CellColumn]:
    """The columns of the table; bytes are exact numbers, since all values of a column have one unit."""
    exact = replace(table, columns=tuple(map(_exact, table.columns)))
    return [_cell_column(exact, column) for column in exact.columns]


def _exact(column: Column) -> Column:
    return replace(column, unit="count") if column.unit == "bytes" else column


def _cell_column(table: Table, column: Column) -> CellColumn:
    """One column; its texts depend on the value and on the status of the row, and each is written once."""
    values = table[column.name]
    status = _status(table, column)
    states = [""] * len(table) if status is None else table[status.name]
    pairs = list(zip(values, states, map(type, values), strict=True))
    different = dict.fromkeys(pairs)
    texts = _texts(column, status, [pair[:2] for pair in different])
    found: dict[Any, tuple[Any, str]] = {}
    for pair, text in zip(different, texts, strict=True):
        found[pair] = (pair[0], text)
    known = dict.fromkeys(cell for cell in found.values() if not is_missing(cell[0]) and cell[1])
    numeric = column.unit in NUMBERS
    order = sorted(known, key=lambda cell: (_number(cell[0]) if numeric else natural(cell[1]), cell[1]))
    places = {cell: number for number, cell in enumerate(order)}
    numbers = {
        pair: MISSING if is_missing(cell[0]) else places[cell] if cell[1] else EMPTY for pair, cell in found.items()
    }
    cells = tuple(
        Cell(visible(text), number, repr(value) if isinstance(value, float) else "")
        for number, (value, text) in enumerate(order)
    )
    return CellColumn(column, cells, tuple(map(numbers.__getitem__, pairs)))


def _status(table: Table, column: Column) -> Column | None:
    """The column that says whether the values of this one are lower bounds, if one does."""
    if not column.bound:
        return None
    return table.column(column.bound_by) if column.bound_by in list(table) else table.of_unit("status")


def _texts(column: Column, status: Column | None, cells: Sequence[tuple[Any, str]]) -> list[str]:
    """The texts of values of a column in rows with these states."""
    columns = (column,) if status is None else (column, status)
    values, states = zip(*cells, strict=True) if cells else ((), ())
    return format_table(Table("", "", columns, (values, states)[: len(columns)]))[column.name]


def _number(value: Any) -> tuple[bool, Any]:
    """A sort key for a cell of a column of numbers, which may hold a text too."""
    return (False, value) if isinstance(value, int | float) else (True, str(value))


def natural(text: str) -> list[tuple[int, str]]:
    """A sort key that puts ``layer.9`` before ``layer.10``, however many digits a number has."""
    parts = DIGITS.split(text.casefold())
    return [(len(part.lstrip("0")), part.lstrip("0")) if odd % 2 else (0, part) for odd, part in enumerate(parts)]


def exact(value: int | None) -> int | str | None:
    """The integer for JSON, as text if a script would round it."""
    return str(value) if value is not None and abs(value) >= EXACT_IN_JSON else value
