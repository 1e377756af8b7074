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


Row = tuple[Site, int, int | None, Numbers, Numbers, Numbers, Numbers]
"""An event: its site, the number of the module's call, its source, its blanks, reads, writes and makes."""

NO_SOURCE = -1


class Events(Sequence[Event]):
    """Events in the order in which they ran.

    ``sites`` are the distinct ones in the order of first appearance, ``places`` the number of the site of each event,
    and ``sources`` the number of the forward event that each is the gradient of, or −1.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        sites: dict[Site, int] = {}
        places, module_calls, sources = list[int](), list[int](), list[int]()
        blanks, reads, writes, makes = (list[Numbers]() for _ in range(4))
        for site, module_call, source, blank, read, written, made in rows:
            places.append(sites.setdefault(site, len(sites)))
            module_calls.append(module_call)
            sources.append(NO_SOURCE if source is None else source)
            blanks.append(blank)
            reads.append(read)
            writes.append(written)
            makes.append(made)
        self.sites = tuple(sites)
        self.places = compact(places)
        self.sources = compact(sources) if any(source != NO_SOURCE for source in sources) else ()
        self._module_calls = compact(module_calls)
        self._storages = tuple(map(_Lists, (blanks, reads, writes, makes)))

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """The same events in compact form."""
        return cls(map(_row, events))

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


def memory_of(touched: Numbers | None, reads: Numbers, writes: Numbers, makes: Numbers) -> MemoryUse:
    """What an event with these storages does to memory."""
    places = tuple([reads.index(number) if number in reads else -1 for number in writes]) if writes else ()
    return MemoryUse(touched, len(reads), places, len(makes))


def _row(event: Event) -> Row:
    site = Site(
        event.signature,
        event.module,
        event.phase,
        event.within,
        event.part_of,
        event.parameters,
        bool(event.makes or event.writes),
        memory_of(event.touched, event.reads, event.writes, event.makes),
    )
    return site, event.module_call, event.source, event.blanks, event.reads, event.writes, event.makes


def compact(numbers: list[int]) -> Sequence[int]:
    """The numbers in 8 bytes each; unchanged if one of them needs more, as in a file that nobody recorded."""
    try:
        return array("q", numbers)
    except OverflowError:
        return numbers


class _Lists:
    """A list of numbers for each event: all of them in a row, and where each list ends."""

    def __init__(self, lists: Iterable[Numbers]) -> None:
        ends = list(accumulate(map(len, lists)))
        self._items = compact(list(chain.from_iterable(lists)))
        self._ends = compact(ends) if self._items else ()

    def __bool__(self) -> bool:
        return bool(self._items)

    def of(self, number: int) -> Numbers:
        """The list of the event of that number."""
        if not self._items:
            return ()
        return tuple(self._items[self._ends[number - 1] if number else 0 : self._ends[number]])
