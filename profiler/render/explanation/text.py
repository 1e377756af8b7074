"""An explanation → text that fits a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from profiler.analysis.explaining.document import (
    Block,
    Definition,
    Equation,
    Equations,
    Explanation,
    Grid,
    Heading,
    Items,
    Paragraph,
    Spans,
)
from profiler.analysis.explaining.formulas import PLAIN
from profiler.formatting import BEFORE_PERCENT, format_table, is_numeric_column, listed
from profiler.printable import visible
from profiler.schema import Table

INDENT = "    "
NARROWEST = 40
"""The minimum width; narrower terminals wrap the lines themselves."""

LEAST_NAME = 28
"""The width to which the names in a table are shortened before columns are left out."""


def render_text(explanation: Explanation, width: int = 80) -> str:
    """The document, each block after an empty line."""
    width = max(width, NARROWEST)
    return "\n\n".join(filter(None, ("\n".join(_block(block, width)) for block in explanation.blocks))) + "\n"


def _block(block: Block, width: int) -> Iterator[str]:
    match block:
        case Heading(level=level):
            text = spans_text(block.spans)
            lines = _wrapped(text, width)
            yield from lines
            if level < 3:
                yield ("=" if level == 1 else "-") * min(width, max(map(len, lines), default=0))
        case Paragraph():
            yield from _wrapped(spans_text(block.spans), width)
        case Items():
            for item in block.items:
                yield from _wrapped(spans_text(item), width, "- ", "  ")
        case Definition():
            yield from _wrapped(block.plain, width, INDENT, INDENT * 2)
        case Equations():
            yield from _equations(block.equations, width)
        case Grid():
            yield from _grid(block, width)


def spans_text(spans: Spans) -> str:
    """A sentence as text, with escapes for unsafe characters."""
    return "".join(_span(span) for span in spans)


def _span(span: object) -> str:
    if isinstance(span, str):
        return visible(span)
    return visible(span.text) if hasattr(span, "text") else span.written(PLAIN)  # type: ignore[attr-defined]


def _wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """The lines of a text; a word that is longer than a line is cut, and a number stays on one line with its ``%``."""
    lines = textwrap.wrap(
        BEFORE_PERCENT.sub("\u00a0", text),
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [line.replace("\u00a0%", " %") for line in lines]


def _equations(equations: Sequence[Equation], width: int) -> Iterator[str]:
    """Each equation on one line if it fits, or else one side a line."""
    lefts = [" = ".join(equation.left) for equation in equations]
    margin = max(map(len, lefts))
    for left, equation in zip(lefts, equations, strict=True):
        sides = equation.written(PLAIN)
        line = f"{INDENT}{left:<{margin}} = {' = '.join(sides)}"
        if len(line) <= width:
            yield line
            continue
        for place, side in enumerate(sides):
            head = f"{INDENT}{left if not place else '':<{margin}} = "
            yield from _cut(head, side, width)


def _cut(head: str, side: str, width: int) -> Iterator[str]:
    """One side of an equation, cut after signs if it is too long."""
    room = max(width - len(head), 12)
    while len(side) > room:
        place = max(side.rfind(sign, 0, room - 1) for sign in ("·", "+ ", "− "))
        place = room - 1 if place <= 0 else place
        yield head + side[: place + 1].rstrip()
        head, side = " " * len(head), side[place + 1 :].lstrip()
    yield head + side


def _grid(grid: Grid, width: int) -> Iterator[str]:
    table, cells = fitting(grid.table, width)
    left_out = no_room(grid.table, table)
    columns = [
        (column.heading, cells[column.name], is_numeric_column(grid.table, column.name)) for column in table.columns
    ]
    widths = [max(map(len, (heading, *texts))) for heading, texts, _ in columns]
    yield _row([heading for heading, _, _ in columns], widths, columns)
    yield "  ".join("─" * size for size in widths)
    for place in range(len(table)):
        if grid.total and place == len(table) - 1:
            yield "  ".join("─" * size for size in widths)
        yield _row([texts[place] for _, texts, _ in columns], widths, columns)
    if left_out:
        yield from _wrapped(left_out, width)


def no_room(whole: Table, shown: Table) -> str:
    """The sentence about the columns that are left out, or nothing."""
    names = [
        f"share of {whole.column(column.of).label}" if column.of and column.heading == "share" else column.label
        for column in whole.columns
        if column.name not in list(shown)
    ]
    return f"No room for {listed(names)}; Markdown has all columns." if names else ""


def _row(texts: Iterable[str], widths: Sequence[int], columns: Sequence[tuple[str, list[str], bool]]) -> str:
    pairs = zip(texts, widths, columns, strict=True)
    return "  ".join(f"{text:>{size}}" if right else f"{text:<{size}}" for text, size, (_, _, right) in pairs).rstrip()


def fitting(table: Table, width: int, least: int = LEAST_NAME) -> tuple[Table, dict[str, list[str]]]:
    """The most important columns of a table that fit, and their texts.

    Names are shortened in the middle, to ``least`` characters at most before columns are left out.
    """
    texts = {name: [visible(text) for text in values] for name, values in format_table(table, missing="–").items()}
    shown = table
    while True:
        names = [column for column in shown.columns if column.unit == "name"]
        over = _width(shown, texts) - width
        if over > 0:
            for column in names:
                longest = max(map(len, texts[column.name]), default=0)
                texts[column.name] = [shortened(text, max(least, longest - over)) for text in texts[column.name]]
        if _width(shown, texts) <= width or len(shown.columns) <= 2:
            return shown, texts
        last = max(shown.columns[1:], key=lambda column: column.priority)
        shown = shown.without([last.name])


def _width(table: Table, texts: dict[str, list[str]]) -> int:
    widths = [max(map(len, (column.heading, *texts[column.name]))) for column in table.columns]
    return sum(widths) + 2 * (len(widths) - 1)


def shortened(text: str, most: int) -> str:
    """``features.…conv1``: the beginning and the end of a text of at most ``most`` characters."""
    if len(text) <= most:
        return text
    kept = most - 1
    return f"{text[: kept // 3]}…{text[len(text) - (kept - kept // 3) :]}"
