"""The registry of file formats: each turns a report into the files that it is written as."""

from __future__ import annotations

from collections.abc import Callable

from profiler.errors import ProfilerError
from profiler.render.report import Report

Renderer = Callable[[Report], dict[str, str]]
"""``renderer(report) -> {file name: text}``; a pure function."""

FORMATS: dict[str, Renderer] = {}
"""The renderers by the name that ``--format`` and configs use."""


def renderer(name: str) -> Callable[[Renderer], Renderer]:
    """Register the decorated function as the renderer of that name; a name can be registered once."""

    def register(render: Renderer) -> Renderer:
        if name in FORMATS:
            raise ProfilerError(f"format {name!r} is registered already; a format can be registered once")
        FORMATS[name] = render
        return render

    return register


def render_files(report: Report, formats: list[str] | tuple[str, ...]) -> dict[str, str]:
    """The files of a report in these formats, by name.  Raises :class:`ProfilerError` for an unknown format."""
    files: dict[str, str] = {}
    for name in formats:
        if name not in FORMATS:
            raise ProfilerError(f"format {name!r} is not known, expected one of {', '.join(FORMATS)}")
        files |= FORMATS[name](report)
    return files
