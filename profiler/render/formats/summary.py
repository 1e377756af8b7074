"""Report → one Markdown file, ``summary.md``: the figures, how they are counted, and most of each table."""

from __future__ import annotations

from profiler.render.formats.markdown import summary
from profiler.render.report import Report


def render(report: Report) -> dict[str, str]:
    """``summary.md`` alone; the tables are not whole in it."""
    return {"summary.md": summary(report)}
