"""Report → CSV, one file a table: plain digits, shares in full precision, an empty cell where nothing is known."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd

from profiler.formatting import is_missing
from profiler.render.report import Report


def render(report: Report) -> dict[str, str]:
    """``{table}.csv`` for each table, whole; lines end in ``\\n``."""
    return {f"{table.name}.csv": csv_text(table.frame) for table in report.tables}


def csv_text(frame: pd.DataFrame) -> str:
    """The table as CSV; read back, every value is equal."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    columns = [[_cell(value) for value in frame[name].tolist()] for name in frame.columns]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _cell(value: Any) -> str:
    if is_missing(value):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
