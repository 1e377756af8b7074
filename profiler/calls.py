"""The calls of a trace in compact form, and how often each distinct one was made.

Tables are sums over the distinct calls, each multiplied by its number, so their time depends on what is different and
not on how often it is repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

from profiler.events import Events, Memories, MemoryUse
from profiler.opcount import SCALAR_OPERATIONS, OpCount
from profiler.records import Answer, Event, Mode, OpCall, Phase, Status, Trace
from profiler.signatures import Signature


@dataclass(slots=True, eq=False)
class Operation:
    """What the figures of a call follow from.

    Calls of one trace with the same operation have the same figures, wherever they ran.
    """

    signature: Signature
    answer: Answer
    kind: str
    phase: Phase
    memory: MemoryUse


@dataclass(slots=True, eq=False)
class Tally:
    """A call and how often it was made: the first of ``times`` calls that differ at most in what tables ignore.

    ``place`` is its place among all calls.  Its ``call`` is made when it is needed, from the event of that ``number``;
    most tables only need the fields and properties here, which are those of the call.

    These calls are the same operation, ran in the same module and function, and read the same parameters.  They may
    differ in the number of the module's call, in their source and in their storages.
    """

    times: int
    place: int
    operation: Operation
    module: str
    parameters: tuple[str, ...]
    events: Sequence[Event]
    number: int
    made: OpCall | None = None

    @classmethod
    def of(cls, call: OpCall, times: int, place: int) -> Tally:
        """The tally of a call that was made already."""
        event = call.event
        memory = Memories().of(event.touched, event.reads, event.writes, event.makes)
        operation = Operation(call.signature, call.answer, call.kind, event.phase, memory)
        return cls(times, place, operation, event.module, event.parameters, (event,), 0, call)

    @property
    def call(self) -> OpCall:
        """The call."""
        if self.made is None:
            operation = self.operation
            event = self.events[self.number]
            self.made = OpCall(event, operation.signature, operation.answer, operation.kind)
        return self.made

    def made_often(self, times: int) -> Tally:
        """The tally of so many calls."""
        return Tally(
            times, self.place, self.operation, self.module, self.parameters, self.events, self.number, self.made
        )

    @property
    def op(self) -> str:
        """The operator."""
        return self.operation.signature.op

    @property
    def signature(self) -> Signature:
        """That of its operation."""
        return self.operation.signature

    @property
    def answer(self) -> Answer:
        """That of its operation."""
        return self.operation.answer

    @property
    def status(self) -> Status:
        """That of its answer."""
        return self.operation.answer.status

    @property
    def kind(self) -> str:
        """That of its operation."""
        return self.operation.kind

    @property
    def phase(self) -> Phase:
        """That of its operation."""
        return self.operation.phase


class Calls(Sequence[OpCall]):
    """The calls of a recording; an :class:`OpCall` is made when it is needed.

    ``groups`` has a number for each event; ``kinds`` has the kind of all events of each of these numbers.  Events with
    the same number have the same site.  With ``numbers`` only the events of these numbers are among the calls.
    """

    def __init__(
        self,
        events: Events,
        signatures: Sequence[Signature],
        answers: Sequence[Answer],
        groups: Sequence[int],
        kinds: Sequence[str],
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.events = events
        self._signatures = signatures
        self._answers = answers
        self._groups = groups
        self._kinds = kinds
        self._numbers: Sequence[int] = range(len(events)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> OpCall: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[OpCall, ...]: ...
    def __getitem__(self, place: int | slice) -> OpCall | tuple[OpCall, ...]:
        if isinstance(place, slice):
            return tuple(map(self._call, self._numbers[place]))
        return self._call(self._numbers[place])

    def __iter__(self) -> Iterator[OpCall]:
        return map(self._call, self._numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _call(self, number: int) -> OpCall:
        event = self.events[number]
        kind = self._kinds[self._groups[number]]
        return OpCall(event, self._signatures[event.signature], self._answers[event.signature], kind)

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """The distinct calls in the order of first appearance."""
        groups = self._groups_called()
        firsts = dict(zip(reversed(groups), reversed(range(len(groups))), strict=True))
        operations: dict[tuple[int, str, Phase, MemoryUse], Operation] = {}
        events, numbers = self.events, self._numbers
        found = []
        for group, times in Counter(groups).items():
            place = firsts[group]
            number = numbers[place]
            site, kind = events.sites[events.places[number]], self._kinds[group]
            facts = site.signature, kind, site.phase, site.memory
            operation = operations.get(facts)
            if operation is None:
                signature, answer = self._signatures[site.signature], self._answers[site.signature]
                operation = operations[facts] = Operation(signature, answer, kind, site.phase, site.memory)
            found.append(Tally(times, place, operation, site.module, site.parameters, events, number))
        return tuple(found)

    @cached_property
    def anywhere(self) -> tuple[Tally, ...]:
        """The distinct operations in the order of first appearance, each as one tally of its calls in all modules."""
        return merged(self.tallies)

    @cached_property
    def total(self) -> OpCount:
        """The counts of all calls together, without uncounted ones."""
        return total_of(self.anywhere)

    def _groups_called(self) -> Sequence[int]:
        if isinstance(self._numbers, range):
            return self._groups
        return [self._groups[number] for number in self._numbers]

    def at(self, places: Iterable[int]) -> Calls:
        """The calls at these places."""
        numbers = [self._numbers[place] for place in places]
        return Calls(self.events, self._signatures, self._answers, self._groups, self._kinds, numbers)

    def seen_as(self, view: Callable[[OpCall], str]) -> Calls:
        """The same calls, each with the kind that ``view`` returns for its tally."""
        kinds = list(self._kinds)
        for tally, group in zip(self.tallies, Counter(self._groups_called()), strict=True):
            kinds[group] = view(tally.call)
        return Calls(self.events, self._signatures, self._answers, self._groups, kinds, self._numbers)


def tallies(calls: Sequence[OpCall]) -> tuple[Tally, ...]:
    """The distinct calls in the order of first appearance; each by itself if they were made one by one."""
    if isinstance(calls, Calls):
        return calls.tallies
    return tuple(Tally.of(call, 1, place) for place, call in enumerate(calls))


ADDED = (*SCALAR_OPERATIONS, "macs")
"""The parts of a count."""


def total_of(found: Iterable[Tally]) -> OpCount:
    """The counts of these calls together."""
    counted = [(tally.operation.answer.count, tally.times) for tally in found if tally.operation.answer.terms]
    return OpCount(*[sum([getattr(count, part) * times for count, times in counted]) for part in ADDED])


def merged(found: Iterable[Tally]) -> tuple[Tally, ...]:
    """One tally for all that have the same operation: it has the module and the parameters of the first one."""
    times: dict[Operation, int] = {}
    firsts = []
    for tally in found:
        if tally.operation in times:
            times[tally.operation] += tally.times
        else:
            times[tally.operation] = tally.times
            firsts.append(tally)
    return tuple(
        [
            tally if times[tally.operation] == tally.times else tally.made_often(times[tally.operation])
            for tally in firsts
        ]
    )


def calls_at(calls: Sequence[OpCall], places: Iterable[int]) -> Sequence[OpCall]:
    """The calls at these places."""
    return calls.at(places) if isinstance(calls, Calls) else tuple(calls[place] for place in places)


def calls_seen_as(calls: Sequence[OpCall], view: Callable[[OpCall], str]) -> Sequence[OpCall]:
    """The same calls with the kinds by ``view``."""
    if isinstance(calls, Calls):
        return calls.seen_as(view)
    return tuple(replace(call, kind=view(call)) for call in calls)


def events_of(calls: Sequence[OpCall]) -> Events:
    """The events of all these calls."""
    return calls.events if isinstance(calls, Calls) else Events.of(call.event for call in calls)


def mode_of(trace: Trace) -> Mode:
    """The mode of recorded code: ``"training"`` if a backward pass was recorded."""
    return "training" if any(tally.phase == "backward" for tally in tallies(trace.calls)) else "inference"
