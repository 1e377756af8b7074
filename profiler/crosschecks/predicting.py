"""What another counter reports by its own rules, computed from our records without running the counter.

A convention restates a counter's rules on recorded calls.  To explain a real report it also reads what the counter met
and did not count; here, that is everything that its rules do not name.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from profiler import catalog
from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, find_counter
from profiler.crosschecks.evidence import SAMPLES, Module
from profiler.crosschecks.products import products
from profiler.crosschecks.reasons import Part, merged
from profiler.crosschecks.rows import modules_of
from profiler.records import CounterFigure, CounterRecord, OpCall, Trace

UNDECIDED = frozenset(
    {
        *("aten::einsum", "aten::bilinear", "aten::grid_sampler", "aten::mv", "aten::dot"),
        *("aten::convolution", "aten::_convolution", "aten::convolution_overrideable"),
    }
)
"""Operators of which a counter has a rule that the records do not choose: rounded or exact, decomposed or not."""

FUSED_TYPES = frozenset({"MultiheadAttention", "TransformerEncoderLayer", "TransformerEncoder"})
"""Classes that may run as one fused kernel when a counter runs them."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a counter reports of one module by its rules: ``figure`` is ``macs``, ours, and the sum of the ``parts``."""

    counter: str
    macs: int
    figure: int
    parts: tuple[Part, ...]


def predictable() -> tuple[str, ...]:
    """The counters whose reports follow from the records, without those that count as another one does."""
    return tuple(name for name in catalog.counters() if find_counter(name).predictable)


def predictions(trace: Trace, name: str, only: str | None = None) -> dict[str, Prediction]:
    """What the counter of that name reports of the forward pass of each module, or of ``only`` one, by first names.

    A module is left out if the records do not decide what is reported of it.  That a counter drops a module as dead
    code is not predicted.
    """
    counter = find_counter(name)
    whole = trace.whole
    forward = replace(whole, calls=tuple(call for call in whole.calls if call.phase == "forward"))
    modules = modules_of(forward, counter, _record(forward, name, counter))
    met = {key: replace(module, reported=_as_usual(module)) for key, module in modules.items()}
    for module in met.values():
        module.context.modules.update(met)
        break
    fused = (
        tuple(record.name for record in whole.modules if record.type in FUSED_TYPES) if counter.hooks is None else ()
    )
    return {
        key: _prediction(name, counter, module)
        for key, module in met.items()
        if only in (None, key)
        and not any(map(_undecided, module.calls))
        and not any(_is_in(key, name) for name in fused)
    }


def _undecided(call: OpCall) -> bool:
    """Whether what a counter sees of the call depends on what torch makes of it, or on the counter's version."""
    vectors = call.op in ("aten::matmul", "aten::linear") and any(len(spec.shape) == 1 for spec in call.inputs[:2])
    return vectors or call.overload == "padding" or call.op in UNDECIDED


def _is_in(name: str, parent: str) -> bool:
    return not parent or name == parent or name.startswith(f"{parent}.")


def _prediction(name: str, counter: Counter, module: Module) -> Prediction:
    ours = sum(products(call) for call in module.calls)
    if module.whole is not None:
        parts: Sequence[Part] = (replace(module.whole, amount=-ours),)
    else:
        parts = tuple(_parts(counter, module))
    shown = merged(parts)
    return Prediction(name, ours, ours + sum(part.amount for part in shown), shown)


def _parts(counter: Counter, module: Module) -> Iterator[Part]:
    items = list(counter.convention(module))
    for item in items:
        yield from item.parts
        if item.label:
            yield Part(item.figure * (item.times - 1), reasons.PARENTS)


def _record(trace: Trace, name: str, counter: Counter) -> CounterRecord:
    """The report of a counter that met everything and counted what its rules name."""
    unsupported: list[CounterFigure] = []
    seen: list[CounterFigure] = []
    if counter.hooks is None:
        operators = Counts((call.module, call.op) for call in trace.calls)
        unsupported += [CounterFigure(module, op, times) for (module, op), times in operators.items()]
        return CounterRecord(name, "", "ok", unsupported=tuple(unsupported), figures=(CounterFigure("", "", 0),))
    parents = {record.name.rpartition(".")[0] for record in trace.modules if record.name}
    for record in trace.modules:
        figure = CounterFigure(record.name, record.type, max(1, record.calls))
        (seen if counter.hooks(record.type, record.name in parents) else unsupported).append(figure)
    root = trace.modules[0] if trace.modules else None
    first = next(iter(root.input_shapes[0]), ()) if root is not None and root.input_shapes else ()
    seen.append(CounterFigure("", SAMPLES, first[0] if first else 1))
    return CounterRecord(name, "", "ok", unsupported=tuple(unsupported), seen=tuple(seen))


def _as_usual(module: Module) -> Counts[str]:
    """The products of the module's operators: what is reported where a counter has an exact rule and a rough one."""
    found: Counts[str] = Counts()
    for call in module.calls:
        label = call.op.removeprefix("aten::")
        amount = products(call)
        found[label] += amount if label == "einsum" else amount * module.paths
    return found
