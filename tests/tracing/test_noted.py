"""Notes, which refer to each other, become events, which are numbered."""

from __future__ import annotations

from dataclasses import replace

from profiler.records import Event, ModuleRecord, ParameterRecord, Unseen
from profiler.signatures import Signature, TensorSpec
from profiler.tracing.noted import Noted, recording_of

A, B, C = (Signature.of_tensors(f"test::{name}", (TensorSpec((2,)),), (TensorSpec((2,)),)) for name in "abc")


def note(signature: Signature, source: Noted | None = None, part_of: Signature | None = None) -> Noted:
    """A note whose fields all have values of their own."""
    return Noted(signature, "m", 2, "backward", "attention", source, ("p",), (1,), (2, 3), (4,), (5,), part_of)


def test_signatures_are_numbered_in_order_of_appearance() -> None:
    """Each has one number, also one of a whole operation that a call is part of."""
    found = recording_of(iter([note(A), note(B, part_of=C), note(A), note(C)]), (), (), ())
    assert found.signatures == (A, B, C)
    assert [event.signature for event in found.events] == [0, 1, 0, 2]
    assert [event.part_of for event in found.events] == [None, 2, None, None]


def test_sources_are_numbered_by_the_place_of_their_note() -> None:
    """A source may come before or after; a source without a note becomes None."""
    first, stranger = note(A), note(B)
    second = note(B, source=first)
    found = recording_of([second, note(A, source=stranger), first], (), (), ())
    assert [event.source for event in found.events] == [2, None, None]


def test_equal_notes_are_different_events() -> None:
    """A source is one particular note and not the first that is equal to it."""
    twice = [note(A), note(A)]
    assert recording_of([*twice, note(B, source=twice[1])], (), (), ()).events[2].source == 1


def test_each_field_of_a_note_is_in_the_event() -> None:
    """Modules, parameters and unseen work are in the recording beside the events."""
    modules = (ModuleRecord("m", "Net", 2),)
    parameters = (ParameterRecord(("p",), "m", (2,), "float32", 4, True),)
    unseen = (Unseen("m", "why"),)
    found = recording_of([note(A)], modules, parameters, unseen)
    event = Event(
        0,
        module="m",
        module_call=2,
        phase="backward",
        within="attention",
        parameters=("p",),
        blanks=(1,),
        reads=(2, 3),
        writes=(4,),
        makes=(5,),
    )
    assert found.events == (event,)
    assert (found.modules, found.parameters, found.unseen, found.real_run) == (modules, parameters, unseen, "")
    assert replace(found.events[0], source=None, part_of=None) == event
