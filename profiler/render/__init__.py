"""Reports and how they are written: each renderer is a function from a report to text."""

from profiler.render.collection import RESERVED_NAMES, collection_files
from profiler.render.formats import FORMATS, Renderer, csv, json, markdown, render_files, renderer
from profiler.render.report import (
    Report,
    ReportTable,
    comparison_report,
    crosscheck_report,
    profile_report,
    rewriting_report,
)

__all__ = [
    "FORMATS",
    "RESERVED_NAMES",
    "Renderer",
    "Report",
    "ReportTable",
    "collection_files",
    "comparison_report",
    "crosscheck_report",
    "csv",
    "json",
    "markdown",
    "profile_report",
    "render_files",
    "renderer",
    "rewriting_report",
]
