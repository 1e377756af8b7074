"""Reports and their formats; the modules are imported when their names are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from profiler.render.collection import RESERVED_NAMES, collection_files
    from profiler.render.diffs import diff_report
    from profiler.render.formats import Renderer, find_format, render_files, render_texts
    from profiler.render.report import (
        Report,
        ReportTable,
        comparison_report,
        crosscheck_report,
        profile_report,
        rewriting_report,
    )

__all__ = [
    "RESERVED_NAMES",
    "Renderer",
    "Report",
    "ReportTable",
    "collection_files",
    "comparison_report",
    "crosscheck_report",
    "diff_report",
    "find_format",
    "profile_report",
    "render_files",
    "render_texts",
    "rewriting_report",
]

_HOMES = {
    **dict.fromkeys(("RESERVED_NAMES", "collection_files"), "collection"),
    "diff_report": "diffs",
    **dict.fromkeys(("Renderer", "find_format", "render_files", "render_texts"), "formats"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'report')}"), name)
    globals()[name] = value
    return value
