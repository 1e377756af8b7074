"""Report → CSV, one file per table: plain digits, shares in full precision, an empty cell for an unknown value.

A text that a spreadsheet would take for a formula has an apostrophe in front; :func:`read` and :func:`plain` undo that.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from profiler.columns import Column
from profiler.formatting import is_missing
from profiler.printable import escaped, unescaped
from profiler.render.report import Report
from profiler.schema import Table

FORMULA = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")
"""The beginning of a text that spreadsheets may take for a formula, or of such a text behind apostrophes."""

EMPTY_ROW = '""'
"""A row with one empty cell; readers skip an empty line."""

QUOTED = re.compile(r'[",\r\n]')

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which UTF-8 cannot encode."""


def render(report: Report) -> dict[str, str]:
    """``{table}.csv`` with each complete table; lines end in ``\\n``."""
    return {f"{table.name}.csv": csv_text(table.table) for table in report.tables}


def csv_text(table: Table) -> str:
    """The table as CSV; values are equal when they are read back by :func:`read`."""
    columns = [list(map(_cell, values)) for values in table.values]
    rows = [list(map(_text, table)), *zip(*columns, strict=True)]
    lines = (",".join(row) for row in rows)
    return "".join(f"{line or EMPTY_ROW}\n" for line in lines)


def read(text: str, columns: Sequence[Column]) -> Table:
    """The table of which :func:`csv_text` made ``text``, if it has these columns.

    An empty cell is a missing value; in a column of texts it is the empty text.  Raises ValueError if the columns
    differ.
    """
    names, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if list(map(plain, names)) != [column.name for column in columns]:
        raise ValueError(f"the columns are {', '.join(names)}, expected {', '.join(column.name for column in columns)}")
    found = [[_value(cell, column.type) for cell, column in zip(row, columns, strict=True)] for row in rows]
    return Table.of("", "", columns, found)


def plain(cell: str) -> str:
    """The text of which the content of a cell was made: without the added apostrophe, and with its characters."""
    return unescaped(cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell)


def _value(cell: str, type: type) -> Any:
    if type is str:
        return plain(cell)
    if not cell:
        return None
    return cell == "True" if type is bool else type(cell)


def _cell(value: Any) -> str:
    if is_missing(value):
        return ""
    if isinstance(value, str):
        return _text(value)
    return repr(value) if isinstance(value, float) else str(value)


def _text(text: str) -> str:
    """The content of a cell with a text, quoted if it has to be."""
    text = escaped(text, SURROGATE)
    if FORMULA.match(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text
