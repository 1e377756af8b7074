"""A grouping of calls × measures → a table.  Every shown figure is a sum that is computed here.

Sums are computed in Python integers; pandas only holds the result.  An unknown count is missing, not zero.
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

    ``parts`` are groups that it contains; ``itself`` is the part with a module's own work, if the group includes
    everything below it.  ``unseen`` says that some work is not among the calls, and ``known`` that its counts are shown
    even if all its work is uncounted.  ``sums`` caches computed figures.
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
        """Whether some of its work is not counted."""
        calls = any(call.status == "uncounted" for call in self.calls)
        return self.unseen or calls or any(part.partial for part in self.parts)

    @cached_property
    def unknown(self) -> bool:
        """Whether none of its work is counted: its counts are then missing."""
        return self.partial and not self.known and not self._counted

    @cached_property
    def _counted(self) -> bool:
        return any(call.count for call in self.calls if call.terms) or any(part._counted for part in self.parts)

    @property
    def status(self) -> str:
        """``"complete"`` or ``"partial"``."""
        return "partial" if self.partial else "complete"


class Figures:
    """The figures of calls and parameters: each is computed once, even if several tables show it."""

    def __init__(self) -> None:
        self._of_calls: dict[str, dict[int, int]] = {}

    def sum(self, measure: Measure, group: Group) -> int:
        """The figure of everything in the group."""
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
    """One way to group calls: its own columns, and the place of the figures among them.

    The figures are those of the table of its name, or of the table ``like``.

    The columns ``behind_flops`` follow the FLOPs, ``last`` follow all figures.  With ``totals`` a row also has the
    figures of its group with all parts.
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
    """The input of tables: a trace, the convention's figure if it is an additional one, and the reports of counters.

    ``figures`` caches computed figures.
    """

    trace: Trace
    headline: Measure | None = None
    counters: tuple[CounterRecord, ...] = ()
    figures: Figures = field(default_factory=Figures)

    @cached_property
    def whole(self) -> Group:
        """Everything in the trace, without what is excluded."""
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
        """The own work and parameters of each module that has some, in the order in which they first ran.

        A module with unseen work is included even without calls.
        """
        groups = grouped(self.trace.calls, lambda call: call.module)
        for item in self.trace.unseen:
            groups.setdefault(item.module, Group()).unseen = True
        for record in self.trace.parameters:
            groups.setdefault(record.module, Group()).parameters.append(record)
        return groups

    def cost(self, group: Group) -> tuple[int, int]:
        """The FLOPs and comparisons of a group, by which groups are ranked."""
        flops, comparisons = (self.figures.sum(find_measure(name), group) for name in (FLOPS, "comparisons"))
        return flops, comparisons


Cell = Callable[[Group], Any]


def tabulate(grouping: Grouping, groups: Sequence[Group], work: Work) -> Table:
    """One row for each group, with the measures of the grouping's table."""
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
    """The columns of one table, each with the function that computes its value for a group."""

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
        """The figure of a module's own work, without the other parts of its group."""
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
    """The figure as a fraction of the whole; 0 if the whole is 0."""
    if figure is None:
        return None
    return figure / whole if whole else 0.0


def grouped(calls: Iterable[OpCall], key: Callable[[OpCall], Hashable]) -> dict[Any, Group]:
    """The calls grouped by ``key``, in the order of first appearance."""
    groups: dict[Any, Group] = {}
    for call in calls:
        groups.setdefault(key(call), Group()).calls.append(call)
    return groups


def left_out(trace: Trace, **cells: Any) -> Group:
    """The work and parameters of the excluded modules."""
    excluded = trace.excluded
    if excluded is None:
        return Group(cells)
    return Group(cells, list(excluded.calls), list(excluded.parameters))


def with_headline(columns: Iterable[Column], name: str) -> tuple[Column, ...]:
    """The columns with the figure of that name, and its share, directly after the first column.

    If the headline is not the FLOPs, the FLOPs become the last columns of a summary.
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
    """The counts of the whole network, without uncounted operations."""
    count = ZERO
    for call in trace.calls:
        count = count + call.count
    return count
