"""Explain why a network, a layer or an operation costs what it costs.

The explanation is a derivation as in an exercise: shapes, named sizes, the products of multiplies and of adds, their
sum, gradients in training, and what other counters report. NAME is a layer (features.0, or the end of its name), a
pattern (layer1.*), an operator (conv2d, aten::addmm) or a kind of work (norm). Without NAME it explains the whole
network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from profiler.cli.delivery import print_document
from profiler.cli.ending import Command
from profiler.cli.options import OneOf, WhatToProfile, what_to_profile
from profiler.cli.sources import profile_all, read_sources
from profiler.streams import screen_width, write_document

if TYPE_CHECKING:
    from profiler.analysis.explaining import Explanation

WIDEST = 100
"""The maximum length of lines of text, which longer ones would make hard to read."""


@click.command(cls=Command, help=__doc__)
@click.argument("source", metavar="SOURCE")
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--format",
    "format_name",
    type=OneOf(("text", "markdown", "latex")),
    default="text",
    help="text, markdown (for GitHub), or latex (a whole document that needs amsmath).",
)
@what_to_profile
def command(source: str, name: str | None, format_name: str, what: WhatToProfile) -> None:
    from profiler.analysis.explaining import explain

    found = [one.alone() for one in read_sources((source,), what)]
    (profile,) = profile_all(found)
    _print(explain(profile, name), format_name)


def _print(explanation: Explanation, format_name: str) -> None:
    stream: TextIO = click.get_current_context().obj
    if format_name == "text":
        write_document(stream, explanation.written("text", min(screen_width(stream, WIDEST), WIDEST)))
    else:
        print_document(explanation.markdown if format_name == "markdown" else explanation.latex)
