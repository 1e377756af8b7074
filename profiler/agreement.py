"""Our records and another counter's figures → where they agree, and the reason for every difference.

A reason is derived from the two records: from the counter's own published convention applied to the shapes that
we recorded, from its list of operations that it has no rule for, and from the modules that it says it did not see.
What is left over is unexplained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod

import pandas as pd

from profiler.errors import ProfilerError
from profiler.records import ROOT, CounterRecord, OpCall, Trace
from profiler.tables import make_table

AGREEMENT_COLUMNS = ("layer", "type", "counter", "macs", "figure", "difference", "reason", "explained")


@dataclass(frozen=True, slots=True)
class Label:
    """What a counter says of one operation: under which name, by which formula, and what it means by it."""

    name: str
    figure: Callable[[OpCall], int]
    meaning: str = ""


def _first(call: OpCall) -> tuple[int, ...]:
    return call.inputs[0].shape


def _affine(call: OpCall) -> bool:
    return len(call.inputs) > 1 and call.inputs[1].parameter


def _an_element(plain: int, affine: int) -> Callable[[OpCall], int]:
    return lambda call: prod(_first(call)) * (affine if _affine(call) else plain)


def _matmul(call: OpCall) -> int:
    return prod(_first(call)) * call.inputs[1].shape[-1]


_CONVOLUTION = Label("conv", lambda call: call.count.macs)

FVCORE = {
    **{f"aten::{name}{n}d": _CONVOLUTION for name in ("conv", "conv_transpose") for n in (1, 2, 3)},
    "aten::linear": Label("linear", lambda call: prod(_first(call)) * call.inputs[1].shape[0]),
    "aten::matmul": Label("matmul", _matmul, "multiplies the first operand's elements by the last size, not broadcast"),
    "aten::mm": Label("mm", _matmul),
    "aten::bmm": Label("bmm", _matmul),
    "aten::addmm": Label("addmm", lambda call: prod(call.inputs[1].shape) * call.inputs[2].shape[-1]),
    "aten::einsum": Label("einsum", lambda call: call.count.macs),
    "aten::batch_norm": Label("batch_norm", _an_element(1, 2), "counts batch norm, 2 an element (1 without affine)"),
    "aten::layer_norm": Label("layer_norm", _an_element(4, 5), "counts layer norm, 5 an element (4 without affine)"),
    "aten::group_norm": Label("group_norm", _an_element(4, 5), "counts group norm, 5 an element (4 without affine)"),
    "aten::instance_norm": Label(
        "instance_norm", _an_element(4, 5), "counts instance norm, 5 an element (4 without affine)"
    ),
    "aten::adaptive_avg_pool2d": Label(
        "adaptive_avg_pool2d", lambda call: prod(_first(call)), "counts adaptive average pooling, 1 an input element"
    ),
    "aten::upsample_nearest2d": Label(
        "upsample_nearest2d", lambda call: call.outputs[0].size, "counts nearest upsampling, 1 a result"
    ),
    "aten::upsample_bilinear2d": Label(
        "upsample_bilinear2d", lambda call: 4 * call.outputs[0].size, "counts bilinear upsampling, 4 a result"
    ),
    "aten::grid_sampler": Label(
        "grid_sampler", lambda call: 4 * call.outputs[0].size, "counts grid sampling, 4 a result"
    ),
}
"""fvcore's rules (its ``flop_count`` module), restated for the operations that we record."""

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
    labels = CONVENTIONS[counter.counter]
    first = {record.name: record.first_name for record in trace.modules}
    types = {record.name: record.type for record in trace.modules}
    calls: dict[str, list[OpCall]] = {record.first_name: [] for record in trace.modules}
    for call in trace.calls:
        calls.setdefault(first.get(call.module, call.module), []).append(call)
    for module, ours in calls.items():
        said = {figure.op: figure.figure for figure in counter.figures if figure.module == module}
        unsupported = Counter({figure.op: figure.figure for figure in counter.unsupported if figure.module == module})
        macs = sum(call.count.macs for call in ours)
        theirs = sum(said.values())
        parts = _explain(ours, said, unsupported, labels, counter, unseen=module in counter.uncalled)
        if not macs and not theirs and not parts:
            continue
        explained = sum(amount for amount, _ in parts) == theirs - macs
        texts = [f"{text} ({amount:+,})" for amount, text in parts]
        if not explained:
            left = theirs - macs - sum(amount for amount, _ in parts)
            texts.append(f"unexplained ({left:+,})")
        yield (
            module or ROOT,
            types.get(module, ""),
            counter.counter,
            macs,
            theirs,
            theirs - macs,
            "; ".join(texts),
            explained,
        )


def _explain(
    calls: Sequence[OpCall],
    said: dict[str, int],
    unsupported: Counter[str],
    labels: dict[str, Label],
    counter: CounterRecord,
    *,
    unseen: bool,
) -> list[tuple[int, str]]:
    """The parts of the difference that evidence accounts for, as (amount, reason)."""
    groups: dict[str, list[OpCall]] = {}
    for call in calls:
        groups.setdefault(call.op, []).append(call)
    parts: list[tuple[int, str]] = []
    expected: Counter[str] = Counter()
    seen: dict[str, list[tuple[int, str]]] = {}
    for op, group in groups.items():
        macs = sum(call.count.macs for call in group)
        label = labels.get(op)
        other_name = FVCORE_OTHER_NAMES.get(op, op) if label is not None else op
        if unseen and macs:
            parts.append((-macs, f"{counter.counter} saw nothing of this module run (its result is not used)"))
        elif unsupported.get(other_name, 0) >= len(group) and (macs or label is not None):
            if macs:
                parts.append((-macs, f"{counter.counter} has no rule for {other_name}"))
        elif label is not None:
            figure = sum(label.figure(call) for call in group)
            expected[label.name] += figure
            if figure != macs:
                seen.setdefault(label.name, []).append((figure - macs, f"{counter.counter} {label.meaning}"))
    for name, reasons in seen.items():
        if said.get(name, 0) == expected[name]:
            parts += reasons
    return parts
