"""Recurrent networks and their cells."""

from __future__ import annotations

from profiler.analysis.explaining.document import Definition, Spans
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.crosschecks.products import CELLS, SEQUENCES
from profiler.records import OpCall

UNITS = {
    4: "The gates of each unit: 3 sigmoids, 2 tanh, c′ = f·c + i·g, h′ = o·tanh(c′)",
    3: "The gates of each unit: 2 sigmoids, tanh(input + r·hidden), h′ = n + z·(h − n)",
    1: "The activation of each unit",
}
DEFINITIONS = {
    4: Definition(
        "i, f, o = σ(W·x + U·h + b), g = tanh(W·x + U·h + b); c′ = f·c + i·g; h′ = o·tanh(c′)",
        r"i, f, o = \sigma(W x + U h + b),\ g = \tanh(W x + U h + b);\ c' = f c + i g;\ h' = o \tanh c'",
    ),
    3: Definition(
        "r, z = σ(W·x + U·h + b); n = tanh(W·x + b + r·(U·h + b)); h′ = n + z·(h − n)",
        r"r, z = \sigma(W x + U h + b);\ n = \tanh(W x + b + r (U h + b));\ h' = n + z (h - n)",
    ),
    1: Definition("h′ = tanh or relu of W·x + U·h + b", r"h' = \tanh\text{ or }\mathrm{relu}(W x + U h + b)"),
}


def _gates(op: str) -> int:
    return 4 if "lstm" in op else 3 if "gru" in op else 1


def recurrent(call: OpCall) -> Words | None:
    """All layers and directions of a recurrent network, or one step of a cell."""
    gates = _gates(call.op)
    steps = call.inputs[0].shape[:-1]
    names = {0: [], 1: [("B", "sequences")], 2: [("T", "steps"), ("B", "sequences")]}[len(steps)]
    if call.op in SEQUENCES and len(steps) == 2 and call.signature.argument("batch_first") is True:
        names.reverse()
    if call.op in SEQUENCES and len(steps) == 1:
        names = [("T", "steps")]
    units = next(term for term in call.terms if term.what == "gates").how_many[-1]
    sizes = [Size(name, size, meaning) for (name, meaning), size in zip(names, steps, strict=True)]
    sizes += [Size("gates", gates, "sums of each unit"), Size("h", units, "hidden units")]
    many = "*".join([*(name for name, _ in names), "gates", "h"])
    each = "*".join([*(name for name, _ in names), "h"])
    terms: dict[str | int, TermWords] = {
        "sums of the gates": TermWords(many, about="Both sums and the biases are added"),
        "gates": TermWords(each, about=UNITS[gates]),
    }
    for place, term in enumerate(call.terms):
        if term.what in ("input gates", "hidden gates"):
            size = term.contracted[0]
            name, of = ("d_in", "the input") if term.what == "input gates" else ("d_h", "the state before")
            terms[place] = TermWords(many, name, about=f"Each gate is a dot product with {of}", sizes={name: size})
    return Words(
        "recurrent network" if call.op in SEQUENCES else "recurrent cell",
        sizes,
        terms,
        DEFINITIONS[gates],
        tuple(_remarks(call)),
    )


def _remarks(call: OpCall) -> list[Spans]:
    layers = sum(term.what == "input gates" for term in call.terms)
    found: list[Spans] = []
    if layers > 1:
        found.append((f"Each of the {layers} layers and directions is computed in turn, with its own weights.",))
    if call.op in SEQUENCES:
        found.append(("Every weight of the two matrices is used once at each step of each sequence.",))
    return found


FAMILIES = {recurrent: (*SEQUENCES, *CELLS)}
