"""The file formats, one file each: a report → its files.

A new one is a new file here that defines ``render``, a pure function.  A file whose content is not text sets
``BINARY = True``, so that nobody prints it on a terminal.  If a document of text holds one report only, its format sets
``ALONE = True``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from profiler import catalog
from profiler.errors import ProfilerError

if TYPE_CHECKING:
    from profiler.render.report import Report

Renderer = Callable[["Report"], Mapping[str, str | bytes]]
"""``render(report) -> {file name: text or bytes}``."""


def find_format(name: str) -> Renderer:
    """The renderer of that name.  Raises :class:`ProfilerError`."""
    names = catalog.formats()
    if name not in names:
        raise ProfilerError(f"format {name!r} is not known, expected one of {', '.join(names)}")
    found: Renderer = catalog.extension(__name__, name, "render")
    return found


def is_binary(name: str) -> bool:
    """Whether files of this format are not text.  Raises :class:`ProfilerError` for an unknown format."""
    find_format(name)
    return bool(getattr(import_module(f"{__name__}.{name}"), "BINARY", False))


def is_alone(name: str) -> bool:
    """Whether a document of this format holds one report only.  Raises :class:`ProfilerError` for an unknown format."""
    return is_binary(name) or bool(getattr(import_module(f"{__name__}.{name}"), "ALONE", False))


def render_files(report: Report, formats: Sequence[str]) -> dict[str, str | bytes]:
    """The files of a report in these formats, and its pictures, by name.

    Raises :class:`ProfilerError` for an unknown format.
    """
    files: dict[str, str | bytes] = {picture.file: picture.content for picture in report.pictures}
    for name in formats:
        files |= find_format(name)(report)
    return files


def render_texts(report: Report, formats: Sequence[str]) -> dict[str, str]:
    """The same for formats that are text.  Raises :class:`ProfilerError` for a binary or an unknown format."""
    files: dict[str, str] = {}
    for name in formats:
        for file, content in find_format(name)(report).items():
            if isinstance(content, bytes):
                raise ProfilerError(f"format {name!r} is binary, expected one that is text")
            files[file] = content
    return files
