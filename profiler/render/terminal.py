"""Report → text for a terminal of any width; :mod:`profiler.render.fitting` selects the columns that fit.

Names and messages are shown with escapes for control characters, and in ASCII if the terminal cannot show more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from profiler.columns import Column
from profiler.formatting import BEFORE_PERCENT, is_numeric_column, listed, share_text
from profiler.printable import in_ascii, visible
from profiler.render.bars import has_bars, with_bars
from profiler.render.fitting import GAP, Fitted, fit, fit_busy_rows
from profiler.render.report import TOTALS, Bar, Fact, Report, ReportTable
from profiler.schema import Table as Data

INDENT = 2

BAR_CELLS = 40

ASIDE_LEAST = 16
"""The minimum number of cells for the remark on a figure; with fewer it is left out."""

NARROWEST = 40
"""The minimum width, which a name and its headline need; a narrower terminal gets lines of this width."""

WIDEST = 1000
"""The maximum width; no table needs more."""

ASCII_HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""The lines of ``SIMPLE_HEAD`` in ASCII."""

UNBROKEN = "\ufdd0"
"""Stands for the blank before a percent sign while lines are broken; this code point is no character."""

TRAILING_BLANKS = re.compile(r" +$", re.MULTILINE)


def render_terminal(report: Report, console: Console) -> str:
    """The report as text for ``console``, with its width and its colors, if it has any (it handles ``NO_COLOR``).

    If its encoding is not a Unicode one, the text is ASCII.
    """
    given = console.width
    width = min(max(given, NARROWEST), WIDEST)
    screen = _Screen(width, ascii_only=console.options.ascii_only)
    console.width = width
    try:
        with console.capture() as capture:
            console.print(Group(*screen.blocks(report)))
    finally:
        console.width = given
    return TRAILING_BLANKS.sub("", capture.get().replace(UNBROKEN, " "))


@dataclass(frozen=True, slots=True)
class _Screen:
    """The width of the terminal, and whether it can only show ASCII."""

    width: int
    ascii_only: bool

    @property
    def inner(self) -> int:
        """The width without the indent."""
        return self.width - INDENT

    def spelled(self, text: str) -> str:
        """The text in characters that this terminal can show."""
        return in_ascii(visible(text)) if self.ascii_only else visible(text)

    def text(self, text: str, style: str = "") -> Text:
        """A paragraph, in which a number and its ``%`` stay on one line."""
        return Text(BEFORE_PERCENT.sub(UNBROKEN, self.spelled(text)), style=style)

    def blocks(self, report: Report) -> Iterator[RenderableType]:
        notes = [note for note in report.notes if note.kind != "method"]
        yield self.text(report.title, style="bold")
        yield from self.facts(report) if report.facts or notes else (Text(),)
        for note in notes:
            style = {"warning": "bold yellow", "finding": "bold"}.get(note.kind, "")
            yield _indented(self.text(note.text, style=style))
        if notes:
            yield Text()
        yield from self.bars(report.bars)
        for table in report.tables:
            if table.shown is not None or table.notes:
                yield from self.section(table)
                yield Text()
        for note in report.notes:
            if note.kind == "method":
                yield self.text(note.text, style="dim")

    def facts(self, report: Report) -> Iterator[RenderableType]:
        """One line on what was profiled, and the figures of the whole network."""
        values = {fact.label: fact.value for fact in report.facts}
        if values:
            special = (f"{label} {values[label]}" for label in ("part", "method", "cache") if label in values)
            what = [values["target"], *special]
            what += [f"input {values['input']}", values["mode"], values["status"]]
            yield _indented(self.text(" · ".join(what)))
            yield Text()
        figures = [fact for fact in report.facts if fact.is_figure]
        if figures:
            yield from self.figures(figures)
            yield Text()

    def figures(self, facts: Sequence[Fact]) -> Iterator[RenderableType]:
        """The label of each figure, its digits, its short form and the remark on it, as far as they fit."""
        label, value, short = (
            max(cell_len(self.spelled(getattr(fact, part))) for fact in facts) for part in ("label", "value", "short")
        )
        left_out = []
        exact = label + GAP + value <= self.inner
        both = exact and label + GAP + value + GAP + short <= self.inner
        room = self.inner - (label + GAP + value + GAP + short + GAP)
        grid = Table.grid(padding=(0, GAP))
        grid.add_column(no_wrap=True)
        for shown, what in ((exact, "exact figures"), (both or not exact, "short figures")):
            if shown:
                grid.add_column(no_wrap=True, justify="right")
            elif short:
                left_out.append(what)
        aside = both and room >= ASIDE_LEAST
        if aside:
            grid.add_column(max_width=room, overflow="fold")
        elif any(fact.aside for fact in facts):
            left_out.append("remarks on the figures")
        for fact in facts:
            cells = [self.text(fact.label)]
            if exact:
                cells.append(self.text(fact.value, style="bold"))
            if both or not exact:
                cells.append(self.text(fact.short or ("" if exact else fact.value)))
            if aside:
                cells.append(self.text(_in_parts(fact.aside, room), style="dim"))
            grid.add_row(*cells)
        yield _indented(grid)
        if left_out:
            yield _indented(Text(f"No room for {listed(left_out)}.", style="dim"))

    def bars(self, bars: Sequence[Bar]) -> Iterator[RenderableType]:
        """A line for each figure, in which every part has at least one cell."""
        looks = (("█", "cyan"), ("▒", "magenta"))
        legends = [[f"{name} {share_text(share)}" for name, share in bar.parts.items()] for bar in bars]
        label = max((cell_len(bar.label) for bar in bars), default=0)
        beside = label + max((cell_len("  ".join(texts)) for texts in legends), default=0) + 2 * GAP
        cells = min(BAR_CELLS, self.inner - beside)
        if not bars or cells < BAR_CELLS // 4:
            return
        for bar, legend in zip(bars, legends, strict=True):
            line = Text(set_cell_size(bar.label, label + GAP))
            filled = 0
            for later, (share, (character, style)) in zip(
                (1, 0), zip(bar.parts.values(), looks, strict=True), strict=True
            ):
                part = min(cells - filled - later, max(1, round(share * cells)))
                line.append(self.spelled(character) * part, style=style)
                filled += part
            line.append(("." if self.ascii_only else "·") * (cells - filled), style="dim")
            for (_, style), text in zip(looks, legend, strict=True):
                line.append("  ").append(text, style=style)
            yield _indented(line)
        yield Text()

    def section(self, table: ReportTable) -> Iterator[RenderableType]:
        """The table's heading with the figures that fit, the table, and its notes."""
        notes = list(table.notes)
        if table.shown is None:
            yield self.text(table.table.title(()), style="bold")
        else:
            data = with_bars(as_tree(table.shown), TOTALS, ascii_only=self.ascii_only)
            if table.busy_only:
                fitted, idle = fit_busy_rows(data, self.inner, self.spelled)
                if idle:
                    text = f"Left out at this width: {idle} of the {table.name}, with only 0 in these columns."
                    notes.insert(0, text)
            else:
                fitted = fit(data, self.inner, self.spelled)
            left_out = _names(fitted.without_room, data)
            if left_out:
                names = listed(left_out)
                notes.append(f"No room for {names}; files have all columns.")
            yield self.text(data.title(fitted.names), style="bold")
            yield _indented(self.grid(fitted))
        for note in notes:
            yield _indented(self.text(note, style="dim"))

    def grid(self, fitted: Fitted) -> Table:
        grid = Table(
            box=ASCII_HEAD if self.ascii_only else SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
        )
        for column in fitted.columns:
            heading = fitted.headings[column.name]
            side: JustifyMethod = "right" if is_numeric_column(fitted.table, column.name) else "left"
            if has_bars(column):
                grid.add_column(heading, style="cyan", no_wrap=True)
            elif column.width and column.unit != "formula":
                grid.add_column(heading, max_width=fitted.widths[column.name])
            else:
                grid.add_column(heading, justify=side, no_wrap=True, overflow="fold")
        rows = list(zip(*(fitted.texts[name] for name in fitted.names), strict=True))
        for number, row in enumerate(rows):
            last = number >= len(rows) - 2 and row[0] in TOTALS
            if last and number:
                grid.add_section()
            grid.add_row(*(_styled(text) for text in row), style="bold" if last else "")
        return grid


def _in_parts(text: str, room: int) -> str:
    """The text with a blank behind the dashes of words that are longer than a line."""
    return " ".join(word if len(word) <= room else word.replace("–", "– ") for word in text.split(" "))


def _indented(block: RenderableType) -> RenderableType:
    return Padding(block, (0, 0, 0, INDENT))


def _names(columns: Sequence[Column], table: Data) -> list[str]:
    """The names of the columns that are not shown: a figure once, even if its share or its change is missing too."""
    names: dict[str, None] = {}
    missing = {column.name for column in columns}
    for column in columns:
        if has_bars(column):
            continue
        if column.of and (column.of in missing or column.heading == "share"):
            of = table.column(column.of).label
            names[of if column.of in missing else f"share of {of}"] = None
        else:
            names[column.label] = None
    return list(names)


def _styled(text: str) -> Text:
    quiet = text in ("0", "0 %")
    return Text(text, style="dim" if quiet else "yellow" if text.startswith(("≥", ">=", "unknown", "partial")) else "")


def as_tree(table: Data) -> Data:
    """The table with the last part of each name, indented under its parent, if it has a column for the depth."""
    depth_column = table.of_unit("depth")
    if depth_column is None:
        return table
    first = table.columns[0].name
    depths = table[depth_column.name]
    last: list[bool] = []
    below: list[bool] = []  # for each depth, whether a row of that depth follows under the same parent
    for depth in reversed(depths):
        below += [False] * (depth + 1 - len(below))
        last.append(not below[depth])
        below[depth:] = [True]
    names = []
    open_levels: list[bool] = []
    for depth, name, is_last in zip(depths, table[first], reversed(last), strict=True):
        open_levels[depth:] = [not is_last]
        guides = "".join("│  " if level else "   " for level in open_levels[1:-1])
        branch = ("└─ " if is_last else "├─ ") if depth else ""
        names.append(guides + branch + (name.rpartition(".")[2] if depth else name))
    return table.with_values(first, names)
