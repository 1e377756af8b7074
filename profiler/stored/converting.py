"""The content of a file ↔ records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from profiler.opcount import SCALAR_OPERATIONS, OpCount, Role, Term
from profiler.records import (
    Answer,
    CounterFigure,
    CounterRecord,
    Event,
    ModuleRecord,
    OpCall,
    ParameterRecord,
    Trace,
    Unseen,
)
from profiler.signatures import Signature
from profiler.stored.values import write_value

Item = Mapping[str, Any]

LISTS = ("parameters", "blanks", "reads", "writes", "makes")
"""The lists in an event, which are left out if they are empty."""


def trace_of(found: Item) -> Trace:
    """The trace in a file of this version.  Raises IndexError for the number of a signature that does not exist."""
    signatures = tuple(map(_signature, found["signatures"]))
    answers = tuple(_answer(item["answer"]) for item in found["signatures"])
    usual = () if found["version"] > 2 else None
    calls = tuple(_call(item, signatures, answers, usual) for item in found["calls"])
    return _trace(found, calls, signatures, answers)


def trace_of_version_1(found: Item) -> Trace:
    """The trace in a file of version 1, which only has the tensors and the kind of each call."""
    numbers: dict[tuple[Signature, Answer], int] = {}
    calls = []
    for item in found["calls"]:
        signature = Signature.of_tensors(
            item["op"], tuple(item["inputs"]), tuple(item["outputs"]), item.get("overload", "")
        )
        figures = {
            "macs_on_padding": sum(term.get("on_padding", 0) for term in item["terms"]),
            "hidden_macs": sum(term.get("masked", 0) for term in item["terms"]),
        }
        answer = Answer(
            item["kind"],
            item["status"],
            tuple(replace(term, role=_role_of_version_1(term)) for term in map(_term, item["terms"])),
            figures=tuple((name, figure) for name, figure in figures.items() if figure),
            direction="backward" if item["op"].endswith("_backward") else "forward",
        )
        number = numbers.setdefault((signature, answer), len(numbers))
        event = Event(number, item["module"], item["module_call"], item["phase"], touched=None)
        calls.append(OpCall(event, signature, answer, answer.kind))
    return _trace(
        found, tuple(calls), tuple(signature for signature, _ in numbers), tuple(answer for _, answer in numbers)
    )


def _role_of_version_1(term: Term) -> Role:
    """What a term is for: version 1 says it by a word for readers, and by what is contracted."""
    roles: dict[str, Role] = {
        "bias": "bias",
        "input gradient": "input gradient",
        "weight gradient": "weight gradient",
        "bias gradient": "bias gradient",
    }
    return roles.get(term.what, "product" if term.contracted else "other")


def _trace(
    found: Item, calls: tuple[OpCall, ...], signatures: tuple[Signature, ...], answers: tuple[Answer, ...]
) -> Trace:
    return Trace(
        calls,
        tuple(ModuleRecord(**_with_tuples(item)) for item in found["modules"]),
        tuple(ParameterRecord(**_with_tuples(item)) for item in found["parameters"]),
        found["real_run"],
        tuple(dict.fromkeys(call.op for call in calls if call.answer.data_dependent)),
        unseen=tuple(Unseen(**item) for item in found.get("unseen", ())),
        signatures=signatures,
        answers=answers,
    )


def _signature(item: Item) -> Signature:
    return Signature(
        item["op"],
        tuple(item["arguments"].items()),
        item["result"],
        item["positional"],
        item.get("overload", ""),
        tuple(item.get("samples", ())),
        item.get("whole", True),
    )


def _answer(item: Item) -> Answer:
    return Answer(
        item["kind"],
        item["status"],
        tuple(map(_term, item["terms"])),
        item.get("reason", ""),
        item.get("data_dependent", False),
        tuple(item.get("figures", {}).items()),
        item.get("direction", "forward"),
    )


def _call(
    item: Item, signatures: tuple[Signature, ...], answers: tuple[Answer, ...], usual: tuple[int, ...] | None
) -> OpCall:
    """A call; ``usual`` is what it touches if its record does not say so."""
    number = item["signature"]
    event = Event(
        number,
        item["module"],
        item["module_call"],
        item["phase"],
        item.get("within"),
        item.get("source"),
        item.get("part_of"),
        **{name: tuple(item.get(name, ())) for name in LISTS},
        touched=None if (found := item.get("touched", usual)) is None else tuple(found),
    )
    return OpCall(event, signatures[number], answers[number], item.get("kind", answers[number].kind))


def _term(item: Item) -> Term:
    return Term(
        what=item["what"],
        how_many=tuple(item["how_many"]),
        one=OpCount(**item["one"]),
        contracted=tuple(item.get("contracted", ())),
        role=item.get("role", "other"),
    )


def counter_of(item: Item) -> CounterRecord:
    """The record of another counter."""
    whole = _with_tuples(item)
    for key in ("figures", "unsupported", "seen"):
        whole[key] = tuple(CounterFigure(**figure) for figure in whole.get(key, ()))
    return CounterRecord(**whole)


def _with_tuples(item: Item) -> dict[str, Any]:
    """The same with JSON's lists converted to tuples, as in records."""
    return {key: _as_tuple(value) for key, value in item.items()}


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def write_trace(trace: Trace) -> dict[str, list[Any]]:
    """The lists in a file for a trace, each item in its JSON form."""
    trace = trace.numbered
    return {
        "modules": [asdict(record) for record in trace.modules],
        "parameters": [asdict(record) for record in trace.parameters],
        "signatures": [
            _write_signature(signature, answer)
            for signature, answer in zip(trace.signatures, trace.answers, strict=True)
        ],
        "calls": [_write_call(call) for call in trace.calls],
    }


def _write_signature(signature: Signature, answer: Answer) -> dict[str, Any]:
    item: dict[str, Any] = {
        "op": signature.op,
        "arguments": {name: write_value(value) for name, value in signature.arguments},
        "positional": signature.positional,
        "result": write_value(signature.result),
    }
    if signature.overload:
        item["overload"] = signature.overload
    if signature.samples:
        item["samples"] = list(signature.samples)
    if not signature.whole:
        item["whole"] = False
    answered: dict[str, Any] = {
        "kind": answer.kind,
        "status": answer.status,
        "terms": list(map(_write_term, answer.terms)),
    }
    if answer.reason:
        answered["reason"] = answer.reason
    if answer.data_dependent:
        answered["data_dependent"] = True
    if answer.figures:
        answered["figures"] = dict(answer.figures)
    if answer.direction != "forward":
        answered["direction"] = answer.direction
    return {**item, "answer": answered}


def _write_term(term: Term) -> dict[str, Any]:
    one = {name: getattr(term.one, name) for name in (*SCALAR_OPERATIONS, "macs") if getattr(term.one, name)}
    item: dict[str, Any] = {"what": term.what, "how_many": list(term.how_many), "one": one}
    if term.contracted:
        item["contracted"] = list(term.contracted)
    if term.role != "other":
        item["role"] = term.role
    return item


def _write_call(call: OpCall) -> dict[str, Any]:
    """An operation call in its JSON form, without empty values; its kind only if it is not that of its answer."""
    event = call.event
    item: dict[str, Any] = {"signature": event.signature}
    if call.kind != call.answer.kind:
        item["kind"] = call.kind
    item |= {"module": event.module, "module_call": event.module_call, "phase": event.phase}
    item |= _present((name, getattr(event, name)) for name in ("within", "source", "part_of"))
    item |= {name: list(getattr(event, name)) for name in LISTS if getattr(event, name)}
    if event.touched != ():
        item["touched"] = None if event.touched is None else list(event.touched)
    return item


def _present(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}
