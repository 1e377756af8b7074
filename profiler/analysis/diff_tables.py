"""A :class:`~profiler.analysis.diffing.Diff` → tables: the totals, every row, and the rows that a reader needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from profiler.analysis.compared import quotient
from profiler.analysis.diffing import Diff, DiffRow, Held, Status
from profiler.columns import FILES, FIRST, SUMMARIES, Column
from profiler.conventions import find_convention
from profiler.formatting import signed, thousands
from profiler.measures import Measure, measures
from profiler.records import ROOT, show_shape
from profiler.schema import Table

MARKS: Mapping[Status, str] = {"same": "=", "changed": "~", "removed": "-", "added": "+"}
"""The sign in front of a row, which has the meaning of its color."""

ROWS_SHOWN = 100
"""The maximum number of rows in a summary; the others are added up in one more row."""

TOTAL = "total"

ALWAYS_SHOWN = ("parameters", "macs", "flops")
"""The figures whose change a summary has even if it is 0."""

DETAILS_SHOWN = 100
"""The maximum number of characters on what changed in a module; files have all of them."""

WHAT_WIDTH, DETAILS_WIDTH = 12, 28
"""The number of cells to which these texts may be broken."""

SIDES = ("before", "after")


def totals_table(found: Diff) -> Table:
    """One row for each figure: its total before and after, the difference, and the difference as a part of the former.

    The figures are those that reports show of either network; what was 0 before has no change in percent.
    """
    partial = ["complete" if profile.complete else "partial" for profile in (found.before, found.after)]
    rows = []
    for measure in found.measures:
        was, now = found.total(measure.name)
        if _is_shown(found, measure):
            status = partial if measure.figure is not None else ["complete"] * 2
            rows.append([measure.heading, was, now, now - was, quotient(now - was, was), *status])
    columns = [
        Column("figure", priority=FIRST),
        *(Column(side, "count", 3, bound=True, bound_by=f"status_{side}", figure=side) for side in SIDES),
        Column("difference", "difference", 1),
        Column("change", "change", 2, meaning="difference as a part of the figure before"),
        *(Column(f"status_{side}", "status", SUMMARIES - 1, f"status, {side}") for side in SIDES),
    ]
    return Table.of("totals", "Totals", columns, rows)


def _is_shown(found: Diff, measure: Measure) -> bool:
    """Whether reports show this figure of one of the networks."""
    return any(measure.words(profile) is not None for profile in (found.before, found.after))


def diff_table(found: Diff) -> Table:
    """Every row with every figure before and after: its status, what changed, and by how much each figure grew.

    Figures of a module that is missing are 0, those of work that is not counted are missing.  All rows but the last,
    ``(excluded)``, if there is one, add up to the totals of both profiles.
    """
    lines = [Line(row.name, row, [row]) for row in found.rows]
    if found.excluded is not None:
        lines.append(Line(found.excluded.name, found.excluded, [found.excluded]))
    return _table(found, lines, int(found.excluded is not None))


def shown_table(found: Diff, *, every: bool = False) -> Table:
    """The rows for a reader, each with a mark in front of its name, and a row with their total.

    What is added or removed as a whole has one row, so have all rows that are the same, and those beyond the largest
    :data:`ROWS_SHOWN`.  ``every`` shows each row by itself.
    """
    lines = [Line(_marked(row), row, [row]) for row in found.rows] if every else _folded(found)
    lines.append(Line(TOTAL, None, list(found.rows)))
    if found.excluded is not None:
        lines.append(Line(_marked(found.excluded), found.excluded, [found.excluded]))
    table = _table(found, lines, 1 + int(found.excluded is not None))
    shortened = [_shortened(text) for text in table["details"]]
    return table.with_values("details", shortened).without(_not_needed(found, table))


class Line:
    """One line of a table: its name, the row that it describes, and the rows whose figures it has."""

    def __init__(self, name: str, row: DiffRow | None, rows: Sequence[DiffRow]) -> None:
        self.name = name
        self.row = row
        self.rows = rows
        self._sides = {
            "before": [row.before for row in rows if row.before is not None],
            "after": [row.after for row in rows if row.after is not None],
        }

    @property
    def status(self) -> str:
        """The status of its rows if it is that of all, else nothing."""
        found = {row.status for row in self.rows}
        return found.pop() if len(found) == 1 and self.name != TOTAL else ""

    @property
    def details(self) -> str:
        """What changed in words."""
        if self.row is None:
            return ""
        if len(self.rows) > 1:
            return f"with {_plural(len(self.rows) - 1, 'module')} below it"
        return details(self.row)

    def figures(self, side: str, measures: Sequence[Measure]) -> list[int | None]:
        """The figures of its rows in one network; those of work are missing if none of it is counted."""
        found = self._sides[side]
        unknown = bool(found) and all(module.unknown for module in found)
        return [
            None if unknown and measure.figure is not None else sum(module.figures[measure.name] for module in found)
            for measure in measures
        ]

    def completeness(self, side: str) -> str:
        """Whether all work of its rows in one network is counted."""
        found = self._sides[side]
        return "" if not found else "partial" if any(module.partial for module in found) else "complete"


def _table(found: Diff, lines: Sequence[Line], footer: int) -> Table:
    """The table of these lines, the last ``footer`` of which stay last."""
    own: list[tuple[Column, Callable[[Line], Any]]] = [
        (Column("module", "name", FIRST), lambda line: line.name),
        (Column("status", "mark", SUMMARIES + 5), lambda line: line.status),
        (Column("before", "name", FILES, meaning="its name before, if it had another"), _name_before),
        (Column("type", priority=21), lambda line: "" if line.row is None else line.row.side.type),
        (
            Column("changes", priority=4, heading="what", width=WHAT_WIDTH),
            lambda line: ", ".join(line.row.changes) if line.row else "",
        ),
    ]
    schema = [column for column, _ in own]
    values = [[value(line) for line in lines] for _, value in own]
    main = find_convention(found.after.convention).column
    by_side = [zip(*(line.figures(side, found.measures) for line in lines), strict=True) for side in SIDES]
    for measure, before, after in zip(found.measures, *by_side, strict=True):
        grown = [None if was is None or now is None else now - was for was, now in zip(before, after, strict=True)]
        schema += _figure_columns(measure, is_main=measure.name == main)
        values += [list(before), list(after), grown]
    schema.append(Column("details", priority=20, width=DETAILS_WIDTH))  # it is long, so figures are in front of it
    values.append([line.details for line in lines])
    for side in SIDES:
        schema.append(Column(f"status_{side}", "status", SUMMARIES - 1, f"status, {side}"))
        values.append([line.completeness(side) for line in lines])
    return Table("diff", "Changes by module", tuple(schema), tuple(values), footer)


def _name_before(line: Line) -> str:
    return line.row.before.name if line.row is not None and line.row.renamed and line.row.before is not None else ""


def _figure_columns(measure: Measure, *, is_main: bool) -> list[Column]:
    """The columns of a figure: before, after, and the difference, which is the most important."""
    places = {name: place for place, name in enumerate(ALWAYS_SHOWN, 2)}
    first = 1 if is_main else places.get(measure.name, SUMMARIES)
    sides = [
        replace(measure.column(side), priority=SUMMARIES + 1, bound_by=f"status_{side}", figure="") for side in SIDES
    ]
    sides[1] = replace(sides[1], of=sides[0].name)
    grown = replace(measure.column("difference"), unit="difference", priority=first, bound=False)
    return [*sides, replace(grown, heading=f"{measure.heading}, change", of="")]


def _not_needed(found: Diff, table: Table) -> list[str]:
    """The columns of which a reader learns nothing: statuses of complete work, and figures that do not change."""
    names = ["before"]
    if found.before.complete and found.after.complete:
        names += [f"status_{side}" for side in SIDES]
    main = find_convention(found.after.convention).column
    for measure in found.measures:
        if measure.name not in (*ALWAYS_SHOWN, main):
            names += [f"{measure.name}_{side}" for side in SIDES]
            if not any(table[f"{measure.name}_difference"]) or not _is_shown(found, measure):
                names.append(f"{measure.name}_difference")
    return names


def _marked(row: DiffRow) -> str:
    """``~ layer1.0``; of a module with another name ``~ layer1.{conv → stem}``."""
    if row.before is None or row.after is None or not row.renamed:
        return f"{MARKS[row.status]} {row.name}"
    return f"{MARKS[row.status]} {_both_names(row.before.name, row.after.name)}"


def _both_names(before: str, after: str) -> str:
    """Two names with what they share written once: ``layer1.{conv → stem}``, ``{ → model}.layer1``."""
    if not before or not after:
        return f"{before or ROOT} → {after or ROOT}"
    old, new = before.split("."), after.split(".")
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    if not start and not end:
        return f"{before} → {after}"
    first, last = old[:start], old[len(old) - end :]
    middle = " → ".join(".".join(parts[start : len(parts) - end]) for parts in (old, new))
    return ".".join([*first, f"{{{middle}}}", *last])


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts are equal at the beginning."""
    return sum(1 for _ in takewhile(lambda parts: parts[0] == parts[1], zip(one, other, strict=False)))


def _folded(found: Diff) -> list[Line]:
    """The lines without what is the same: a module that is new or gone as a whole is one, of many lines the largest."""
    shown: dict[int, list[DiffRow]] = {}
    same = [row for row in found.rows if row.status == "same"]
    for row, top in zip(found.rows, _tops(found.rows), strict=True):
        if row.status != "same":
            shown.setdefault(top, []).append(row)
    kept = [Line(_marked(found.rows[top]), found.rows[top], rows) for top, rows in sorted(shown.items())]
    if len(kept) > ROWS_SHOWN:
        largest = sorted(kept, key=lambda line: _size(found, line), reverse=True)[:ROWS_SHOWN]
        chosen = set(map(id, largest))
        rest = [row for line in kept if id(line) not in chosen for row in line.rows]
        kept = [line for line in kept if id(line) in chosen]
        kept.append(Line(f"… {_plural(len(rest), 'more module')} that differ", None, rest))
    if same:
        kept.append(Line(f"{MARKS['same']} {_plural(len(same), 'module')}", None, same))
    return kept


def _size(found: Diff, line: Line) -> tuple[int, ...]:
    """By how much its figures change: the headline, then the parameters, then all others."""
    main = find_convention(found.after.convention).column
    names = [main, "parameters", *(measure.name for measure in found.measures)]
    return tuple(abs(sum(row.difference(name) for row in line.rows)) for name in names)


def _tops(rows: Sequence[DiffRow]) -> list[int]:
    """For each row the number of the row that shows it: the topmost module that was added or removed with all below."""
    tops = list(range(len(rows)))
    for side, status in (("after", "added"), ("before", "removed")):
        names = [None if (found := getattr(row, side)) is None else found.name for row in rows]
        numbers = {name: number for number, name in enumerate(names) if name is not None}
        stays = _above(name for name, row in zip(names, rows, strict=True) if name is not None and row.status != status)
        for name in sorted(numbers, key=lambda name: name.count(".") + bool(name)):
            number = numbers[name]
            parent = next((above for above in _parents(name) if above in numbers), None)
            if rows[number].status == status and parent is not None and parent not in stays:
                above = numbers[parent]
                if rows[above].status == status:
                    tops[number] = tops[above]
    return tops


def _parents(name: str) -> Iterable[str]:
    """The names of the modules above one, the nearest first."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def _above(names: Iterable[str]) -> set[str]:
    """The names of all modules above these."""
    found: set[str] = set()
    for name in names:
        for above in _parents(name):
            if above in found:
                break
            found.add(above)
    return found


def details(row: DiffRow) -> str:
    """What changed in a module: ``input 1×3×8×8 → 1×3×9×9; weight 4×3 → 8×3``."""
    was, now = row.before, row.after
    if was is None or now is None:
        return ""
    pairs = {
        "type": (was.type, now.type),
        "input": (was.inputs, now.inputs),
        "output": (was.outputs, now.outputs),
        "calls": (thousands(was.calls), thousands(now.calls)),
        "cost": tuple("unknown" if side.unknown else "partial" if side.partial else "known" for side in (was, now)),
    }
    parts = [f"{name} {old or 'none'} → {new or 'none'}" for name, (old, new) in pairs.items() if old != new]
    if not any(row.difference(name) for name in ALWAYS_SHOWN):
        grown = {measure.heading: row.difference(measure.name) for measure in measures()}
        parts[:0] = [f"{heading} {signed(difference)}" for heading, difference in grown.items() if difference]
    return "; ".join([*parts, *_parameters(was.parameters, now.parameters)])


def _parameters(before: Sequence[Held], after: Sequence[Held]) -> Iterable[str]:
    """What changed in parameters, by their names."""
    was, now = ({held.name: held for held in side} for side in (before, after))
    for name in dict.fromkeys((*was, *now)):
        old, new = was.get(name), now.get(name)
        if old is None or new is None:
            yield f"- {name} {old}" if new is None else f"+ {name} {new}"
        elif old != new:
            plain = replace(old, shape=new.shape) == new
            yield f"{name} {show_shape(old.shape)} → {show_shape(new.shape)}" if plain else f"{name} {old} → {new}"


def _shortened(text: str) -> str:
    """The first parts of a text on what changed, and the number of the others."""
    parts = text.split("; ")
    kept = list(takewhile(lambda number: len("; ".join(parts[:number])) <= DETAILS_SHOWN, range(1, len(parts) + 1)))
    shown = "; ".join(parts[: max(1, len(kept))])
    shown = shown if len(shown) <= DETAILS_SHOWN else f"{shown[: DETAILS_SHOWN - 1]}…"
    left = len(parts) - max(1, len(kept))
    return f"{shown}; {left} more" if left else shown


def _plural(number: int, noun: str) -> str:
    return f"{thousands(number)} {noun}" + ("" if number == 1 else "s")
