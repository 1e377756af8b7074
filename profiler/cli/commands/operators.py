"""List the operators of this torch: ruled, free, composite or uncounted.

A composite operator is made of others, which are counted in its place.  PATTERN is a part of the operator's name.
"""

from __future__ import annotations

from collections import Counter

import click

from profiler.cli.delivery import print_document
from profiler.cli.ending import Command
from profiler.cli.options import OneOf
from profiler.streams import complain


@click.command(cls=Command, help=__doc__)
@click.argument("pattern", required=False, default="")
@click.option("--status", type=OneOf(["ruled", "free", "composite", "uncounted"]), help="Only those.")
@click.option("--namespace", default="aten", show_default=True, help="Whose operators.")
def command(pattern: str, status: str | None, namespace: str) -> None:
    from profiler.coverage import coverage

    found = coverage(namespace)
    lines = [
        f"{entry.status:<10} {entry.op:<60} {entry.kind}".rstrip()
        for entry in found
        if pattern in entry.op and status in (None, entry.status)
    ]
    print_document("".join(f"{line}\n" for line in lines))
    totals = Counter(entry.status for entry in found)
    complain(f"{len(found)} operators: " + ", ".join(f"{number} {name}" for name, number in sorted(totals.items())))
