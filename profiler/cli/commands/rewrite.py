"""Profile a network before and after its config's rewrites, and check that they are equivalent.

Exits with 1 if the largest difference on real, seeded tensors is above the config's tolerance.
"""

from __future__ import annotations

from pathlib import Path

import click

from profiler.cli.delivery import Delivery
from profiler.cli.ending import Command, fail
from profiler.cli.options import delivered
from profiler.cli.pictures import check_pictures, pictures, write_pictures


@click.command(cls=Command, help=__doc__)
@click.argument("source", metavar="CONFIG")
@delivered("the tables")
@pictures
def command(source: str, to: Delivery, pictures: tuple[Path, ...]) -> None:
    from profiler.config import load_config
    from profiler.render import rewriting_report
    from profiler.rewriting import rewrite_config

    to.check()
    check_pictures(pictures, 2)
    result = rewrite_config(load_config(source))
    name = result.before.name
    report = rewriting_report(result.before, result.after, result.findings(), result.reasons_left())
    write_pictures(pictures, [result.before, result.after], lambda: [report])
    to.report(report, name)
    if not result.equivalence.passed:
        fail(f"{name}: {result.verdict()}")
