"""Profile a network before and after its config's rewrites, and check that they are equivalent.

Exits with 1 if the largest difference on real, seeded tensors is above the config's tolerance.
"""

from __future__ import annotations

from pathlib import Path

import click

from profiler.cli.delivery import Delivery
from profiler.cli.ending import Command, fail
from profiler.cli.options import Seen, WhatToProfile, delivered, seen_as, what_to_profile
from profiler.cli.pictures import check_pictures, pictures, write_pictures
from profiler.cli.sources import check_shapes


@click.command(cls=Command, help=__doc__)
@click.argument("source", metavar="CONFIG")
@delivered("the tables")
@seen_as
@pictures
@what_to_profile
def command(source: str, to: Delivery, seen: Seen, pictures: tuple[Path, ...], what: WhatToProfile) -> None:
    from profiler.config import load_config
    from profiler.render import rewriting_report
    from profiler.rewriting import rewrite_config

    to.check()
    check_pictures(pictures, 2)
    check_shapes((source,), what)
    result = rewrite_config(what.of_network(load_config(source, what.values_of_sizes())))
    before, after = seen.of(result.before), seen.of(result.after)
    name = before.name
    report = rewriting_report(before, after, result.findings(), result.reasons_left())
    write_pictures(pictures, [before, after], lambda: [report])
    to.report(report, name)
    if not result.equivalence.passed:
        fail(f"{name}: {result.verdict()}")
