"""A grouping of calls × measures → a table.  Every figure shown anywhere is a sum made here.

Sums are made in Python integers and pandas only holds the result.  A count that is not known is missing, not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from profiler.columns import HEADLINE, SUMMARIES, Column
from profiler.measures import HEADLINE as FLOPS
from profiler.measures import Measure, find_measure, measures_in
from profiler.opcount import ZERO, OpCount
from profiler.records import CounterRecord, OpCall, ParameterRecord, Trace
from profiler.schema import Table


@dataclass(eq=False)
class Group:
    """The calls and parameters of one row, with its values for the grouping's own columns.

    ``parts`` are further groups that are in it too; ``itself`` is the one of them that a module did itself, where the
    group has all below it.  ``unseen`` says that there was work that is not among the calls, and ``known`` that its
    counts are shown as they are even where nothing but the unknown is in it.  ``sums`` are the figures known by now.
    """

    cells: dict[str, Any] = field(default_factory=dict)
    calls: list[OpCall] = field(default_factory=list)
    parameters: list[ParameterRecord] = field(default_factory=list)
    parts: list[Group] = field(default_factory=list)
    itself: Group | None = None
    unseen: bool = False
    known: bool = False
    sums: dict[str, int] = field(default_factory=dict, init=False)

    @cached_property
    def partial(self) -> bool:
        """Whether there is work in it that is not counted."""
        calls = any(call.status == "uncounted" for call in self.calls)
        return self.unseen or calls or any(part.partial for part in self.parts)

    @cached_property
    def unknown(self) -> bool:
        """Whether there is nothing but such work in it: its counts are missing then."""
        return self.partial and not self.known and not self._counted

    @cached_property
    def _counted(self) -> bool:
        return any(call.count for call in self.calls if call.terms) or any(part._counted for part in self.parts)

    @property
    def status(self) -> str:
        """``"complete"`` or ``"partial"``."""
        return "partial" if self.partial else "complete"


class Figures:
    """The figures of calls and parameters: each is asked for once, however many tables show it."""

    def __init__(self) -> None:
        self._of_calls: dict[str, dict[int, int]] = {}

    def sum(self, measure: Measure, group: Group) -> int:
        """The figure of all that is in the group."""
        found = group.sums.get(measure.name)
        if found is None:
            found = self._held(measure, group.parameters) + self._called(measure, group.calls)
            for part in group.parts:
                found += self.sum(measure, part)
            group.sums[measure.name] = found
        return found

    def _held(self, measure: Measure, parameters: list[ParameterRecord]) -> int:
        return 0 if measure.held is None else sum(map(measure.held, parameters))

    def _called(self, measure: Measure, calls: list[OpCall]) -> int:
        if measure.figure is None:
            return 0
        known = self._of_calls.setdefault(measure.name, {})
        for call in calls:
            if id(call) not in known:
                known[id(call)] = measure.figure(call)
        return sum(known[id(call)] for call in calls)


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way to group calls: its own columns, and where the figures stand among them.

    The figures are those that the table of its name shows, or the table that it is ``like``.

    ``behind_flops`` come right behind the FLOPs, ``last`` behind all figures.  With
    ``totals`` a row also has the figures of its group's parts.
    """

    name: str
    subject: str
    first: tuple[Column, ...]
    behind_flops: tuple[Column, ...] = ()
    last: tuple[Column, ...] = ()
    totals: bool = False
    like: str = ""


@dataclass(frozen=True)
class Work:
    """What is tabulated: a trace, the convention's figure where it is a further one, and what other counters said.

    ``figures`` are those known by now.
    """

    trace: Trace
    headline: Measure | None = None
    counters: tuple[CounterRecord, ...] = ()
    figures: Figures = field(default_factory=Figures)

    @cached_property
    def whole(self) -> Group:
        """All that is in the trace; what is excluded is not."""
        return Group(calls=list(self.trace.calls), parameters=list(self.trace.parameters))

    def figure(self, name: str) -> int:
        """The figure of that name, of the whole network."""
        return self.figures.sum(find_measure(name), self.whole)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """For each module that ran operations itself, the kind of the costliest of them."""
        best: dict[str, tuple[tuple[int, int, int], str]] = {}
        for (module, kind), group in grouped(self.trace.calls, lambda call: (call.module, call.kind)).items():
            cost = (*self.cost(group), sum(call.status == "uncounted" for call in group.calls))
            if module not in best or cost > best[module][0]:
                best[module] = (cost, kind)
        return {module: kind for module, (_, kind) in best.items()}

    def by_module(self) -> dict[str, Group]:
        """What each module did itself and holds, in the order in which they first ran; one that did neither has none.

        One whose work was not seen is among them without any.
        """
        groups = grouped(self.trace.calls, lambda call: call.module)
        for item in self.trace.unseen:
            groups.setdefault(item.module, Group()).unseen = True
        for record in self.trace.parameters:
            groups.setdefault(record.module, Group()).parameters.append(record)
        return groups

    def cost(self, group: Group) -> tuple[int, int]:
        """The FLOPs of a group and its comparisons, by which groups are ranked."""
        flops, comparisons = (self.figures.sum(find_measure(name), group) for name in (FLOPS, "comparisons"))
        return flops, comparisons


Cell = Callable[[Group], Any]


def tabulate(grouping: Grouping, groups: Sequence[Group], work: Work) -> Table:
    """One row for each group; the figures are those that say that they are shown in it."""
    measures = measures_in(grouping.like or grouping.name)
    cells = _Cells(grouping, work)
    flops = [measure.name for measure in measures].index(FLOPS)
    columns: list[tuple[Column, Cell]] = [
        *cells.own(grouping.first),
        *cells.figures(measures[: flops + 1]),
        *cells.own(grouping.behind_flops),
        *cells.figures(measures[flops + 1 :]),
        *cells.own(grouping.last),
        *(cells.figures([work.headline]) if work.headline is not None else []),
    ]
    rows = [[cell(group) for _, cell in columns] for group in groups]
    return Table.of(grouping.name, grouping.subject, [column for column, _ in columns], rows)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The columns of one table, each with the function that gives its value for a group."""

    grouping: Grouping
    work: Work

    def own(self, columns: Iterable[Column]) -> list[tuple[Column, Cell]]:
        return [(column, _own(column.name)) for column in columns]

    def figures(self, measures: Sequence[Measure]) -> list[tuple[Column, Cell]]:
        if not self.grouping.totals:
            return [pair for measure in measures for pair in self.figure(measure)]
        held = [measure for measure in measures if measure.figure is None]
        called = [measure for measure in measures if measure.figure is not None]
        return [
            *(pair for measure in held for pair in (self.itself(measure), *self.total(measure))),
            *(self.itself(measure) for measure in called),
            *(pair for measure in called for pair in self.total(measure)),
        ]

    def figure(self, measure: Measure) -> list[tuple[Column, Cell]]:
        column, value = measure.column(), self.value(measure)
        return [(column, value), *self.share(measure, column.name, value)]

    def itself(self, measure: Measure) -> tuple[Column, Cell]:
        """What a module did itself, without what its group is of besides."""
        value = self.value(measure)
        return measure.column(), lambda group: value(group.itself or group)

    def total(self, measure: Measure) -> list[tuple[Column, Cell]]:
        column, value = measure.column("total"), self.value(measure)
        return [(column, value), *self.share(measure, column.name, value)]

    def share(self, measure: Measure, of: str, value: Cell) -> list[tuple[Column, Cell]]:
        if self.grouping.name not in measure.shares:
            return []
        whole = self.work.figures.sum(measure, self.work.whole)
        return [(measure.share(self.grouping.name, of), lambda group: part_of(value(group), whole))]

    def value(self, measure: Measure) -> Cell:
        def value(group: Group) -> int | None:
            unknown = measure.figure is not None and group.unknown
            return None if unknown else self.work.figures.sum(measure, group)

        return value


def _own(name: str) -> Cell:
    return lambda group: group.cells[name]


def part_of(figure: int | None, whole: int) -> float | None:
    """The figure as a fraction of the whole, 0 where that is nothing."""
    if figure is None:
        return None
    return figure / whole if whole else 0.0


def grouped(calls: Iterable[OpCall], key: Callable[[OpCall], Hashable]) -> dict[Any, Group]:
    """The calls by what ``key`` says of them, in the order in which that is first said."""
    groups: dict[Any, Group] = {}
    for call in calls:
        groups.setdefault(key(call), Group()).calls.append(call)
    return groups


def left_out(trace: Trace, **cells: Any) -> Group:
    """What the excluded modules did and hold."""
    excluded = trace.excluded
    if excluded is None:
        return Group(cells)
    return Group(cells, list(excluded.calls), list(excluded.parameters))


def with_headline(columns: Iterable[Column], name: str) -> tuple[Column, ...]:
    """The columns with the figure of that name right behind the first, and its share with it.

    Where the headline is not the FLOPs, these are the last that a summary shows.
    """
    places = {**({} if name == FLOPS else {FLOPS: SUMMARIES - 2, f"{FLOPS}_share": SUMMARIES - 1}), name: HEADLINE}
    if name != FLOPS:
        places[f"{name}_share"] = HEADLINE
    return tuple(replace(column, priority=places.get(column.name, column.priority)) for column in columns)


def calls_of_excluded(trace: Trace) -> int:
    """How often the excluded modules that ran operations themselves were called."""
    working = {call.module for call in trace.excluded.calls} if trace.excluded is not None else set()
    return sum(record.calls for record in trace.whole.modules if record.name in working and record.name)


def total_count(trace: Trace) -> OpCount:
    """The counts of the whole network; what is uncounted is not in them."""
    count = ZERO
    for call in trace.calls:
        count = count + call.count
    return count
