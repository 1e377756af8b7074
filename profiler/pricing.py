"""A recording and rules → the cost of each call.

Each signature is priced once, even if it ran several times.  Nothing here needs torch, so a saved profile can be priced
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from profiler.calls import Calls, Tally, events_of
from profiler.errors import FOREIGN_ERRORS, DataDependentError, UncountedError
from profiler.events import NO_SOURCE, Events, Site, compact
from profiler.opcount import Term
from profiler.quick_records import maker
from profiler.records import (
    FILLED_OUTSIDE,
    Answer,
    ParameterRecord,
    Recording,
    Trace,
    Unseen,
    show_shapes,
)
from profiler.rules.registry import Entry, Registry
from profiler.signatures import LOOKUPS, DetailedSpec, Shape, Signature, TensorSpec, parts_of, specs_in

FREE = Answer("movement", "free")

NO_RULE = "there is no rule for it"

SUMS_OF_GRADIENTS = frozenset({"aten::add", "aten::add_"})
"""Adds in the backward pass that accumulate the gradients of a tensor used more than once."""

_parameter_record = maker(ParameterRecord)

PRODUCTS = ("conv", "linear", "matmul", "attention")


def price(recording: Recording, registry: Registry) -> Trace:
    """The trace of ``recording``: the cost of every call by the rules in ``registry``.

    If a rule fails, its operation is uncounted, and the answer has the error.
    """
    return _assemble(recording, [_remembered(signature, registry) for signature in recording.signatures])


def price_again(trace: Trace, registry: Registry) -> Trace:
    """The same calls, none of them excluded, priced by the rules in ``registry``.

    An answer is kept if not everything that a rule may read was saved (earlier versions of the profiler saved only the
    tensors), and if a rule is not registered any more.
    """
    recording = Recording(
        trace.signatures,
        events_of(trace.calls),
        trace.modules,
        trace.parameters,
        trace.real_run,
        trace.unseen,
    )
    pairs = zip(trace.signatures, trace.answers, strict=True)
    again = _assemble(recording, [_again(signature, old, registry) for signature, old in pairs])
    return replace(again, memory=trace.memory, generation=trace.generation)


def _again(signature: Signature, old: Answer, registry: Registry) -> Answer:
    if not signature.whole:
        return old
    new = answer(signature, registry)
    lost = new.data_dependent or new.reason == NO_RULE
    return old if lost and old.status != "uncounted" else new


MOST_ANSWERS = 2**14
"""The number of answers that are remembered; when there are more, all are forgotten."""

_answers: dict[int, tuple[Signature, Entry, Answer]] = {}
"""By the id of a signature, which recordings share, its answer by an entry of the profiler's own rules.

Equal signatures may differ in what a rule sees: 1 and True are equal.
"""


def _remembered(signature: Signature, registry: Registry) -> Answer:
    """The answer for one signature, computed once if a rule of the profiler itself gives it."""
    entry = registry.find(signature.op)
    known = _answers.get(id(signature))
    if known is not None and known[1] is entry:
        return known[2]
    new = answer(signature, registry)
    if entry is not None and entry.is_own and all(type(spec) is TensorSpec for spec in signature.specs):
        if len(_answers) >= MOST_ANSWERS:
            _answers.clear()
        _answers[id(signature)] = signature, entry, new
    return new


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
    calls = calls_of(recording, answers)
    readers: dict[str, list[Tally]] = {}
    for tally in calls.tallies:
        if tally.parameters and tally.operation.phase == "forward":
            for name in tally.parameters:
                readers.setdefault(name, []).append(tally)
    dependent = dict.fromkeys(tally.op for tally in calls.anywhere if tally.answer.data_dependent)
    return Trace(
        calls,
        recording.modules,
        tuple(with_use(record, readers.get(record.names[0], ())) for record in recording.parameters),
        recording.real_run,
        tuple(dependent),
        tuple(dict.fromkeys((*recording.unseen, *_filled_outside(calls.events, answers)))),
        signatures=recording.signatures,
        answers=tuple(answers),
    )


def calls_of(recording: Recording, answers: Sequence[Answer]) -> Calls:
    """The calls of a recording, with these answers for its signatures."""
    events = recording.events if isinstance(recording.events, Events) else Events.of(recording.events)
    groups, kinds = _groups(events, _Kinds(recording.signatures, answers))
    return Calls(events, recording.signatures, answers, groups, kinds)


def _filled_outside(events: Events, answers: Sequence[Answer]) -> Iterator[Unseen]:
    """The modules whose arithmetic reads memory that no operation wrote to, and no arithmetic before it read."""
    filled: set[int] = set()
    for number, blanks in events.blanks():
        site = events.sites[events.places[number]]
        if answers[site.signature].terms and not filled.issuperset(blanks):
            filled.update(blanks)
            yield Unseen(site.module, FILLED_OUTSIDE)


def _groups(events: Events, kinds: _Kinds) -> tuple[Sequence[int], Sequence[str]]:
    """For each event the number of its group, whose events have one site and one kind, and the kind of each group.

    The kind of a gradient depends on the site of its forward operation too.
    """
    sites, places = events.sites, events.places
    if not events.sources:
        return places, [kinds.of(site) for site in sites]
    pairs = list(
        zip(places, (NO_SOURCE if number == NO_SOURCE else places[number] for number in events.sources), strict=True)
    )
    found = {
        (place, source): (place, kinds.of(sites[place], None if source == NO_SOURCE else sites[source]))
        for place, source in dict.fromkeys(pairs)
    }
    numbers = {group: number for number, group in enumerate(dict.fromkeys(found.values()))}
    of_pairs = {pair: numbers[group] for pair, group in found.items()}
    return compact([of_pairs[pair] for pair in pairs]), [kind for _, kind in numbers]


@dataclass(slots=True)
class _Kinds:
    """The kinds of events, from the answers and their call sites."""

    signatures: Sequence[Signature]
    answers: Sequence[Answer]

    def of(self, site: Site, source: Site | None = None) -> str:
        """The kind of an event at ``site``; ``source`` is the site of the forward event that it is the gradient of."""
        answer = self.answers[site.signature]
        if answer.status != "counted":
            return answer.kind
        kind = self._in_place(site, answer)
        if site.phase != "backward" or source is None:
            return kind
        return kind_of_gradient(self.signatures[site.signature].op, kind, self._of_source(source))

    def _in_place(self, site: Site, answer: Answer) -> str:
        """The kind of a counted event by the operation or function that it is a part of, without gradients."""
        whole = answer if site.part_of is None else self.answers[site.part_of]
        kind = whole.kind if whole.status == "counted" else answer.kind
        if site.within is None or (site.within == "attention" and kind == "linear"):
            return kind
        return site.within

    def _of_source(self, site: Site) -> str | None:
        """The kind that the gradients of a forward event get from it, if any."""
        answer = self.answers[site.signature if site.part_of is None else site.part_of]
        return self._in_place(site, answer) if answer.status == "counted" else None


def kind_of_gradient(op: str, kind: str, source: str | None) -> str:
    """The kind of a backward operation, from its own ``kind`` and that of its forward operation, ``source``.

    ``source`` is None for the gradient of an operation that moves data: then the operation's own kind is used.
    """
    if source is None:
        return kind
    return kind if op in SUMS_OF_GRADIENTS and source in PRODUCTS else source


def with_use(record: ParameterRecord, readers: Sequence[Tally]) -> ParameterRecord:
    """The record with its kind: that of the costliest of its ``readers``, which are calls of the forward pass.

    A table whose rows are read, and which is not an operand of arithmetic, is an ``embedding``.  The backward pass and
    the optimizer are ignored, so that the kind is the same in both modes.
    """
    if not readers or (use := _use(readers)) == record.use:
        return record
    return _parameter_record(
        record.names,
        record.module,
        record.shape,
        record.dtype,
        record.itemsize,
        record.trainable,
        record.buffer,
        use,
    )


def _use(readers: Sequence[Tally]) -> str:
    """The kind of a parameter with these readers."""
    if len(readers) == 1:
        operation = readers[0].operation
        return "embedding" if operation.signature.op in LOOKUPS else operation.kind
    others = [tally for tally in readers if tally.op not in LOOKUPS]
    costliest = max(others, key=_cost, default=None)
    if costliest is None or (len(others) < len(readers) and costliest.status == "free"):
        return "embedding"
    return costliest.kind


def _cost(tally: Tally) -> tuple[int, int, bool]:
    count = tally.answer.count
    return count.flops, count.comparisons, tally.status != "free"
