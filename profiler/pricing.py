"""A recording and rules → the cost of each call.

Each signature is priced once, even if it ran several times.  Nothing here needs torch, so a saved profile can be priced
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from profiler.errors import FOREIGN_ERRORS, DataDependentError, UncountedError
from profiler.opcount import Term
from profiler.records import (
    FILLED_OUTSIDE,
    Answer,
    Event,
    OpCall,
    ParameterRecord,
    Recording,
    Trace,
    Unseen,
    show_shapes,
)
from profiler.rules.registry import Entry, Registry
from profiler.signatures import LOOKUPS, DetailedSpec, Shape, Signature, parts_of, specs_in

FREE = Answer("movement", "free")

NO_RULE = "there is no rule for it"

SUMS_OF_GRADIENTS = frozenset({"aten::add", "aten::add_"})
"""Adds in the backward pass that accumulate the gradients of a tensor used more than once."""

PRODUCTS = ("conv", "linear", "matmul", "attention")


def price(recording: Recording, registry: Registry) -> Trace:
    """The trace of ``recording``: the cost of every call by the rules in ``registry``.

    If a rule fails, its operation is uncounted, and the answer has the error.
    """
    return _assemble(recording, [answer(signature, registry) for signature in recording.signatures])


def price_again(trace: Trace, registry: Registry) -> Trace:
    """The same calls, none of them excluded, priced by the rules in ``registry``.

    An answer is kept if not everything that a rule may read was saved (earlier versions of the profiler saved only the
    tensors), and if a rule is not registered any more.
    """
    recording = Recording(
        trace.signatures,
        tuple(call.event for call in trace.calls),
        trace.modules,
        trace.parameters,
        trace.real_run,
        trace.unseen,
    )
    pairs = zip(trace.signatures, trace.answers, strict=True)
    return _assemble(recording, [_again(signature, old, registry) for signature, old in pairs])


def _again(signature: Signature, old: Answer, registry: Registry) -> Answer:
    if not signature.whole:
        return old
    new = answer(signature, registry)
    lost = new.data_dependent or new.reason == NO_RULE
    return old if lost and old.status != "uncounted" else new


def answer(signature: Signature, registry: Registry) -> Answer:
    """The answer for one signature."""
    entry = registry.find(signature.op)
    specs = list(signature.specs)
    if (entry is None or entry.cost is not None) and any(spec.stored is not None for spec in specs):
        # The rule of an operator is for dense operands.
        entry = registry.find(signature.op.replace("aten::", "sparse::"))
    if entry is None:
        return Answer("uncounted", "uncounted", reason=NO_RULE)
    if entry.cost is None or not (entry.integers or any(spec.is_arithmetic for spec in specs)):
        return FREE
    try:
        nested = [spec for spec in specs if isinstance(spec, DetailedSpec) and spec.nested]
        kind, terms = _of_each_part(entry, signature, nested) if nested else _of(entry, signature)
    except UncountedError as error:
        dependent = isinstance(error, DataDependentError)
        return Answer("uncounted", "uncounted", reason=str(error), data_dependent=dependent)
    except FOREIGN_ERRORS as error:
        shapes = show_shapes(tuple(spec.shape for spec in signature.inputs))
        reason = f"its rule failed on {shapes}: {type(error).__name__}: {error}"
        return Answer("uncounted", "uncounted", reason=reason)
    if not terms:
        return FREE
    return Answer(kind, "counted", _for_all_samples(terms, signature.samples), direction=entry.direction)


def _of(entry: Entry, signature: Signature) -> tuple[str, tuple[Term, ...]]:
    return entry.of(signature)


def _of_each_part(entry: Entry, signature: Signature, nested: Sequence[DetailedSpec]) -> tuple[str, tuple[Term, ...]]:
    """The work on ``nested`` tensors: the work on each of the contained tensors.

    If a result is not a nested tensor (the gradient of a weight), the work on all of them, concatenated.
    """
    if any(spec.parts is None for spec in nested):
        raise DataDependentError("the lengths of jagged tensors are only known in a real run")
    if not all(isinstance(spec, DetailedSpec) and spec.nested for spec in specs_in(signature.result)):
        if any(len({shape[2:] for shape in spec.parts or ()}) > 1 for spec in nested):
            raise UncountedError("there is no rule for gathering tensors that differ in more than one dimension")
        return _of(entry, signature)
    kind, terms = "movement", list[Term]()
    for part in parts_of(signature):
        kind, more = _of(entry, part)
        terms.extend(more)
    return kind, tuple(terms)


def _for_all_samples(terms: tuple[Term, ...], samples: Shape) -> tuple[Term, ...]:
    """The terms of one sample, multiplied by the number of samples that ``vmap`` maps over."""
    if not samples:
        return terms
    return tuple(replace(term, how_many=(*samples, *term.how_many)) for term in terms)


def _assemble(recording: Recording, answers: Sequence[Answer]) -> Trace:
    """The trace of a recording, with these answers for its signatures."""
    kinds = _Kinds(recording, answers)
    calls = tuple(
        OpCall(event, recording.signatures[event.signature], answers[event.signature], kinds.of(number))
        for number, event in enumerate(recording.events)
    )
    readers: dict[str, list[OpCall]] = {}
    blanks: dict[Unseen, None] = {}
    filled: set[int] = set()
    for call in calls:
        for name in call.event.parameters:
            readers.setdefault(name, []).append(call)
        if call.terms and not filled.issuperset(call.event.blanks):
            filled.update(call.event.blanks)
            blanks.setdefault(Unseen(call.module, FILLED_OUTSIDE))
    dependent = dict.fromkeys(call.op for call in calls if call.answer.data_dependent)
    return Trace(
        calls,
        recording.modules,
        tuple(with_use(record, readers.get(record.names[0], ())) for record in recording.parameters),
        recording.real_run,
        tuple(dependent),
        tuple(dict.fromkeys((*recording.unseen, *blanks))),
        signatures=recording.signatures,
        answers=tuple(answers),
    )


@dataclass(slots=True)
class _Kinds:
    """The kinds of all events, from their answers and their call sites."""

    recording: Recording
    answers: Sequence[Answer]

    def of(self, number: int) -> str:
        """The kind of the event of that number."""
        event = self.recording.events[number]
        answer = self.answers[event.signature]
        if answer.status != "counted":
            return answer.kind
        kind = self._in_place(event, answer)
        if event.phase != "backward" or event.source is None:
            return kind
        return kind_of_gradient(self.recording.signatures[event.signature].op, kind, self._of_source(event.source))

    def _in_place(self, event: Event, answer: Answer) -> str:
        """The kind of a counted event by the operation or function that it is a part of, without gradients."""
        whole = answer if event.part_of is None else self.answers[event.part_of]
        kind = whole.kind if whole.status == "counted" else answer.kind
        if event.within is None or (event.within == "attention" and kind == "linear"):
            return kind
        return event.within

    def _of_source(self, number: int) -> str | None:
        """The kind that the gradients of a forward event get from it, if any."""
        event = self.recording.events[number]
        answer = self.answers[event.signature if event.part_of is None else event.part_of]
        return self._in_place(event, answer) if answer.status == "counted" else None


def kind_of_gradient(op: str, kind: str, source: str | None) -> str:
    """The kind of a backward operation, from its own ``kind`` and that of its forward operation, ``source``.

    ``source`` is None for the gradient of an operation that moves data: then the operation's own kind is used.
    """
    if source is None:
        return kind
    return kind if op in SUMS_OF_GRADIENTS and source in PRODUCTS else source


def with_use(record: ParameterRecord, readers: Iterable[OpCall]) -> ParameterRecord:
    """The record with its kind: that of the costliest operation of the forward pass among its ``readers``.

    A table whose rows are read, and which is not an operand of arithmetic, is an ``embedding``.  The backward pass and
    the optimizer are ignored, so that the kind is the same in both modes.
    """
    calls = [call for call in readers if call.phase == "forward"]
    if not calls:
        return record
    others = [call for call in calls if call.op not in LOOKUPS]
    costliest = max(others, key=_cost, default=None)
    if len(others) < len(calls) and (costliest is None or costliest.status == "free"):
        return replace(record, use="embedding")
    assert costliest is not None
    return replace(record, use=costliest.kind)


def _cost(call: OpCall) -> tuple[int, int, bool]:
    return call.count.flops, call.count.comparisons, call.status != "free"
