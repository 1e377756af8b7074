"""What a recorder notes about a call while a network runs, and the recording that is made from all notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from profiler.events import Events, Row, Site, memory_of
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
    numbers = {id(note): number for number, note in enumerate(notes)}
    signatures: dict[int, tuple[int, Signature]] = {}

    def number_of(signature: Signature) -> int:
        return signatures.setdefault(id(signature), (len(signatures), signature))[0]

    def row(note: Noted) -> Row:
        site = Site(
            number_of(note.signature),
            note.module,
            note.phase,
            note.within,
            None if note.part_of is None else number_of(note.part_of),
            note.parameters,
            bool(note.makes or note.writes),
            memory_of(note.touched, note.reads, note.writes, note.makes),
        )
        source = None if note.source is None else numbers.get(id(note.source))
        return site, note.module_call, source, note.blanks, note.reads, note.writes, note.makes

    events = Events(map(row, notes))
    return Recording(
        tuple(signature for _, signature in signatures.values()), events, modules, parameters, unseen=unseen
    )
