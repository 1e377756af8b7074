"""Reports → an SVG picture of the terminal output, for a README or a slide."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from profiler.printable import visible
from profiler.render.report import Report
from profiler.render.terminal import render_terminal

WIDTH = 112


def svg_picture(reports: Sequence[Report]) -> str:
    """An SVG document that only depends on the reports; it uses no font that has to be downloaded."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    for report in reports:
        text = render_terminal(report, console)
        console.print(Text.from_ansi(text.rstrip("\n")))
    title = visible("profiler " + ", ".join(report.title for report in reports))
    svg = console.export_svg(title=title, theme=DIMMED_MONOKAI, unique_id="profiler")
    return re.sub(r"\s*@font-face\s*{.*?}", "", svg, flags=re.DOTALL)
