"""Report → one Markdown file, ``summary.md``: the figures, how they are counted, and the main part of each table."""

from __future__ import annotations

from profiler.render.formats.markdown import summary
from profiler.render.report import Report


def render(report: Report) -> dict[str, str]:
    """``summary.md`` alone; its tables may be shortened."""
    return {"summary.md": summary(report)}
