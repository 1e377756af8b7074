"""Report → JSON: a profile in the saved format, a comparison as a list of rows."""

from __future__ import annotations

import json

from profiler.formatting import is_missing
from profiler.render.report import Report


def render(report: Report) -> dict[str, str]:
    """``profile.json``, which ``load_profile`` reads; ``{table}.json`` if the report is about several profiles."""
    if report.profile is not None:
        return {"profile.json": report.profile.to_json()}
    files = {}
    for table in report.tables:
        rows = [
            {name: None if is_missing(cell) else cell for name, cell in row.items()} for row in table.table.records()
        ]
        files[f"{table.name}.json"] = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    return files
