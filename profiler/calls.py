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

from profiler.events import Events, MemoryUse, memory_of
from profiler.records import Answer, Event, Mode, OpCall, Phase, Status, Trace
from profiler.signatures import Signature


@dataclass(slots=True, eq=False)
class Tally:
    """A call and how often it was made: the first of ``times`` calls that differ at most in what tables ignore.

    ``place`` is its place among all calls.  Its ``call`` is made when it is needed, from the event of that ``number``;
    most tables only need the fields here, which are those of the call.

    These calls have the same signature, answer and kind, ran in the same module, phase and function, read the same
    parameters, and use memory in the same way.  They may differ in the number of the module's call, in their source and
    in their storages.
    """

    times: int
    place: int
    signature: Signature
    answer: Answer
    kind: str
    module: str
    phase: Phase
    parameters: tuple[str, ...]
    memory: MemoryUse
    events: Sequence[Event]
    number: int
    made: OpCall | None = None

    @classmethod
    def of(cls, call: OpCall, times: int, place: int) -> Tally:
        """The tally of a call that was made already."""
        event = call.event
        memory = memory_of(event.touched, event.reads, event.writes, event.makes)
        facts = call.signature, call.answer, call.kind, event.module, event.phase, event.parameters, memory
        return cls(times, place, *facts, (event,), 0, call)

    @property
    def call(self) -> OpCall:
        """The call."""
        if self.made is None:
            self.made = OpCall(self.events[self.number], self.signature, self.answer, self.kind)
        return self.made

    @property
    def op(self) -> str:
        """The operator."""
        return self.signature.op

    @property
    def status(self) -> Status:
        """That of its answer."""
        return self.answer.status


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
        return tuple([self._tally(firsts[group], times) for group, times in Counter(groups).items()])

    def _tally(self, place: int, times: int) -> Tally:
        events, number = self.events, self._numbers[place]
        site = events.sites[events.places[number]]
        return Tally(
            times,
            place,
            self._signatures[site.signature],
            self._answers[site.signature],
            self._kinds[self._groups[number]],
            site.module,
            site.phase,
            site.parameters,
            site.memory,
            events,
            number,
        )

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
