"""Report → CSV, one file per table: plain digits, shares in full precision, an empty cell for an unknown value."""

from __future__ import annotations

import csv
import io
from typing import Any

from profiler.formatting import is_missing
from profiler.render.report import Report
from profiler.schema import Table


def render(report: Report) -> dict[str, str]:
    """``{table}.csv`` with each complete table; lines end in ``\\n``."""
    return {f"{table.name}.csv": csv_text(table.table) for table in report.tables}


def csv_text(table: Table) -> str:
    """The table as CSV; values are equal when they are read back."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    columns = [[_cell(value) for value in values] for values in table.values]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _cell(value: Any) -> str:
    if is_missing(value):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
