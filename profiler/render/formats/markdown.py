"""Report → Markdown: one file per table, and ``summary.md`` for a paper's appendix or a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from tabulate import tabulate

from profiler.columns import SUMMARIES
from profiler.formatting import UNKNOWN, format_table, is_numeric_column
from profiler.printable import visible
from profiler.render.report import TOTALS, Fact, Note, Report, ReportTable
from profiler.schema import Table

SPECIAL = re.compile(
    r"""
      [\\`*|\[\]~$]
    | (?<![^\W_])_ | _(?![^\W_])    # an underscore between two letters has no effect
    | <(?=[A-Za-z/!?])              # a tag
    | &(?=\#?\w+;)                  # a character by its name
    | ^[\#>+=-](?=[\s\#>+=-]|$) | ^>  # the beginning of a heading, a quotation, a list or a rule
    """,
    re.VERBOSE,
)
"""Characters with an effect in GitHub's Markdown, where ``$`` begins a formula."""

NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
"""The beginning of a numbered list."""


def render(report: Report) -> dict[str, str]:
    """``{table}.md`` with each complete table, and ``summary.md``."""
    files = {f"{table.name}.md": _table_file(report, table) for table in report.tables}
    return {**files, "summary.md": summary(report)}


def summary(report: Report) -> str:
    """The report as one Markdown text: the figures, how they are counted, and the shown part of each table."""
    blocks = [f"# {escape(report.title)}"]
    blocks += [f"> **Note.** {escape(note.text)}" for note in report.notes if note.kind == "warning"]
    if report.facts:
        blocks.append(_facts(report.facts))
    blocks += [_note(note) for note in report.notes if note.kind != "warning"]
    blocks += [f"![{escape(picture.words)}]({quote(picture.file)})" for picture in report.pictures]
    for table in report.tables:
        if table.shown is not None or table.notes:
            blocks.append(f"## {escape(table.table.title(()) if table.shown is None else _title(table.shown))}")
        if table.shown is not None:
            left = [column.name for column in table.shown.columns if column.priority >= SUMMARIES]
            blocks.append(markdown_table(table.shown.without(left)))
        if table.notes:
            blocks.append("\n".join(f"- {escape(note)}" for note in table.notes))
    return "\n\n".join(blocks) + "\n"


def _title(table: Table) -> str:
    return table.title(list(table))


def markdown_table(table: Table, missing: str = UNKNOWN) -> str:
    """The table as a pipe table: right-aligned figures with thousands separators, identifiers as code."""
    texts = format_table(table, missing=missing)
    numeric = [is_numeric_column(table, name) for name in table]
    codes = [column.unit == "name" for column in table.columns]
    rows = [
        [_code(visible(text)) if code else escape(visible(text)) for text, code in zip(row, codes, strict=True)]
        for row in zip(*(texts[name] for name in table), strict=True)
    ]
    aligned = ["right" if number else "left" for number in numeric]
    headings = [escape(column.heading) for column in table.columns]
    return tabulate(rows, headings, tablefmt="pipe", disable_numparse=True, colalign=aligned if rows else None)


def escape(text: str) -> str:
    """The text escaped so that Markdown shows it literally, also inside a table."""
    text = visible(" ".join(text.split()))
    return NUMBERED.sub(r"\1\\\2", SPECIAL.sub(r"\\\g<0>", text))


def _code(text: str) -> str:
    shown = visible(text)
    if not shown or "`" in shown or shown in TOTALS:
        return escape(text)
    if shown.strip() and shown[0] == shown[-1] == " ":  # Markdown removes a blank that is at both ends
        shown = f" {shown} "
    return "`" + shown.replace("|", "\\|") + "`"


def _table_file(report: Report, table: ReportTable) -> str:
    blocks = [f"# {escape(report.title)} · {escape(_title(table.table))}"]
    blocks += [f"> **Note.** {escape(note.text)}" for note in report.notes if note.kind == "warning"]
    blocks.append(markdown_table(table.table) if len(table.table) else "None.")
    return "\n\n".join(blocks) + "\n"


def _facts(facts: Iterable[Fact]) -> str:
    rows = []
    for fact in facts:
        beside = ", ".join(filter(None, (fact.short, fact.aside)))
        rows.append([escape(fact.label), escape(f"{fact.value} ({beside})" if beside else fact.value)])
    return tabulate(rows, ["", ""], tablefmt="pipe", disable_numparse=True)


def _note(note: Note) -> str:
    text = escape(note.text)
    return {"finding": f"**{text}**", "method": f"*{text}*"}.get(note.kind, text)
