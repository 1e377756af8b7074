"""A grouping of calls × measures → a table.  Every shown figure is a sum that is computed here.

Equal calls are summed up together.  Sums are Python integers.  An unknown count is missing, not zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from operator import add
from typing import TYPE_CHECKING, Any

from profiler.calls import Tally, tallies
from profiler.columns import FILES, HEADLINE, SUMMARIES, Column
from profiler.errors import ProfilerError
from profiler.events import MemoryUse
from profiler.measures import HEADLINE as FLOPS
from profiler.measures import Measure, Ratio, find_measure, measures, measures_in, ratio_of, ratios_in
from profiler.opcount import ZERO, OpCount
from profiler.records import Answer, CounterRecord, OpCall, ParameterRecord, Trace
from profiler.schema import Table
from profiler.signatures import Signature

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.energy import EnergyModel
    from profiler.throughput import Throughput


@dataclass(eq=False, slots=True)
class Group:
    """The calls and parameters of one row, with its values for the grouping's own columns.

    ``tallies`` are its distinct calls with their numbers.  ``parts`` are groups that it contains; ``itself`` is the
    part with a module's own work, if the group includes everything below it.  ``unseen`` says that some work is not
    among the calls, and ``known`` that its counts are shown even if all its work is uncounted.  ``in_footer`` says that
    its row stays below all others.
    """

    cells: dict[str, Any] = field(default_factory=dict)
    tallies: list[Tally] = field(default_factory=list)
    parameters: list[ParameterRecord] = field(default_factory=list)
    parts: list[Group] = field(default_factory=list)
    itself: Group | None = None
    unseen: bool = False
    known: bool = False
    in_footer: bool = False

    @property
    def times(self) -> int:
        """The number of its calls, without those of its parts."""
        return sum(tally.times for tally in self.tallies)


Row = tuple[int, ...]
"""The figures of a group, then how many of its calls use unknown memory, are uncounted (or gaps), and are counted."""

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

    def __init__(self, shown: Sequence[Measure]) -> None:
        self.measures = tuple(shown)
        self._places = {measure.name: place for place, measure in enumerate(self.measures)}
        self._held = [(place, measure.held) for place, measure in enumerate(self.measures) if measure.held is not None]
        self._width = len(self.measures) + 3
        self._nothing: Row = (0,) * self._width
        self._of_calls = _rows_of(self.measures)
        self._of_tallies: dict[Tally, Row] = {}
        self._of_groups: dict[Group, Row] = {}
        self._others: dict[str, Figures] = {}

    def sum(self, measure: Measure, group: Group) -> int:
        """The figure of everything in the group."""
        if measure.name not in self._places:
            other = self._others.setdefault(measure.name, Figures((measure,)))
            return other.sum(measure, group)
        return self.row(group)[self._places[measure.name]]

    def place(self, name: str) -> int:
        """The place of the figure of that name in a row."""
        return self._places[name]

    def columns(self, groups: Sequence[Group]) -> dict[str, Sequence[int | None]]:
        """The figures of the groups by the names of their measures, missing where they are not known."""
        rows = [self.row(group) for group in groups]
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
        found = known.get(group)
        if found is not None:
            return found
        if not group.parts or all(part in known for part in group.parts):
            found = known[group] = self._sum(group)
            return found
        waiting = [group]
        while waiting:
            last = waiting[-1]
            missing = [part for part in last.parts if part not in known]
            if missing and last not in known:
                waiting += missing
                continue
            waiting.pop()
            if last not in known:
                known[last] = self._sum(last)
        return known[group]

    def _sum(self, group: Group) -> Row:
        rows = [self._of_tallies.get(tally) or self._of_tally(tally) for tally in group.tallies]
        if group.parts:
            rows += [self._of_groups[part] for part in group.parts]
        if not (group.parameters or group.unseen):
            return rows[0] if len(rows) == 1 else tuple(_added(rows)) if rows else self._nothing
        total = list(_added(rows)) if rows else [0] * self._width
        for record in group.parameters:
            for place, held in self._held:
                total[place] += held(record)
        total[UNCOUNTED] += group.unseen
        return tuple(total)

    def _of_tally(self, tally: Tally) -> Row:
        row, times = self._of_call(tally), tally.times
        found = self._of_tallies[tally] = row if times == 1 else tuple([figure * times for figure in row])
        return found

    def _of_call(self, tally: Tally) -> Row:
        """The figures of one of its calls."""
        facts = id(tally.signature), id(tally.answer), tally.kind, tally.phase, tally.memory
        known = self._of_calls.get(facts)
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
        if len(self._of_calls) >= MOST_ROWS:
            self._of_calls.clear()
        self._of_calls[facts] = row, call.signature, call.answer  # alive, so that their ids are not reused
        return row


def _added(rows: list[Row]) -> Iterable[int]:
    """The sums of the figures in each place."""
    if len(rows) > 2:
        return map(sum, zip(*rows, strict=True))
    return rows[0] if len(rows) == 1 else map(add, *rows)


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
    def whole(self) -> Group:
        """Everything in the trace, without what is excluded."""
        return Group(tallies=list(self.tallies), parameters=list(self.trace.parameters))

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
        return {module: self._kind(group.tallies) for module, group in self.by_module.items() if group.tallies}

    def _kind(self, found: Sequence[Tally]) -> str:
        """The kind of the costliest of these calls, those of each kind added up; the first one of several."""
        first = found[0].kind
        if len(found) == 1 or all(tally.kind == first for tally in found):
            return first
        groups: dict[str, Group] = gathered(found, lambda tally: tally.kind)
        costs = {kind: (*self.cost(group), self.figures.row(group)[UNCOUNTED]) for kind, group in groups.items()}
        return max(costs, key=costs.__getitem__)

    @cached_property
    def by_module(self) -> dict[str, Group]:
        """The own work and parameters of each module that has some, in the order in which they first ran.

        A module with unseen work is included even without calls.
        """
        groups = gathered(self.tallies, lambda tally: tally.module)
        for item in self.trace.unseen:
            groups.setdefault(item.module, Group()).unseen = True
        for record in self.trace.parameters:
            groups.setdefault(record.module, Group()).parameters.append(record)
        return groups

    def status(self, group: Group) -> str:
        """``"complete"``, or ``"partial"`` if some of the group's work is not counted."""
        return "partial" if self.figures.partial(group) else "complete"

    def statuses(self, groups: Iterable[Group]) -> list[str]:
        """The status of each group."""
        row = self.figures.row
        return ["partial" if row(group)[UNCOUNTED] > 0 else "complete" for group in groups]

    def cost(self, group: Group) -> tuple[int, int]:
        """The FLOPs and comparisons of a group, by which groups are ranked."""
        row = self.figures.row(group)
        flops, comparisons = self._ranking
        return row[flops], row[comparisons]

    @cached_property
    def _ranking(self) -> tuple[int, int]:
        return self.figures.place(FLOPS), self.figures.place("comparisons")


def tabulate(grouping: Grouping, groups: Sequence[Group], work: Work) -> Table:
    """One row for each group, with the measures of the grouping's table."""
    shown = measures_in(grouping.like or grouping.name)
    cells = _Cells(grouping, work, groups)
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
    footer = sum(group.in_footer for group in groups)
    return Table(grouping.name, grouping.subject, schema, tuple(values for _, values in columns), footer)


class _Cells:
    """The columns of one table, each with its value for every group."""

    def __init__(self, grouping: Grouping, work: Work, groups: Sequence[Group]) -> None:
        self.grouping = grouping
        self.work = work
        self.groups = groups
        self.whole = work.figures.columns(groups)
        self.own_work = work.figures.columns([group.itself or group for group in groups]) if grouping.totals else {}

    def own(self, columns: Iterable[Column]) -> list[tuple[Column, Sequence[Any]]]:
        return [(column, [group.cells[column.name] for group in self.groups]) for column in columns]

    def figures(self, measures: Sequence[Measure]) -> list[tuple[Column, Sequence[Any]]]:
        if not self.grouping.totals:
            return [pair for measure in measures for pair in self.figure(measure)]
        held = [measure for measure in measures if measure.figure is None]
        called = [measure for measure in measures if measure.figure is not None]
        return [
            *(pair for measure in held for pair in (self.itself(measure), *self.figure(measure, "total"))),
            *(self.itself(measure) for measure in called),
            *(pair for measure in called for pair in self.figure(measure, "total")),
        ]

    def ratios(self, found: Sequence[Ratio]) -> list[tuple[Column, Sequence[Any]]]:
        """The ratios of each group with all its parts; for a module, those of its own work too."""
        if not self.grouping.totals:
            return [(ratio.column(), _ratios(ratio, self.whole)) for ratio in found]
        return [
            *((_in_files(ratio.column()), _ratios(ratio, self.own_work)) for ratio in found),
            *((ratio.column("total"), _ratios(ratio, self.whole)) for ratio in found),
        ]

    def figure(self, measure: Measure, ending: str = "") -> list[tuple[Column, Sequence[Any]]]:
        """The figure of each group with all its parts, and its share of the whole, if the table shows that."""
        column, values = measure.column(ending), self.whole[measure.name]
        if self.grouping.name not in measure.shares:
            return [(column, values)]
        whole = self.work.figures.sum(measure, self.work.whole)
        shares = [part_of(value, whole) for value in values]
        return [(column, values), (measure.share(self.grouping.name, column.name), shares)]

    def itself(self, measure: Measure) -> tuple[Column, Sequence[Any]]:
        """The figure of a module's own work, without the other parts of its group."""
        return _in_files(measure.column()), self.own_work[measure.name]


@lru_cache(maxsize=1024)
def _in_files(column: Column) -> Column:
    """The same column, shown in files and not in a terminal."""
    return replace(column, priority=FILES)


def _ratios(ratio: Ratio, figures: Mapping[str, Sequence[int | None]]) -> list[float | None]:
    """The ratio of each row."""
    below = zip(*(figures[name] for name in ratio.below), strict=True)
    return list(map(ratio_of, figures[ratio.above], below))


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
    return Group(cells, list(tallies(excluded.calls)), list(excluded.parameters), in_footer=True)


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
    times: dict[OpCount, int] = {}
    for tally in tallies(trace.calls):
        count = tally.answer.count
        times[count] = times.get(count, 0) + tally.times
    return sum((count * number for count, number in times.items()), ZERO)
