"""A grouping of calls × measures → a table.  Every shown figure is a sum that is computed here.

Equal calls are summed up together.  Sums are Python integers.  An unknown count is missing, not zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, reduce
from operator import add, attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from profiler.calls import Calls, Operation, Tally, tallies, total_of
from profiler.columns import FILES, HEADLINE, SUMMARIES, Column
from profiler.errors import ProfilerError
from profiler.events import MemoryUse
from profiler.measures import HEADLINE as FLOPS
from profiler.measures import Measure, Ratio, find_measure, measures, measures_in, ratio_of, ratios_in
from profiler.opcount import OpCount
from profiler.records import Answer, CounterRecord, OpCall, ParameterRecord, Trace
from profiler.schema import Table
from profiler.signatures import Signature

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.energy import EnergyModel
    from profiler.throughput import Throughput


T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Group:
    """The calls and parameters of one row, with its values for the grouping's own columns.

    ``tallies`` are its distinct calls with their numbers.  ``parts`` are groups that it contains; ``itself`` is the
    part with a module's own work, if the group includes everything below it.  ``same`` is a group that other groups
    share: its calls do the same as theirs, and it has the same figures and the same ``known``.  ``unseen`` says that
    some work is not among the calls, and ``known`` that its counts are shown even if all its work is uncounted.
    ``in_footer`` says that its row stays below all others.
    """

    cells: dict[str, Any] = field(default_factory=dict)
    tallies: Sequence[Tally] = ()
    parameters: Sequence[ParameterRecord] = ()
    parts: Sequence[Group] = ()
    itself: Group | None = None
    same: Group | None = None
    unseen: bool = False
    known: bool = False
    in_footer: bool = False

    @property
    def times(self) -> int:
        """The number of its calls, without those of its parts."""
        return sum(tally.times for tally in self.tallies)


Row = tuple[int, ...]
"""The figures of a group, then how many of its calls use unknown memory, are uncounted (or gaps), and are counted."""

KIND = attrgetter("operation.kind")
"""The kind of a tally."""

UNKNOWN_MEMORY, UNCOUNTED, COUNTED = -3, -2, -1
"""The places of the last three in a row."""


MOST_ROWS = 2**14
"""The maximum number of calls whose figures are kept for later profiles."""


_Known = dict[tuple[int, int, str, str, MemoryUse], tuple[Row, Signature, Answer]]

_known: dict[tuple[int, ...], tuple[tuple[Measure, ...], _Known]] = {}
"""By the ids of measures, the figures of calls that are known: profiles in one process share signatures and answers."""


def _rows_of(shown: tuple[Measure, ...]) -> _Known:
    key = tuple(map(id, shown))
    if key not in _known:
        if len(_known) >= 16:
            _known.clear()
        _known[key] = shown, {}
    return _known[key][1]


class Figures:
    """All figures of calls and groups: each is computed once, even if several tables show it.

    A figure of a call follows from its signature, its answer, its kind, its phase and its use of memory.
    """

    def __init__(self, shown: Sequence[Measure], *, shared: bool = True) -> None:
        """The figures ``shown``; ``shared`` says whether groups that share a group have the same ones of these."""
        self.measures = tuple(shown)
        self._shared = shared
        self._places = {measure.name: place for place, measure in enumerate(self.measures)}
        self._held = [(place, measure.held) for place, measure in enumerate(self.measures) if measure.held is not None]
        self._width = len(self.measures) + 3
        self._nothing: Row = (0,) * self._width
        self._kept = _rows_of(self.measures)
        self._of_operations: dict[Operation, Row] = {}
        self._of_groups: dict[Group, Row] = {}
        self._others: dict[str, Figures] = {}

    def sum(self, measure: Measure, group: Group) -> int:
        """The figure of everything in the group."""
        if measure.name not in self._places:
            other = self._others.setdefault(measure.name, Figures((measure,), shared=False))
            return other.sum(measure, group)
        return self.row(group)[self._places[measure.name]]

    def rows(self, groups: Iterable[Group]) -> list[Row]:
        """The figures of everything in each group."""
        known, row = self._of_groups, self.row
        return [known.get(group) or row(group) for group in groups]

    def held(self, parameters: Sequence[ParameterRecord]) -> Iterable[Row]:
        """The figures of each of these parameters, only those of measures that parameters have."""
        columns = [map(held, parameters) for _, held in self._held]
        return zip(*columns, strict=True) if columns else [()] * len(parameters)

    def place(self, name: str) -> int:
        """The place of the figure of that name in a row."""
        return self._places[name]

    def columns(self, groups: Sequence[Group]) -> dict[str, Sequence[int | None]]:
        """The figures of the groups by the names of their measures, missing where they are not known."""
        rows = self.rows(groups)
        columns = list(zip(*rows, strict=True)) or [()] * self._width
        found: dict[str, Sequence[int | None]] = {name: columns[place] for name, place in self._places.items()}
        if any(columns[UNCOUNTED]):
            unknown = [_is_unknown(row, group) for row, group in zip(rows, groups, strict=True)]
            for measure in self.measures:
                if measure.figure is not None and not measure.of_memory:
                    values = zip(found[measure.name], unknown, strict=True)
                    found[measure.name] = [None if missing else value for value, missing in values]
        if any(columns[UNKNOWN_MEMORY]):
            for measure in self.measures:
                if measure.of_memory:
                    values = zip(found[measure.name], columns[UNKNOWN_MEMORY], strict=True)
                    found[measure.name] = [None if missing else value for value, missing in values]
        return found

    def knows(self, measure: Measure, group: Group) -> bool:
        """Whether the figure is known of every call in the group that has a rule."""
        return not (measure.of_memory and self.row(group)[UNKNOWN_MEMORY])

    def partial(self, group: Group) -> bool:
        """Whether some of the group's work is not counted."""
        return self.row(group)[UNCOUNTED] > 0

    def row(self, group: Group) -> Row:
        """The figures of everything in the group, however deep its parts are."""
        known = self._of_groups
        waiting = self._alike([group])
        while waiting:
            last = waiting[-1]
            if last not in known:
                parts = self._alike(last.parts)
                missing = [part for part in parts if part not in known]
                if missing:
                    waiting += missing
                    continue
                known[last] = self._sum(last, [known[part] for part in parts])
            waiting.pop()
        return known[last]

    def _alike(self, groups: Iterable[Group]) -> list[Group]:
        """For each group the one that it shares its figures with: itself if it shares none."""
        return [group.same or group for group in groups] if self._shared else list(groups)

    def _sum(self, group: Group, parts: list[Row]) -> Row:
        rows = self._rows(group.tallies) + parts
        row = rows[0] if len(rows) == 1 else tuple(map(sum, zip(*rows, strict=True))) if rows else self._nothing
        if group.parameters:
            row = self._with_held(row, group.parameters)
        if group.unseen:
            row = (*row[:UNCOUNTED], row[UNCOUNTED] + 1, *row[UNCOUNTED + 1 :])
        return row

    def _with_held(self, row: Row, parameters: Sequence[ParameterRecord]) -> Row:
        """The row with the figures of these parameters."""
        total = list(row)
        for place, held in self._held:
            total[place] += sum(map(held, parameters))
        return tuple(total)

    def _rows(self, found: Sequence[Tally]) -> list[Row]:
        """The figures of each of these calls, times their number."""
        known = self._of_operations
        rows = []
        for tally in found:
            row = known.get(tally.operation)
            if row is None:
                row = known[tally.operation] = self._of_call(tally)
            rows.append(row if tally.times == 1 else tuple([figure * tally.times for figure in row]))
        return rows

    def _of_call(self, tally: Tally) -> Row:
        """The figures of one of its calls."""
        operation = tally.operation
        facts = id(operation.signature), id(operation.answer), operation.kind, operation.phase, operation.memory
        known = self._kept.get(facts)
        if known is not None:
            return known[0]
        call = tally.call
        figures = [0 if measure.figure is None else measure.figure(call) for measure in self.measures]
        row = (
            *[0 if figure is None else figure for figure in figures],
            1 if None in figures else 0,
            1 if call.answer.status == "uncounted" else 0,
            1 if call.answer.terms and call.answer.count else 0,
        )
        if len(self._kept) >= MOST_ROWS:
            self._kept.clear()
        self._kept[facts] = row, call.signature, call.answer  # alive, so that their ids are not reused
        return row


def _is_unknown(row: Row, group: Group) -> bool:
    """Whether none of the group's work is counted: its counts are then missing."""
    return row[UNCOUNTED] > 0 and not group.known and not row[COUNTED]


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

    ``device`` and ``energy`` are those by which times and energies are shown, if any are,
    and ``throughput`` is the speed of the run of training that the trace is a step of.
    """

    trace: Trace
    headline: Measure | None = None
    counters: tuple[CounterRecord, ...] = ()
    device: Device | None = None
    energy: EnergyModel | None = None
    throughput: Throughput | None = None

    @cached_property
    def figures(self) -> Figures:
        """The figures of all groups of this work."""
        return Figures((*measures(), *([self.headline] if self.headline is not None else [])))

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """The distinct calls, without what is excluded."""
        return tallies(self.trace.calls)

    @cached_property
    def anywhere(self) -> tuple[Tally, ...]:
        """The distinct operations, wherever they ran, without what is excluded."""
        calls = self.trace.calls
        return calls.anywhere if isinstance(calls, Calls) else self.tallies

    @cached_property
    def whole(self) -> Group:
        """Everything in the trace, without what is excluded."""
        return Group(
            tallies=self.tallies,
            parameters=self.trace.parameters,
            same=Group(parameters=self.trace.parameters, parts=tuple(self.by_kind.values())),
        )

    def figure(self, name: str) -> int:
        """The figure of that name, of the whole network.  Raises ProfilerError if it is not known."""
        if not self.knows(name):
            raise ProfilerError(
                f"{name}: not known of this profile, which an earlier version has saved; profile the network again"
            )
        return self.figures.sum(find_measure(name), self.whole)

    def knows(self, name: str) -> bool:
        """Whether that figure is known of every call."""
        return self.figures.knows(find_measure(name), self.whole)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """For each module that ran operations itself, the kind of the costliest of them."""
        working = {module: group for module, group in self.by_module.items() if group.tallies}
        kinds = of_each(working.values(), lambda group: self._kind(group.tallies))
        return dict(zip(working, kinds, strict=True))

    def _kind(self, found: Sequence[Tally]) -> str:
        """The kind of the costliest of these calls, those of each kind added up; the first one of several."""
        first = found[0].operation.kind
        if len(found) == 1 or all(tally.operation.kind == first for tally in found):
            return first
        groups: dict[str, Group] = gathered(found, KIND)
        costs = {kind: (*self.cost(group), self.figures.row(group)[UNCOUNTED]) for kind, group in groups.items()}
        return max(costs, key=costs.__getitem__)

    @cached_property
    def by_kind(self) -> dict[str, Group]:
        """The distinct operations of each kind, wherever they ran, in the order in which they first ran."""
        return gathered(self.anywhere, KIND)

    @cached_property
    def by_module(self) -> dict[str, Group]:
        """The own work and parameters of each module that has some, in the order in which they first ran.

        A module with unseen work is included even without calls.
        """
        calls: defaultdict[str, list[Tally]] = defaultdict(list)
        held: defaultdict[str, list[ParameterRecord]] = defaultdict(list)
        facts: defaultdict[str, list[Hashable]] = defaultdict(list)
        """What the figures of each module follow from."""
        for tally in self.tallies:
            calls[tally.module].append(tally)
            facts[tally.module] += tally.operation, tally.times
        unseen = dict.fromkeys([item.module for item in self.trace.unseen])
        for module in unseen:
            facts[module].append("unseen")
        for record, figures in zip(self.trace.parameters, self.figures.held(self.trace.parameters), strict=True):
            held[record.module].append(record)
            facts[record.module].append(figures)
        shared: dict[tuple[Hashable, ...], Group] = {}
        groups: dict[str, Group] = {}
        for module, its_facts in facts.items():
            own, parameters, key = calls.get(module, ()), held.get(module, ()), tuple(its_facts)
            groups[module] = Group(tallies=own, parameters=parameters, same=shared.get(key), unseen=module in unseen)
            shared.setdefault(key, groups[module])
        return groups

    def status(self, group: Group) -> str:
        """``"complete"``, or ``"partial"`` if some of the group's work is not counted."""
        return "partial" if self.figures.partial(group) else "complete"

    def statuses(self, groups: Iterable[Group]) -> Sequence[str]:
        """The status of each group."""
        distinct = Distinct(groups)
        rows = self.figures.rows(distinct.groups)
        return distinct.spread(["partial" if row[UNCOUNTED] > 0 else "complete" for row in rows])

    def cost(self, group: Group) -> tuple[int, int]:
        """The FLOPs and comparisons of a group, by which groups are ranked."""
        row = self.figures.row(group)
        flops, comparisons = self._ranking
        return row[flops], row[comparisons]

    @cached_property
    def _ranking(self) -> tuple[int, int]:
        return self.figures.place(FLOPS), self.figures.place("comparisons")


class Distinct:
    """The distinct ones among groups: ``groups`` has one for all that share it, in the order of first appearance."""

    def __init__(self, groups: Iterable[Group]) -> None:
        alike = [group.same or group for group in groups]
        numbers = {group: number for number, group in enumerate(dict.fromkeys(alike))}
        self.groups = list(numbers)
        self._numbers = list(map(numbers.__getitem__, alike))

    def spread(self, values: Sequence[T]) -> Sequence[T]:
        """A value for each of the groups, from one for each distinct group."""
        return values if len(self.groups) == len(self._numbers) else itemgetter(*self._numbers)(values)


def of_each(groups: Iterable[Group], value: Callable[[Group], T]) -> Sequence[T]:
    """A value for each group that follows from what its calls do: found once for all groups that do the same."""
    distinct = Distinct(groups)
    return distinct.spread(list(map(value, distinct.groups)))


def tabulate(
    grouping: Grouping, groups: Sequence[Group], work: Work, own: Mapping[str, Sequence[Any]] | None = None
) -> Table:
    """One row for each group, with the measures of the grouping's table.

    ``own`` has the values of the grouping's own columns by their names; by default they are the groups' cells.
    """
    shown = measures_in(grouping.like or grouping.name)
    if own is None:
        columns_of_its_own = (*grouping.first, *grouping.behind_flops, *grouping.last)
        own = {column.name: [group.cells[column.name] for group in groups] for column in columns_of_its_own}
    cells = _Cells(grouping, work, groups, own)
    flops = [measure.name for measure in shown].index(FLOPS)
    columns: list[tuple[Column, Sequence[Any]]] = [
        *cells.own(grouping.first),
        *cells.figures(shown[: flops + 1]),
        *cells.own(grouping.behind_flops),
        *cells.figures(shown[flops + 1 :]),
        *cells.ratios(ratios_in(grouping.like or grouping.name)),
        *cells.own(grouping.last),
        *(cells.figures([work.headline]) if work.headline is not None else []),
    ]
    schema = tuple(column for column, _ in columns)
    footer = [group.in_footer for group in groups].count(True)
    return Table(grouping.name, grouping.subject, schema, tuple(values for _, values in columns), footer)


class _Cells:
    """The columns of one table, each with its value for every group."""

    def __init__(
        self, grouping: Grouping, work: Work, groups: Sequence[Group], own: Mapping[str, Sequence[Any]]
    ) -> None:
        self.grouping = grouping
        self.own_values = own
        self.work = work
        self.whole = _Values(groups, work)
        self.itself = _Values([group.itself or group for group in groups], work) if grouping.totals else self.whole

    def own(self, columns: Iterable[Column]) -> list[tuple[Column, Sequence[Any]]]:
        return [(column, self.own_values[column.name]) for column in columns]

    def figures(self, measures: Sequence[Measure]) -> list[tuple[Column, Sequence[Any]]]:
        if not self.grouping.totals:
            return [pair for measure in measures for pair in self.figure(measure)]
        held = [measure for measure in measures if measure.figure is None]
        called = [measure for measure in measures if measure.figure is not None]
        return [
            *(pair for measure in held for pair in (self.own_work(measure), *self.figure(measure, "total"))),
            *(self.own_work(measure) for measure in called),
            *(pair for measure in called for pair in self.figure(measure, "total")),
        ]

    def ratios(self, found: Sequence[Ratio]) -> list[tuple[Column, Sequence[Any]]]:
        """The ratios of each group with all its parts; for a module, those of its own work too."""
        if not self.grouping.totals:
            return [(ratio.column(), self.whole.ratios(ratio)) for ratio in found]
        return [
            *((_in_files(ratio.column()), self.itself.ratios(ratio)) for ratio in found),
            *((ratio.column("total"), self.whole.ratios(ratio)) for ratio in found),
        ]

    def figure(self, measure: Measure, ending: str = "") -> list[tuple[Column, Sequence[Any]]]:
        """The figure of each group with all its parts, and its share of the whole, if the table shows that."""
        column, values = measure.column(ending), self.whole.figures(measure)
        if self.grouping.name not in measure.shares:
            return [(column, values)]
        return [(column, values), (measure.share(self.grouping.name, column.name), self.whole.shares(measure))]

    def own_work(self, measure: Measure) -> tuple[Column, Sequence[Any]]:
        """The figure of a module's own work, without the other parts of its group."""
        return _in_files(measure.column()), self.itself.figures(measure)


class _Values:
    """The values of groups that follow from their figures, computed once for all groups that share them."""

    def __init__(self, groups: Iterable[Group], work: Work) -> None:
        self.work = work
        self.distinct = Distinct(groups)
        self.columns = work.figures.columns(self.distinct.groups)

    def figures(self, measure: Measure) -> Sequence[int | None]:
        """The figure of each group."""
        return self.distinct.spread(self.columns[measure.name])

    def shares(self, measure: Measure) -> Sequence[float | None]:
        """The share of each group in the figure of the whole network."""
        whole = self.work.figures.sum(measure, self.work.whole)
        return self.distinct.spread(_parts_of(self.columns[measure.name], whole))

    def ratios(self, ratio: Ratio) -> Sequence[float | None]:
        """The ratio of each group."""
        return self.distinct.spread(_ratios(ratio, self.columns))


@lru_cache(maxsize=1024)
def _in_files(column: Column) -> Column:
    """The same column, shown in files and not in a terminal."""
    return replace(column, priority=FILES)


def _ratios(ratio: Ratio, figures: Mapping[str, Sequence[int | None]]) -> list[float | None]:
    """The ratio of each row."""
    above, below = figures[ratio.above], [figures[name] for name in ratio.below]
    if None in above or any(None in column for column in below):
        return list(map(ratio_of, above, zip(*below, strict=True)))
    columns: list[Iterable[Any]] = list(below)
    divisors = reduce(lambda ones, others: map(add, ones, others), columns)
    pairs: Iterable[tuple[Any, Any]] = zip(above, divisors, strict=True)
    return [figure / divisor if divisor else None for figure, divisor in pairs]


def _parts_of(values: Sequence[int | None], whole: int) -> list[float | None]:
    """Each value as a fraction of the whole; 0 if the whole is 0."""
    if whole and None not in values:
        return [value / whole for value in values]  # type: ignore[operator]
    return [part_of(value, whole) for value in values]


def part_of(figure: int | None, whole: int) -> float | None:
    """The figure as a fraction of the whole; 0 if the whole is 0."""
    if figure is None:
        return None
    return figure / whole if whole else 0.0


def grouped(calls: Sequence[OpCall], key: Callable[[OpCall], Hashable]) -> dict[Any, Group]:
    """The calls grouped by ``key``, in the order of first appearance.

    ``key`` is the same for all calls that one tally stands for; see :class:`~profiler.calls.Tally`.
    """
    return gathered(tallies(calls), lambda tally: key(tally.call))


def gathered(found: Iterable[Tally], key: Callable[[Tally], Hashable]) -> dict[Any, Group]:
    """The tallies grouped by ``key``, in the order of first appearance."""
    of_groups: defaultdict[Any, list[Tally]] = defaultdict(list)
    for tally in found:
        of_groups[key(tally)].append(tally)
    return {of: Group(tallies=same) for of, same in of_groups.items()}


def left_out(trace: Trace, **cells: Any) -> Group:
    """The work and parameters of the excluded modules."""
    excluded = trace.excluded
    if excluded is None:
        return Group(cells, in_footer=True)
    return Group(cells, tallies(excluded.calls), excluded.parameters, in_footer=True)


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
    excluded = () if trace.excluded is None else tallies(trace.excluded.calls)
    working = {tally.module for tally in excluded}
    return sum(record.calls for record in trace.whole.modules if record.name in working and record.name)


def total_count(trace: Trace) -> OpCount:
    """The counts of the whole network, without uncounted operations."""
    calls = trace.calls
    return calls.total if isinstance(calls, Calls) else total_of(tallies(calls))
