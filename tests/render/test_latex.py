"""LaTeX holds the cells of its table, aligns their digits, and compiles whatever names are in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.columns import Column
from profiler.formatting import format_table
from profiler.render import Report, profile_report, render_texts
from profiler.render.formats.latex import CHARACTER, GAP, ROOM, latex_table
from profiler.render.report import ReportTable
from profiler.render.tex import ACCENTS, COMMANDS, escape
from profiler.schema import Table
from tests import sample_profiles as nets
from tests.render import hostile
from tests.render.samples import REPORTS, doubtful

PDFLATEX = shutil.which("pdflatex")

NEEDS_TEX = pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")

EVERY = {**REPORTS, "hostile": hostile.report(), "wide": profile_report(nets.wide(2**70))}

CHARACTERS = {text: character for character, text in COMMANDS.items()}

MARKS = {sign: mark for mark, sign in ACCENTS.items()}

TOKEN = re.compile(
    "|".join(map(re.escape, sorted(CHARACTERS, key=len, reverse=True)))
    + r"|\\codepoint\{(?P<code>[0-9A-F]+)\}|\\(?P<accent>[`'^~=.\"rHvc])\{\\?(?P<letter>[A-Za-z])\}"
    + r"|\\allowbreak\{\}|\{\}|(?P<blank>\\ )",
)


def meant(latex: str) -> str:
    """The text that LaTeX shows."""

    def character(found: re.Match[str]) -> str:
        if found["code"]:
            return chr(int(found["code"], 16))
        if found["accent"]:
            return unicodedata.normalize("NFC", found["letter"] + MARKS[found["accent"]])
        return " " if found["blank"] else CHARACTERS.get(found[0], "")

    return TOKEN.sub(character, latex)


def cell(latex: str) -> str:
    """The text of a cell, as the tables of other formats have it, without a unit."""
    latex = re.sub(r"^\\texttt\{(.*)\}$", r"\1", latex)
    for mark, shown in (("$\\ge$", "≥"), ("$<$", "<"), ("$>$", ">")):
        latex = latex.replace(f"{{{mark}}}", shown)
    return meant(re.sub(r"^\{(.+)\}$", r"\1", latex))


def parts(latex: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The kinds of the columns and the rows of each table in a file."""
    for _, kinds, body in re.findall(r"\\begin\{(tabular|longtable)\}\{(.*?)\n\}\n(.*?)\\end\{\1\}", latex, re.DOTALL):
        lines = body.rpartition("\\endfoot\n")[2].partition("\\toprule\n")[2] if "\\endfoot" not in body else body
        rows = re.sub(r"\\(mid|bottom)rule\n", "", lines.rpartition("\\endfoot\n")[2])
        found = [line.removesuffix(" \\\\").split(" & ") for line in rows.splitlines() if line]
        yield kinds.split("\n  ")[1:], found if "\\endfoot" in body else found[1:]


def columns(latex: str) -> list[list[str]]:
    """The cells of all columns of a file; the first column, which each part repeats, comes once."""
    found: list[list[str]] = []
    for _, rows in parts(latex):
        turned = [list(map(cell, column)) for column in zip(*rows, strict=True)]
        assert not found or turned[0] == found[0]
        found += turned[bool(found) :]
    return found


def expected(table: Table) -> list[list[str]]:
    """The texts of the table without units, which are in the headings, and without separators of thousands."""
    texts = format_table(table)
    return [
        [re.sub(r"(?<=\d),(?=\d{3})| %$|×$", "", text) if column.type in (int, float) else text for text in texts[name]]
        for column, name in zip(table.columns, table, strict=True)
    ]


@pytest.mark.parametrize("name", EVERY)
def test_files_hold_the_cells_of_their_tables(name: str) -> None:
    """All rows and all columns are there, whatever the texts are."""
    files = render_texts(EVERY[name], ["latex"])
    for table in EVERY[name].tables:
        if len(table.table):
            assert columns(files[f"{table.name}.tex"]) == expected(table.table), table.name


def test_the_reader_sees_a_wrong_cell() -> None:
    """A changed digit, a lost backslash and a swapped column are differences."""
    table = hostile.table()
    latex = latex_table(table)
    for wrong in (latex.replace("9216", "9217"), latex.replace(r"\textbackslash{}", ""), latex.replace("$<$", "$>$")):
        assert wrong != latex
        assert columns(wrong) != expected(table)


@given(st.text(st.one_of(st.sampled_from("\\{}$&#%_^~<>|\"'`-,.?! ×·ßéΩλ[*"), st.characters()), max_size=12))
def test_texts_are_shown_literally(text: str) -> None:
    """An escaped text is ASCII on one line, and no two texts look the same."""
    for breakable in (False, True):
        latex = escape(text, breakable=breakable)
        assert latex.isascii()
        assert latex.isprintable()
        assert not re.search(r"(?<!\\)[$&#%_^~]", re.sub(r"\\ensuremath\{\^\d\}|\\[\^~]\{", "", latex))
        assert unicodedata.normalize("NFC", meant(latex)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("values", "format"),
    [
        ((5, 1234567), "S[table-format=7.0]"),
        ((5, -12), "S[table-format=+2.0]"),
        ((0, 2**70), "S[table-format=22.0]"),
    ],
)
def test_digits_are_aligned(values: tuple[int, ...], format: str) -> None:
    """The format of a column has as many digits as its largest number, and a sign if there is one."""
    table = Table.of("t", "T", [Column("n", "name"), Column("x", "count")], [("a", value) for value in values])
    ((kinds, _),) = parts(latex_table(table))
    assert kinds == ["l", format]


def test_percentages_have_their_unit_in_the_heading() -> None:
    """Their digits are aligned, and a share that is not 0 % does not become it."""
    table = Table.of("t", "T", [Column("n", "name"), Column("s", "share")], [("a", 1e-9), ("b", 0.5), ("c", None)])
    latex = latex_table(table)
    assert r"{s (\%)} \\" in latex
    assert r"\texttt{a} & {$<$}0.01 \\" in latex
    assert r"\texttt{b} & 50.00 \\" in latex
    assert r"\texttt{c} & {unknown} \\" in latex


def test_a_table_has_a_caption_and_a_label() -> None:
    """Both name the network and the table; further parts have labels of their own."""
    latex = render_texts(REPORTS["alexnet"], ["latex"])["shares.tex"]
    labels = re.findall(r"\\label\{(.*?)\}", latex)
    assert labels == ["tab:alexnet-shares", *(f"tab:alexnet-shares-{part}" for part in (2, 3, 4))]
    assert latex.count(r"\caption{alexnet: Shares by kind of work: ") == 4


def test_long_tables_break_across_pages() -> None:
    """A table of few rows floats, one of many repeats its heading on each page."""
    short, long = (
        render_texts(Report("r", (), (), (ReportTable(hostile.table(rows)),)), ["latex"])["hostile.tex"]
        for rows in (40, 41)
    )
    assert ("longtable" in short.partition("\n")[2], r"\begin{longtable}" in long) == (False, True)
    assert r"\endhead" in long


@pytest.mark.parametrize("name", EVERY)
def test_parts_fit_the_text_of_an_article(name: str) -> None:
    """No part is estimated to be wider than the text, unless two columns alone are."""
    for latex in render_texts(EVERY[name], ["latex"]).values():
        for kinds, _ in parts(latex):
            widths = [float(width) for width in re.findall(r"p\{([0-9.]+)pt\}", " ".join(kinds))]
            assert sum(widths) + GAP * len(widths) <= ROOM + CHARACTER


@pytest.mark.slow
@NEEDS_TEX
@pytest.mark.parametrize("name", ["partial", "hostile", "comparison"])
def test_it_compiles(name: str, tmp_path: Path) -> None:
    """The summary compiles alone, the tables in a bare article; no text is wider than the page by a letter."""
    files = render_texts(profile_report(doubtful()) if name == "partial" else EVERY[name], ["latex"])
    tables = "".join(f"\\input{{{file}}}\n" for file in files if file != "summary.tex")
    files["tables.tex"] = (
        "\\documentclass{article}\n\\usepackage{booktabs,longtable,siunitx}\n"
        f"\\begin{{document}}\n{tables}\\end{{document}}\n"
    )
    for file, text in files.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    for file in ("summary", "tables"):
        command = [PDFLATEX or "", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", f"{file}.tex"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert result.returncode == 0, result.stdout[-2000:].decode(errors="replace")
        assert (tmp_path / f"{file}.pdf").stat().st_size > 1000
        log = (tmp_path / f"{file}.log").read_text(errors="replace")
        assert "Missing character" not in log
        wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([0-9.]+)pt too wide\) in alignment", log)]
        assert max(wide, default=0) < 10
