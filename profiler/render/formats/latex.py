"""Report → LaTeX: a file to include for each complete table, and ``summary.tex``, a whole document.

A table whose columns do not fit the text of an article continues in further ones, which repeat its first column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from profiler.columns import SUMMARIES, Column
from profiler.formatting import format_table
from profiler.render.report import TOTALS, Fact, Note, Report
from profiler.render.tex import CODEPOINT, escape, width
from profiler.schema import Table

ALONE = True

PACKAGES = "booktabs,longtable,siunitx"

ROOM = 345.0
"""The width of the text of an article, in points."""

CHARACTER = 4.25
"""The width of a digit and of a character of a typewriter font at the size of tables, in points."""

GAP = 6.0
"""The distance of two columns, in points."""

LONGEST = 28
"""The number of characters of a text after which it is broken into lines."""

ROWS = 40
"""The maximum number of rows of a table that stays on one page."""

NUMBER = re.compile(r"(≥|<|>)?([+-]?[0-9,]+(?:\.[0-9]+)?)(?: %|×)?")
"""A number as the tables write it: a mark of a bound, the digits, a unit."""

SETTINGS = r"\sisetup{group-digits=integer,group-minimum-digits=4,group-separator={,}}\setlength{\tabcolsep}{3pt}"
"""How numbers are written, and half of the distance of two columns."""

MARKS = {"≥": r"$\ge$", "<": "$<$", ">": "$>$"}

UNITS = {"change": r"\%", "share": r"\%", "ratio": r"\(\times\)"}
"""The unit in the heading of a column, whose numbers are written without it."""


def render(report: Report) -> dict[str, str]:
    """``{table}.tex`` with each complete table, and ``summary.tex``."""
    files = {}
    for table in report.tables:
        head = f"% needs \\usepackage{{{PACKAGES}}}\n{CODEPOINT}\n"
        files[f"{table.name}.tex"] = head + latex_table(table.table, report.title)
    return {**files, "summary.tex": summary(report)}


def summary(report: Report) -> str:
    """The report as one document: the figures, how they are counted, and the shown part of each table."""
    blocks = [
        f"\\documentclass{{article}}\n\\usepackage{{{PACKAGES}}}\n{CODEPOINT}\n\\begin{{document}}",
        f"\\section*{{{escape(report.title, breakable=True)}}}",
    ]
    blocks += [_note(note) for note in report.notes if note.kind == "warning"]
    blocks += [_facts(report.facts)] if report.facts else []
    blocks += [_note(note) for note in report.notes if note.kind != "warning"]
    for table in report.tables:
        if table.shown is not None:
            left = [column.name for column in table.shown.columns if column.priority >= SUMMARIES]
            blocks.append(latex_table(table.shown.without(left), report.title).rstrip("\n"))
        if table.notes:
            items = "\n".join(f"\\item {{}}{escape(note, breakable=True)}" for note in table.notes)
            blocks.append(f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}")
    return "\n\n".join((*blocks, "\\end{document}")) + "\n"


def latex_table(table: Table, title: str = "") -> str:
    """The table, with a caption and a label that name it and ``title``."""
    parts = _parts(_columns(table))
    caption = ": ".join(filter(None, (title, table.title(list(table)))))
    label = f"tab:{_label(title)}-{_label(table.name)}" if title else f"tab:{_label(table.name)}"
    blocks = []
    for number, part in enumerate(parts, 1):
        more = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
        name = label if number == 1 else f"{label}-{number}"
        blocks.append(_block(part, escape(caption + more, breakable=True), name))
    return "\n\n".join(blocks) + "\n"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as LaTeX: what ``tabular`` takes for it, its heading and cells, and its width in points.

    Without a ``kind`` it is a text that is broken into lines.  ``of`` is the column that it belongs to.
    """

    name: str
    of: str
    kind: str
    heading: str
    cells: tuple[str, ...]
    width: float


def _columns(table: Table) -> list[_Column]:
    texts = format_table(table)
    return [
        _numbers(column, texts[column.name])
        if column.type in (int, float) and any(map(NUMBER.fullmatch, texts[column.name]))
        else _words(column, texts[column.name])
        for column in table.columns
    ]


def _numbers(column: Column, texts: Sequence[str]) -> _Column:
    """A column whose digits are aligned by siunitx; what is not a number is centered."""
    found = [NUMBER.fullmatch(text) for text in texts]
    marks = [MARKS[match[1]] if match and match[1] else "" for match in found]
    digits = [match[2].replace(",", "") if match else "" for match in found]
    whole, _, fraction = zip(*(text.lstrip("+-").partition(".") for text in digits), strict=True)
    signs = "".join(text[:1] for text in digits)
    sign = "+" if "+" in signs or "-" in signs else ""
    options = [f"table-format={sign}{max(map(len, whole))}.{max(map(len, fraction))}"]
    options += [r"table-space-text-pre={$\ge$},table-align-text-pre=false"] if any(marks) else []
    options += ["retain-explicit-plus"] if "+" in signs else []
    cells = tuple(
        (f"{{{mark}}}{number}" if mark else number) if match else f"{{{escape(text)}}}"
        for match, mark, number, text in zip(found, marks, digits, texts, strict=True)
    )
    lines = _heading(column)
    longest = max(
        *(len(text.rstrip(" %×")) for text in texts), *(len(line.replace("\\", "")) for line in lines)
    )  # fmt: skip
    return _Column(column.name, column.of, f"S[{','.join(options)}]", _stacked(lines), cells, longest * CHARACTER + GAP)


def _words(column: Column, texts: Sequence[str]) -> _Column:
    """A column of text; names are set in a typewriter font."""
    longest = max((width(text) for text in texts), default=0)
    wraps = longest > LONGEST
    cells = [escape(text, breakable=wraps) for text in texts]
    if column.unit == "name":
        cells = [f"\\texttt{{{cell}}}" if text not in TOTALS else cell for cell, text in zip(cells, texts, strict=True)]
    cells = [f"{{}}{cell}" if cell.startswith(("[", "*")) else cell for cell in cells]  # no option of the line's end
    lines = _heading(column)
    longest = max(min(longest, LONGEST), *map(len, lines))
    return _Column(
        column.name, column.of, "" if wraps else "l", _stacked(lines), tuple(cells), longest * CHARACTER + GAP
    )


def _heading(column: Column) -> list[str]:
    """The lines of the heading as LaTeX; the last has the unit of the numbers."""
    lines = [escape(line) for line in re.split(r"(?<=,) ", column.heading)]
    unit = UNITS.get(column.unit)
    return [*lines[:-1], f"{lines[-1]} ({unit})" if unit else lines[-1]]


def _stacked(lines: Sequence[str]) -> str:
    together = r"\\".join(lines)
    return f"{{\\shortstack{{{together}}}}}" if len(lines) > 1 else f"{{{together}}}"


def _parts(columns: Sequence[_Column]) -> list[list[_Column]]:
    """The columns of each part: the first column, and as many others as fit; a share stays beside its figure."""
    first, *others = columns
    together: list[list[_Column]] = []
    for column in others:
        if together and column.of == together[-1][0].name:
            together[-1].append(column)
        else:
            together.append([column])
    parts = [[first]]
    for group in together:
        if len(parts[-1]) > 1 and sum(column.width for column in (*parts[-1], *group)) > ROOM:
            parts.append([first])
        parts[-1] += group
    return [_filled(part) for part in parts]


def _filled(part: Sequence[_Column]) -> list[_Column]:
    """The columns, with what is left of the room for those that are broken into lines."""
    wrapped = sum(not column.kind for column in part)
    more = max(0.0, ROOM - sum(column.width for column in part)) / max(1, wrapped)
    found = []
    for column in part:
        size = f"{column.width + more - GAP:.0f}pt"
        kind = column.kind or f">{{\\raggedright\\arraybackslash}}p{{{size}}}"
        found.append(replace(column, kind=kind))
    return found


def _block(columns: Sequence[_Column], caption: str, label: str) -> str:
    """One table: on one page, or a long one that repeats its heading on each page."""
    kinds = "".join(f"\n  {column.kind}" for column in columns)
    head = " & ".join(column.heading for column in columns) + r" \\"
    rows = list(zip(*(column.cells for column in columns), strict=True))
    lines = [" & ".join(row) + r" \\" for row in rows]
    totals = next((place for place in range(len(rows)) if all(row[0] in TOTALS for row in rows[place:])), 0)
    if totals:
        lines.insert(totals, r"\midrule")
    named = f"\\caption{{{caption}}}\\label{{{label}}}"
    body = "\n".join(lines)
    if len(rows) <= ROWS:
        return (
            f"\\begin{{table}}[htbp]\n\\centering\\footnotesize\n{SETTINGS}\n{named}\n"
            f"\\begin{{tabular}}{{{kinds}\n}}\n\\toprule\n{head}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}"
        )
    return (
        f"\\begingroup\\footnotesize\n{SETTINGS}\n\\begin{{longtable}}{{{kinds}\n}}\n{named}\\\\\n"
        f"\\toprule\n{head}\n\\midrule\n\\endfirsthead\n\\toprule\n{head}\n\\midrule\n\\endhead\n"
        f"\\bottomrule\n\\endfoot\n{body}\n\\end{{longtable}}\n\\endgroup"
    )


def _facts(facts: Iterable[Fact]) -> str:
    rows = []
    for fact in facts:
        beside = ", ".join(filter(None, (fact.short, fact.aside)))
        text = f"{fact.value} ({beside})" if beside else fact.value
        rows.append(f"{escape(fact.label)} & {escape(text, breakable=True)} \\\\")
    kinds = r"@{}l>{\raggedright\arraybackslash}p{0.75\linewidth}@{}"
    return f"\\noindent\\begin{{tabular}}{{{kinds}}}\n" + "\n".join(rows) + "\n\\end{tabular}"


def _note(note: Note) -> str:
    text = escape(note.text, breakable=True)
    style = {"finding": "\\textbf", "method": "\\emph", "warning": "\\textbf{Note.} \\emph"}.get(note.kind, "")
    return f"\\medskip\\noindent {style}{{{text}}}"


def _label(text: str) -> str:
    """The text as a part of a label: letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "table"
