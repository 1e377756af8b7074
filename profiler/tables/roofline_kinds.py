"""The time that each kind of work at least takes on a device."""

from __future__ import annotations

from profiler.columns import FIRST, Column
from profiler.schema import Table
from profiler.tables._of_device import roofline
from profiler.tabulate import Work


def table(work: Work) -> Table:
    """One row for each kind of work, in the order in which they first ran."""
    rows = (((kind,), group.tallies, False) for kind, group in work.by_kind.items())
    return roofline("roofline_kinds", " of kinds of work", (Column("kind", priority=FIRST),), rows, work)
