"""The formats of a check that no other report has, one file each: its results → their files.

A new one is a new file here that defines ``render``.  Every other format shows the report on the check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from profiler import catalog
from profiler.budgets.model import CheckResult
from profiler.render.checking import check_report
from profiler.render.formats import render_files

CheckRenderer = Callable[[Sequence[CheckResult]], Mapping[str, str]]
"""``render(results) -> {file name: text}``."""


def check_files(results: Sequence[CheckResult], formats: Sequence[str]) -> dict[str, str | bytes]:
    """The files of a check in these formats, by name.  Raises :class:`ProfilerError` for an unknown format."""
    files: dict[str, str | bytes] = {}
    for name in formats:
        if name in catalog.check_formats():
            render: CheckRenderer = catalog.extension(__name__, name, "render")
            files |= render(results)
        else:
            files |= render_files(check_report(results), (name,))
    return files
