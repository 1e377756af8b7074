"""A report, or a profile, → the text that a person reads on the screen: by a command, or by ``print(profile)``."""

from __future__ import annotations

import io
import sys
from typing import TextIO

from rich.console import Console

from profiler.profiles import Profile
from profiler.render.report import Report, profile_report
from profiler.render.terminal import render_terminal
from profiler.streams import HEIGHT, screen_width

PRINTED_WIDTH = 80
"""The columns of a printed profile where the output is no terminal."""


def screen_report(profile: Profile, depth: int | None = None) -> Report:
    """The tables that a screen shows of a profile; the others are in the files."""
    tables = ["shares", "layers" if depth is None else "modules"]
    if len(profile.uncounted):
        tables.append("uncounted")
    if profile.mode == "training":
        tables.append("training")
    if profile.counters:
        tables.append("crosscheck")
    return profile_report(profile, tables, depth)


def on_screen(report: Report, stream: TextIO, width: int) -> str:
    """The report as text for ``stream``, in ``width`` columns; with colors where it is a terminal."""
    return render_terminal(report, Console(file=stream, highlight=False, width=width, height=HEIGHT))


def printed(profile: Profile) -> str:
    """What ``print(profile)`` shows: the report as wide as the terminal, without colors where there is none."""
    stream = sys.stdout or io.StringIO()
    is_terminal = getattr(stream, "isatty", bool)()
    width = screen_width(stream, PRINTED_WIDTH) if is_terminal else screen_width(io.StringIO(), PRINTED_WIDTH)
    console = Console(
        file=stream,
        highlight=False,
        width=width,
        height=HEIGHT,
        color_system="auto" if is_terminal else None,
        force_jupyter=False,
    )
    return render_terminal(screen_report(profile), console).rstrip("\n")
