"""Records → pandas tables.  Every number shown anywhere is a group-by made here.

Sums are made in Python integers and pandas only holds the result.  A count that is not known is missing, not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from profiler.opcount import COUNT_COLUMNS, ZERO, OpCount, Term
from profiler.records import (
    EXCLUDED,
    KINDS,
    ROOT,
    ModuleRecord,
    OpCall,
    ParameterRecord,
    Trace,
    show_shape,
    show_shapes,
)
from profiler.schema import column_of, make_table

PARTS_SHOWN = ("parameters", "macs", "flops")
"""The figures of which tables of layers and modules say what part of the whole they are."""


def _with_shares(columns: Sequence[str], ending: str = "") -> tuple[str, ...]:
    """The columns with the share of each of ``PARTS_SHOWN`` behind it."""
    figures = {f"{figure}{ending}" for figure in PARTS_SHOWN}
    return tuple(name for column in columns for name in (column, *([f"{column}_share"] if column in figures else [])))


_LAYERS = (
    "layer",
    "type",
    "kind",
    "calls",
    "input_shape",
    "output_shape",
    "parameters",
    *COUNT_COLUMNS,
    "formula",
    "macs_on_padding",
    "status",
)
LAYERS_COLUMNS = _with_shares(_LAYERS)
SHARED_FIGURES = ("parameters", "multiplies", "adds", "macs", "flops")
"""The figures of which the table of shares gives each kind's part."""

SHARES_COLUMNS = ("kind", "layers", *(name for figure in SHARED_FIGURES for name in (figure, f"{figure}_share")))
_MODULES = (
    "module",
    "type",
    "depth",
    "calls",
    "parameters",
    "parameters_total",
    *COUNT_COLUMNS,
    *(f"{name}_total" for name in COUNT_COLUMNS),
    "status",
)
MODULES_COLUMNS = _with_shares(_MODULES, "_total")
OPERATIONS_COLUMNS = ("op", "kind", "phase", "status", "calls", "modules", *COUNT_COLUMNS)
PARAMETERS_COLUMNS = ("parameter", "module", "kind", "shape", "dtype", "parameters", "bytes", "trainable", "names")
UNCOUNTED_COLUMNS = ("op", "calls", "elements", "bound", "bound_share", "modules")

TERMS_SHOWN = 8
"""How many different terms a layer's formula shows before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure by some convention that tables show beside the counts, in a column of its own."""

    column: str
    figure: Callable[[OpCall], int]


@dataclass(slots=True)
class _Sum:
    """What the operation calls of one group add up to."""

    count: OpCount = ZERO
    calls: int = 0
    headline: int = 0
    macs_on_padding: int = 0
    elements: int = 0
    uncounted: int = 0
    unseen: bool = False
    modules: dict[str, None] = field(default_factory=dict)

    def add(self, call: OpCall, headline: Headline | None = None) -> None:
        self.count = self.count + call.count
        self.calls += 1
        self.macs_on_padding += call.macs_on_padding
        if headline is not None:
            self.headline += headline.figure(call)
        self.modules.setdefault(call.module)
        if call.status == "uncounted":
            self.uncounted += 1
            self.elements += sum(spec.size for spec in (*call.inputs, *call.outputs))

    @property
    def status(self) -> str:
        return "partial" if self.uncounted or self.unseen else "complete"

    @property
    def unknown(self) -> bool:
        """Whether nothing but the unknown is in the group: its counts are missing then."""
        return bool(self.uncounted or self.unseen) and not self.count

    @property
    def figures(self) -> tuple[int | None, ...]:
        """The counts in the order of ``COUNT_COLUMNS``."""
        return (None,) * len(COUNT_COLUMNS) if self.unknown else figures(self.count)

    def headlines(self, headline: Headline | None) -> tuple[int | None, ...]:
        """The figure of the convention that is asked for, if any."""
        return () if headline is None else ((None if self.unknown else self.headline),)


def figures(count: OpCount) -> tuple[int, ...]:
    """The counts in the order of ``COUNT_COLUMNS``."""
    return tuple(getattr(count, name) for name in COUNT_COLUMNS)


def _group(calls: Iterable[OpCall], key: Callable[[OpCall], Any], headline: Headline | None = None) -> dict[Any, _Sum]:
    sums: dict[Any, _Sum] = {}
    for call in calls:
        sums.setdefault(key(call), _Sum()).add(call, headline)
    return sums


def _by_module(trace: Trace, headline: Headline | None) -> dict[str, _Sum]:
    """What each module did itself; one whose work was not seen is among them without any."""
    sums = _group(trace.calls, lambda call: call.module, headline)
    for item in trace.unseen:
        sums.setdefault(item.module, _Sum()).unseen = True
    return sums


def _columns(names: Sequence[str], headline: Headline | None, *endings: str) -> list[str]:
    """The columns with those of the convention that is asked for behind them."""
    return [*names, *(f"{headline.column}{ending}" for ending in ("", *endings))] if headline else list(names)


def total_count(trace: Trace) -> OpCount:
    """The counts of the whole network; what is uncounted is not in them."""
    count = ZERO
    for call in trace.calls:
        count = count + call.count
    return count


def layer_kinds(trace: Trace) -> dict[str, str]:
    """For each module that ran operations itself, the kind of the costliest of them."""
    best: dict[str, tuple[tuple[int, int, int], str]] = {}
    for (module, kind), group in _group(trace.calls, lambda call: (call.module, call.kind)).items():
        cost = (group.count.flops, group.count.comparisons, group.uncounted)
        if module not in best or cost > best[module][0]:
            best[module] = (cost, kind)
    return {module: kind for module, (_, kind) in best.items()}


def layers_table(trace: Trace, headline: Headline | None = None) -> pd.DataFrame:
    """One row for each module that ran operations itself, in the order in which they first ran."""
    kinds = layer_kinds(trace)
    modules = {record.name: record for record in trace.modules}
    held = _parameters_by_module(trace.parameters)
    calls: dict[str, list[OpCall]] = {}
    for call in trace.calls:
        calls.setdefault(call.module, []).append(call)
    rows = []
    for name, group in _by_module(trace, headline).items():
        if name not in kinds:
            continue
        record = modules.get(name, ModuleRecord(name, "", 0))
        rows.append(
            (
                name or ROOT,
                record.type,
                kinds[name],
                record.calls,
                _show_calls(record.input_shapes),
                _show_calls(record.output_shapes),
                held.get(name, 0),
                *group.figures,
                formula(calls[name]),
                None if group.unknown else group.macs_on_padding,
                group.status,
                *group.headlines(headline),
            )
        )
    if trace.excluded is not None:
        group, size = _left_out(trace, headline)
        padding = None if group.unknown else group.macs_on_padding
        head = (EXCLUDED, "", "excluded", _module_calls(trace), "", "", size)
        rows.append((*head, *group.figures, "", padding, group.status, *group.headlines(headline)))
    return _share_columns(make_table(_columns(_LAYERS, headline), rows), trace)


def _left_out(trace: Trace, headline: Headline | None = None) -> tuple[_Sum, int]:
    """What the excluded modules did, and the size of their parameters."""
    group = _Sum()
    if trace.excluded is None:
        return group, 0
    for call in trace.excluded.calls:
        group.add(call, headline)
    return group, sum(record.size for record in _true_parameters(trace.excluded.parameters))


def _module_calls(trace: Trace) -> int:
    """How often the excluded modules that ran operations themselves were called."""
    working = {call.module for call in trace.excluded.calls} if trace.excluded is not None else set()
    return sum(record.calls for record in trace.whole.modules if record.name in working and record.name)


def formula(calls: Iterable[OpCall]) -> str:
    """What the calls cost, as one would write it by hand.

    The product of a contraction stands for its macs, without the adds of a bias.  Work on equally many results is
    put together within a call, and equal terms of several calls are collected.
    """
    texts: dict[str, int] = {}
    hidden = 0
    for call in calls:
        for term in _terms_shown(call):
            if term.formula in texts or len(texts) < TERMS_SHOWN:
                texts[term.formula] = texts.get(term.formula, 0) + 1
            else:
                hidden += 1
    parts = [text if times == 1 else f"{times} × [{text}]" for text, times in texts.items()]
    return " + ".join(parts) + (f" + … ({hidden} more)" if hidden else "")


def _terms_shown(call: OpCall) -> list[Term]:
    contracts = any(term.contracted for term in call.terms)
    shown: list[Term] = []
    together: dict[tuple[int, ...], int] = {}
    for term in call.terms:
        if not term.one or (contracts and term.what == "bias"):
            continue
        if term.contracted or term.how_many not in together:
            if not term.contracted:
                together[term.how_many] = len(shown)
            shown.append(term)
        else:
            place = together[term.how_many]
            shown[place] = replace(shown[place], one=shown[place].one + term.one)
    return shown


def shares_table(trace: Trace, headline: Headline | None = None) -> pd.DataFrame:
    """Layers, parameters and counts by kind, each with its share (a fraction of one) of the total, the row after them.

    What was excluded is not in the total and stands behind it, in a last row ``excluded`` of its own.
    """
    kinds = layer_kinds(trace)
    work = _group(trace.calls, lambda call: call.kind, headline)
    layers: dict[str, int] = {}
    for kind in kinds.values():
        layers[kind] = layers.get(kind, 0) + 1
    held: dict[str, int] = {}
    for record in _true_parameters(trace.parameters):
        held[record.use] = held.get(record.use, 0) + record.size

    everything = _Sum()
    for call in trace.calls:
        everything.add(call, headline)
    whole = _shared_figures(sum(held.values()), everything, headline)

    def row(kind: str, layers: int, parameters: int, part: _Sum) -> list[Any]:
        cells: list[Any] = [kind, layers]
        for place, figure in enumerate(_shared_figures(parameters, part, headline)):
            known = place == 0 or kind != "uncounted"
            cells += [figure, figure / whole[place] if whole[place] else 0.0] if known else [None, None]
        return cells

    rows = [
        row(kind, layers.get(kind, 0), held.get(kind, 0), work.get(kind, _Sum()))
        for kind in KINDS
        if kind in layers or kind in held or kind in work
    ]
    rows.append(row("total", sum(layers.values()), sum(held.values()), everything))
    if trace.excluded is not None:
        group, size = _left_out(trace, headline)
        working = {call.module for call in trace.excluded.calls if call.module}
        rows.append(row("excluded", len(working), size, group))
    return make_table(_columns(SHARES_COLUMNS, headline, "_share"), rows)


def _shared_figures(parameters: int, part: _Sum, headline: Headline | None) -> list[int]:
    """The figures in the order of ``SHARED_FIGURES``, then that of the convention that is asked for."""
    counts = [getattr(part.count, name) for name in SHARED_FIGURES if name != "parameters"]
    return [parameters, *counts, *([part.headline] if headline is not None else [])]


def modules_table(trace: Trace, depth: int | None = None, headline: Headline | None = None) -> pd.DataFrame:
    """The tree of modules, each with what it did itself and what it did together with all below it.

    With ``depth``, modules further down are left out; they stay in the totals of those that are shown.
    """
    own = _by_module(trace, headline)
    held = _parameters_by_module(trace.parameters)
    totals: dict[str, _Sum] = {}
    held_below: dict[str, int] = {}
    for name, group in own.items():
        for ancestor in _with_ancestors(name):
            whole = totals.setdefault(ancestor, _Sum())
            whole.count = whole.count + group.count
            whole.headline += group.headline
            whole.calls += group.calls
            whole.uncounted += group.uncounted
            whole.unseen = whole.unseen or group.unseen
    for name, size in held.items():
        for ancestor in _with_ancestors(name):
            held_below[ancestor] = held_below.get(ancestor, 0) + size
    rows = []
    for record in trace.modules:
        level = record.name.count(".") + 1 if record.name else 0
        if depth is not None and level > depth:
            continue
        whole = totals.get(record.name, _Sum())
        rows.append(
            (
                record.name or ROOT,
                record.type,
                level,
                record.calls,
                held.get(record.name, 0),
                held_below.get(record.name, 0),
                *own.get(record.name, _Sum()).figures,
                *whole.figures,
                whole.status,
                *own.get(record.name, _Sum()).headlines(headline),
                *whole.headlines(headline),
            )
        )
    if trace.excluded is not None:
        group, size = _left_out(trace, headline)
        figures = (*group.figures, *group.figures, group.status, *group.headlines(headline), *group.headlines(headline))
        rows.append((EXCLUDED, "", 0, _module_calls(trace), size, size, *figures))
    return _share_columns(make_table(_columns(_MODULES, headline, "_total"), rows), trace, "_total")


def _share_columns(frame: pd.DataFrame, trace: Trace, ending: str = "") -> pd.DataFrame:
    """The table with what part of the whole network each figure is, as a fraction of one, in a column behind it."""
    count = total_count(trace)
    held = sum(record.size for record in _true_parameters(trace.parameters))
    columns = {str(name): frame[name] for name in frame.columns}
    for figure, whole in (("parameters", held), ("macs", count.macs), ("flops", count.flops)):
        values = frame[f"{figure}{ending}"].tolist()
        shares = [None if value is None else value / whole if whole else 0.0 for value in values]
        columns[f"{figure}{ending}_share"] = column_of(shares)
    return pd.DataFrame({name: columns[name] for name in _with_shares([str(name) for name in frame.columns], ending)})


def operations_table(trace: Trace, headline: Headline | None = None) -> pd.DataFrame:
    """One row for each operation (kind and phase), the costliest first; the free ones last."""
    groups = _group(trace.calls, lambda call: (call.op, call.kind, call.phase, call.status), headline)
    order = {"uncounted": 0, "counted": 1, "free": 2}

    def rank(item: tuple[Any, _Sum]) -> tuple[int, int, int, str]:
        (op, _, _, status), group = item
        return order[status], -group.count.flops, -group.count.comparisons, op

    rows = [
        (op, kind, phase, status, group.calls, len(group.modules), *group.figures, *group.headlines(headline))
        for (op, kind, phase, status), group in sorted(groups.items(), key=rank)
    ]
    if trace.excluded is not None:
        group, _ = _left_out(trace, headline)
        status = "uncounted" if group.uncounted else "counted"
        head = (EXCLUDED, "excluded", "", status, group.calls, len(group.modules))
        rows.append((*head, *group.figures, *group.headlines(headline)))
    return make_table(_columns(OPERATIONS_COLUMNS, headline), rows)


def parameters_table(trace: Trace) -> pd.DataFrame:
    """One row for each parameter, however many names it has; buffers are not in it."""
    rows: list[tuple[Any, ...]] = [
        (
            record.names[0],
            record.module or ROOT,
            record.use,
            show_shape(record.shape),
            record.dtype,
            record.size,
            record.bytes,
            record.trainable,
            "; ".join(record.names),
        )
        for record in _true_parameters(trace.parameters)
    ]
    if trace.excluded is not None:
        held = list(_true_parameters(trace.excluded.parameters))
        size, stored = sum(record.size for record in held), sum(record.bytes for record in held)
        rows.append((EXCLUDED, "", "excluded", "", "", size, stored, None, f"{len(held)} parameters"))
    return make_table(PARAMETERS_COLUMNS, rows)


def uncounted_table(trace: Trace) -> pd.DataFrame:
    """The operations without a rule: calls, elements of the tensors they touched, and the modules that ran them.

    ``bound`` says what they could be worth: the FLOPs of a dense contraction that multiplies and adds each element
    of the largest operand into each result.  No linear operation costs more; one that iterates could.
    ``bound_share`` is its part of the bound and all that was counted together.
    """
    unknown = [call for call in trace.calls if call.status == "uncounted"]
    bounds: dict[str, int] = {}
    for call in unknown:
        bounds[call.op] = bounds.get(call.op, 0) + _dense_bound(call)
    counted = total_count(trace).flops
    rows = [
        (
            op,
            group.calls,
            group.elements,
            bounds[op],
            bounds[op] / (bounds[op] + counted) if bounds[op] else 0.0,
            "; ".join(name or ROOT for name in group.modules),
        )
        for op, group in sorted(_group(unknown, lambda call: call.op).items())
    ]
    return make_table(UNCOUNTED_COLUMNS, rows)


def _dense_bound(call: OpCall) -> int:
    """2 FLOPs for each pair of a result and an element of the largest operand."""
    return 2 * sum(spec.size for spec in call.outputs) * max((spec.size for spec in call.inputs), default=1)


def _show_calls(shapes: tuple[tuple[tuple[int, ...], ...], ...]) -> str:
    """The shapes of a module's tensors; those of calls that differ are set apart by a bar."""
    return " | ".join(show_shapes(call) for call in shapes)


def _true_parameters(records: Iterable[ParameterRecord]) -> Iterable[ParameterRecord]:
    return (record for record in records if not record.buffer)


def _parameters_by_module(records: Iterable[ParameterRecord]) -> dict[str, int]:
    held: dict[str, int] = {}
    for record in _true_parameters(records):
        held[record.module] = held.get(record.module, 0) + record.size
    return held


def _with_ancestors(name: str) -> list[str]:
    """``"a.b.c"`` → ``["a.b.c", "a.b", "a", ""]``."""
    names = [name] if name else []
    while "." in name:
        name = name.rpartition(".")[0]
        names.append(name)
    return [*names, ""]
