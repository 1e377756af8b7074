"""The cross-check of our MACs with several counters as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from profiler.calls import tallies
from profiler.columns import FIRST, Column
from profiler.crosschecks.rows import Row, crosscheck_rows
from profiler.records import ROOT, CounterRecord, Trace
from profiler.schema import make_table

if TYPE_CHECKING:
    import pandas as pd

Line = tuple[object, ...]
"""The values of one row."""

CROSSCHECK = (
    Column("layer", "name", FIRST, refers_to="module"),
    Column("type"),
    Column("counter", priority=1),
    Column("macs", "count", 3, "MACs", meaning="our MACs"),
    Column("figure", "count", 4, "their figure", meaning="the counter's, in MACs"),
    Column("difference", "difference", 2),
    Column("reason", priority=10, width=20),
    Column("explained", "flag", meaning="whether the reasons add up to the difference"),
)
CROSSCHECK_COLUMNS = tuple(column.name for column in CROSSCHECK)
SUMMARY = (
    Column("counter", priority=FIRST),
    Column("version", priority=24),
    Column("status"),
    Column("macs", "count", 1, "MACs", meaning="our MACs"),
    Column("figure", "count", 2, "their figure", meaning="the counter's, in MACs"),
    Column("ratio", "ratio", 3),
    Column("difference", "difference"),
    Column("explained_share", "share", 4, meaning="part of all differences that has a reason"),
    Column("layers", "count", 20, meaning="where either has a figure"),
    Column("equal", "count", 21),
    Column("explained", "count", 22),
    Column("unexplained", "count", 23),
    Column("message", priority=25, width=20),
)
SUMMARY_COLUMNS = tuple(column.name for column in SUMMARY)
REASONS_COLUMNS = ("counter", "code", "reason", "layers", "amount")


def crosscheck_table(trace: Trace, counters: Sequence[CounterRecord]) -> pd.DataFrame:
    """One row for each layer and counter where either has a figure.

    ``difference`` is the counter's figure less our macs; ``reason`` says where it comes from, each part with its
    amount; ``explained`` is false where the parts do not add up to it.  Counters that were skipped or failed have
    no rows.
    """
    return make_table(CROSSCHECK_COLUMNS, crosscheck_lines(trace, counters))


def crosscheck_lines(trace: Trace, counters: Sequence[CounterRecord]) -> Iterator[Line]:
    """The rows of :func:`crosscheck_table`."""
    for counter in counters:
        for row in crosscheck_rows(trace, counter):
            yield (
                row.layer or ROOT,
                row.type,
                row.counter,
                row.macs,
                row.figure,
                row.difference,
                row.reason,
                row.explained,
            )


def unexplained(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a cross-check table whose difference has no reason."""
    return table[[not value for value in table["explained"]]]


def crosscheck_summary(trace: Trace, counters: Sequence[CounterRecord]) -> pd.DataFrame:
    """One row for each counter.

    ``figure`` is its total, ``ratio`` that to our MACs; ``layers`` are those where either has a figure, of which
    ``equal``, ``explained`` and ``unexplained`` are the parts.  ``explained_share`` is the part of all differences,
    layer by layer and without regard to their sign, that has a reason: 1 where there is none.  A counter that was
    skipped or failed has a ``message`` in place of figures.
    """
    return make_table(SUMMARY_COLUMNS, summary_lines(trace, counters))


def summary_lines(trace: Trace, counters: Sequence[CounterRecord]) -> list[Line]:
    """The rows of :func:`crosscheck_summary`."""
    macs = sum(tally.answer.count.macs * tally.times for tally in tallies(trace.calls))
    return [_summary(trace, macs, counter) for counter in counters]


def _summary(trace: Trace, macs: int, counter: CounterRecord) -> Line:
    head = (counter.counter, counter.version, counter.status, macs)
    if counter.status != "ok":
        return (*head, *(None,) * (len(SUMMARY_COLUMNS) - len(head) - 1), counter.message)
    rows = list(crosscheck_rows(trace, counter))
    figure = sum(row.figure for row in rows)
    different = sum(abs(row.difference) for row in rows)
    left = sum(_left(row) for row in rows)
    equal = sum(row.explained and not row.difference for row in rows)
    open_rows = sum(not row.explained for row in rows)
    return (
        *head,
        figure,
        figure / macs if macs else None,
        figure - macs,
        1 - left / max(different, left) if left else 1.0,
        len(rows),
        equal,
        len(rows) - equal - open_rows,
        open_rows,
        counter.message,
    )


def _left(row: Row) -> int:
    """The unexplained part of a row, without its sign; all of it if the parts sum to the difference only by chance."""
    return 0 if row.explained else abs(row.unexplained) or max(1, abs(row.difference))


def reasons_table(trace: Trace, counters: Sequence[CounterRecord]) -> pd.DataFrame:
    """For each counter, the reasons of its differences, the largest first: in how many layers, and how much in all.

    The last row of a counter has the code ``unexplained`` and is the part without a reason.
    """
    return make_table(REASONS_COLUMNS, reason_lines(trace, counters))


def reason_lines(trace: Trace, counters: Sequence[CounterRecord]) -> list[tuple[str, str, str, int, int]]:
    """The rows of :func:`reasons_table`."""
    lines = []
    for counter in counters:
        amounts: dict[tuple[str, str], list[int]] = {}
        left: list[int] = []
        for row in crosscheck_rows(trace, counter):
            for part in row.parts:
                amounts.setdefault((part.reason.code, part.text(counter.counter)), []).append(part.amount)
            if not row.explained:
                left.append(row.unexplained)
        for (code, text), parts in sorted(amounts.items(), key=lambda item: -abs(sum(item[1]))):
            lines.append((counter.counter, code, text, len(parts), sum(parts)))
        if left:
            lines.append((counter.counter, "unexplained", "unexplained", len(left), sum(left)))
    return lines
