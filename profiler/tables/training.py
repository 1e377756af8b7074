"""What training costs: the forward pass, what is recomputed, gradients for inputs and for weights, the optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from profiler.opcount import ZERO, OpCount, Term
from profiler.records import EXCLUDED, ROOT, OpCall, Trace
from profiler.schema import make_table

PARTS = ("forward", "recompute", "input_gradient", "weight_gradient", "optimizer")
"""The parts of a training step, in the order of the table."""

TRAINING_COLUMNS = (
    "layer",
    "type",
    *(f"{part}_macs" for part in PARTS[:-1]),
    "backward_forward_ratio",
    *(f"{part}_flops" for part in PARTS),
)

OF_WEIGHTS = ("weight gradient", "bias gradient")
"""What the rules of operators that give several gradients at once call those of parameters."""


def part_of(call: OpCall, term: Term) -> str:
    """The part of training that a term belongs to.

    A gradient that a rule names is what it says.  Of a layer with a weight, the product that reads the weight gives
    the gradient for the input, and what does not read it that for the weight or the bias.
    """
    if call.phase != "backward":
        return call.phase
    if term.what in OF_WEIGHTS:
        return "weight_gradient"
    by_rule = call.op.endswith("_backward") or call.kind not in ("linear", "recurrent")
    reads_weight = any(spec.parameter for spec in call.inputs)
    contracts = bool(term.contracted) or call.op in ("aten::sum", "aten::add")
    return "input_gradient" if by_rule or reads_weight or not contracts else "weight_gradient"


@dataclass(slots=True)
class _Split:
    """The counts of one module, part by part."""

    counts: dict[str, OpCount] = field(default_factory=dict)

    def add(self, calls: Iterable[OpCall]) -> None:
        for call in calls:
            for term in call.terms:
                part = part_of(call, term)
                self.counts[part] = self.counts.get(part, ZERO) + term.count

    def row(self) -> list[object]:
        count = {part: self.counts.get(part, ZERO) for part in PARTS}
        backward = count["input_gradient"].macs + count["weight_gradient"].macs
        forward = count["forward"].macs
        return [
            *(count[part].macs for part in PARTS[:-1]),
            backward / forward if forward else None,
            *(count[part].flops for part in PARTS),
        ]


def training_table(trace: Trace) -> pd.DataFrame:
    """One row for each module that did arithmetic itself, and a row ``total`` after them.

    ``backward_forward_ratio`` is that of the MACs, without what was recomputed: 2 where both gradients are needed.
    """
    types = {record.name: record.type for record in trace.modules}
    calls: dict[str, list[OpCall]] = {}
    for call in trace.calls:
        if call.terms:
            calls.setdefault(call.module, []).append(call)
    rows: list[list[object]] = []
    everything = _Split()
    for module, group in calls.items():
        split = _Split()
        split.add(group)
        everything.add(group)
        rows.append([module or ROOT, types.get(module, ""), *split.row()])
    rows.append(["total", "", *everything.row()])
    if trace.excluded is not None:
        left_out = _Split()
        left_out.add(trace.excluded.calls)
        rows.append([EXCLUDED, "", *left_out.row()])
    return make_table(TRAINING_COLUMNS, rows)
