"""Report → CSV, one file per table: plain digits, shares in full precision, an empty cell for an unknown value."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd

from profiler.formatting import is_missing
from profiler.render.report import Report


def render(report: Report) -> dict[str, str]:
    """``{table}.csv`` with each complete table; lines end in ``\\n``."""
    return {f"{table.name}.csv": csv_text(table.frame) for table in report.tables}


def csv_text(frame: pd.DataFrame) -> str:
    """The table as CSV; values are equal when they are read back."""
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
