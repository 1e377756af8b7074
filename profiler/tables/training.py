"""The cost of training: the forward pass, recomputation, gradients for inputs and for weights, the optimizer."""

from __future__ import annotations

from collections.abc import Iterable

from profiler.calls import Tally, tallies
from profiler.columns import FIRST, Column
from profiler.measures import HEADLINE, find_measure
from profiler.opcount import OpCount, Role, Term
from profiler.records import EXCLUDED, ROOT, OpCall
from profiler.schema import Table
from profiler.tabulate import Work, of_each

PARTS = ("forward", "recompute", "input_gradient", "weight_gradient", "optimizer")
"""The parts of a training step, in the order of the table."""

COLUMNS = (
    Column("layer", "name", FIRST, refers_to="module"),
    Column("type"),
    *(Column(f"{part}_macs", "count", heading=f"{part.replace('_', ' ')} MACs") for part in PARTS[:-1]),
    Column("backward_forward_ratio", "ratio"),
    *(Column(f"{part}_flops", "count", heading=f"{part.replace('_', ' ')} FLOPs") for part in PARTS),
)

SUBJECT = "Training: forward, recompute, gradients for inputs and for weights, optimizer"

OF_WEIGHTS: tuple[Role, ...] = ("weight gradient", "bias gradient")
"""The roles of gradients of parameters, for operators that compute several gradients at once."""


def part_of(call: OpCall, term: Term) -> str:
    """The part of training that a term belongs to.

    If a rule names a gradient, the name decides.  In a layer with a weight, the product that reads the weight computes
    the gradient for the input, and other terms compute those for the weight or the bias.
    """
    if call.phase != "backward":
        return call.phase
    if term.role in OF_WEIGHTS:
        return "weight_gradient"
    by_rule = call.answer.direction == "backward" or call.kind not in ("linear", "recurrent")
    reads_weight = any(spec.parameter for spec in call.inputs)
    contracts = bool(term.contracted) or call.op in ("aten::sum", "aten::add")
    return "input_gradient" if by_rule or reads_weight or not contracts else "weight_gradient"


Costs = tuple[int, int]
"""MACs and FLOPs."""

NOTHING: Costs = (0, 0)

Split = dict[str, Costs]
"""Costs part by part."""


def _of_all(tallies: Iterable[Tally]) -> Split:
    """The costs of all calls."""
    split: Split = {}
    for tally in tallies:
        operation, times = tally.operation, tally.times
        if not operation.answer.terms:
            continue
        if operation.phase == "backward":
            for term in operation.answer.terms:
                _add(split, part_of(tally.call, term), term.count, times)
        else:
            _add(split, operation.phase, operation.answer.count, times)
    return split


def _add(split: Split, part: str, count: OpCount, times: int) -> None:
    macs, flops = split.get(part, NOTHING)
    split[part] = macs + count.macs * times, flops + count.flops * times


def _row(split: Split) -> tuple[object, ...]:
    macs, flops = zip(*[split.get(part, NOTHING) for part in PARTS], strict=True)
    forward, _, for_inputs, for_weights, _ = macs
    ratio = (for_inputs + for_weights) / forward if forward else None
    return (*macs[:-1], ratio, *flops)


def table(work: Work) -> Table:
    """One row for each module that did arithmetic itself, and a row ``total`` after them.

    ``backward_forward_ratio`` is the ratio of the MACs without recomputation: 2 if both gradients are needed.
    """
    trace = work.trace
    types = {record.name: record.type for record in trace.modules}
    working = dict.fromkeys([tally.module for tally in work.tallies if tally.operation.answer.terms])
    figures = of_each([work.by_module[module] for module in working], lambda group: _row(_of_all(group.tallies)))
    rows: list[tuple[object, ...]] = [
        (module or ROOT, types.get(module, ""), *row) for module, row in zip(working, figures, strict=True)
    ]
    everything = _of_all(work.anywhere)
    rows.append(("total", "", *_row(everything)))
    if trace.excluded is not None:
        rows.append((EXCLUDED, "", *_row(_of_all(tallies(trace.excluded.calls)))))
    return Table.of("training", SUBJECT, COLUMNS, rows, 1 + int(trace.excluded is not None))


def step(whole: Table) -> Table:
    """The parts of the whole step with a cost, from the table of its layers."""
    total = next(row for row in reversed(whole.records()) if row["layer"] == "total")
    columns = (Column("part", priority=FIRST), *(find_measure(name).column() for name in ("macs", HEADLINE)))
    rows = [
        (part.replace("_", " "), total.get(f"{part}_macs", 0), total[f"{part}_flops"])
        for part in PARTS
        if total[f"{part}_flops"]
    ]
    return Table.of("training", SUBJECT, columns, rows)
