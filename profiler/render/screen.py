"""A report or a profile → its text on the screen, for a command or ``print(profile)``."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from rich.console import Console

from profiler.profiles import Profile
from profiler.render.report import Report, profile_report
from profiler.render.terminal import render_terminal
from profiler.streams import HEIGHT, screen_width

PRINTED_WIDTH = 80
"""The number of columns of a printed profile if the output is not a terminal."""


def screen_report(profile: Profile, depth: int | None = None, top: int | None = None) -> Report:
    """The report with the tables that the screen shows; the others are in the files."""
    tables = ["shares", "layers" if depth is None else "modules"]
    if len(profile.tabulated("uncounted")):
        tables.append("uncounted")
    if profile.mode == "training":
        tables.append("training")
    if profile.trace.whole.generation is not None:
        tables.append("generation")
    if profile.trace.whole.memory is not None:
        tables += ["memory", "peak"]
    if profile.device is not None and profile.throughput is not None:
        tables += ["utilization", "training_run"]
    if profile.device is not None:
        tables.append("roofline")
    if profile.energy_model is not None:
        tables.append("energy")
    if profile.counters:
        tables.append("crosscheck")
    return profile_report(profile, tables, depth, top)


def on_screen(report: Report, stream: TextIO, width: int) -> str:
    """The report as text for ``stream``, in ``width`` columns; with colors if it is to have them."""
    return render_terminal(report, console_for(stream, width))


def console_for(stream: TextIO, width: int, *, may_be_forced: bool = True) -> Console:
    """The console that renders for ``stream``: as the terminal can, or as its user wants.

    ``NO_COLOR`` asks for no colors, and ``CLICOLOR=0`` and ``TERM=dumb`` for no escape sequences at all.
    ``FORCE_COLOR`` and ``CLICOLOR_FORCE`` ask for colors also in a pipe; they come before all others but ``NO_COLOR``.
    A variable that is empty counts as not set, and the last two also if they are ``0``; without ``may_be_forced`` they
    have no effect.
    """
    forced = any(os.environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    forced = forced and may_be_forced and not os.environ.get("NO_COLOR")
    is_plain = os.environ.get("CLICOLOR") == "0" or os.environ.get("TERM", "").lower() == "dumb"
    is_terminal = getattr(stream, "isatty", bool)()
    return Console(
        file=stream,
        highlight=False,
        emoji=False,
        width=width,
        height=HEIGHT,
        color_system="standard" if forced else "auto" if is_terminal and not is_plain else None,
        force_terminal=forced or is_terminal,
        force_jupyter=False,
    )


def printed(profile: Profile) -> str:
    """The text of ``print(profile)``."""
    return printed_report(screen_report(profile))


def printed_report(report: Report) -> str:
    """The text of a printed report: as wide as the terminal, without colors if there is none."""
    stream = sys.stdout or io.StringIO()
    is_terminal = getattr(stream, "isatty", bool)()
    width = screen_width(stream, PRINTED_WIDTH) if is_terminal else screen_width(io.StringIO(), PRINTED_WIDTH)
    return render_terminal(report, console_for(stream, width, may_be_forced=False)).rstrip("\n")
