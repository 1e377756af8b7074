"""Compare networks side by side, with ratios to the first or to --baseline.

A SOURCE may be a pattern: torchvision:resnet*, timm:vit_*, 'out/*/profile.json'.  A network that fails has a row
without figures; the command then lists why, and exits with 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler.cli.delivery import Delivery
from profiler.cli.ending import BAD_INPUT, DEBUG, NOT_AS_IT_SHOULD_BE, Command
from profiler.cli.globs import expanded
from profiler.cli.options import (
    AtLeast,
    Seen,
    WhatToProfile,
    delivered,
    jobs,
    memory,
    seen_on,
    sources,
    strict,
    what_to_profile,
)
from profiler.cli.pictures import check_pictures, pictures, write_pictures
from profiler.errors import UncountedError
from profiler.printable import one_line
from profiler.streams import complain

if TYPE_CHECKING:
    from profiler.analysis.comparison import Compared
    from profiler.cli.attempts import Attempt


@click.command(cls=Command, help=__doc__)
@sources
@click.option("--baseline", metavar="NAME", help="The network that ratios are to, by name or as SOURCE.")
@click.option("--sort", metavar="COLUMN", help="Sort by a column: the largest figure first, or by name.")
@click.option(
    "--columns",
    multiple=True,
    metavar="NAME,…",
    help="Columns to show: macs, flops_ratio, conv_macs_share, input, …",
)
@memory
@click.option("--top", type=AtLeast(min=1), metavar="N", help="The first N rows, by default of the costliest.")
@delivered("the comparison")
@strict
@jobs
@seen_on
@pictures
@what_to_profile
@click.pass_context
def command(
    context: click.Context,
    sources: tuple[str, ...],
    baseline: str | None,
    sort: str | None,
    columns: tuple[str, ...],
    memory: bool,
    top: int | None,
    to: Delivery,
    strict: bool,
    jobs: int,
    seen: Seen,
    pictures: tuple[Path, ...],
    what: WhatToProfile,
) -> None:
    from profiler.analysis.comparison import Selection
    from profiler.cli.attempts import profile_each, read_all
    from profiler.render import comparison_report

    to.check()
    names = tuple(name.strip() for given in columns for name in given.split(",") if name.strip())
    selection = Selection(baseline, names if columns else None, sort, top)
    read = read_all(expanded(sources), what)
    if memory or selection.needs_memory:
        read = [attempt.with_memory() for attempt in read]
    check_pictures(pictures, len(read))
    selection.check([_compared(attempt) for attempt in read])
    selection.check_machine(
        device=seen.device is not None or any(attempt.has("device") for attempt in read),
        energy=seen.energy is not None or any(attempt.has("energy") for attempt in read),
    )
    found = profile_each(read, seen.of, strict=strict, quiet=to.quiet, jobs=jobs)
    failed = [attempt for attempt in found if attempt.profile is None]
    if len(failed) < len(found):
        report = comparison_report([_compared(attempt) for attempt in found], selection)
        to.report(report)
        drawn = [attempt.profile for attempt in found if attempt.profile is not None]
        write_pictures(pictures, drawn, lambda: [report])
    if failed:
        _end(found, failed, debug=context.meta[DEBUG])


def _compared(attempt: Attempt) -> Compared:
    from profiler.analysis.comparison import Compared

    name = attempt.name if attempt.profile is None else attempt.profile.name
    return Compared(name, attempt.target, attempt.typed, attempt.profile, attempt.reason)


def _end(found: list[Attempt], failed: list[Attempt], *, debug: bool) -> None:
    """List what failed and why, and end the command: with 1, or 2 if there was nothing to compare."""
    for attempt in failed:
        if debug:
            complain(attempt.details)
        complain(f"profiler: {one_line(attempt.typed)}: {attempt.reason}")
    if len(failed) < len(found):
        complain(f"profiler: {len(failed)} of {len(found)} networks failed")
    nothing = len(failed) == len(found) and not all(isinstance(attempt.error, UncountedError) for attempt in failed)
    raise SystemExit(BAD_INPUT if nothing else NOT_AS_IT_SHOULD_BE)
