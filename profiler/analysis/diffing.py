"""Two profiles → a :class:`Diff`: their modules lined up, what changed in each, and both totals.

The figures of a row are those of a module's own work and own parameters, so the rows add up to the totals of both
profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from profiler.analysis.alignment import Tree, aligned
from profiler.measures import Measure, measures
from profiler.printable import visible
from profiler.profiles import Profile
from profiler.records import EXCLUDED, ROOT, ModuleRecord, ParameterRecord, show_shape, show_shapes
from profiler.tabulate import COUNTED, UNCOUNTED, Group, Work, calls_of_excluded, left_out

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["same", "changed", "removed", "added"]

Change = Literal["type", "shapes", "parameters", "calls", "cost"]
"""What may have changed in a module; only the type of the whole network can change."""

Figures = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Held:
    """One parameter or buffer of a module, under its name there; ``names`` is the number of its names."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    buffer: bool
    unused: bool
    names: int

    def __str__(self) -> str:
        text = f"{show_shape(self.shape)} {self.dtype}"
        marks = {
            "buffer": self.buffer,
            "frozen": not (self.trainable or self.buffer),
            "unused": self.unused and not self.buffer,
            f"{self.names} names": self.names > 1,
        }
        return ", ".join([text, *(mark for mark, holds in marks.items() if holds)])


@dataclass(frozen=True, slots=True)
class Side:
    """A module in one of the two networks, without what is below it.

    ``figures`` has every figure by its name.  They are lower bounds if the module is ``partial``; if it is ``unknown``,
    none of its work is counted, and the figures of its work are 0 here and missing in tables.
    """

    name: str
    type: str
    calls: int
    inputs: str
    outputs: str
    parameters: tuple[Held, ...]
    figures: Figures
    partial: bool
    unknown: bool

    def differs(self, other: Side) -> tuple[Change, ...]:
        """What differs between the two, except for their names."""
        differences: dict[Change, bool] = {
            "type": self.type != other.type,
            "shapes": (self.inputs, self.outputs) != (other.inputs, other.outputs),
            "parameters": self.parameters != other.parameters,
            "calls": self.calls != other.calls,
            "cost": self._cost() != other._cost(),
        }
        return tuple(change for change, differs in differences.items() if differs)

    def _cost(self) -> tuple[object, ...]:
        """The figures of its work, and how far they are known."""
        return (
            self.partial,
            self.unknown,
            *(self.figures.get(measure.name) for measure in _compared() if measure.figure),
        )


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One module before and after; one of them is missing if the module is only in one of the networks."""

    before: Side | None
    after: Side | None
    changes: tuple[Change, ...] = ()

    @property
    def status(self) -> Status:
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "changed" if self.changes else "same"

    @property
    def side(self) -> Side:
        """The module after, or before if it was removed."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """The name of the module; the network itself is ``(root)``."""
        return self.side.name or ROOT

    @property
    def renamed(self) -> bool:
        """Whether it is in both networks under different names."""
        return self.before is not None and self.after is not None and self.before.name != self.after.name

    def figure(self, name: str) -> tuple[int, int]:
        """The figure of that name before and after, 0 where the module is missing."""
        return (
            0 if self.before is None else self.before.figures[name],
            0 if self.after is None else self.after.figures[name],
        )

    def difference(self, name: str) -> int:
        """By how much the figure of that name grew."""
        was, now = self.figure(name)
        return now - was


@dataclass(frozen=True, eq=False, repr=False)
class Diff:
    """Two profiles with their modules lined up.

    ``rows`` are in the order of the network after, with removed modules where they were; the figures of all rows add up
    to those of both profiles.  ``excluded`` has what either profile excludes and is in no total.  Figures are in the
    convention of the profile after.
    """

    before: Profile
    after: Profile
    rows: tuple[DiffRow, ...]
    excluded: DiffRow | None = None

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """Every figure that is known of both, and that of the convention if it is an additional one."""
        works = [(profile.work, profile.work.whole) for profile in (self.before, self.after)]
        every = self.after.work.figures.measures
        return tuple(measure for measure in every if all(work.figures.knows(measure, whole) for work, whole in works))

    def total(self, name: str) -> tuple[int, int]:
        """The figure of that name of both profiles."""
        was, now = self.before.work, self.after.work
        measure = next(measure for measure in self.measures if measure.name == name)
        return was.figures.sum(measure, was.whole), now.figures.sum(measure, now.whole)

    def number(self, status: Status) -> int:
        """The number of rows with this status."""
        return sum(row.status == status for row in self.rows)

    @property
    def same(self) -> bool:
        """Whether no row differs; modules may have other names."""
        return all(row.status == "same" for row in (*self.rows, *([self.excluded] if self.excluded else [])))

    @property
    def table(self) -> pd.DataFrame:
        """All rows as a data frame, see ``profiler.analysis.diff_tables``."""
        from profiler.analysis.diff_tables import diff_table

        return diff_table(self).frame

    @property
    def totals(self) -> pd.DataFrame:
        """The totals before and after, and their change, as a data frame."""
        from profiler.analysis.diff_tables import totals_table

        return totals_table(self).frame

    def __str__(self) -> str:
        """The terminal report, as wide as the terminal; 80 columns without a terminal."""
        from profiler.render.diffs import report_of
        from profiler.render.screen import printed_report

        return printed_report(report_of(self))

    def _repr_html_(self) -> str:
        """The report as HTML for a notebook."""
        from profiler.render.diffs import report_of
        from profiler.render.notebook import report_html

        return report_html(report_of(self))

    def __repr__(self) -> str:
        """The difference in one line."""
        numbers = ", ".join(f"{self.number(status)} {status}" for status in get_args(Status))
        return f"<Diff {visible(self.before.name)} → {visible(self.after.name)}: {numbers}>"


def diff(before: Profile, after: Profile) -> Diff:
    """The modules of two profiles, lined up: which are the same, changed, removed and added, and at what cost.

    Modules with the same name and type below the same module are the same; then those in a longest common sequence of
    types, also if they were renamed or wrapped.  Neither the order of the arguments nor the names of the networks
    change what is lined up.
    """
    before = before.with_convention(after.convention)
    sides = [_sides(profile.work) for profile in (before, after)]
    trees = [Tree.of((side.name, side.type, _content(side)) for side in found.values()) for found in sides]
    pairs = aligned(*trees)
    old, new = ([found[name] for name in tree.names] for found, tree in zip(sides, trees, strict=True))
    rows = [
        DiffRow(
            None if one is None else old[one],
            None if other is None else new[other],
            () if one is None or other is None else old[one].differs(new[other]),
        )
        for one, other in _merged(trees[0], trees[1], pairs)
    ]
    return Diff(before, after, tuple(rows), _excluded(before, after))


def _merged(before: Tree, after: Tree, pairs: Mapping[int, int]) -> Sequence[tuple[int | None, int | None]]:
    """The numbers of the rows: those after, in order, and among them the removed modules.

    A removed module is in front of the one that has its name now.  If there is none, it is behind the module that was
    before it, and behind everything below that one now if its own parent is still there.
    """
    numbers = {name: number for number, name in enumerate(after.names)}
    in_front: dict[int, list[int]] = {}
    behind: dict[int, list[int]] = {}
    place: list[int] = behind.setdefault(-1, [])
    last = -1
    for one, name in enumerate(before.names):
        if one in pairs:
            last = pairs[one]
            place = behind.setdefault(last, [])
            continue
        if name in numbers:
            place = in_front.setdefault(numbers[name], [])
        elif before.parents[one] in pairs:
            place = behind.setdefault(_end_of_sibling(after, last, pairs[before.parents[one]]), [])
        place.append(one)
    partners = {other: one for one, other in pairs.items()}
    rows: list[tuple[int | None, int | None]] = [(one, None) for one in behind[-1]]
    for other in range(len(after.names)):
        rows += [(one, None) for one in in_front.get(other, ())]
        rows.append((partners.get(other), other))
        rows += [(one, None) for one in behind.get(other, ())]
    return rows


def _end_of_sibling(tree: Tree, number: int, parent: int) -> int:
    """The last module below the child of ``parent`` that contains ``number``; ``number`` if no child does."""
    child = number
    while child > 0 and tree.parents[child] != parent:
        child = tree.parents[child]
    return tree.ends[child] - 1 if child > 0 else number


def _compared() -> list[Measure]:
    """The figures that decide whether a cost has changed; those of memory are not in every saved profile."""
    return [measure for measure in measures() if not measure.of_memory]


def _sides(work: Work) -> dict[str, Side]:
    """Every module of a network by its name, and what ran or is held under the name of a module without a record."""
    records = {record.name: record for record in work.trace.modules}
    groups = work.by_module
    named = dict.fromkeys(("", *records, *groups))
    return {name: _side(work, name, records.get(name), groups.get(name) or Group()) for name in named}


def _side(work: Work, name: str, record: ModuleRecord | None, group: Group) -> Side:
    row = work.figures.row(group)
    found = record or ModuleRecord(name, "", 0)
    return Side(
        name,
        found.type,
        found.calls,
        _show_calls(found.input_shapes),
        _show_calls(found.output_shapes),
        tuple(map(_held, group.parameters)),
        {measure.name: row[place] for place, measure in enumerate(work.figures.measures)},
        partial=row[UNCOUNTED] > 0,
        unknown=row[UNCOUNTED] > 0 and not row[COUNTED],
    )


def _show_calls(shapes: tuple[tuple[tuple[int, ...], ...], ...]) -> str:
    return " | ".join(map(show_shapes, shapes))


def _held(record: ParameterRecord) -> Held:
    return Held(
        record.names[0].rpartition(".")[2],
        record.shape,
        record.dtype,
        record.trainable,
        record.buffer,
        record.use == "unused",
        len(record.names),
    )


def _content(side: Side) -> tuple[object, ...]:
    """What has to be equal for two modules of one type to be the same."""
    held = tuple(map(str, side.parameters))
    names = tuple(parameter.name for parameter in side.parameters)
    figures = tuple(side.figures[measure.name] for measure in _compared())
    return side.calls, side.inputs, side.outputs, names, held, figures, side.partial, side.unknown


def _excluded(before: Profile, after: Profile) -> DiffRow | None:
    """What either profile excludes, which is in no total."""
    sides = [_excluded_side(profile) for profile in (before, after)]
    if sides == [None, None]:
        return None
    one, other = sides
    return DiffRow(one, other, () if one is None or other is None else one.differs(other))


def _excluded_side(profile: Profile) -> Side | None:
    trace = profile.trace
    if trace.excluded is None:
        return None
    record = ModuleRecord(EXCLUDED, "", calls_of_excluded(trace))
    group = left_out(trace)
    return _side(profile.work, EXCLUDED, record, group)
