"""A report or a profile → its text on the screen, for a command or ``print(profile)``."""

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
"""The number of columns of a printed profile if the output is not a terminal."""


def screen_report(profile: Profile, depth: int | None = None) -> Report:
    """The report with the tables that the screen shows; the others are in the files."""
    tables = ["shares", "layers" if depth is None else "modules"]
    if len(profile.tabulated("uncounted")):
        tables.append("uncounted")
    if profile.mode == "training":
        tables.append("training")
    if profile.counters:
        tables.append("crosscheck")
    return profile_report(profile, tables, depth)


def on_screen(report: Report, stream: TextIO, width: int) -> str:
    """The report as text for ``stream``, in ``width`` columns; with colors if it is a terminal."""
    return render_terminal(report, Console(file=stream, highlight=False, width=width, height=HEIGHT))


def printed(profile: Profile) -> str:
    """The text of ``print(profile)``."""
    return printed_report(screen_report(profile))


def printed_report(report: Report) -> str:
    """The text of a printed report: as wide as the terminal, without colors if there is none."""
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
    return render_terminal(report, console).rstrip("\n")
