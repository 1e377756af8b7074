"""An explanation → a LaTeX document for the class ``article``, with ``amsmath`` and no other package."""

from __future__ import annotations

import unicodedata
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
from profiler.formatting import is_numeric_column
from profiler.printable import visible
from profiler.render.explanation.mathematics import MATHEMATICS, aligned
from profiler.render.explanation.text import fitting, no_room

PREAMBLE = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\setlength{\emergencystretch}{3em}
\renewcommand{\arraystretch}{1.15}
\setlength{\tabcolsep}{4pt}
\begin{document}
"""

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "'": r"{\char39}",
    '"': r"{\char34}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": r"$-$",
    "→": r"$\to$",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "√": r"$\surd$",
    "ε": r"$\varepsilon$",
    "σ": r"$\sigma$",
    "Σ": r"$\Sigma$",
    "′": r"$'$",
    "∂": r"$\partial$",
    "ᵀ": r"$^{\top}$",
    "²": r"$^2$",
    "½": r"$\tfrac12$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
}
"""Characters that LaTeX reads as commands, and signs that its fonts do not have."""

LETTERS = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿß"
"""Letters that a bare LaTeX has."""

SECTIONS = {1: "section", 2: "subsection", 3: "subsubsection"}

TABLE_WIDTH = 78
"""The characters of a table's row that fit on a page."""


def render_latex(explanation: Explanation) -> str:
    """The whole document."""
    blocks = ("\n".join(_block(block)) for block in explanation.blocks)
    return PREAMBLE + "\n\n".join(filter(None, blocks)) + "\n\n\\end{document}\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading(level=level, spans=spans):
            yield rf"\{SECTIONS[level]}*{{{_line(spans)}}}"
        case Paragraph(spans=spans):
            yield _line(spans)
        case Items(items=items):
            yield r"\begin{itemize}"
            yield from (rf"\item {_line(item)}" for item in items)
            yield r"\end{itemize}"
        case Definition(latex=latex):
            yield rf"\[ {latex} \]"
        case Equations(equations=equations):
            yield r"\["
            yield from aligned(equations)
            yield r"\]"
        case Grid():
            yield from _grid(block)


def _line(spans: Spans) -> str:
    return "".join(map(_span, spans))


def _span(span: Span) -> str:
    match span:
        case Name(text=text):
            return name(text)
        case Inline() | Assigned():
            return f"${span.written(MATHEMATICS)}$"
        case _:
            return escape(span)


def name(text: str) -> str:
    """A name in a typewriter font, which may be broken after a dot or an underscore."""
    broken = escape(text).replace(".", r".\allowbreak{}").replace(r"\_", r"\_\allowbreak{}")
    return rf"\texttt{{{broken}}}"


def escape(text: str) -> str:
    """The text without effects in LaTeX; what its fonts do not have is shown as an escape."""
    return "".join(map(_character, visible(text)))


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isascii() or character in LETTERS:
        return character
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if letters.isalnum():
        return letters
    code = ord(character)
    return escape(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def _grid(grid: Grid) -> Iterator[str]:
    table, cells = fitting(grid.table, TABLE_WIDTH, 20)
    places = ["r" if is_numeric_column(table, column.name) else "l" for column in table.columns]
    yield rf"{{\footnotesize\begin{{tabular}}{{@{{}}{''.join(places)}@{{}}}}"
    yield r"\hline"
    yield " & ".join(escape(column.heading) for column in table.columns) + r" \\ \hline"
    for place in range(len(table)):
        if grid.total and place == len(table) - 1:
            yield r"\hline"
        row = [_cell(cells[column.name][place], column.unit) for column in table.columns]
        yield " & ".join(row) + r" \\"
    yield r"\hline"
    yield r"\end{tabular}}"
    left_out = no_room(grid.table, table)
    if left_out:
        yield ""
        yield rf"{{\footnotesize {escape(left_out)}}}"


def _cell(text: str, unit: str) -> str:
    return rf"\texttt{{{escape(text)}}}" if unit == "name" else escape(text)
