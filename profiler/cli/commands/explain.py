"""Explain why a network, a layer or an operation costs what it costs.

The explanation is a derivation as in an exercise: shapes, named sizes, the products of multiplies and of adds, their
sum, gradients in training, and what other counters report. NAME is a layer (features.0, or the end of its name), a
pattern (layer1.*), an operator (conv2d, aten::addmm) or a kind of work (norm). Without NAME it explains the whole
network. LaTeX is a whole document that needs amsmath.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from profiler.cli.delivery import Delivery, print_document
from profiler.cli.ending import Command
from profiler.cli.options import Seen, WhatToProfile, delivered, seen_as, strict, what_to_profile
from profiler.cli.sources import profile_all, read_sources
from profiler.streams import screen_width, write_document

if TYPE_CHECKING:
    from profiler.analysis.explaining import Explanation
    from profiler.analysis.explaining.document import Format

ENDINGS: dict[Format, str] = {"text": "txt", "markdown": "md", "latex": "tex"}
"""The formats of an explanation, with the endings of their files."""

WIDEST = 100
"""The maximum length of lines of text, which longer ones would make hard to read."""


@click.command(cls=Command, help=__doc__)
@click.argument("source", metavar="SOURCE")
@click.argument("name", metavar="[NAME]", required=False)
@delivered("the explanation", tuple(ENDINGS))
@strict
@seen_as
@what_to_profile
def command(source: str, name: str | None, to: Delivery, strict: bool, seen: Seen, what: WhatToProfile) -> None:
    from profiler.analysis.explaining import explain
    from profiler.files import folder_name, write_files

    to.check()
    found = [one.alone() for one in read_sources((source,), what)]
    (profile,) = (seen.of(profile) for profile in profile_all(found, strict=strict, quiet=to.quiet))
    explanation = explain(profile, name)
    if to.output is not None:
        file = f"{profile.name}/explanation" + ("" if name is None else f"-{folder_name(name)}")
        written = {f"{file}.{ENDINGS[format]}": explanation.written(format) for format in _formats(to)}
        write_files(to.output, written)
    if not to.quiet:
        _print(explanation, to.printed_format or "text")


def _formats(to: Delivery) -> list[Format]:
    """The formats to write: those that are named, or all."""
    return [format for format in ENDINGS if to.formats is None or format in to.formats]


def _print(explanation: Explanation, format_name: str) -> None:
    stream: TextIO = click.get_current_context().obj
    if format_name == "text":
        write_document(stream, explanation.written("text", min(screen_width(stream, WIDEST), WIDEST)))
    else:
        print_document(explanation.markdown if format_name == "markdown" else explanation.latex)
