"""Show what changed from one network to another, module by module.

Modules are lined up by their names and types, also if they were renamed or wrapped.  Rows that are the same are folded
into one, and modules that are new or gone as a whole too, unless --all shows every row.  Files have all rows.  The
exit code is 0 also if the networks differ; with --exit-code it is then 1.
"""

from __future__ import annotations

from pathlib import Path

import click

from profiler.cli.delivery import Delivery
from profiler.cli.ending import NOT_AS_IT_SHOULD_BE, Command
from profiler.cli.options import Seen, WhatToProfile, delivered, jobs, seen_as, strict, what_to_profile
from profiler.cli.pictures import check_pictures, pictures, write_pictures
from profiler.cli.sources import profile_all, read_sources


@click.command(cls=Command, help=__doc__)
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option("--all", "every", is_flag=True, help="Show every row, also modules that are the same.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if the networks differ.")
@delivered("the tables")
@strict
@jobs
@seen_as
@pictures
@what_to_profile
def command(
    before: str,
    after: str,
    every: bool,
    exit_code: bool,
    to: Delivery,
    strict: bool,
    jobs: int,
    seen: Seen,
    pictures: tuple[Path, ...],
    what: WhatToProfile,
) -> None:
    from profiler.analysis.diffing import diff
    from profiler.render.diffs import report_of

    to.check()
    check_pictures(pictures, 2)
    found = [source.alone() for source in read_sources((before, after), what)]
    profiles = profile_all(found, strict=strict, quiet=to.quiet, jobs=jobs)
    profiles = [seen.of(profile) for profile in profiles]
    compared = diff(*profiles)
    report = report_of(compared, every=every)
    write_pictures(pictures, profiles, lambda: [report])
    to.report(report)
    if exit_code and not compared.same:
        raise SystemExit(NOT_AS_IT_SHOULD_BE)
