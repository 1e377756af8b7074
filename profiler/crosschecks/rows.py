"""A trace and a counter's record → one :class:`Row` for each module in which either has a figure."""

from __future__ import annotations

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, find_counter
from profiler.crosschecks.evidence import Context, Module, explain
from profiler.crosschecks.operators import FUSED
from profiler.crosschecks.products import products
from profiler.crosschecks.reasons import Part, merged
from profiler.records import CounterFigure, CounterRecord, ModuleRecord, OpCall, Trace


@dataclass(frozen=True, slots=True)
class Row:
    """One module and one counter: our MACs, its figure, and the parts of the difference that have a reason.

    ``explained`` is false if the parts do not sum to the difference, or do so by chance.
    """

    layer: str
    type: str
    counter: str
    macs: int
    figure: int
    parts: tuple[Part, ...]
    explained: bool

    @property
    def difference(self) -> int:
        return self.figure - self.macs

    @property
    def unexplained(self) -> int:
        """The difference that no part explains."""
        return self.difference - sum(part.amount for part in self.parts)

    @property
    def reason(self) -> str:
        """The reason as text, each part with its amount."""
        texts = [f"{part.text(self.counter)} ({part.amount:+,})" for part in self.parts]
        if not self.explained:
            texts.append(f"unexplained ({self.unexplained:+,})")
        return "; ".join(texts)


def crosscheck_rows(trace: Trace, record: CounterRecord) -> Iterator[Row]:
    """One row for each module in which either has a figure; none for a counter that was skipped or failed.

    Modules that are excluded from the trace have no row, and the counter's figures for them are left out as well.
    """
    if record.status != "ok":
        return
    counter = find_counter(record.counter)
    left_out = frozenset(trace.excluded.modules) if trace.excluded is not None else frozenset()
    for module in modules_of(trace.whole, counter, record).values():
        if module.name in left_out:
            continue
        macs = sum(call.count.macs for call in module.calls)
        figure = sum(module.reported.values())
        if not macs and not figure:
            continue
        if module.whole is not None and not figure:
            parts, left = [replace(module.whole, amount=-sum(products(call) for call in module.calls))], 0
        else:
            parts, left = explain(list(counter.convention(module)), module)
        shown = merged(parts)
        whole = figure - macs == sum(part.amount for part in shown)
        yield Row(module.name, module.record.type, record.counter, macs, figure, shown, whole and not left)


def modules_of(trace: Trace, counter: Counter, report: CounterRecord) -> dict[str, Module]:
    """What a trace and a counter's report hold of each module, by first names."""
    first_names = {record.name: record.first_name for record in trace.modules}
    records: dict[str, ModuleRecord] = {}
    for record in trace.modules:
        known = records.get(record.first_name)
        records[record.first_name] = record if known is None else _joined(known, record)
    calls: defaultdict[str, list[OpCall]] = defaultdict(list)
    for call in trace.calls:
        name = first_names.get(call.module, call.module)
        records.setdefault(name, ModuleRecord(name, "", 1, name))
        calls[name].append(call)
    reported = _by_module(report.figures, first_names, counter.labels)
    with_calls = counter.reports_calls and bool(report.seen or not report.figures)
    seen = _by_module(report.seen, first_names) if with_calls else None
    unsupported = _by_module(report.unsupported, first_names)
    paths = _paths(trace.modules)
    context = Context(trace, report)
    for name in [*records, *(name for name in reported if name not in records)]:
        module = records.get(name) or ModuleRecord(name, "", 0, name)
        uncalled = name in report.uncalled
        context.modules[name] = Module(
            name=name,
            record=module,
            calls=tuple(calls[name]),
            reported=reported[name],
            seen=None if seen is None else seen[name],
            unsupported=unsupported[name],
            whole=_reason_for_the_whole(name, uncalled, unsupported),
            paths=paths.get(name, 1),
            context=context,
        )
    return context.modules


def _joined(known: ModuleRecord, other: ModuleRecord) -> ModuleRecord:
    """The combined observations of one module under two names."""
    return replace(
        known,
        calls=known.calls + other.calls,
        input_shapes=tuple(dict.fromkeys((*known.input_shapes, *other.input_shapes))),
        output_shapes=tuple(dict.fromkeys((*known.output_shapes, *other.output_shapes))),
    )


def _by_module(
    figures: Iterable[CounterFigure], first_names: Mapping[str, str], labels: Mapping[str, str] | None = None
) -> defaultdict[str, Counts[str]]:
    modules: defaultdict[str, Counts[str]] = defaultdict(Counts)
    for figure in figures:
        module = first_names.get(figure.module, figure.module)
        modules[module][(labels or {}).get(figure.op, figure.op)] += figure.figure
    return modules


def _reason_for_the_whole(name: str, uncalled: bool, unsupported: Mapping[str, Counts[str]]) -> Part | None:
    """Why the counter reports nothing at all of a module's work, if there is evidence."""
    above = name
    while True:
        for op in FUSED:
            if above in unsupported and unsupported[above][op]:
                return Part(0, reasons.FUSED, op)
        if not above:
            break
        above = above.rpartition(".")[0]
    return Part(0, reasons.DEAD_CODE) if uncalled else None


def _paths(modules: Sequence[ModuleRecord]) -> dict[str, int]:
    """How often a walk from each module to its children visits each module; one parent visits a child once."""
    children: dict[str, list[ModuleRecord]] = {}
    for record in modules:
        if record.name:
            children.setdefault(record.name.rpartition(".")[0], []).append(record)
    paths: Counts[str] = Counts()

    def walk(name: str, first_name: str) -> None:
        paths[first_name] += 1
        met: set[str] = set()
        for child in children.get(name, ()):
            if child.first_name not in met:
                met.add(child.first_name)
                walk(child.name, child.first_name)

    walk("", "")
    return dict(paths)
