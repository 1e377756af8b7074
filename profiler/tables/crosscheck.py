"""The reports of other counters on each layer and on the whole network, compared with our MACs."""

from __future__ import annotations

from profiler.crosschecks.tables import CROSSCHECK, SUMMARY, crosscheck_lines, summary_lines
from profiler.schema import Table
from profiler.tabulate import Work


def table(work: Work) -> Table:
    """One row for each layer and counter if one of them has a figure, with the reason for every difference."""
    subject = "Cross-check: our MACs against the figures of other counters"
    return Table.of("crosscheck", subject, CROSSCHECK, crosscheck_lines(work.trace, work.counters))


def summary(work: Work) -> Table:
    """One row for each counter."""
    subject = "Other counters: our MACs, their figure, and how much of the difference has a reason"
    return Table.of("counters", subject, SUMMARY, summary_lines(work.trace, work.counters))
