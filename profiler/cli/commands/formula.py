"""Show what a network costs as a function of the sizes that have names.

Sizes are named in a config (shape: [B, 3, H, W] with sizes: {B: 2, H: 224, W: 224}), or for a target by --input Bx3xHxW
and --size B=2 --size H=224 --size W=224.  The formulas follow from a run with symbols for the sizes; names that change
the network itself, such as its width, are interpolated exactly between profiles.  Each formula says for which sizes it
holds, and at which points it was compared with a profile.  If there is no formula, the exit code is 1.
"""

from __future__ import annotations

import click

from profiler.cli.delivery import Delivery, print_document
from profiler.cli.ending import Command, fail
from profiler.cli.options import WhatToProfile, delivered, what_to_profile
from profiler.cli.sources import read_sources
from profiler.streams import screen_width

FORMATS = ("latex", "python", "markdown", "csv", "json")


@click.command(cls=Command, help=__doc__)
@click.argument("source", metavar="SOURCE")
@delivered("the formulas", FORMATS)
@what_to_profile
def command(source: str, to: Delivery, what: WhatToProfile) -> None:
    from profiler.files import write_files
    from profiler.formulas import FormulaError

    to.check()
    (found,) = read_sources((source,), what)
    if found.config is None:
        raise click.UsageError("a formula needs a network; a saved profile describes one finished run")
    from profiler.deriving import derive, family_of
    from profiler.render.formulas import render_formula, text

    family = family_of(found.config)
    try:
        formula = derive(family)
    except FormulaError as error:
        fail(str(error))
    if to.output is not None:
        files = render_formula(formula, to.formats or FORMATS)
        write_files(to.output, {f"{formula.name}/{name}": content for name, content in files.items()})
    if to.printed_format is not None:
        (content,) = render_formula(formula, (to.printed_format,)).values()
        print_document(content, to.printed_format)
    elif not to.quiet:
        print_document(text(formula, screen_width(click.get_current_context().obj)))
