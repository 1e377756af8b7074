"""Our records and another counter's figures → where they agree, and the reason for every difference.

A reason is derived from the two records: from the counter's own published convention applied to the shapes that
we recorded, from its list of operations that it has no rule for, and from the modules that it says it did not see.
What is left over is unexplained.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import pandas as pd

from profiler.errors import ProfilerError
from profiler.records import ROOT, CounterFigure, CounterRecord, OpCall, Trace
from profiler.tables import make_table

AGREEMENT_COLUMNS = ("layer", "type", "counter", "macs", "figure", "difference", "reason", "explained")


Figure = Callable[[OpCall], int]


@dataclass(frozen=True, slots=True)
class Label:
    """What a counter says of one operation: under which name, by which formula, and what it means by it.

    Where the counter goes by one of several formulas and the record cannot tell which, the figures are in the
    order in which they are tried.
    """

    name: str
    figures: tuple[Figure, ...]
    meaning: str = ""


def _first(call: OpCall) -> tuple[int, ...]:
    return call.inputs[0].shape


def _affine(call: OpCall) -> bool:
    return len(call.inputs) > 1 and call.inputs[1].parameter


def _an_element(plain: int, affine: int) -> Callable[[OpCall], int]:
    return lambda call: prod(_first(call)) * (affine if _affine(call) else plain)


def _matmul(call: OpCall) -> int:
    return prod(_first(call)) * call.inputs[1].shape[-1]


def _macs(call: OpCall) -> int:
    return call.count.macs


def _rounded_macs(call: OpCall) -> int:
    """The macs by way of NumPy's contraction report, which prints twice their number with four digits."""
    return int(float(f"{2 * call.count.macs:.3e}") // 2)


_CONVOLUTION = Label("conv", (_macs,))

FVCORE = {
    **{f"aten::{name}{n}d": _CONVOLUTION for name in ("conv", "conv_transpose") for n in (1, 2, 3)},
    "aten::linear": Label("linear", (lambda call: prod(_first(call)) * call.inputs[1].shape[0],)),
    "aten::matmul": Label("matmul", (_matmul,), "multiplies the first operand's size by the last one, not broadcast"),
    "aten::mm": Label("mm", (_matmul,)),
    "aten::bmm": Label("bmm", (_matmul,)),
    "aten::addmm": Label("addmm", (lambda call: prod(call.inputs[1].shape) * call.inputs[2].shape[-1],)),
    "aten::einsum": Label("einsum", (_macs, _rounded_macs), "rounds an einsum's count to four digits"),
    "aten::batch_norm": Label("batch_norm", (_an_element(1, 2),), "counts batch norm, 2 an element (1 without affine)"),
    "aten::layer_norm": Label("layer_norm", (_an_element(4, 5),), "counts layer norm, 5 an element (4 without affine)"),
    "aten::group_norm": Label("group_norm", (_an_element(4, 5),), "counts group norm, 5 an element (4 without affine)"),
    "aten::instance_norm": Label(
        "instance_norm", (_an_element(4, 5),), "counts instance norm, 5 an element (4 without affine)"
    ),
    "aten::adaptive_avg_pool2d": Label(
        "adaptive_avg_pool2d", (lambda call: prod(_first(call)),), "counts adaptive average pooling, 1 an input element"
    ),
    "aten::upsample_nearest2d": Label(
        "upsample_nearest2d", (lambda call: call.outputs[0].size,), "counts nearest upsampling, 1 a result"
    ),
    "aten::upsample_bilinear2d": Label(
        "upsample_bilinear2d", (lambda call: 4 * call.outputs[0].size,), "counts bilinear upsampling, 4 a result"
    ),
    "aten::grid_sampler": Label(
        "grid_sampler", (lambda call: 4 * call.outputs[0].size,), "counts grid sampling, 4 a result"
    ),
}
"""fvcore's rules (its ``flop_count`` module), restated for the operations that we record."""

FUSED = ("aten::_native_multi_head_attention", "aten::_transformer_encoder_layer_fwd")
"""Kernels that do the work of a module and all below it in one operation."""

FVCORE_OTHER_NAMES = {
    "aten::conv1d": "aten::_convolution_mode",
    "aten::conv2d": "aten::_convolution_mode",
    "aten::conv3d": "aten::_convolution_mode",
}
"""Under which other name fvcore's trace may hold an operation (padding given as a word)."""

CONVENTIONS: dict[str, dict[str, Label]] = {"fvcore": FVCORE}


def agreement_table(trace: Trace, counters: Sequence[CounterRecord]) -> pd.DataFrame:
    """One row for each layer and counter where either has a figure.

    ``difference`` is the counter's figure less our macs; ``reason`` says where it comes from, each part with its
    amount; ``explained`` is false where the parts do not add up to it.  Counters that were skipped or failed have
    no rows.
    """
    rows: list[tuple[object, ...]] = []
    for counter in counters:
        if counter.status == "ok":
            rows += _rows(trace, counter)
    return make_table(AGREEMENT_COLUMNS, rows)


def unexplained(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of an agreement table whose difference has no reason."""
    return table[[not value for value in table["explained"]]]


def _rows(trace: Trace, counter: CounterRecord) -> Iterable[tuple[object, ...]]:
    if counter.counter not in CONVENTIONS:
        raise ProfilerError(f"counter {counter.counter!r} is not known, expected one of {', '.join(CONVENTIONS)}")
    said = _by_module(counter.figures)
    unsupported = _by_module(counter.unsupported)
    first_names = {record.name: record.first_name for record in trace.modules}
    types = {record.name: record.type for record in trace.modules}
    calls: dict[str, list[OpCall]] = {record.first_name: [] for record in trace.modules}
    for call in trace.calls:
        calls.setdefault(first_names.get(call.module, call.module), []).append(call)
    for module, ours in calls.items():
        macs = sum(call.count.macs for call in ours)
        figure = sum(said[module].values())
        evidence = _Evidence(counter.counter, CONVENTIONS[counter.counter], said[module], unsupported[module])
        whole = _reason_for_the_whole(module, counter, unsupported)
        parts = [(-macs, whole)] if whole and macs and not figure else _explain(ours, evidence)
        if not macs and not figure:
            continue
        left = figure - macs - sum(amount for amount, _ in parts)
        texts = [f"{text} ({amount:+,})" for amount, text in parts]
        if left:
            texts.append(f"unexplained ({left:+,})")
        yield (
            module or ROOT,
            types.get(module, ""),
            counter.counter,
            macs,
            figure,
            figure - macs,
            "; ".join(texts),
            left == 0,
        )


def _by_module(figures: Iterable[CounterFigure]) -> defaultdict[str, Counter[str]]:
    modules: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for figure in figures:
        modules[figure.module][figure.op] += figure.figure
    return modules


def _reason_for_the_whole(module: str, counter: CounterRecord, unsupported: Mapping[str, Counter[str]]) -> str:
    """Why the counter says nothing at all of a module's work, if there is evidence; else an empty text."""
    name = module
    while True:
        for op in FUSED:
            if unsupported[name][op]:
                return f"{counter.counter} has no rule for {op}, which does all of it in one kernel"
        if not name:
            break
        name = name.rpartition(".")[0]
    return f"{counter.counter} dropped it as dead code or did not see it run" if module in counter.uncalled else ""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What one counter recorded of one module."""

    counter: str
    labels: Mapping[str, Label]
    said: Counter[str]
    unsupported: Counter[str]


def _explain(calls: Sequence[OpCall], evidence: _Evidence) -> list[tuple[int, str]]:
    """The parts of the difference that the evidence accounts for, as (amount, reason)."""
    parts: list[tuple[int, str]] = []
    expected: defaultdict[str, list[tuple[Label, list[OpCall]]]] = defaultdict(list)
    for op, group in _by_op(calls).items():
        label = evidence.labels.get(op)
        other_name = FVCORE_OTHER_NAMES.get(op, op)
        missing = next((name for name in (op, other_name) if evidence.unsupported[name] >= len(group)), None)
        macs = sum(call.count.macs for call in group)
        if missing is not None:
            if macs:
                parts.append((-macs, f"{evidence.counter} has no rule for {missing}"))
        elif label is not None:
            expected[label.name].append((label, group))
    for name, groups in expected.items():
        parts += _by_convention(groups, evidence.said[name], evidence.counter)
    return parts


def _by_convention(groups: Sequence[tuple[Label, list[OpCall]]], said: int, counter: str) -> list[tuple[int, str]]:
    """The differences that follow from the counter's own formulas, if they give exactly what it said."""
    for choice in range(max(len(label.figures) for label, _ in groups)):
        parts = []
        expected = 0
        for label, calls in groups:
            formula = label.figures[min(choice, len(label.figures) - 1)]
            figure = sum(formula(call) for call in calls)
            expected += figure
            difference = figure - sum(call.count.macs for call in calls)
            if difference:
                parts.append((difference, f"{counter} {label.meaning}"))
        if expected == said:
            return parts
    return []


def _by_op(calls: Sequence[OpCall]) -> dict[str, list[OpCall]]:
    groups: dict[str, list[OpCall]] = {}
    for call in calls:
        groups.setdefault(call.op, []).append(call)
    return groups
