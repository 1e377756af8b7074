"""An explanation as a document: headings, sentences, equations and tables, without the syntax of any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from profiler.analysis.explaining.formulas import PLAIN, Formula, Notation

if TYPE_CHECKING:
    from profiler.schema import Table

Format = Literal["text", "markdown", "latex"]
FORMATS: tuple[Format, ...] = ("text", "markdown", "latex")
"""The formats that an explanation is written in."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name from the network, which may contain anything."""

    text: str


@dataclass(frozen=True, slots=True)
class Inline:
    """A formula within a sentence, with names, with numbers, or with both."""

    formula: Formula
    style: Literal["names", "numbers", "both"] = "names"

    def written(self, notation: Notation = PLAIN) -> str:
        names = self.formula.written(notation)
        if self.style == "names":
            return names
        numbers = self.formula.written(notation, numbers=True)
        value = notation.count(self.formula.value)
        sides = [names, numbers, value] if self.style == "both" else [numbers, value]
        return " = ".join(dict.fromkeys(sides))


@dataclass(frozen=True, slots=True)
class Assigned:
    """A named size within a sentence: ``C_out = 64``."""

    name: str
    number: int

    def written(self, notation: Notation = PLAIN) -> str:
        return f"{notation.name(self.name)} = {notation.count(self.number)}"


Span = str | Name | Inline | Assigned
"""A piece of a sentence."""

Spans = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; the document's title has level 1."""

    level: int
    spans: Spans


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    spans: Spans


@dataclass(frozen=True, slots=True)
class Items:
    """A list, each item a sentence."""

    items: tuple[Spans, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """What an operation computes, in text and in LaTeX's mathematics."""

    plain: str
    latex: str


@dataclass(frozen=True, slots=True)
class Product:
    """The product of ``factors``, with names or with numbers; a factor that is an expression is in parentheses."""

    factors: tuple[Formula, ...]
    numbers: bool = False

    def written(self, notation: Notation) -> str:
        if len(self.factors) == 1:
            return self.factors[0].written(notation, numbers=self.numbers)
        return notation.product([factor.factor(notation, numbers=self.numbers) for factor in self.factors])

    @property
    def value(self) -> int:
        return prod(factor.value for factor in self.factors)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A sum of numbers, or a single one."""

    numbers: tuple[int, ...]

    def written(self, notation: Notation) -> str:
        text = ""
        for number in self.numbers:
            sign = f" {notation.minus() if number < 0 else '+'} " if text else (notation.minus() if number < 0 else "")
            text += sign + notation.count(abs(number))
        return text

    @property
    def value(self) -> int:
        return sum(self.numbers)


@dataclass(frozen=True, slots=True)
class Multiple:
    """``8·2,114,568``: a number of calls, and the count of one."""

    times: int
    count: int

    def written(self, notation: Notation) -> str:
        return notation.product([notation.count(self.times), notation.count(self.count)])

    @property
    def value(self) -> int:
        return self.times * self.count


@dataclass(frozen=True, slots=True)
class Equation:
    """``multiplies = MACs = (N·C_out)·(C_in·K) = (1·64)·(3·9) = 1,728``: what is computed, then equal expressions."""

    left: tuple[str, ...]
    sides: tuple[Product | Multiple | Numbers, ...]

    def written(self, notation: Notation = PLAIN) -> list[str]:
        """The sides, without repetition: ``802816`` is left out before ``802,816``."""
        found = {_digits(text): text for text in (side.written(notation) for side in self.sides)}
        return list(found.values())


def _digits(text: str) -> str:
    """The text without separators of thousands."""
    return text.replace("{,}", "").replace(",", "")


@dataclass(frozen=True, slots=True)
class Equations:
    """Equations below each other."""

    equations: tuple[Equation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A table; ``total`` says that its last row is the sum of the others.  What is missing does not exist."""

    table: Table
    total: bool = False


Block = Heading | Paragraph | Items | Definition | Equations | Grid


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a network, a layer or an operation costs what it costs: ``text``, ``markdown`` or ``latex``."""

    title: str
    blocks: tuple[Block, ...]

    def written(self, format: Format, width: int = 80) -> str:
        """The explanation in one of ``FORMATS``; ``width`` is that of lines of text.

        LaTeX is a whole document for the class ``article`` with ``amsmath``.
        """
        from profiler.render.explanation import written  # imported when an explanation is shown

        return written(self, format, width)

    @property
    def text(self) -> str:
        """The explanation as text of 80 columns."""
        return self.written("text")

    @property
    def markdown(self) -> str:
        """The explanation in GitHub's Markdown."""
        return self.written("markdown")

    @property
    def latex(self) -> str:
        """The explanation as a LaTeX document."""
        return self.written("latex")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        from profiler.printable import visible

        return f"<Explanation {visible(self.title)}>"

    def _repr_markdown_(self) -> str:
        """The Markdown, which notebooks show with its formulas."""
        from profiler.render.explanation.markdown import DOLLARS, render_markdown

        return render_markdown(self, DOLLARS)


def sentence(*spans: Span) -> Paragraph:
    """A paragraph of these pieces."""
    return Paragraph(spans)


def spread(items: Sequence[Span | Spans], separator: str = ", ", last: str = " and ") -> Spans:
    """The items with separators between them, as in a sentence."""
    found: list[Span] = []
    for place, item in enumerate(items):
        if place:
            found.append(last if place == len(items) - 1 else separator)
        found += item if isinstance(item, tuple) else (item,)
    return tuple(found)
