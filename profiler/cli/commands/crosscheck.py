"""Compare the MACs of each layer with other counters' figures; every difference has a reason.

Runs the counters of the config, or fvcore.  Exits with 1 if a difference is unexplained, or if no counter could be
run; a counter that fails or takes too long is reported.
"""

from __future__ import annotations

import click

from profiler import catalog
from profiler.cli.delivery import Delivery
from profiler.cli.ending import Command, fail
from profiler.cli.options import WhatToProfile, delivered, names, strict, what_to_profile
from profiler.cli.sources import profile_all, read_sources


@click.command(cls=Command, help=__doc__)
@click.argument("source", metavar="SOURCE")
@names("--against", catalog.counters(), "a counter", "The counters to run: fvcore, torch, thop, …")
@delivered("the comparison")
@strict
@what_to_profile
def command(source: str, against: tuple[str, ...] | None, to: Delivery, strict: bool, what: WhatToProfile) -> None:
    from profiler.config import DEFAULT_COUNTERS
    from profiler.crosschecks.tables import unexplained
    from profiler.render import crosscheck_report

    to.check()
    (found,) = read_sources((source,), what)
    if against is not None or found.config is not None:
        requested = against or (found.config and found.config.crosscheck) or DEFAULT_COUNTERS
        found = found.against(requested, "against")
    (profile,) = profile_all([found], strict=strict, quiet=to.quiet)
    to.report(crosscheck_report(profile), profile.name)
    open_rows = unexplained(profile.crosscheck)
    if len(open_rows):
        fail(f"{profile.name}: {len(open_rows)} differences are unexplained")
    if not any(counter.status == "ok" for counter in profile.counters):
        reasons = "; ".join(f"{c.counter} {c.status}: {c.message}" for c in profile.counters) or "no counter was run"
        fail(f"{profile.name}: nothing to compare with: {reasons}")
