"""Compute the costs of saved profiles by the rules of this version, and list what changed.

The networks are not needed, and nothing runs.  With --output, each profile is written to a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler.cli.delivery import Delivery, check_names
from profiler.cli.ending import Command
from profiler.cli.options import Seen, delivered, seen_on
from profiler.streams import complain

if TYPE_CHECKING:
    from profiler.profiles import Profile


@click.command(cls=Command, help=__doc__)
@click.argument("saved", nargs=-1, required=True, metavar="PROFILE.json…", type=click.Path(path_type=Path))
@delivered("the profiles")
@seen_on
def command(saved: tuple[Path, ...], to: Delivery, seen: Seen) -> None:
    from profiler.profiles import load_profile
    from profiler.render import profile_report

    to.check()
    before = [seen.of(load_profile(path)) for path in saved]
    check_names([(str(path), profile.name) for path, profile in zip(saved, before, strict=True)])
    for profile in before:
        after = profile.priced_again()
        if not to.quiet:
            for line in changes(profile, after):
                complain(f"{profile.name}: {line}")
        to.report(profile_report(after), after.name)


def changes(before: Profile, after: Profile) -> list[str]:
    """One line for each operator whose cost changed, or a single line if none did."""
    counts: dict[str, list[int]] = {}
    for old, new in zip(before.trace.whole.calls, after.trace.whole.calls, strict=True):
        if old.answer != new.answer:
            count = counts.setdefault(old.op, [0, 0, 0])
            for place, number in enumerate((1, old.count.flops, new.count.flops)):
                count[place] += number
    lines = [
        f"{op}: {calls} {'call' if calls == 1 else 'calls'}, {old:,} FLOPs before, {new:,} now"
        for op, (calls, old, new) in counts.items()
    ]
    signatures = before.trace.whole.signatures
    kept = sum(not signature.whole for signature in signatures)
    if kept:
        lines.append(f"{kept} of {len(signatures)} signatures were saved without arguments; their costs are unchanged")
    return lines or ["the cost of every operation is unchanged"]
