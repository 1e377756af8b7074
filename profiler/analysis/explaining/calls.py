"""The derivation of calls as blocks of a document: shapes, named sizes, terms, sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from profiler.analysis.explaining.derivation import Derivation, TermDerivation
from profiler.analysis.explaining.document import (
    Assigned,
    Block,
    Equations,
    Heading,
    Inline,
    Items,
    Name,
    Paragraph,
    Span,
    Spans,
    spread,
)
from profiler.analysis.explaining.formulas import Formula
from profiler.analysis.explaining.words import Size
from profiler.formatting import thousands
from profiler.pricing import SUMS_OF_GRADIENTS
from profiler.records import OpCall, show_shape
from profiler.signatures import TensorSpec, specs_in
from profiler.tables.training import part_of

WITH_BIAS = ("linear", "recurrent")
"""Kinds of layers whose gradients are operations of their own: two products and a sum."""

MOST_TENSORS = 6
"""The maximum number of operands whose shapes are shown."""

GRADIENTS = {
    "input gradient": "Input gradient: the gradient of the result times the weight.",
    "weight gradient": "Weight gradient: the gradient of the result, transposed, times the input.",
    "bias gradient": "Bias gradient: the gradient of the result, summed over all rows.",
    "sum of gradients": "A tensor that is used more than once has the sum of its gradients.",
}
"""What a layer's gradients are, where the backward pass computes each of them by an operation of its own."""


def times(number: int) -> str:
    """``once``, ``twice``, ``12 times``."""
    return {1: "once", 2: "twice"}.get(number, f"{thousands(number)} times")


def phase_of(call: OpCall) -> str:
    """The phase, or the gradient that the call computes."""
    if call.phase != "backward":
        return call.phase
    if call.answer.direction == "forward" and call.op in SUMS_OF_GRADIENTS:
        return "sum of gradients"
    if call.answer.direction == "forward" and call.kind in WITH_BIAS and call.op == "aten::sum":
        return "bias gradient"
    parts = dict.fromkeys(part_of(call, term) for term in call.terms)
    return " and ".join(part.replace("_", " ") for part in parts) or "backward"


def short_phase(call: OpCall) -> str:
    """The phase for a table."""
    phase = phase_of(call)
    return "gradients" if " and " in phase else phase


def derived(derivation: Derivation, level: int = 3, where: Spans = ()) -> Iterator[Block]:
    """One call in full; ``where`` says where it was made."""
    call = derivation.call
    yield Heading(level, _heading(derivation))
    yield Paragraph((*where, *shapes(call)))
    if derivation.words.definition is not None:
        yield derivation.words.definition
    yield from _sizes(derivation.words.sizes)
    if call.phase == "backward" and call.answer.direction == "forward":
        gradient = GRADIENTS.get(phase_of(call))
        if gradient is not None and (call.kind in WITH_BIAS or call.op in SUMS_OF_GRADIENTS):
            yield Paragraph((gradient,))
    for term in derivation.terms:
        yield from _term(term)
    sums = tuple(derivation.sums())
    if sums:
        yield Paragraph(("Together:",))
        yield Equations(sums)
    if derivation.times > 1:
        yield Paragraph((f"All {thousands(derivation.times)} calls:",))
        yield Equations(tuple(derivation.all_calls()))
    for remark in derivation.words.remarks:
        yield Paragraph(tuple(remark))


def _heading(derivation: Derivation) -> Spans:
    call = derivation.call
    phase = phase_of(call)
    title = derivation.words.title
    named: Spans = (Name(call.op),) if title == call.op.rpartition("::")[2] else (Name(call.op), f", {title}")
    return (*named, *(() if phase == "forward" else (f" ({phase})",)))


def shapes(call: OpCall) -> Spans:
    """``input 1×3×224×224, weight 64×3×11×11 → 1×64×55×55.``"""
    operands: list[Span] = []
    if call.signature.whole:
        for name, value in call.signature.arguments:
            for spec in specs_in(value):
                several = not isinstance(value, TensorSpec)
                operands.append(
                    f"{'' if name in ('self', 'tensors') or several else f'{name} '}{show_shape(spec.plain.shape)}"
                )
    else:
        operands += [show_shape(spec.shape) for spec in call.inputs]
    if len(operands) > MOST_TENSORS:
        operands = [*operands[:MOST_TENSORS], f"{len(operands) - MOST_TENSORS} more"]
    results = ", ".join(show_shape(spec.shape) for spec in call.outputs[:MOST_TENSORS]) or "nothing"
    return (*spread(operands, last=", "), f" → {results}.")


def _sizes(sizes: Sequence[Size]) -> Iterator[Block]:
    """The named sizes, each with its meaning and how it is computed."""
    numbers = {size.name: size.number for size in sizes}
    if sizes:
        yield Items(tuple(_size(size, numbers) for size in sizes))


def _size(size: Size, numbers: dict[str, int]) -> Spans:
    formula: Spans = (": ", Inline(Formula(size.formula, numbers), "numbers")) if size.formula else ()
    return (Assigned(size.name, size.number), f", {size.meaning}", *formula)


def _term(term: TermDerivation) -> Iterator[Block]:
    about = term.about[:1].upper() + term.about[1:]
    yield Paragraph((f"{about}." if ":" in about else f"{about}{_reason(term)}",))
    yield Equations(tuple(term.equations()))


def _reason(term: TermDerivation) -> str:
    """Why the numbers of multiplies and adds differ, or what one costs."""
    one = term.term.one
    if term.term.contracted:
        k = thousands(one.macs)
        if one.adds == one.macs - 1:
            return (
                f": K = {k} products cost K multiplies and K − 1 adds, because the first product is added to nothing."
            )
        return f": K = {k} products cost K multiplies and K adds."
    return f": {term.cost_of_one()} each."


def free_and_uncounted(calls: Iterable[tuple[OpCall, int]]) -> Iterator[Block]:
    """The operations that cost nothing, and those whose cost is not known."""
    free: dict[str, int] = {}
    unknown: dict[tuple[str, str], int] = {}
    for call, number in calls:
        if call.status == "free":
            free[call.op] = free.get(call.op, 0) + number
        elif call.status == "uncounted":
            unknown[call.op, call.reason] = unknown.get((call.op, call.reason), 0) + number
    if free:
        yield Paragraph(("Free, because they move data or only work on integers: ", *_called(free), "."))
    if unknown:
        yield Items(
            tuple(
                (
                    "Not counted: ",
                    Name(op),
                    f", called {times(number)}{f': {reason}' if reason else ''}. What is shown is a lower bound.",
                )
                for (op, reason), number in unknown.items()
            )
        )


def _called(found: dict[str, int]) -> Spans:
    return spread([(Name(op), f" ({times(number)})") if number > 1 else (Name(op),) for op, number in found.items()])
