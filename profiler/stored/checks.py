"""Checks of the parts of a saved profile against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod
from operator import attrgetter

from profiler.errors import FOREIGN_ERRORS, shown
from profiler.measures import measures
from profiler.opcount import SCALAR_OPERATIONS, Term
from profiler.records import Answer, CounterRecord, OpCall, Trace
from profiler.stored.values import COUNT_LIMIT


def contradictions(trace: Trace, counters: Sequence[CounterRecord]) -> Iterator[str]:
    """Values of the right type that are impossible, as ``key: found …, expected …``."""
    yield from _wrong_modules(trace)
    modules = {record.name for record in trace.modules}
    for number, parameter in enumerate(trace.parameters):
        if parameter.module not in modules:
            yield f"parameters.{number}.module: found {shown(parameter.module)}, expected one of the modules"
        if parameter.size and not parameter.itemsize:
            yield f"parameters.{number}.itemsize: found 0, expected at least 1 byte an element"
        if parameter.size * parameter.itemsize > COUNT_LIMIT:
            yield f"parameters.{number}: found more than 2^128 bytes, expected no more"
    for number, (signature, answer) in enumerate(zip(trace.signatures, trace.answers, strict=True)):
        if signature.positional > len(signature.arguments):
            yield f"signatures.{number}.positional: found {signature.positional}, expected no more than its arguments"
        for problem in chain(_wrong_status(answer), _wrong_terms(answer), _wrong_figures(answer)):
            yield f"signatures.{number}.answer.{problem}"
    for number, call in {call.event.signature: call for call in trace.calls}.items():
        if not _has_figures(call):
            yield f"signatures.{number}.arguments: found some that {shown(call.op)} does not take, {AS_IT_TAKES}"
    names = {record.names[0] for record in trace.parameters}
    for number, call in enumerate(trace.calls):
        if call.module not in modules:
            yield f"calls.{number}.module: found {shown(call.module)}, expected one of the modules"
        if (call.kind == "uncounted") != (call.status == "uncounted"):
            yield f"calls.{number}.kind: found {shown(call.kind)} where the status is {call.status}, {NEITHER}"
        event = call.event
        if event.source is not None and event.source >= len(trace.calls):
            yield f"calls.{number}.source: found {event.source}, expected the number of a call"
        if event.part_of is not None and event.part_of >= len(trace.signatures):
            yield f"calls.{number}.part_of: found {event.part_of}, expected the number of a signature"
        if not names.issuperset(event.parameters):
            wrong = next(name for name in event.parameters if name not in names)
            yield f"calls.{number}.parameters: found {shown(wrong)}, expected the first name of a parameter"
    for number, unseen in enumerate(trace.unseen):
        if unseen.module not in modules:
            yield f"unseen.{number}.module: found {shown(unseen.module)}, expected one of the modules"
    counted = [counter.counter for counter in counters]
    for number, name in enumerate(counted):
        if name in counted[:number]:
            yield f"counters.{number}.counter: found {shown(name)} again, expected each counter once"


def _has_figures(call: OpCall) -> bool:
    """Whether every figure of a call can be computed from its record in the file."""
    try:
        for measure in measures():
            if measure.figure is not None:
                measure.figure(call)
    except FOREIGN_ERRORS:
        return False
    return True


def _wrong_modules(trace: Trace) -> Iterator[str]:
    if trace.modules[0].name:
        yield f"modules.0.name: found {shown(trace.modules[0].name)}, expected '', the network itself"
    seen: set[str] = set()
    for number, record in enumerate(trace.modules):
        if record.name in seen:
            yield f"modules.{number}.name: found {shown(record.name)} again, expected each module once"
        seen.add(record.name)
    for number, record in enumerate(trace.modules):
        if record.first_name not in seen:
            yield f"modules.{number}.first_name: found {shown(record.first_name)}, expected one of the modules"


AS_IT_TAKES = "expected the arguments of its schema"
NEITHER = "expected uncounted in both or neither"


def _wrong_status(answer: Answer) -> Iterator[str]:
    if bool(answer.terms) != (answer.status == "counted"):
        found = f"{len(answer.terms)} terms of an operation that is {answer.status}"
        yield f"terms: found {found}, expected {'at least one' if answer.status == 'counted' else 'none'}"
    if (answer.kind == "uncounted") != (answer.status == "uncounted"):
        yield f"kind: found {shown(answer.kind)} where the status is {answer.status}, {NEITHER}"


def _wrong_figures(answer: Answer) -> Iterator[str]:
    for name, figure in answer.figures:
        if figure > answer.count.macs:
            yield f"figures.{name}: found {figure}, expected no more than its macs ({answer.count.macs})"


def _wrong_terms(answer: Answer) -> Iterator[str]:
    negative = False
    for place, term in enumerate(answer.terms):
        figures = _figures(term.one)
        negative = negative or min(figures) < 0
        for problem in _wrong_term(term, figures):
            yield f"terms.{place}{problem}"
    if negative:
        for name, figure in zip(_FIGURES, _figures(answer.count), strict=True):
            if figure < 0:
                yield f"terms: found {figure} {name} in all, expected no fewer than 0"


_FIGURES = (*SCALAR_OPERATIONS, "macs")
_figures = attrgetter(*_FIGURES)


def _wrong_term(term: Term, figures: tuple[int, ...]) -> Iterator[str]:
    one = term.one
    results = prod(term.how_many)
    if results * max(max(figures), -min(figures)) > COUNT_LIMIT:
        yield ": found more than 2^128 operations, expected no more"
    if one.macs > one.multiplies:
        yield f".one.macs: found {one.macs}, expected no more than its multiplies ({one.multiplies})"
    if term.contracted and one.macs % max(1, prod(term.contracted)):
        yield f".one.macs: found {one.macs}, expected a multiple of the contracted size ({prod(term.contracted)})"
