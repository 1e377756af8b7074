"""The file formats, one file each: a report → its files.

A new one is a new file here that defines ``render``, a pure function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from profiler import catalog
from profiler.errors import ProfilerError

if TYPE_CHECKING:
    from profiler.render.report import Report

Renderer = Callable[["Report"], dict[str, str]]
"""``render(report) -> {file name: text}``."""


def find_format(name: str) -> Renderer:
    """The renderer of that name.  Raises :class:`ProfilerError`."""
    names = catalog.formats()
    if name not in names:
        raise ProfilerError(f"format {name!r} is not known, expected one of {', '.join(names)}")
    found: Renderer = catalog.extension(__name__, name, "render")
    return found


def render_files(report: Report, formats: Sequence[str]) -> dict[str, str]:
    """The files of a report in these formats, by name.  Raises :class:`ProfilerError` for an unknown format."""
    files: dict[str, str] = {}
    for name in formats:
        files |= find_format(name)(report)
    return files
