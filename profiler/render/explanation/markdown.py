"""An explanation → GitHub's Markdown, with formulas between dollar signs."""

from __future__ import annotations

from collections.abc import Iterator

from profiler.analysis.explaining.document import (
    Assigned,
    Block,
    Definition,
    Equations,
    Explanation,
    Grid,
    Heading,
    Inline,
    Items,
    Name,
    Paragraph,
    Span,
    Spans,
)
from profiler.printable import visible
from profiler.render.explanation.mathematics import MATHEMATICS, aligned
from profiler.render.formats.markdown import escape, markdown_table

FENCE, DOLLARS = ("```math", "```"), ("$$", "$$")
"""What is around equations: GitHub reads nothing in a fence as Markdown, notebooks only know dollar signs."""


def render_markdown(explanation: Explanation, around: tuple[str, str] = FENCE) -> str:
    """The document, each block after an empty line; ``around`` is what equations are put between."""
    return "\n\n".join(filter(None, ("\n".join(_block(block, around)) for block in explanation.blocks))) + "\n"


def _block(block: Block, around: tuple[str, str]) -> Iterator[str]:
    match block:
        case Heading(level=level, spans=spans):
            yield f"{'#' * level} {_line(spans)}"
        case Paragraph(spans=spans):
            yield _line(spans)
        case Items(items=items):
            yield from (f"- {_line(item)}" for item in items)
        case Definition(latex=latex):
            yield from (around[0], latex, around[1])
        case Equations(equations=equations):
            yield from (around[0], *aligned(equations), around[1])
        case Grid(table=table):
            yield markdown_table(table, missing="–")


def _line(spans: Spans) -> str:
    return "".join(map(_span, spans))


def _span(span: Span) -> str:
    match span:
        case Name(text=text):
            return code(text)
        case Inline() | Assigned():
            return f"${span.written(MATHEMATICS)}$"
        case _:
            before, after = (" " if span[:1] == " " else ""), (" " if span[-1:] == " " and span.strip() else "")
            return f"{before}{escape(span)}{after}"


def code(text: str) -> str:
    """A name as code: between as many backticks as it needs, on one line."""
    text = visible(text)
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"
