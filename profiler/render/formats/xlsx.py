"""Report → XLSX: one workbook, with a sheet of facts and notes, and one sheet for each complete table.

Numbers are numbers and look as they do in Markdown; a text is never taken for a formula.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from profiler.columns import Unit
from profiler.errors import needed_for
from profiler.formatting import change_text, format_table, is_missing, ratio_text, share_text
from profiler.printable import INVISIBLE, escaped
from profiler.render.report import TOTALS, Report, ReportTable
from profiler.schema import Table

with needed_for("format xlsx", "xlsx"):
    from openpyxl import Workbook
    from openpyxl.cell import Cell
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

BINARY = True

EXACT = 2**53
"""The numbers of a spreadsheet have 53 bits; a larger integer is kept as the text of its digits."""

LONGEST = 32_767
"""The maximum number of UTF-16 units of a text in a cell."""

WIDEST = 60
"""The maximum width of a column, in characters."""

NAME_LENGTH = 31
"""The maximum length of the name of a sheet."""

UNSAFE = re.compile(f"{INVISIBLE.pattern}|_(?=x[0-9A-Fa-f]{{4}}_)")
"""Characters that are escaped, and the beginning of what spreadsheets take for an escape (``_x0041_``)."""

DATES = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")
"""The dates in the properties of a workbook."""

ROWS_PLACE = re.compile(rb"<sheetData ?/>|<sheetData></sheetData>")
"""Where openpyxl writes the rows of an empty sheet; it would take a minute for those of a large network."""

DIMENSION = re.compile(rb"<dimension [^>]*/>")
"""The extent of an empty sheet."""

ABOUT = "about"

TEXT = "@"
"""The number format of text."""

AT_LEAST = "\\≥"
"""The beginning of the number format of a lower bound."""

Worksheet = Any

Content = tuple[str, str] | None
"""The attributes and the content of a cell in the XML of its sheet."""

Rows = Sequence[Sequence[Content]]


def render(report: Report) -> dict[str, bytes]:
    """``report.xlsx``; equal reports give equal bytes."""
    book = Workbook()
    book.remove(book.active)
    book.properties.creator = "profiler"
    looks = Looks(book)
    sheets = [_about(book.create_sheet(ABOUT), looks, report)]
    names = {ABOUT}
    for table in report.tables:
        name = _sheet_name(table.name, names)
        names.add(name.lower())
        sheets.append(_filled(book.create_sheet(name), looks, table.table))
    kept = io.BytesIO()
    book.save(kept)
    return {"report.xlsx": _with_rows(kept.getvalue(), sheets)}


class Looks:
    """The numbers of the looks of cells in a workbook."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._known: dict[tuple[str, str, bool], int] = {}

    def number(self, number_format: str, side: str = "", *, bold: bool = False) -> int:
        """The number of this look; ``side`` is where the content is aligned, by default where spreadsheets align it."""
        key = number_format, side, bold
        if key not in self._known:
            cell = Cell(self._book.worksheets[0], row=1, column=1)
            cell.number_format = number_format
            cell.quotePrefix = number_format == TEXT
            cell.font = Font(bold=bold)
            cell.alignment = Alignment(horizontal=side or None)
            self._known[key] = cell.style_id
        return self._known[key]


def _about(sheet: Worksheet, looks: Looks, report: Report) -> Rows:
    """The title, the facts, the notes, and the schema of each table's columns."""
    headings = [(report.title,), ("table", "column", "heading", "unit", "meaning")]
    rows: list[tuple[str, ...]] = [headings[0]]
    rows += [(fact.label, fact.value, fact.short, fact.aside) for fact in report.facts]
    rows += [(), *((note.kind, note.text) for note in report.notes)]
    rows += [(table.name, note) for table in report.tables for note in table.notes]
    rows += [(), headings[1]]
    rows += [line for table in report.tables for line in _schema(table)]
    _set_widths(sheet, (14, 26, 26, 16, WIDEST))
    styles = {bold: looks.number(TEXT, bold=bold) for bold in (False, True)}
    return [[_text(text, styles[row in headings]) for text in row] for row in rows]


def _schema(table: ReportTable) -> list[tuple[str, ...]]:
    """What is known of each column of a table."""
    columns = table.table.columns
    meanings = [column.meaning or (f"of {column.of}" if column.of else "") for column in columns]
    return [
        (table.name, column.name, column.heading, column.unit, meaning)
        for column, meaning in zip(columns, meanings, strict=True)
    ]


def _filled(sheet: Worksheet, looks: Looks, table: Table) -> Rows:
    """The header, which stays in view and has a filter, and the rows; rows of totals are bold."""
    texts = format_table(table)
    _set_widths(sheet, (max(map(len, (f"{name}   ", *texts[name]))) for name in table))
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(table.columns))}{len(table) + 1}"
    sides = ["left" if column.type is str else "right" for column in table.columns]
    header = [_text(name, looks.number(TEXT, side, bold=True)) for name, side in zip(table, sides, strict=True)]
    totals = [first in TOTALS for first in table.values[0]]
    columns = [
        [
            _cell(value, column.unit, looks, bound=text.startswith("≥"), bold=bold)
            for value, text, bold in zip(values, texts[column.name], totals, strict=True)
        ]
        for column, values in zip(table.columns, table.values, strict=True)
    ]
    return [header, *zip(*columns, strict=True)]


def _set_widths(sheet: Worksheet, widths: Iterable[int]) -> None:
    for place, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(place)].width = min(width, WIDEST) + 2


def _cell(value: Any, unit: Unit, looks: Looks, *, bound: bool, bold: bool) -> Content:
    """The attributes and the content of the cell with this value; an unknown value is an empty cell."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        return _text(value, looks.number(TEXT, bold=bold))
    if isinstance(value, bool):
        return f's="{looks.number("General", bold=bold)}" t="b"', f"<v>{value:d}</v>"
    if isinstance(value, int) and abs(value) > EXACT:
        return _text(str(value), looks.number(TEXT, "right", bold=bold))
    look = NUMBER_FORMATS.get(unit, _integer)(value)
    return f's="{looks.number(f"{AT_LEAST}{look}" if bound else look, bold=bold)}"', f"<v>{value!r}</v>"


def _text(text: str, look: int) -> Content:
    """The same for a cell that is text, also if it is edited later, whatever it begins with."""
    text = escaped(text, UNSAFE)
    if len(text) > LONGEST // 2 and len(text.encode("utf-16-le")) > 2 * LONGEST:
        text = text.encode("utf-16-le")[: 2 * (LONGEST - 1)].decode("utf-16-le", "ignore") + "…"
    if not text:
        return f's="{look}"', ""
    return f's="{look}" t="inlineStr"', f'<is><t xml:space="preserve">{escape(text)}</t></is>'


def _integer(_value: float) -> str:
    return "#,##0"


def _difference(_value: float) -> str:
    return "+#,##0;-#,##0;0"


def _share(value: float) -> str:
    """Percent with two decimals; a share that would look like 0 % or 100 % and is not is shown as in other formats."""
    text = share_text(value)
    return _literal(text) if text[0] in "<>" else r"0\ %" if value in (0, 1) else r"0.00\ %"


def _ratio(value: float) -> str:
    text = ratio_text(value)
    return _literal(text) if text[0] in "<>" else "#,##0.00\\×" if "." in text else "#,##0\\×"


def _change(value: float) -> str:
    """Percent with a sign; a change that would look like 0 % or -100 % and is not is shown as in other formats."""
    text = change_text(value)
    return _literal(text) if "<" in text or ">" in text else r"0\ %" if value in (0, -1) else r"+0.00\ %;-0.00\ %"


def _literal(text: str) -> str:
    return f'"{text}"'


NUMBER_FORMATS: dict[str, Callable[[float], str]] = {
    "difference": _difference,
    "share": _share,
    "ratio": _ratio,
    "rate": lambda value: "General",
    "change": _change,
}
"""How numbers of a unit look; others are integers."""


def _sheet_name(name: str, taken: set[str]) -> str:
    """A name that a sheet can have and that no other sheet has, whatever the case of its letters."""
    short = re.sub(r"[\[\]:*?/\\]", "_", escaped(name)).strip("'")[:NAME_LENGTH] or "table"
    number = 1
    found = short
    while found.lower() in taken:
        number += 1
        found = f"{short[: NAME_LENGTH - len(str(number)) - 1]}_{number}"
    return found


def _with_rows(content: bytes, sheets: Sequence[Rows]) -> bytes:
    """The workbook with these rows in its sheets, and with the earliest date of zip files on all its parts."""
    kept = io.BytesIO()
    parts = {f"xl/worksheets/sheet{number}.xml": rows for number, rows in enumerate(sheets, 1)}
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(kept, "w") as made:
        for name in given.namelist():
            part = zipfile.ZipInfo(name)
            part.create_system = 0
            part.compress_type = zipfile.ZIP_DEFLATED
            data = DATES.sub(rb"\g<1>1980-01-01T00:00:00Z", given.read(name))
            if name in parts:
                before, after = ROWS_PLACE.split(DIMENSION.sub(b"", data))
                data = before + _xml(parts[name]) + after
            made.writestr(part, data)
    return kept.getvalue()


def _xml(rows: Rows) -> bytes:
    """The rows as the XML of a sheet."""
    letters = [get_column_letter(place + 1) for place in range(max(map(len, rows), default=0))]
    lines = []
    for number, row in enumerate(rows, 1):
        cells = [
            f'<c r="{letter}{number}" {cell[0]}>{cell[1]}</c>'
            for letter, cell in zip(letters, row, strict=False)
            if cell is not None
        ]
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    return f"<sheetData>{''.join(lines)}</sheetData>".encode()
