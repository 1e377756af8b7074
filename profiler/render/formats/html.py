"""Report → HTML: one page with searchable tables and the tree of modules, which needs no other file."""

from __future__ import annotations

from profiler.render.page.pages import page
from profiler.render.report import Report


def render(report: Report) -> dict[str, str]:
    """``report.html``, which a browser opens from disk; it asks for nothing from a network."""
    return {"report.html": page(report)}
