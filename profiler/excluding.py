"""A trace and patterns → the trace without the modules that match them; the records of these are kept separately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from profiler.calls import calls_at
from profiler.errors import ProfilerError, did_you_mean
from profiler.records import Excluded, OpCall, ParameterRecord, Trace


def leave_out(trace: Trace, patterns: Sequence[str]) -> Trace:
    """``trace`` without the modules that match one of ``patterns``, and without everything below them.

    A pattern matches modules by their fully qualified name (``aux*``, as in ``fnmatch``) or by their type (``Dropout``,
    exactly).  A parameter that other modules have too stays.  ``excluded`` has the records of the excluded modules;
    nothing else is changed.  Without patterns the trace is complete.  Raises :class:`ProfilerError` for a pattern that
    matches nothing, and if nothing would remain.
    """
    whole = trace.whole
    if not patterns:
        return whole
    names = _named(whole, patterns)
    calls = _calls_of(whole, names)
    parameters = tuple(record for record in whole.parameters if _only_in(record, names))
    kept = calls_at(whole.calls, (number for number in range(len(whole.calls)) if number not in calls))
    if not kept:
        raise ProfilerError(f"exclude: {', '.join(patterns)} leaves nothing of the network, expected a part of it")
    excluded = Excluded(
        patterns=tuple(patterns),
        modules=tuple(record.name for record in whole.modules if record.name in names),
        calls=calls_at(whole.calls, sorted(calls)),
        parameters=parameters,
        whole=whole,
    )
    gone = set(map(id, parameters))
    return replace(
        whole,
        calls=kept,
        modules=tuple(record for record in whole.modules if record.name not in names),
        parameters=tuple(record for record in whole.parameters if id(record) not in gone),
        unseen=tuple(item for item in whole.unseen if item.module not in names),
        excluded=excluded,
    )


def _named(whole: Trace, patterns: Sequence[str]) -> frozenset[str]:
    """The modules that match the patterns, with everything below them; never the network itself."""
    below = [record for record in whole.modules if record.name]
    found: set[str] = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ProfilerError(f"exclude: found {pattern!r}, expected the name of a module or of a type, as text")
        named = {record.name for record in below if fnmatchcase(record.name, pattern) or record.type == pattern}
        if not named:
            words = pattern.replace("*", "").replace("?", "")
            hint = did_you_mean(words, [*(record.name for record in below), *(record.type for record in below)])
            raise ProfilerError(f"exclude: {pattern!r} matches no module and no type of a module{hint}")
        found |= named
    return frozenset(record.name for record in below if _is_below(record.name, found))


def _is_below(name: str, found: set[str]) -> bool:
    while name:
        if name in found:
            return True
        name = name.rpartition(".")[0]
    return False


def _only_in(record: ParameterRecord, names: frozenset[str]) -> bool:
    """Whether every module that holds the parameter is among ``names``."""
    return all(name.rpartition(".")[0] in names for name in record.names)


def _calls_of(whole: Trace, names: frozenset[str]) -> set[int]:
    """The numbers of the calls that the modules ran, and of the optimizer's steps for their parameters."""
    numbers = {number for number, call in enumerate(whole.calls) if call.module in names}
    for record, steps in optimizer_steps(whole):
        numbers.update(steps if _only_in(record, names) else ())
    return numbers


def optimizer_steps(whole: Trace) -> Iterable[tuple[ParameterRecord, Sequence[int]]]:
    """The parameters that an optimizer changed, each with the numbers of its calls.

    It handles them one after the other and does the same for each.  Empty if the calls cannot be assigned.
    """
    numbers = [number for number, call in enumerate(whole.calls) if call.phase == "optimizer" and call.inputs]
    changed = [record for record in whole.parameters if record.trainable and not record.buffer]
    changed = [record for record in changed if record.use != "unused"]
    if not numbers or not changed or len(numbers) % len(changed):
        return []
    each = len(numbers) // len(changed)
    steps = [numbers[start : start + each] for start in range(0, len(numbers), each)]
    fits = all(
        any(_of_its_shape(whole.calls[number], record) for number in group)
        for record, group in zip(changed, steps, strict=True)
    )
    return list(zip(changed, steps, strict=True)) if fits else []


def _of_its_shape(call: OpCall, record: ParameterRecord) -> bool:
    return any(spec.parameter and spec.shape == record.shape for spec in call.inputs)
