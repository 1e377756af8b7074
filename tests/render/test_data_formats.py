"""CSV, JSON, XLSX and Parquet hold what their table holds: read back, it is equal."""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from pyarrow import parquet as pq

from profiler.columns import TYPES, Column
from profiler.errors import ProfilerError
from profiler.formatting import format_table, is_missing
from profiler.printable import escaped, unescaped
from profiler.render import Report, ReportTable, profile_report, render_files, render_texts
from profiler.render.formats.csv import FORMULA, csv_text, plain, read
from profiler.render.formats.parquet import parquet_bytes
from profiler.render.formats.xlsx import EXACT
from profiler.schema import Table
from tests import sample_profiles as nets
from tests.render import hostile
from tests.render.samples import REPORTS, checked

QUICK = ("partial", "hostile")
"""The reports that are read back in the quick part of the tests."""

Values = list[list[Any]]

EVERY = {**REPORTS, "hostile": hostile.report(), "wide": profile_report(nets.wide(2**70))}


def held(table: Table) -> Values:
    """The values of a table, with None for everything that is missing."""
    return [[None if is_missing(value) else value for value in values] for values in table.values]


def typed(values: Values) -> list[list[tuple[str, Any]]]:
    """The values with their types, since ``1 == 1.0 == True``."""
    return [[(type(value).__name__, value) for value in column] for column in values]


def written(report: Report, format: str) -> dict[str, bytes]:
    """The files of the report in a format that is not text."""
    return {name: content for name, content in render_files(report, [format]).items() if isinstance(content, bytes)}


def workbook(report: Report) -> Any:
    """The workbook of the report, as openpyxl reads it."""
    return load_workbook(io.BytesIO(written(report, "xlsx")["report.xlsx"]))


def from_csv(report: Report) -> list[Values]:
    texts = render_texts(report, ["csv"])
    return [held(read(texts[f"{table.name}.csv"], table.table.columns)) for table in report.tables]


def from_json(report: Report) -> list[Values]:
    texts = render_texts(replace(report, profile=None), ["json"])
    rows = [json.loads(texts[f"{table.name}.json"]) for table in report.tables]
    return [
        [[row[name] for row in found] for name in table.table] for found, table in zip(rows, report.tables, strict=True)
    ]


def from_xlsx(report: Report) -> list[Values]:
    book = workbook(report)
    found = []
    for table in report.tables:
        names, *rows = book[table.name].iter_rows(values_only=True)
        assert [unescaped(name) for name in names] == list(table.table)
        turned = [[row[place] for row in rows] for place in range(len(names))]
        found.append(
            [list(map(reader(column), values)) for column, values in zip(table.table.columns, turned, strict=True)]
        )
    return found


def reader(column: Column) -> Callable[[Any], Any]:
    """The documented rule: an empty cell of text is the empty text, and a large integer is the text of its digits."""
    if column.type is str:
        return lambda value: unescaped(value or "")
    return lambda value: None if value is None else column.type(value)


def from_parquet(report: Report) -> list[Values]:
    files = written(report, "parquet")
    tables = [pq.read_table(io.BytesIO(files[f"{table.name}.parquet"])) for table in report.tables]
    return [
        [
            list(map(reader(column), values.to_pylist()))
            for column, values in zip(table.table.columns, found.columns, strict=True)
        ]
        for table, found in zip(report.tables, tables, strict=True)
    ]


READERS = {"csv": from_csv, "json": from_json, "xlsx": from_xlsx, "parquet": from_parquet}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in EVERY]
)
@pytest.mark.parametrize("format", READERS)
def test_every_table_reads_back(format: str, name: str) -> None:
    """Every value is equal, with its type: exact integers, shares to the last bit, missing as missing."""
    report = EVERY[name]
    for table, values in zip(report.tables, READERS[format](report), strict=True):
        assert typed(values) == typed(held(table.table)), table.name


def test_the_readers_see_a_wrong_value() -> None:
    """A check that cannot fail is none: another number, and a missing one, are differences."""
    report = EVERY["partial"]
    for read_back in READERS.values():
        (values, *_) = read_back(report)
        assert typed(values) != typed([[0 if value is None else value for value in column] for column in values])
        assert typed(values) != typed(
            [[value + 1 if value == 3888 else value for value in column] for column in values]
        )


@pytest.mark.parametrize("name", EVERY)
def test_values_have_the_types_of_their_units(name: str) -> None:
    """A unit decides the type of a file's column, also of one without values."""
    for table in EVERY[name].tables:
        for column, values in zip(table.table.columns, held(table.table), strict=True):
            assert {type(value) for value in values if value is not None} <= {TYPES[column.unit]}, column.name


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", " =1", "'=1", "''@", "＝1", "－1", "　=1"]
)
def test_csv_puts_an_apostrophe_before_formulas(text: str) -> None:
    """Also before a text that already begins with one, so that the rule can be undone."""
    (row,) = [*csv.reader(io.StringIO(csv_text(of_text(text)), newline=""))][1:]
    assert row == [f"'{text}"]
    assert plain(row[0]) == text


@pytest.mark.parametrize("text", ["plain", "'quoted'", "1+1", "a=b", "(root)", "", "'", "1-2"])
def test_csv_leaves_other_texts_alone(text: str) -> None:
    """A text that no spreadsheet takes for a formula has no apostrophe."""
    (row,) = [*csv.reader(io.StringIO(csv_text(of_text(text)), newline=""))][1:]
    assert row == [text]


def test_csv_leaves_numbers_alone() -> None:
    """A negative number is a number and not a text."""
    table = Table.of("t", "T", [Column("d", "difference"), Column("n", "name")], [(-12, "-12")])
    assert csv_text(table) == "d,n\n-12,'-12\n"


@pytest.mark.slow
@given(st.text(st.one_of(st.sampled_from("'=+-@\t\r\n \\xu01ab,\""), st.characters()), max_size=8))
def test_csv_rule_can_be_undone(text: str) -> None:
    """Whatever a text is, it reads back, and no cell begins like a formula."""
    written = csv_text(of_text(text))
    assert read(written, [Column("name", "name")]).values == ((text,),)
    (cell,) = [*csv.reader(io.StringIO(written, newline=""))][1]
    assert not FORMULA.match(cell) or cell.startswith("'")


@given(st.text(st.one_of(st.sampled_from("\\xuU01ab\x1b"), st.characters()), max_size=12))
def test_escapes_can_be_undone(text: str) -> None:
    """An escaped text has no unsafe character, is unchanged if nothing is unsafe or ambiguous, and can be undone."""
    assert unescaped(escaped(text)) == text
    if "\\" not in text and text.isprintable() and text.isascii():
        assert escaped(text) == text


def of_text(*texts: str) -> Table:
    """A table with one column of names."""
    return Table.of("t", "T", [Column("name", "name")], [(text,) for text in texts])


def test_csv_of_other_columns_is_refused() -> None:
    """Values are not read into columns that the file does not have."""
    with pytest.raises(ValueError, match=r"the columns are name, expected other"):
        read(csv_text(of_text("x")), [Column("other", "name")])


def sheet(name: str) -> Any:
    """The sheet of that name in the workbook of hostile texts."""
    return workbook(EVERY["hostile"])[name]


def test_the_workbook_equals_its_golden_file(golden: Callable[[str, str], None]) -> None:
    """The golden file has every cell of every sheet, with its type and its number format."""
    lines = []
    for sheet in workbook(REPORTS["partial"]).worksheets:
        lines.append(f"# {sheet.title}")
        for row in sheet.iter_rows():
            cells = [f"{cell.value!r} [{cell.number_format}]" for cell in row if cell.value is not None]
            lines.append("; ".join(cells))
    golden("render/partial/report.xlsx.txt", "\n".join(lines) + "\n")


def test_parquet_equals_its_golden_file(golden: Callable[[str, str], None]) -> None:
    """The golden file has the type and the values of every column of every table."""
    lines = []
    for name, content in written(REPORTS["partial"], "parquet").items():
        table = pq.read_table(io.BytesIO(content))
        lines.append(f"# {name}")
        lines += [f"{field.name}: {field.type}: {table[field.name].to_pylist()}" for field in table.schema]
    golden("render/partial/parquet.txt", "\n".join(lines) + "\n")


def test_xlsx_has_no_formula_and_no_error() -> None:
    """Every cell is a number, a truth value or a text, and a text stays one if it is edited."""
    for name in ("about", "hostile"):
        for row in sheet(name).iter_rows():
            for cell in row:
                assert cell.data_type in ("s", "n", "b")
                if cell.data_type == "s":
                    assert (cell.number_format, cell.quotePrefix) == ("@", True)


def test_xlsx_numbers_look_as_in_other_formats() -> None:
    """The number format of a share never shows 0 % or 100 % for another value, and a lower bound is marked."""
    table = hostile.table()
    columns = {column.name: place for place, column in enumerate(table.columns)}
    texts = format_table(table)
    rows = [*sheet("hostile").iter_rows(min_row=2)]
    for name in ("share_column", "ratio_column"):
        for row, value, text in zip(rows, table[name], texts[name], strict=True):
            cell = row[columns[name]]
            if value is None:
                assert cell.value is None
            elif text[0] in "<>":
                assert cell.number_format == f'"{text}"'
            else:
                digits = len(text.rstrip(" %×").partition(".")[2])
                assert cell.number_format.count("0") == 1 + digits or cell.number_format.startswith("#,##0")
                assert cell.number_format.endswith(r"\ %" if name.startswith("share") else "\\×")
    for row, value, text in zip(rows, table["change_column"], texts["change_column"], strict=True):
        if value is not None:
            look = row[columns["change_column"]].number_format
            assert look == (f'"{text}"' if text[0] in "<>" else r"0\ %" if value in (0, -1) else r"+0.00\ %;-0.00\ %")
    assert {row[columns["difference_column"]].number_format for row in rows} == {"+#,##0;-#,##0;0", "General"}


def test_xlsx_marks_lower_bounds() -> None:
    """A count of a partial row is at least this; the number itself is unchanged."""
    columns = [Column("layer", "name"), Column("macs", "count", bound=True), Column("status", "status")]
    table = Table.of("t", "T", columns, [("a", 5, "partial"), ("b", 5, "complete")])
    book = workbook(Report("r", (), (), (ReportTable(table),)))
    cells = [row[1] for row in book["t"].iter_rows(min_row=2)]
    assert [(cell.value, cell.number_format) for cell in cells] == [(5, "\\≥#,##0"), (5, "#,##0")]


def test_xlsx_keeps_large_integers_as_text() -> None:
    """Integers of 54 bits and more are texts of all their digits, others are numbers."""
    table = hostile.table()
    place = list(table).index("count_column")
    for row, value in zip(sheet("hostile").iter_rows(min_row=2), table["count_column"], strict=True):
        if value is not None:
            assert row[place].data_type == ("s" if abs(value) > EXACT else "n")
            assert int(row[place].value) == value


@pytest.mark.slow
def test_xlsx_sheets_are_made_to_be_read() -> None:
    """The header stays in view and has a filter over all rows, columns are as wide as their texts, totals are bold."""
    book = workbook(REPORTS["alexnet"])
    assert book.sheetnames == ["about", *(table.name for table in REPORTS["alexnet"].tables)]
    shares = book["shares"]
    assert shares.freeze_panes == "B2"
    assert shares.auto_filter.ref == shares.dimensions
    assert all(cell.font.b for cell in next(shares.iter_rows()))
    assert [row[0].font.b for row in shares.iter_rows()][-2:] == [False, True]
    widths = {letter: column.width for letter, column in book["layers"].column_dimensions.items()}
    assert widths["A"] >= len("features.conv1")
    assert max(widths.values()) <= 62


@pytest.mark.slow
def test_xlsx_says_what_its_columns_are() -> None:
    """The first sheet has the title, the notes, and the heading, unit and meaning of every column."""
    texts = [
        [cell for cell in row if cell] for row in workbook(REPORTS["alexnet"])["about"].iter_rows(values_only=True)
    ]
    assert texts[0] == ["alexnet"]
    assert ["layers", "calls", "calls", "count", "number of calls"] in texts
    assert any(row[:1] == ["finding"] and row[1].startswith("Linear layers hold") for row in texts)


def test_xlsx_has_no_dates() -> None:
    """All parts have the earliest date of a zip file, in the archive and in the properties."""
    with zipfile.ZipFile(io.BytesIO(written(REPORTS["partial"], "xlsx")["report.xlsx"])) as book:
        assert {part.date_time for part in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        properties = book.read("docProps/core.xml").decode()
    assert properties.count("1980-01-01T00:00:00Z") == 2
    assert "2026" not in properties


def test_xlsx_cuts_a_text_that_no_cell_holds() -> None:
    """A cell holds 32,767 UTF-16 units; a longer text ends in a mark, and no character is cut in half."""
    report = Report("r", (), (), (ReportTable(of_text("x" * 32_767, "x" * 32_768, "x" + "😀" * 20_000)),))
    book = workbook(report)
    full, cut, pairs = (row[0] for row in book["t"].iter_rows(min_row=2, values_only=True))
    assert (full, cut) == ("x" * 32_767, "x" * 32_766 + "…")
    assert pairs == "x" + "😀" * 16_382 + "…"


def test_parquet_has_the_schema_in_its_metadata() -> None:
    """Heading, unit and meaning of a column are with its field, title and subject with the table."""
    schema = pq.read_schema(io.BytesIO(written(REPORTS["alexnet"], "parquet")["layers.parquet"]))
    assert schema.metadata[b"report"] == b"alexnet"
    assert schema.metadata[b"subject"] == b"Layers"
    assert schema.field("calls").metadata == {b"heading": b"calls", b"unit": b"count", b"meaning": b"number of calls"}
    assert schema.field("flops_share").metadata[b"of"] == b"flops"


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ([1, None], "int64"),
        ([2**63 - 1, -(2**63 - 1)], "int64"),
        ([2**63], "decimal128(38, 0)"),
        ([10**38 - 1], "decimal128(38, 0)"),
        ([10**38], "string"),
        ([None], "int64"),
    ],
)
def test_parquet_takes_the_first_type_that_holds_all_integers(values: Sequence[int | None], type: str) -> None:
    """64 bits, then 38 decimal digits, then the text of the digits."""
    table = Table.of("t", "T", [Column("n", "count")], [(value,) for value in values])
    read_back = pq.read_table(io.BytesIO(parquet_bytes(table)))
    assert str(read_back.schema.field("n").type) == type
    assert [None if v is None else int(v) for v in read_back["n"].to_pylist()] == list(values)


@pytest.mark.parametrize(("format", "package"), [("xlsx", "openpyxl"), ("parquet", "pyarrow")])
def test_a_missing_extra_is_one_line(format: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the format, the package and the command that installs it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"profiler.render.formats.{format}")
    with pytest.raises(ProfilerError) as caught:
        importlib.import_module(f"profiler.render.formats.{format}")
    text = str(caught.value)
    assert text.startswith(f"format {format}: import of {package}")
    assert text.endswith(f'pip install "static-flop-profiler[{format}]"')
    assert "\n" not in text


@pytest.mark.slow
def test_large_tables_are_quick() -> None:
    """A workbook of 2,000 layers takes seconds."""
    start = time.process_time()
    render_files(profile_report(checked(nets.many(500))), ["xlsx", "parquet", "csv"])
    assert time.process_time() - start < 10
