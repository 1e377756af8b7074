"""Report → text for a terminal of any width.

Figures are exact where the table's main columns then fit, and short (``655.6 M``) where they do not.  A column
that has no room is left out, the least important first; no figure is ever cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from profiler.analysis.comparison import kind_share
from profiler.conventions import find_convention
from profiler.formatting import engineering, format_table, is_numeric_column, share_text, thousands
from profiler.profiles import Profile
from profiler.render.headings import heading, title
from profiler.render.report import WHOLE_NETWORK, Report, ReportTable

GAP = 2
"""The blank cells between two columns."""

INDENT = 2

NAME_PART = 0.4
"""How much of the width a name in the first column may take before its front is cut."""

NAME_LEAST = 16
"""What is left of a name in any case."""

BAR_CELLS = 40

WRAPPED_LEAST = 20
"""How many cells a column needs that wraps; with fewer it is left out."""

SIDES: tuple[JustifyMethod, ...] = ("left", "right", "right", "left")

TRAILING_BLANKS = re.compile(r" +$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a table a terminal shows.

    The groups in ``main`` decide whether figures are exact; those in ``more`` follow as far as there is room, the
    first ones first.  ``wrapped`` is the one column of text that may take the room that is left on several lines.
    """

    main: tuple[tuple[str, ...], ...]
    more: tuple[tuple[str, ...], ...] = ()
    wrapped: str | None = None


def _with_share(*figures: str) -> tuple[tuple[str, ...], ...]:
    return tuple((figure, f"{figure}_share") for figure in figures)


LAYOUTS: Mapping[str, Layout] = {
    "shares": Layout(
        (("kind",), *_with_share("parameters", "multiplies", "flops")),
        (("layers",), *_with_share("adds", "macs")),
    ),
    "layers": Layout(
        (("layer",), ("kind",), ("status",), ("parameters",), ("multiplies",), ("adds",), ("flops",)),
        (
            ("formula",),
            ("comparisons",),
            ("output_shape",),
            ("macs",),
            ("calls",),
            ("divides",),
            ("transcendentals",),
            ("type",),
            ("input_shape",),
        ),
    ),
    "modules": Layout(
        (("module",), ("status",), ("parameters",), ("multiplies",), ("adds",), ("flops",)),
        (("type",), ("macs",), ("calls",), ("comparisons",), ("divides",), ("transcendentals",)),
    ),
    "uncounted": Layout((("op",), ("calls",), ("elements",)), wrapped="modules"),
    "counters": Layout(
        (("counter",), ("macs",), ("figure",), ("ratio",), ("explained_share",)),
        (("layers",), ("equal",), ("explained",), ("unexplained",), ("version",)),
        wrapped="message",
    ),
    "crosscheck": Layout((("layer",), ("counter",), ("macs",), ("figure",), ("difference",)), wrapped="reason"),
    "rewriting": Layout(
        (("kind",), ("flops_before", "flops_after", "flops_saved")),
        (
            ("parameters_before", "parameters_after", "parameters_saved"),
            ("macs_before", "macs_after", "macs_saved"),
            ("multiplies_before", "multiplies_after", "multiplies_saved"),
            ("adds_before", "adds_after", "adds_saved"),
        ),
    ),
    "comparison": Layout(
        (
            ("network",),
            ("status",),
            ("parameters",),
            ("macs",),
            ("macs_ratio",),
            ("linear_parameters_share", "linear_multiplies_share"),
        ),
        (
            ("flops",),
            ("parameters_ratio",),
            ("multiplies", "adds"),
            ("input",),
            ("conv_parameters_share", "conv_multiplies_share"),
            ("flops_ratio",),
            ("mode",),
        ),
    ),
}
"""The layout of each table by its name; a table without one shows its columns in their own order."""


def render_terminal(report: Report, console: Console) -> str:
    """The report as text for ``console``: its width, and its colours where it has any (``NO_COLOR`` is its matter)."""
    with console.capture() as capture:
        console.print(Group(*_blocks(report, console.width)))
    return TRAILING_BLANKS.sub("", capture.get())


def _blocks(report: Report, width: int) -> Iterator[RenderableType]:
    notes = [note for note in report.notes if note.kind != "method"]
    yield Text(report.title, style="bold")
    yield from _facts(report) if report.facts or notes else (Text(),)
    for note in notes:
        yield _indented(Text(note.text, style={"warning": "bold yellow", "finding": "bold"}.get(note.kind, "")))
    if notes:
        yield Text()
    if report.profile is not None and any(table.name == "shares" for table in report.tables):
        yield from _bars(report.profile, width - INDENT)
    for table in report.tables:
        if table.shown is not None or table.notes:
            yield from _section(table, width - INDENT, report.profile.convention if report.profile else "exact")
            yield Text()
    for note in report.notes:
        if note.kind == "method":
            yield Text(note.text, style="dim")


def _indented(block: RenderableType) -> RenderableType:
    return Padding(block, (0, 0, 0, INDENT))


def _facts(report: Report) -> Iterator[RenderableType]:
    """What was profiled, in a line, and the figures of the whole network."""
    values = {fact.label: fact.value for fact in report.facts}
    if values:
        yield _indented(Text(f"{values['target']} · input {values['input']} · {values['mode']} · {values['status']}"))
        yield Text()
    grid = Table.grid(padding=(0, GAP))
    for side in SIDES:
        grid.add_column(justify=side)
    for fact in report.facts:
        if fact.is_figure:
            cells = (Text(fact.value, style="bold"), Text(fact.short), Text(fact.aside, style="dim"))
            grid.add_row(fact.label, *cells)
    if grid.row_count:
        yield _indented(grid)
        yield Text()


def _bars(profile: Profile, width: int) -> Iterator[RenderableType]:
    """Convolutions against linear layers, in parameters and in multiplies; nothing where a bar would be too short."""
    kinds = {"conv": ("█", "cyan"), "linear": ("▒", "magenta")}
    figures = ("parameters", "multiplies")
    shares = {(figure, kind): kind_share(profile, kind, figure) or 0.0 for figure in figures for kind in kinds}
    legends = {figure: [f"{kind} {share_text(shares[figure, kind])}" for kind in kinds] for figure in figures}
    beside = max(map(len, figures)) + max(len("  ".join(texts)) for texts in legends.values()) + 2 * GAP
    cells = min(BAR_CELLS, width - beside)
    if not all(shares.values()) or cells < BAR_CELLS // 4:
        return
    for figure in figures:
        line = Text(f"{figure:<{max(map(len, figures)) + GAP}}")
        filled = 0
        for later, (kind, (character, style)) in zip((1, 0), kinds.items(), strict=True):
            part = min(cells - filled - later, max(1, round(shares[figure, kind] * cells)))
            line.append(character * part, style=style)
            filled += part
        line.append("·" * (cells - filled), style="dim")
        for (_, style), text in zip(kinds.values(), legends[figure], strict=True):
            line.append("  ").append(text, style=style)
        yield _indented(line)
    yield Text()


def _section(table: ReportTable, width: int, convention: str) -> Iterator[RenderableType]:
    """The table's heading with the figures that have room, the table, and its notes."""
    notes = list(table.notes)
    if table.shown is None:
        yield Text(title(table.subject, ()), style="bold")
    else:
        frame = as_tree(table.shown) if table.name == "modules" else table.shown
        layout = _with_headline(LAYOUTS.get(table.name), frame, find_convention(convention).column)
        fitted = fit(frame, layout, width)
        idle = _idle_rows(frame, fitted.columns)
        if table.name == "layers" and "comparisons" in frame and any(idle):
            # Without them the table is narrower, so that its figures may be exact after all.
            frame = frame[[not row for row in idle]].drop(columns="comparisons")
            fitted = fit(frame, layout, width)
            notes.insert(0, f"Left out at this width: {sum(idle)} of the layers, with nothing but 0 in these columns.")
        yield Text(title(table.subject, fitted.columns), style="bold")
        yield _indented(_grid(frame, fitted))
    for note in notes:
        yield _indented(Text(note, style="dim"))


def _with_headline(layout: Layout | None, frame: pd.DataFrame, column: str) -> Layout | None:
    """The layout with the column of the convention, where the table has it, in the place of the FLOPs."""
    named = next((name for name in frame.columns if re.fullmatch("by_[a-z]+", name)), column)
    headline = tuple(name for name in (named, f"{named}_share") if name in frame.columns)
    if layout is None or not headline or named == "flops":
        return layout
    if not any("flops" in group for group in layout.main):
        return replace(layout, main=(*layout.main, headline))
    main = tuple(headline if "flops" in group else group for group in layout.main)
    return replace(layout, main=main, more=(*(group for group in layout.more if group != headline), ("flops",)))


def _idle_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[bool]:
    """Which rows have nothing but zeros in these columns; never the network's own."""
    figures = [frame[name].tolist() for name in columns if is_numeric_column(frame, name)]
    idle = [not any(value != 0 for value in row) for row in zip(*figures, strict=True)]
    return [*idle[:-1], False]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A table as text, the columns that have room, and how wide the one is that may wrap."""

    texts: pd.DataFrame
    columns: tuple[str, ...]
    wrapped: str | None = None
    wrapped_width: int = 0


def fit(frame: pd.DataFrame, layout: Layout | None, width: int) -> Fitted:
    """The table in ``width`` cells, its columns in the table's order."""
    layout = layout or Layout(tuple((column,) for column in frame.columns))
    main, more = (
        [group for group in groups if all(name in frame for name in group)] for groups in (layout.main, layout.more)
    )
    texts, chosen, widths = frame, list[str](), dict[str, int]()
    for integer in (thousands, engineering):
        texts = format_table(frame, integer)
        widths = {name: _column_width(name, texts[name].tolist()) for name in frame.columns}
        most = int(width * NAME_PART)
        if integer is engineering:
            most = min(most, width - sum(widths[name] + GAP for group in main[1:] for name in group))
        texts, widths = _cut_names(texts, widths, max(NAME_LEAST, most))
        chosen = _choose(main, [], widths, width)
        if len(chosen) == sum(map(len, main)):
            chosen = _choose(more, chosen, widths, width)
            break
    room = width - sum(widths[name] + GAP for name in chosen)
    wrapped = layout.wrapped if layout.wrapped in frame and room >= WRAPPED_LEAST else None
    if wrapped is not None and any(texts[wrapped]):
        chosen.append(wrapped)
    return Fitted(texts, tuple(name for name in frame.columns if name in chosen), wrapped, room)


def _grid(frame: pd.DataFrame, fitted: Fitted) -> Table:
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in fitted.columns:
        side: JustifyMethod = "right" if is_numeric_column(frame, name) else "left"
        if name == fitted.wrapped:
            grid.add_column(_heading(name), max_width=fitted.wrapped_width)
        else:
            grid.add_column(_heading(name), justify=side, no_wrap=True, overflow="fold")
    rows = list(zip(*(fitted.texts[name].tolist() for name in fitted.columns), strict=True))
    for number, row in enumerate(rows):
        last = number == len(rows) - 1 and row[0] in ("total", WHOLE_NETWORK)
        if last and number:
            grid.add_section()
        grid.add_row(*(_styled(text) for text in row), style="bold" if last else "")
    return grid


def _cut_names(texts: pd.DataFrame, widths: dict[str, int], most: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table and its widths with the names in the first column brought down to ``most`` cells."""
    first = texts.columns[0]
    names = [_cut_front(text, most) for text in texts[first]]
    cut = texts.assign(**{first: pd.Series(names, index=texts.index, dtype="object")})
    return cut, {**widths, first: _column_width(first, names)}


def _cut_front(text: str, most: int) -> str:
    """The text's last cells: of a dotted name, what tells it from its neighbours."""
    return text if cell_len(text) <= most else "…" + text[-(most - 1) :]


def _column_width(name: str, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (*_heading(name).split("\n"), *cells))


def _choose(
    groups: Sequence[tuple[str, ...]], chosen: Sequence[str], widths: Mapping[str, int], width: int
) -> list[str]:
    """``chosen`` and the groups that have room beside it, up to the first that has none; the very first always."""
    taken = list(chosen)
    for group in groups:
        names = [*taken, *group]
        if taken and sum(widths[name] for name in names) + GAP * (len(names) - 1) > width:
            break
        taken = names
    return taken


def _heading(name: str) -> str:
    """The heading, broken in two lines where it says of what."""
    return heading(name).replace(", ", ",\n")


def _styled(text: str) -> Text:
    quiet = text in ("0", "0 %")
    return Text(text, style="dim" if quiet else "yellow" if text.startswith(("≥", "unknown", "partial")) else "")


def as_tree(frame: pd.DataFrame) -> pd.DataFrame:
    """The table of modules with each name's last part only, set under its parent."""
    depths = frame["depth"].tolist()
    open_levels: list[bool] = []
    names = []
    for number, (depth, name) in enumerate(zip(depths, frame["module"].tolist(), strict=True)):
        later = next((other for other in depths[number + 1 :] if other <= depth), -1)
        has_sibling = later == depth
        del open_levels[depth:]
        open_levels.append(has_sibling)
        guides = "".join("│  " if level else "   " for level in open_levels[1:-1])
        branch = ("├─ " if has_sibling else "└─ ") if depth else ""
        names.append(guides + branch + (name.rpartition(".")[2] if depth else name))
    return frame.assign(module=pd.Series(names, index=frame.index, dtype="object"))
