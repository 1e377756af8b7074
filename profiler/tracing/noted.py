"""What a recorder notes about a call while a network runs, and the recording that is made from all notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from profiler.events import NO_SOURCE, Events, Memories, Site
from profiler.records import ModuleRecord, ParameterRecord, Phase, Recording, Unseen
from profiler.signatures import Signature


@dataclass(slots=True, eq=False)
class Noted:
    """An :class:`~profiler.records.Event` that refers to signatures and other events directly, not by their numbers."""

    signature: Signature
    module: str
    module_call: int
    phase: Phase
    within: str | None
    source: Noted | None
    parameters: tuple[str, ...]
    blanks: tuple[int, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    makes: tuple[int, ...]
    part_of: Signature | None = None
    touched: tuple[int, ...] = ()


def recording_of(
    notes: Iterable[Noted],
    modules: tuple[ModuleRecord, ...],
    parameters: tuple[ParameterRecord, ...],
    unseen: tuple[Unseen, ...],
) -> Recording:
    """The recording of a run: events and signatures by number, in the order of the notes."""
    notes = list(notes)
    numbers: dict[int, int] = {}
    signatures: list[Signature] = []

    def number_of(signature: Signature) -> int:
        number = numbers.get(id(signature))
        if number is None:
            number = numbers[id(signature)] = len(signatures)
            signatures.append(signature)
        return number

    memories = Memories()
    sites = [
        Site(
            number_of(note.signature),
            note.module,
            note.phase,
            note.within,
            None if note.part_of is None else number_of(note.part_of),
            note.parameters,
            bool(note.makes or note.writes),
            memories.of(note.touched, note.reads, note.writes, note.makes),
        )
        for note in notes
    ]
    events = Events(
        sites,
        [note.module_call for note in notes],
        _sources(notes),
        blanks=[note.blanks for note in notes],
        reads=[note.reads for note in notes],
        writes=[note.writes for note in notes],
        makes=[note.makes for note in notes],
    )
    return Recording(tuple(signatures), events, modules, parameters, unseen=unseen)


def _sources(notes: Sequence[Noted]) -> list[int]:
    """The numbers of the notes that these are the gradients of; none if there are no gradients."""
    if all(note.source is None for note in notes):
        return []
    numbers = {id(note): number for number, note in enumerate(notes)}
    return [NO_SOURCE if note.source is None else numbers.get(id(note.source), NO_SOURCE) for note in notes]
