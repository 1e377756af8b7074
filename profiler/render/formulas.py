"""A :class:`~profiler.formulas.Formula` → text, Markdown, LaTeX, Python, CSV or JSON.

Each function of ``WRITERS`` returns one document.
"""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping

from profiler.formulas import FIGURES, Figures, Formula
from profiler.printable import visible
from profiler.render.formats.markdown import escape
from profiler.render.tex import escape as tex_escape
from profiler.symbolic import writing
from profiler.symbolic.expressions import Expression

HEADINGS = {"macs": "MACs", "flops": "FLOPs"}

UNBROKEN = "\0"
"""Stands for a space at which a line may not end."""

UNBREAKABLE = re.compile(r"⌊[^⌋]*⌋|, |(?<=[+−]) ")
"""Floors, the commas of functions, and what follows a sign: lines are broken before signs."""

Rows = Iterator[tuple[str, str, str, Figures]]


def _rows(formula: Formula) -> Rows:
    """What each row is of, its name, its type, and its figures: the whole network, kinds, layers."""
    yield "network", formula.name, "", formula.total
    for kind, figures in formula.kinds.items():
        yield "kind", kind, "", figures
    for layer in formula.layers:
        yield "layer", layer.name, layer.type, layer.figures


def _shown(figures: Figures) -> Iterator[tuple[str, Expression]]:
    """The figures that are not 0, simplified."""
    for name, expression in figures:
        if expression != 0:
            yield name, writing.simplified(expression)


def _facts(formula: Formula) -> Iterator[tuple[str, str]]:
    yield "target", formula.target
    yield "sizes given", ", ".join(f"{name} = {value}" for name, value in formula.sizes.items())
    yield "mode", formula.mode
    yield "holds for", "; ".join(formula.domain.words())
    for item in formula.fixed:
        yield f"{item.name} is {item.value}", item.reason
    if formula.fitted:
        names = ", ".join(formula.fitted)
        each = " and ".join(f"{name} by {number}" for name, number in formula.remainders.items())
        by = f"; a polynomial for each remainder of {each}" if each else ""
        at = "; ".join(f"{name} = {_listed({point[name] for point in formula.points})}" for name in formula.fitted)
        yield "fitted", f"in {names}: interpolated exactly between {len(formula.points)} profiles, at {at}{by}"
        if formula.because:
            yield "fitted because", formula.because
    yield "checked", f"equal to the profile, in every figure of every row, at {len(formula.checked)} points"
    if formula.status != "complete":
        yield "status", "partial: work without a rule is not in the formulas, which are lower bounds"


MOST_LISTED = 8


def _listed(sizes: set[int]) -> str:
    """The sizes, or the first and the last of many: ``64, 128, 192``."""
    found = sorted(sizes)
    if len(found) <= MOST_LISTED:
        return ", ".join(map(str, found))
    return f"{found[0]}, {found[1]}, …, {found[-1]}"


def text(formula: Formula, width: int = 80) -> str:
    """The formulas as lines of at most ``width`` columns; layers have one figure each."""
    names = tuple(formula.sizes)
    lines = [visible(formula.name), ""]
    for label, value in _facts(formula):
        lines += _hanging(f"{label}: ", visible(value), width, 4)
    for of, name, _, figures in _rows(formula):
        shown = list(_shown(figures))
        if of == "layer" or not shown:
            continue
        lines += ["", "whole network" if of == "network" else name]
        for figure, expression in shown:
            lines += _hanging(f"  {HEADINGS.get(figure, figure)} = ", writing.text(expression, names), width, 6)
    lines += ["", "layers"]
    for layer in formula.layers:
        figure = "macs" if layer.figures.macs != 0 else "flops"
        expression = writing.simplified(getattr(layer.figures, figure))
        if expression != 0:
            head = f"  {visible(layer.name)}: "
            lines += _hanging(head, f"{writing.text(expression, names)} {HEADINGS[figure]}", width, 6)
    return "\n".join(lines) + "\n"


def _hanging(head: str, body: str, width: int, indent: int) -> list[str]:
    """``head`` and ``body`` in lines of at most ``width``; formulas are broken before signs, names never."""
    whole = UNBREAKABLE.sub(lambda part: part[0].replace(" ", UNBROKEN), " ".join(body.split()))
    lines = textwrap.wrap(
        head + whole,
        max(width, 20),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(UNBROKEN, " ") for line in lines]


def markdown(formula: Formula) -> str:
    """The facts, the formulas of the whole network and of each kind as mathematics, and a table of layers."""
    names = tuple(formula.sizes)
    blocks = [f"# {escape(formula.name)}: what it costs as a function of {', '.join(names)}"]
    blocks.append("\n".join(f"- {escape(label)}: {escape(value)}" for label, value in _facts(formula)))
    for of, name, _, figures in _rows(formula):
        if of == "layer" or not list(_shown(figures)):
            continue
        blocks.append(f"## {'Whole network' if of == 'network' else escape(name)}")
        rows = ["| figure | formula |", "|:--|:--|"]
        for figure, expression in _shown(figures):
            rows.append(f"| {HEADINGS.get(figure, figure)} | {escape(writing.text(expression, names))} |")
        blocks.append("\n".join(rows))
    rows = ["| layer | type | MACs | FLOPs |", "|:--|:--|:--|:--|"]
    for layer in formula.layers:
        cells = [
            escape(writing.text(writing.simplified(cell), names)) for cell in (layer.figures.macs, layer.figures.flops)
        ]
        rows.append(f"| {escape(layer.name)} | {escape(layer.type)} | {cells[0]} | {cells[1]} |")
    blocks += ["## Layers", "\n".join(rows)]
    return "\n\n".join(blocks) + "\n"


def latex(formula: Formula) -> str:
    """A complete document; long formulas are broken into lines (package breqn)."""
    names = tuple(formula.sizes)
    lines = [
        r"\documentclass{article}",
        r"\usepackage{amsmath}",
        r"\usepackage{breqn}",
        r"\begin{document}",
        rf"\section*{{{tex_escape(formula.name)}}}",
        r"\begin{itemize}",
        *(rf"\item {tex_escape(label)}: {tex_escape(value)}" for label, value in _facts(formula)),
        r"\end{itemize}",
    ]
    for of, name, _, figures in _rows(formula):
        if of == "layer" or not list(_shown(figures)):
            continue
        lines.append(rf"\subsection*{{{'Whole network' if of == 'network' else tex_escape(name)}}}")
        for figure, expression in _shown(figures):
            written = writing.latex(expression, names)
            label = HEADINGS.get(figure, figure)
            lines.append(rf"\begin{{dmath*}} \text{{{label}}} = {written} \end{{dmath*}}")
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def python(formula: Formula) -> str:
    """A module with a function for each figure of the whole network, which needs Python alone."""
    head = f'"""What {visible(formula.name)} costs, exact for {"; ".join(formula.domain.words())}."""'
    functions = [
        formula.python(figure).replace('    """Holds', '    """Return the exact number.  Holds', 1)
        for figure in FIGURES
    ]
    needed = "\nimport math\n" if any("math." in function for function in functions) else ""
    return "\n\n".join([head.replace("\\", "\\\\") + needed, *(function.rstrip("\n") + "\n" for function in functions)])


def csv_text(formula: Formula) -> str:
    """A row for the whole network, for each kind and for each layer; formulas are text that sympy reads."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(["of", "name", "type", *FIGURES])
    for of, name, kind, figures in _rows(formula):
        writer.writerow([of, name, kind, *(writing.machine(expression) for _, expression in figures)])
    return made.getvalue()


WRITERS: Mapping[str, Callable[[Formula], str]] = {
    "markdown": markdown,
    "latex": latex,
    "python": python,
    "csv": csv_text,
    "json": Formula.to_json,
}
"""The formats of a formula besides the text on a terminal."""

SUFFIXES = {"markdown": "md", "latex": "tex", "python": "py", "csv": "csv", "json": "json"}


def render_formula(formula: Formula, formats: tuple[str, ...]) -> dict[str, str]:
    """``formula.{suffix}`` for each of these formats."""
    return {f"formula.{SUFFIXES[name]}": WRITERS[name](formula) for name in formats}
