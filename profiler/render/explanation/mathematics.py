"""Formulas and equations in LaTeX's mathematics, for Markdown and for LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from profiler.analysis.explaining.document import Equation

SUM = re.compile(r"[\d{},+ =-]+")
"""A sum of numbers, perhaps with its value."""

LONG = 54
"""The length from which a sum is on several lines."""

TALL = re.compile(r"\\frac|\\lfloor")


class Mathematics:
    """The notation of LaTeX: ``N \\cdot C_{\\text{out}}``."""

    def name(self, name: str) -> str:
        base, _, index = name.partition("_")
        base = base if len(base) == 1 else rf"\text{{{base}}}"
        if not index:
            return base
        return f"{base}_{{{index}}}" if len(index) == 1 else rf"{base}_{{\text{{{index}}}}}"

    def number(self, number: int) -> str:
        return str(number)

    def count(self, number: int) -> str:
        return f"{number:,}".replace(",", "{,}")

    def product(self, factors: Sequence[str]) -> str:
        return r" \cdot ".join(factors)

    def group(self, inner: str) -> str:
        return rf"\left({inner}\right)" if TALL.search(inner) else f"({inner})"

    def quotient(self, above: str, below: str) -> str:
        return rf"\frac{{{_bare(above)}}}{{{_bare(below)}}}"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^{{{exponent}}}"

    def call(self, function: str, inner: str) -> str:
        if function == "sqrt":
            return rf"\sqrt{{{inner}}}"
        if function == "log2":
            return rf"\lceil \log_2 {inner} \rceil"
        return rf"\left\l{function} {inner} \right\r{function}"

    def minus(self) -> str:
        return "-"


MATHEMATICS = Mathematics()


def _bare(text: str) -> str:
    """What is in a pair of parentheses around the whole text, which a fraction does not need."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1]


def aligned(equations: Sequence[Equation]) -> Iterator[str]:
    """The lines of an ``aligned`` environment: each side of an equation on a line of its own."""
    lines = []
    for equation in equations:
        left = " = ".join(rf"\text{{{figure}}}" for figure in equation.left)
        for place, side in enumerate(_together(equation.written(MATHEMATICS))):
            first, *others = _broken(side)
            lines.append(f"{left if place == 0 else ''} &= {first}".strip())
            lines += [rf"&\qquad {other}" for other in others]
    yield r"\begin{aligned}"
    yield " \\\\\n".join(lines)
    yield r"\end{aligned}"


SHORT = 60
"""The length of sides that share a line."""


def _length(text: str) -> int:
    """The characters that are shown of a sum."""
    return len(text.replace("{,}", ","))


def _broken(side: str) -> list[str]:
    """A long sum of numbers on several lines, each of which begins with its sign; anything else on one line."""
    if _length(side) <= LONG or not SUM.fullmatch(side):
        return [side]
    lines = [""]
    for part in re.split(r" (?=[+-] )", side):
        if lines[-1] and _length(lines[-1]) + _length(part) > LONG:
            lines.append(part)
        else:
            lines[-1] = f"{lines[-1]} {part}".strip()
    return lines


def _together(sides: Sequence[str]) -> list[str]:
    """The sides, several on a line while they are short."""
    lines = [sides[0]]
    for side in sides[1:]:
        if len(lines[-1]) + len(side) <= SHORT:
            lines[-1] += f" = {side}"
        else:
            lines.append(side)
    return lines
