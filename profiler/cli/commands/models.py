"""List the targets that can be named; with PATTERN (resnet*, segmentation), those that match."""

from __future__ import annotations

import click

from profiler.cli.delivery import print_document
from profiler.cli.ending import Command, fail
from profiler.printable import visible
from profiler.streams import complain


@click.command(cls=Command, help=__doc__)
@click.argument("pattern", required=False)
def command(pattern: str | None) -> None:
    from profiler.models.targets import list_targets

    found = list_targets(pattern)
    if not found:
        fail(f"no target matches {pattern!r}; see: profiler models")
    width = max(len(entry.target) for entry in found)
    print_document("".join(f"{visible(entry.target):<{width}}  {visible(entry.family)}\n" for entry in found))
    if pattern is None:
        complain("Also: package.module:callable and path/to/net.py:Net")
