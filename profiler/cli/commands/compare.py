"""Compare networks side by side, with ratios to the first."""

from __future__ import annotations

import click

from profiler.cli.delivery import Delivery
from profiler.cli.ending import Command
from profiler.cli.options import Seen, WhatToProfile, delivered, jobs, seen_as, sources, strict, what_to_profile
from profiler.cli.sources import profile_all, read_sources


@click.command(cls=Command, help=__doc__)
@sources
@delivered("the comparison")
@strict
@jobs
@seen_as
@what_to_profile
def command(sources: tuple[str, ...], to: Delivery, strict: bool, jobs: int, seen: Seen, what: WhatToProfile) -> None:
    from profiler.render import comparison_report

    to.check()
    found = [source.alone() for source in read_sources(sources, what)]
    profiles = profile_all(found, strict=strict, quiet=to.quiet, jobs=jobs)
    to.report(comparison_report([seen.of(profile) for profile in profiles]))
