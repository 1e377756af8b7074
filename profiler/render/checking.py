"""Results of a check → a :class:`Report`: what went over, by how much, and the layers that did it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from profiler.budgets.model import CheckResult, Finding, Unit, failed
from profiler.budgets.sentences import passed_line, verdict_line
from profiler.columns import FILES, FIRST, Column
from profiler.render.report import Note, Report, ReportTable
from profiler.schema import Table

NETWORK = Column("network", "name", FIRST)
FIGURE = Column("figure", priority=FIRST + 1)
LAYER = Column("layer", "name", 2)

MOST_IMPORTANT = ("parameters", "macs", "flops")
"""The figures whose growth a narrow terminal shows first."""


def check_report(results: Sequence[CheckResult]) -> Report:
    """The report on a check: the networks that passed in a line each, the others in tables.

    Files have every limit; a summary and a terminal have those that were not kept.
    """
    notes = [Note(passed_line(result), "remark") for result in results if result.passed]
    notes += [Note(f"{result.name}: {remark}", "remark") for result in failed(results) for remark in result.remarks]
    several = len(results) > 1
    tables = [_limits(results, "count", several), _limits(results, "share", several), _growth(results, several)]
    tables += [_costliest(results, several), _changes(results, several), _uncounted(results, several)]
    return Report(f"{verdict_line(results)}.", (), tuple(notes), tuple(table for table in tables if len(table.table)))


def _limits(results: Sequence[CheckResult], unit: Unit, several: bool) -> ReportTable:
    """Every limit of that unit with the figure of the network; the shown part has those that were not kept."""
    by = "by, points" if unit == "share" else "by"
    columns = (
        NETWORK,
        FIGURE,
        Column("limit", priority=2),
        Column("actual", unit, 3, bound=True),
        Column("verdict", priority=4),
        Column("by", unit, 5, by, meaning="excess, or room that is left"),
        *([Column("by_share", "share", 6, "by, of the limit", of="by")] if unit == "count" else []),
        Column("status", "status", FILES),
    )
    found = [
        (result, finding)
        for result in results
        for finding in result.findings
        if finding.unit == unit and finding.before is None
    ]
    name, subject = ("limits", "Limits") if unit == "count" else ("limits_on_shares", "Limits on shares")
    table = Table.of(name, subject, columns, ([result.name, *_cells(finding)] for result, finding in found))
    shown = table.where([not finding.passed for _, finding in found])
    return _shown(table, shown, several)


def _cells(finding: Finding) -> list[Any]:
    """The values of a row without the network: the relative distance from a limit is that of counts only."""
    actual, by = _number(finding.actual), _number(finding.by)
    relative = [_number(finding.by_share, whole=False)] if finding.unit == "count" else []
    return [finding.what, finding.limit.text, actual, finding.verdict, by, *relative, _status(finding)]


def _growth(results: Sequence[CheckResult], several: bool) -> ReportTable:
    """Every figure and its baseline; the shown part has those that grew too much."""
    columns = (
        NETWORK,
        FIGURE,
        Column("baseline", "count", 5),
        Column("actual", "count", 3, bound=True),
        Column("verdict", priority=4),
        Column("growth", "difference", 6),
        Column("growth_share", "change", 6, "growth, of the baseline", of="growth"),
        Column("allowed", "share", 7, meaning="tolerance, as a share of the baseline"),
        Column("status", "status", FILES),
    )
    found = [(result, each) for result in results for each in result.findings if each.before is not None]
    rows = [
        [
            *(result.name, each.what, each.before, int(each.actual), each.verdict, _number(each.by)),
            *(_number(each.by_share, whole=False), float(each.tolerance), _status(each)),
        ]
        for result, each in found
    ]
    table = Table.of("growth", "Figures and their baseline", columns, rows)
    return _shown(table, table.where([not each.passed for _, each in found]), several)


def _status(finding: Finding) -> str:
    return "partial" if finding.certainty == "at least" else "complete"


def _number(number: Fraction | int | None, *, whole: bool = True) -> int | float | None:
    """A count as an integer, a share as a fraction of one."""
    if number is None:
        return None
    return number if whole and isinstance(number, int) else float(number)


def _costliest(results: Sequence[CheckResult], several: bool) -> ReportTable:
    columns = (
        NETWORK,
        FIGURE,
        LAYER,
        Column("type", priority=6, meaning="class of the module"),
        Column("cost", "count", 4),
        Column("cost_share", "share", 5, "share", of="cost"),
    )

    rows = [
        [result.name, finding.what, layer.name, layer.type, layer.figure, _share(layer.figure, finding.whole)]
        for result in results
        for finding in result.failures
        for layer in finding.layers
        if layer.before is None and not layer.reason
    ]
    table = Table.of("costliest", "The costliest layers", columns, rows)
    return _shown(table, table, several)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _changes(results: Sequence[CheckResult], several: bool) -> ReportTable:
    """The layers that grew since the baseline, with a column for each figure that is above it."""
    names = {
        finding.figure: finding.what
        for result in results
        for finding in result.failures
        if finding.before is not None and finding.verdict == "over"
    }
    important = [name for name in MOST_IMPORTANT if name in names]
    order = [*important, *(name for name in names if name not in important)]
    places = {name: 2 + place + (place >= len(important)) for place, name in enumerate(order)}
    columns = (
        NETWORK,
        Column("layer", "name", FIRST + 1),
        Column("type", priority=20, meaning="class of the module"),
        Column("change", priority=2 + len(important), meaning="what changed in it"),
        *(Column(f"{name}_difference", "difference", places[name], what) for name, what in names.items()),
    )
    rows = [
        [result.name, layer.name, layer.type, layer.change, *(layer.differences.get(name) for name in names)]
        for result in results
        for layer in result.grown
    ]
    table = Table.of("changes", "Layers that grew since the baseline", columns, rows)
    hidden = sum(result.grown_in_all - len(result.grown) for result in results)
    notes = (f"{hidden} more layers grew.",) if hidden else ()
    return _shown(table, table, several, notes)


def _uncounted(results: Sequence[CheckResult], several: bool) -> ReportTable:
    columns = (
        NETWORK,
        LAYER,
        Column("operation", "name", 3),
        Column("calls", "count", 4),
        Column("reason", priority=5, width=20),
    )
    rows = []
    for result in results:
        layers = dict.fromkeys(layer for finding in result.failures for layer in finding.layers if layer.reason)
        rows += [[result.name, layer.name, layer.type, layer.figure, layer.reason] for layer in layers]
    table = Table.of("uncounted", "Not counted", columns, rows)
    return _shown(table, table, several)


def _shown(table: Table, shown: Table, several: bool, notes: tuple[str, ...] = ()) -> ReportTable:
    """The table with the part that is shown; a single network is named in the title only."""
    if not len(shown):
        return ReportTable(table)
    return ReportTable(table, shown if several else shown.without(["network"]), notes)
