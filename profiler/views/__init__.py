"""Other ways to sort the same work into kinds, one file each; no count changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from profiler import catalog
from profiler.calls import calls_seen_as, tallies
from profiler.errors import ProfilerError, did_you_mean
from profiler.records import OpCall, ParameterRecord, Trace

View = Callable[[OpCall], str]
"""``view(call) -> kind``."""


def find_view(name: str) -> View:
    """The view of that name.  Raises :class:`ProfilerError`."""
    names = catalog.views()
    if name not in names:
        raise ProfilerError(
            f"view {name!r} is not known, expected one of {', '.join(names)}{did_you_mean(name, names)}"
        )
    found: View = catalog.extension(__name__, name, "view")
    return found


def apply_views(trace: Trace, names: Iterable[str]) -> Trace:
    """The same records with the kinds by these views, applied one after the other.  Raises :class:`ProfilerError`."""
    calls, parameters = trace.calls, trace.parameters
    for name in names:
        view = find_view(name)
        seen = calls_seen_as(calls, view)
        parameters = _seen_parameters(parameters, calls, seen)
        calls = seen
    return replace(trace, calls=calls, parameters=parameters)


def _seen_parameters(
    parameters: Iterable[ParameterRecord], before: Sequence[OpCall], after: Sequence[OpCall]
) -> tuple[ParameterRecord, ...]:
    """The parameters with the kinds ``after`` of the calls in their modules that read tensors of their shape."""
    changed = {
        (old.module, spec.shape, old.kind): new.kind
        for old, new in zip(_distinct(before), _distinct(after), strict=True)
        if old.phase == "forward" and new.kind != old.kind
        for spec in old.inputs
        if spec.parameter
    }
    return tuple(
        replace(record, use=changed.get((record.module, record.shape, record.use), record.use)) for record in parameters
    )


def _distinct(calls: Sequence[OpCall]) -> Iterator[OpCall]:
    return (tally.call for tally in tallies(calls))
