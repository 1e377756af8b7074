"""Notes, which point at each other, become events, which are numbered."""

from __future__ import annotations

from dataclasses import replace

from profiler.records import Event, ModuleRecord, ParameterRecord, Unseen
from profiler.signatures import Signature, TensorSpec
from profiler.tracing.noted import Noted, recording_of

A, B, C = (Signature.of_tensors(f"test::{name}", (TensorSpec((2,)),), (TensorSpec((2,)),)) for name in "abc")


def note(signature: Signature, source: Noted | None = None, part_of: Signature | None = None) -> Noted:
    """A note that says something else in every field."""
    return Noted(signature, "m", 2, "backward", "attention", source, ("p",), (1,), (2, 3), (4,), (5,), part_of)


def test_signatures_are_numbered_as_they_come() -> None:
    """Each once, also that of a whole operation of which a call is a part."""
    found = recording_of(iter([note(A), note(B, part_of=C), note(A), note(C)]), (), (), ())
    assert found.signatures == (A, B, C)
    assert [event.signature for event in found.events] == [0, 1, 0, 2]
    assert [event.part_of for event in found.events] == [None, 2, None, None]


def test_sources_are_numbered_by_their_place() -> None:
    """Whether they come before or after; one that is not among the notes is none."""
    first, stranger = note(A), note(B)
    second = note(B, source=first)
    found = recording_of([second, note(A, source=stranger), first], (), (), ())
    assert [event.source for event in found.events] == [2, None, None]


def test_equal_notes_are_different_events() -> None:
    """A source is one of them, not the first that looks like it."""
    twice = [note(A), note(A)]
    assert recording_of([*twice, note(B, source=twice[1])], (), (), ()).events[2].source == 1


def test_what_is_noted_is_in_the_event() -> None:
    """Field by field, and modules, parameters and what was not seen beside them."""
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
