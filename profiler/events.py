"""The events of a run in compact form: what equal events share is kept once, and the rest as arrays of numbers.

An :class:`~profiler.records.Event` is made when it is needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple, overload

from profiler.records import Event, Phase

Numbers = tuple[int, ...]


class MemoryUse(NamedTuple):
    """What an event does to memory, without saying which memory that is.

    ``touched`` is that of the event.  It reads that number of storages, writes to those of them at these places (−1 for
    one that it does not read), and makes so many.
    """

    touched: Numbers | None = ()
    reads: int = 0
    writes: Numbers = ()
    makes: int = 0


class Site(NamedTuple):
    """What events share that do the same in the same place; the fields are those of :class:`Event`.

    ``copies`` says whether it makes or writes memory, and ``memory`` what it does to it.
    """

    signature: int
    module: str
    phase: Phase
    within: str | None = None
    part_of: int | None = None
    parameters: tuple[str, ...] = ()
    copies: bool = False
    memory: MemoryUse = MemoryUse()


NO_SOURCE = -1


class Events(Sequence[Event]):
    """Events in the order in which they ran.

    ``sites`` are the distinct ones in the order of first appearance, ``places`` the number of the site of each event,
    and ``sources`` the number of the forward event that each is the gradient of, or −1.
    """

    def __init__(
        self,
        sites: Iterable[Site],
        module_calls: Iterable[int],
        sources: Iterable[int],
        *,
        blanks: Sequence[Numbers],
        reads: Sequence[Numbers],
        writes: Sequence[Numbers],
        makes: Sequence[Numbers],
    ) -> None:
        """Each argument has one item for each event; there may be no ``sources`` if no event has one."""
        numbers: dict[Site, int] = {}
        self.places = compact([numbers.setdefault(site, len(numbers)) for site in sites])
        self.sites = tuple(numbers)
        found = compact(list(sources))
        self.sources = found if any(map(NO_SOURCE.__ne__, found)) else ()
        self._module_calls = compact(list(module_calls))
        self._storages = tuple(map(_Lists, (blanks, reads, writes, makes)))

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """The same events in compact form."""
        events = list(events)
        memories = Memories()
        return cls(
            [_site(event, memories) for event in events],
            [event.module_call for event in events],
            [NO_SOURCE if event.source is None else event.source for event in events],
            blanks=[event.blanks for event in events],
            reads=[event.reads for event in events],
            writes=[event.writes for event in events],
            makes=[event.makes for event in events],
        )

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, number: int) -> Event: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, number: int | slice) -> Event | tuple[Event, ...]:
        if isinstance(number, slice):
            return tuple(map(self._event, range(*number.indices(len(self)))))
        if not -len(self) <= number < len(self):
            raise IndexError(f"found event {number}, expected one of {len(self)}")
        return self._event(number % len(self))

    def __iter__(self) -> Iterator[Event]:
        return map(self._event, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def blanks(self) -> Iterator[tuple[int, Numbers]]:
        """The numbers of the events that read memory which no operation wrote to, each with these storages."""
        blanks = self._storages[0]
        return ((number, blanks.of(number)) for number in range(len(self)) if blanks.of(number)) if blanks else iter(())

    def _event(self, number: int) -> Event:
        site = self.sites[self.places[number]]
        source = self.sources[number] if self.sources else NO_SOURCE
        return Event(
            site.signature,
            site.module,
            self._module_calls[number],
            site.phase,
            site.within,
            None if source == NO_SOURCE else source,
            site.part_of,
            site.parameters,
            *self._storages_of(number),
            site.memory.touched,
        )

    def _storages_of(self, number: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        blanks, reads, writes, makes = self._storages
        return blanks.of(number), reads.of(number), writes.of(number), makes.of(number)


class Memories:
    """What events do to memory, each distinct use once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Numbers | None, int, Numbers, int], MemoryUse] = {}

    def of(self, touched: Numbers | None, reads: Numbers, writes: Numbers, makes: Numbers) -> MemoryUse:
        """What an event with these storages does to memory."""
        places = tuple([reads.index(number) if number in reads else -1 for number in writes]) if writes else ()
        facts = touched, len(reads), places, len(makes)
        known = self._known.get(facts)
        if known is None:
            known = self._known[facts] = MemoryUse(*facts)
        return known


def _site(event: Event, memories: Memories) -> Site:
    return Site(
        event.signature,
        event.module,
        event.phase,
        event.within,
        event.part_of,
        event.parameters,
        bool(event.makes or event.writes),
        memories.of(event.touched, event.reads, event.writes, event.makes),
    )


def compact(numbers: list[int]) -> Sequence[int]:
    """The numbers in 8 bytes each; unchanged if one of them needs more, as in a file that nobody recorded."""
    try:
        return array("q", numbers)
    except OverflowError:
        return numbers


class _Lists:
    """A list of numbers for each event: all of them in a row, and where each list ends."""

    def __init__(self, lists: Sequence[Numbers]) -> None:
        self._items: Sequence[int] = compact(list(chain.from_iterable(lists)))
        self._ends: Sequence[int] = compact(list(accumulate(map(len, lists)))) if self._items else ()

    def __bool__(self) -> bool:
        return bool(self._items)

    def of(self, number: int) -> Numbers:
        """The list of the event of that number."""
        if not self._items:
            return ()
        return tuple(self._items[self._ends[number - 1] if number else 0 : self._ends[number]])
