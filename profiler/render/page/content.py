"""Reports → the content of a page as plain values, with ids in the order of the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from profiler.columns import MAIN, SUMMARIES
from profiler.formatting import is_missing, share_text
from profiler.printable import visible
from profiler.render.page.cells import EXACT_IN_JSON, Cell, CellColumn, cell_columns
from profiler.render.page.details import module_details
from profiler.render.page.tree import module_tree
from profiler.render.report import Bar, Fact, Note, Report, ReportTable
from profiler.render.scatter import drawing
from profiler.schema import Table

INTEGER = re.compile(r"[0-9]{1,3}(,[0-9]{3})*")
"""An integer with separators of thousands."""

ROWS_IN_HTML = 300
"""A table with more rows is written as data, and a script makes the rows that are looked at."""

ROWS_WITHOUT_SCRIPT = 30
"""The number of rows of such a table that a page shows without scripts."""

LINE = {"name": 26, "formula": 34, "shape": 20, "text": 24}
"""The number of characters in a line of a column, by its unit, before it may be broken."""

NOTE_KINDS = ("warning", "finding", "remark", "method")
"""The kinds of notes in the order of a page."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is written of a table: a ``whole`` one up to a number of rows, else its ``first`` rows and its data."""

    whole: int = ROWS_IN_HTML
    first: int = ROWS_WITHOUT_SCRIPT


@dataclass(frozen=True, slots=True)
class PageColumn:
    """What a page says of a column: ``of`` completes a heading such as "share"; a reader can show ``hidden`` ones.

    Its texts may be broken into lines of ``least`` characters and more; those of numbers are not broken.
    """

    heading: str
    of: str
    meaning: str
    unit: str
    numeric: bool
    hidden: bool
    refers_to: str
    least: int


@dataclass(frozen=True, slots=True)
class PageCell:
    """One cell: its text, its place in the order, the value that the text rounds, and that of a bar, in percent."""

    text: str
    place: int
    value: str
    bar: str
    looks: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class PageTable:
    """One table: ``body`` are its rows in the HTML, ``footer`` those that stay last.

    ``data`` is the JSON of all rows if ``body`` does not have all of them.  With ``opens``, the first column names
    modules, whose details can be shown.
    """

    id: str
    name: str
    title: str
    columns: tuple[PageColumn, ...]
    body: tuple[tuple[PageCell, ...], ...]
    footer: tuple[tuple[PageCell, ...], ...]
    rows: int
    notes: tuple[str, ...]
    data: Markup | None
    opens: bool

    @property
    def short_title(self) -> str:
        """The title without the figures, for a list of contents."""
        return self.title.partition(":")[0]

    @property
    def meanings(self) -> bool:
        """Whether there is more to say of its columns than their headings."""
        return any(column.meaning for column in self.columns)


@dataclass(frozen=True, slots=True)
class PageBar:
    """One figure split into parts, each with its name, its share as text, and its beginning and width in percent."""

    label: str
    parts: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class PageDrawing:
    """A drawing: its title, the SVG element, and what it shows in words."""

    title: str
    drawing: Markup
    words: str


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a page about one report; ``left_out`` names the tables that are only in the page of ``link``."""

    id: str
    title: str
    facts: tuple[Fact, ...]
    figures: tuple[Fact, ...]
    notes: tuple[Note, ...]
    bars: tuple[PageBar, ...]
    tables: tuple[PageTable, ...]
    tree: Markup | None = None
    details: Markup | None = None
    landscape: PageDrawing | None = None
    left_out: tuple[str, ...] = ()
    link: str = ""


def section(
    report: Report, id: str = "r1", size: Size | None = None, links: Mapping[str, str] | None = None
) -> Section:
    """The section about a report; ``links`` has the addresses of networks by their names."""
    size = size or Size()
    profile = report.profile
    details = None if profile is None else module_details(profile)
    trees = [
        tree
        for table in report.tables
        if profile is not None and table.table.of_unit("depth") and (tree := module_tree(profile, table.table))
    ]
    parts = [part for table in report.tables for part in _parts(table)]
    tables = [
        _table(part, f"{id}-t{number}", size, links or {}, details is not None) for number, part in enumerate(parts, 1)
    ]
    return Section(
        id=id,
        title=visible(report.title),
        facts=tuple(_fact(fact) for fact in report.facts if not fact.is_figure),
        figures=tuple(_fact(fact) for fact in report.facts if fact.is_figure),
        notes=tuple(
            replace(note, text=visible(note.text)) for kind in NOTE_KINDS for note in report.notes if note.kind == kind
        ),
        bars=tuple(map(_bar, report.bars)),
        tables=tuple(tables),
        tree=script_data(trees[0]) if trees else None,
        landscape=_landscape(report, links or {}),
        details=script_data(details) if details is not None and any(table.opens for table in tables) else None,
    )


def _landscape(report: Report, links: Mapping[str, str]) -> PageDrawing | None:
    """The drawing of a comparison; its texts are escaped where it is made."""
    found = report.landscape
    if found is None:
        return None
    return PageDrawing(found.title, Markup(drawing(found, links)), found.words)


def without_tables(full: Section, kept: int, link: str) -> Section:
    """The section with its first tables only; the others are on the page of ``link``, if it is not empty."""
    left = tuple(table.title for table in full.tables[kept:])
    return replace(full, tables=full.tables[:kept], tree=None, details=None, left_out=left, link=link)


def script_data(value: Any) -> Markup:
    """JSON for a ``<script type="application/json">``: it has no ``<``, so no text in it ends the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _fact(fact: Fact) -> Fact:
    return replace(fact, label=visible(fact.label), value=visible(fact.value), aside=visible(fact.aside))


def _bar(bar: Bar) -> PageBar:
    parts = []
    begin = 0.0
    for name, share in bar.parts.items():
        parts.append((visible(name), share_text(share), f"{100 * begin:.2f}", f"{100 * share:.2f}"))
        begin += share
    return PageBar(visible(bar.label), tuple(parts))


def _parts(table: ReportTable) -> list[ReportTable]:
    """The table; before it the part for a summary, if that has other columns."""
    if table.shown is None or set(table.shown) <= set(table.table):
        return [table]
    return [ReportTable(table.shown, notes=table.notes), ReportTable(table.table)]


def _table(part: ReportTable, id: str, size: Size, links: Mapping[str, str], detailed: bool) -> PageTable:
    table = part.table
    rows = len(table) - table.footer
    last = table if part.shown is None or not part.shown.footer else _like(table, part.shown)
    footer = last.where([row >= len(last) - last.footer for row in range(len(last))])
    columns, below = cell_columns(table), cell_columns(footer)
    in_html = rows if rows <= size.whole else min(rows, size.first)
    hidden = _hidden(part)
    shown = [name for name in table if name not in hidden]
    return PageTable(
        id=id,
        name=table.name,
        title=visible(table.title(shown)),
        columns=tuple(
            _column(table, column, last, column.column.name in hidden)
            for column, last in zip(columns, below, strict=True)
        ),
        body=tuple(_rows(columns, range(in_html), links)),
        footer=tuple(_rows(below, range(len(footer)), {})),
        rows=rows,
        notes=tuple(visible(note) for note in part.notes if note not in part.about_shown),
        data=None if in_html == rows else script_data(_data(columns, rows)),
        opens=detailed and table.columns[0].refers_to == "module",
    )


def _like(table: Table, other: Table) -> Table:
    """The rows of ``other`` with the columns of ``table``, empty where it does not have them."""
    there = list(other)
    values = [other[name] if name in there else [""] * len(other) for name in table]
    return replace(table, values=tuple(values), footer=other.footer)


def _column(table: Table, cells: CellColumn, footer: CellColumn, hidden: bool) -> PageColumn:
    column = cells.column
    of = f" of {table.column(column.of).label}" if column.of and column.heading == "share" else ""
    longest = max((len(cell.text) for cell in (*cells.distinct, *footer.distinct)), default=0)
    least = 0 if cells.numeric else min(longest, LINE.get(column.unit, LINE["text"]))
    return PageColumn(column.heading, of, column.meaning, column.unit, cells.numeric, hidden, column.refers_to, least)


def _hidden(part: ReportTable) -> set[str]:
    """The columns that a reader sees on request: those that a summary does not have, and those of zeros alone."""
    table, shown = part.table, set(part.table if part.shown is None else part.shown)
    names = set()
    for column in table.columns[1:]:
        idle = column.priority >= MAIN and not any(
            value for value in table[column.name] if not is_missing(value) and value is not False
        )
        if column.unit != "mark" and (column.name not in shown or column.priority >= SUMMARIES or idle):
            names.add(column.name)
    return names


def _rows(
    columns: Sequence[CellColumn], rows: Sequence[int], links: Mapping[str, str]
) -> Iterator[tuple[PageCell, ...]]:
    for row in rows:
        yield tuple(_cell(column, column.cell(row), links) for column in columns)


def _cell(column: CellColumn, cell: Cell, links: Mapping[str, str]) -> PageCell:
    unit = column.column.unit
    bar = f"{100 * float(cell.value):.2f}" if unit == "share" and cell.value else ""
    link = links.get(cell.text, "") if column.column.refers_to == "network" else ""
    return PageCell(cell.text, cell.place, cell.value, bar, looks(cell, unit), link)


def looks(cell: Cell, unit: str) -> str:
    """The class of a cell: missing values and zeros are paler, and the states of a row have looks of their own."""
    if cell.place == -1:
        return "missing"
    if cell.text in ("0", "0 %") and unit not in ("name", "text"):  # a module may be named 0
        return "zero"
    return {"status": "flag", "mark": "flag", "flag": "flag", "name": "code"}.get(unit, "")


def _steps(numbers: Sequence[int]) -> list[int]:
    """The differences of neighbors, which have fewer digits; the first number is one of them."""
    return [number - before for before, number in pairwise((0, *numbers))]


def _integers(column: CellColumn) -> list[int] | None:
    """The steps of the integers in a column that has nothing else, and none that scripts would round."""
    if not column.numeric or any(cell.value for cell in column.distinct):
        return None
    integers = [int(cell.text.replace(",", "")) if INTEGER.fullmatch(cell.text) else -1 for cell in column.distinct]
    return _steps(integers) if all(0 <= integer < EXACT_IN_JSON for integer in integers) else None


def _data(columns: Sequence[CellColumn], rows: int) -> dict[str, Any]:
    """All rows: for each column its different texts in their order, and the number of that of each row.

    ``steps`` are these numbers, each less the one before it.  Plain integers are ``integers``, also as steps, in place
    of texts.  ``values`` are those that the texts round.  A column with the same cells as an earlier one
    has its number, ``like``.
    """
    found: list[dict[str, Any]] = []
    numbers: dict[Any, int] = {}
    for number, column in enumerate(columns):
        first = numbers.setdefault((column.distinct, column.rows), number)
        if first < number:
            found.append({"like": first})
            continue
        integers = _integers(column)
        data: dict[str, Any] = {"steps": _steps(column.rows[:rows])}
        data |= {"texts": [cell.text for cell in column.distinct]} if integers is None else {"integers": integers}
        if any(cell.value for cell in column.distinct):
            data["values"] = [cell.value for cell in column.distinct]
        found.append(data)
    return {"columns": found}
