"""A finished sweep → a report: its table, its crossovers in words, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from profiler.columns import FILES
from profiler.render.report import HOW_COUNTED, Note, Report, ReportPicture, ReportTable
from profiler.schema import Table
from profiler.sweeps.crossings import Crossing, sentences
from profiler.sweeps.store import Row

ROWS_SHOWN = 40
"""The maximum number of points on a terminal and in a summary."""

FAILURES_SHOWN = 5


def sweep_report(
    table: Table,
    crossings: Sequence[Crossing],
    failed: Iterable[Row],
    pictures: tuple[ReportPicture, ...] = (),
    missing: int = 0,
) -> Report:
    """The report on a sweep; ``missing`` is the number of points that it did not come to."""
    errors = list(failed)
    notes = [Note(f"{_points(missing)} not profiled yet: the sweep was interrupted.", "warning")] if missing else []
    notes += [Note(f"{_points(len(errors))} failed. {_reasons(errors)}", "warning")] if errors else []
    notes += [Note(sentence, "finding") for sentence in sentences(crossings)]
    notes.append(Note(HOW_COUNTED, "method"))
    cut = len(table) > ROWS_SHOWN
    about = (f"The first {ROWS_SHOWN} of {len(table):,} points; sweep.csv in the folder of --output has all of them.",)
    shown = table.where([place < ROWS_SHOWN for place in range(len(table))]) if cut else table
    hidden = [column.name for column in table.columns if column.priority >= FILES]
    plain = {"error": not errors, "status": set(table["status"]) <= {"complete"}}
    shown = shown.without([*hidden, *(name for name, left in plain.items() if left)])
    title = f"Sweep of {_points(len(table))}"
    return Report(title, (), tuple(notes), (ReportTable(table, shown, about if cut else ()),), pictures=pictures)


def _points(number: int) -> str:
    return f"{number:,} point{'' if number == 1 else 's'}"


def _reasons(errors: Sequence[Row]) -> str:
    reasons: dict[str, int] = {}
    for row in errors:
        reasons[row.error] = reasons.get(row.error, 0) + 1
    shown = [
        f"{number} × {reason}" if number > 1 else reason for reason, number in list(reasons.items())[:FAILURES_SHOWN]
    ]
    return "; ".join(shown) + ("; …" if len(reasons) > FAILURES_SHOWN else "")
