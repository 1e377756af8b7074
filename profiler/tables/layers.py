"""The work of each module that ran operations itself, in the order in which they first ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from profiler.calls import Tally
from profiler.columns import FIRST, HEADLINE, SUMMARIES, Column
from profiler.opcount import Term
from profiler.records import EXCLUDED, ROOT, Answer, ModuleRecord, show_shapes
from profiler.schema import Table
from profiler.tabulate import Grouping, Work, calls_of_excluded, left_out, of_each, tabulate

FORMULA_LEAST = 24
"""The minimum width of a formula; with less it is left out."""

GROUPING = Grouping(
    "layers",
    "Layers",
    first=(
        Column("layer", "name", FIRST, refers_to="module"),
        Column("type", priority=SUMMARIES, meaning="class of the module"),
        Column("kind", priority=3, meaning="kind of the costliest work that it does"),
        Column("calls", "count", 27, meaning="number of calls"),
        Column("input_shape", "shape", 30),
        Column("output_shape", "shape", 23),
    ),
    behind_flops=(Column("formula", "formula", 5, width=FORMULA_LEAST, meaning="cost of the calls"),),
    last=(Column("status", "status", HEADLINE + 1, meaning="partial if work has no rule or is unseen"),),
)

TERMS_SHOWN = 8
"""The maximum number of different terms in a layer's formula; further terms are only counted."""


def table(work: Work) -> Table:
    """One row for each module that ran operations itself; excluded modules share a last row."""
    trace = work.trace
    known = {record.name: record for record in trace.modules}
    records = [known.get(name) or ModuleRecord(name, "", 0) for name in work.kinds]
    groups = [work.by_module[name] for name in work.kinds]
    cells: dict[str, Sequence[Any]] = {
        "layer": [name or ROOT for name in work.kinds],
        "type": [record.type for record in records],
        "kind": list(work.kinds.values()),
        "calls": [record.calls for record in records],
        "input_shape": [_show_calls(record.input_shapes) for record in records],
        "output_shape": [_show_calls(record.output_shapes) for record in records],
        "formula": of_each(groups, lambda group: formula(group.tallies)),
        "status": work.statuses(groups),
    }
    if trace.excluded is not None:
        groups.append(rest := left_out(trace))
        more = EXCLUDED, "", "excluded", calls_of_excluded(trace), "", "", "", work.status(rest)
        cells = {name: [*values, value] for (name, values), value in zip(cells.items(), more, strict=True)}
    return tabulate(GROUPING, groups, work, cells)


@lru_cache(maxsize=4096)
def _show_calls(shapes: tuple[tuple[tuple[int, ...], ...], ...]) -> str:
    """The shapes of a module's tensors; different calls are separated by a bar."""
    return " | ".join(show_shapes(call) for call in shapes)


def formula(tallies: Iterable[Tally]) -> str:
    """The cost of the calls as a formula.

    The product of a contraction is the number of its MACs, without the adds of a bias.  Terms with the same number of
    results are combined within a call, and equal terms of several calls are collected.
    """
    texts: dict[str, int] = {}
    hidden = 0
    for tally in tallies:
        for text in _texts(tally.operation.answer):
            if text in texts or len(texts) < TERMS_SHOWN:
                texts[text] = texts.get(text, 0) + tally.times
            else:
                hidden += tally.times
    parts = [text if times == 1 else f"{times} × [{text}]" for text, times in texts.items()]
    return " + ".join(parts) + (f" + … ({hidden} more)" if hidden else "")


def _texts(answer: Answer) -> tuple[str, ...]:
    """The formulas of the terms of one call, made once for an answer that profiles share."""
    known = _known.get(id(answer))
    if known is None:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        known = _known[id(answer)] = answer, _made(answer.terms)
    return known[1]


MOST_KNOWN = 4096

_known: dict[int, tuple[Answer, tuple[str, ...]]] = {}


def _made(terms: tuple[Term, ...]) -> tuple[str, ...]:
    contracts = any(term.contracted for term in terms)
    shown: list[Term] = []
    together: dict[tuple[int, ...], int] = {}
    for term in terms:
        if not term.one or (contracts and term.role == "bias"):
            continue
        if term.contracted or term.how_many not in together:
            if not term.contracted:
                together[term.how_many] = len(shown)
            shown.append(term)
        else:
            place = together[term.how_many]
            shown[place] = replace(shown[place], one=shown[place].one + term.one)
    return tuple(term.formula for term in shown)
