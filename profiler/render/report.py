"""Profiles → a :class:`Report`: what there is to say, in order, before any format adds its syntax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from profiler.analysis.comparison import compare, kind_share
from profiler.analysis.rewriting import disappeared, rewriting_table
from profiler.conventions import find_convention
from profiler.crosschecks.tables import crosscheck_summary, reasons_table
from profiler.errors import ProfilerError
from profiler.excluding import optimizer_steps
from profiler.formatting import bytes_text, engineering, is_missing, ratio_text, share_text, thousands
from profiler.opcount import COUNT_COLUMNS, SCALAR_OPERATIONS
from profiler.profiles import TABLES, Profile
from profiler.records import ROOT, CounterRecord, show_shapes
from profiler.schema import make_table
from profiler.tables import PARTS_SHOWN
from profiler.tables.training import PARTS

ROWS_SHOWN = 40
"""How many layers a summary lists before it keeps to the costliest."""

WHOLE_NETWORK = "whole network"
WITHOUT_EXCLUDED = "without excluded"
TOTALS = ("total", WHOLE_NETWORK, WITHOUT_EXCLUDED)
"""How the rows of totals are named."""

HOW_COUNTED = (
    "Multiplies and adds are counted apart, as exact integers. MACs are the multiply–accumulate pairs of contractions "
    "only (conv, linear, matmul, attention, recurrent). FLOPs = multiplies + adds + divides + transcendentals of all "
    "operations; comparisons are listed apart."
)

SUBJECTS: Mapping[str, str] = {
    "shares": "Shares by kind of work",
    "layers": "Layers",
    "modules": "Modules",
    "operations": "Operations",
    "parameters": "Parameters, shared ones once",
    "uncounted": "Not counted: operations without a rule",
    "training": "Training: forward, recompute, gradients for inputs and for weights, optimizer",
    "counters": "Other counters: our MACs, their figure, and how much of the difference has a reason",
    "crosscheck": "Cross-check: our MACs against the figures of other counters",
    "comparison": "Networks side by side",
    "rewriting": "Before and after, by kind of work",
}
"""What each table is about; the figures that it shows are added to its heading."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about the whole network, as text; a figure has a short form (``714.2 M``) too, and a word on it."""

    label: str
    value: str
    short: str = ""
    aside: str = ""
    is_figure: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about the whole.

    A warning changes how the figures are to be read, a finding is what they teach, a method is how they were made.
    """

    text: str
    kind: Literal["warning", "finding", "remark", "method"]


@dataclass(frozen=True, slots=True, eq=False)
class ReportTable:
    """One table: ``frame`` whole, as files hold it, and ``shown``, what a summary or a terminal shows of it.

    Where ``shown`` is missing, the table is in its file only.  ``subject`` is its heading without the figures,
    which each renderer adds for the columns that it has room for.
    """

    name: str
    subject: str
    frame: pd.DataFrame
    shown: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a renderer needs to know; ``profile`` is missing where the report is about several."""

    title: str
    facts: tuple[Fact, ...]
    notes: tuple[Note, ...]
    tables: tuple[ReportTable, ...]
    profile: Profile | None = None


def profile_report(profile: Profile, tables: Sequence[str] | None = None, depth: int | None = None) -> Report:
    """The report on one network, with the tables of these names (by default all of them), the shares first.

    ``depth`` shows the tree of modules down to that level instead of the layers; the files stay whole.  The
    cross-check is left out where no other counter was asked.  Raises :class:`ProfilerError` for a name that is
    no table.
    """
    for name in tables or ():
        if name not in TABLES:
            raise ProfilerError(f"table {name!r} is not known, expected one of {', '.join(TABLES)}")
    names = tuple(name for name in TABLES if tables is None or name in tables)
    if profile.mode != "training":
        names = tuple(name for name in names if name != "training")
    if not profile.counters:
        names = tuple(name for name in names if name != "crosscheck")
    return Report(
        title=profile.name,
        facts=tuple(_facts(profile)),
        notes=tuple(_notes(profile)),
        tables=tuple(_table(profile, name, depth) for name in names),
        profile=profile,
    )


def rewriting_report(before: Profile, after: Profile, findings: Sequence[str], left: Sequence[str]) -> Report:
    """The report that sets a network before and after its rewrites side by side.

    ``findings`` say what was changed and whether the two are equivalent, ``left`` what was left and why.
    """
    gone = disappeared(before, after)
    notes = [Note(finding, "finding") for finding in findings]
    notes += [Note(f"Work that disappeared: {_some(gone)} ({_plural(len(gone), 'layer')}).", "remark")] if gone else []
    notes += [Note(f"Left: {reason}", "remark") for reason in left]
    frame = rewriting_table(before, after)
    networks = comparison_report([before, after]).tables[0]
    return Report(
        title=before.name,
        facts=tuple(
            fact
            for fact in _facts(before)
            if fact.label in ("target", "part", "method", "cache", "input", "mode", "status")
        ),
        notes=(*notes, Note(HOW_COUNTED, "method")),
        tables=(replace(networks, notes=()), ReportTable("rewriting", SUBJECTS["rewriting"], frame, frame)),
    )


def crosscheck_report(profile: Profile) -> Report:
    """The report that sets our MACs against the other counters' figures: each counter's total, and the layers.

    Shown are the layers that differ; the files hold all of them.
    """
    summary = crosscheck_summary(profile.trace, profile.counters)
    idle = [] if any(summary["message"]) else ["message"]
    frame = profile.crosscheck
    different = frame[[bool(difference) for difference in frame["difference"]]]
    tables = (
        ReportTable("counters", SUBJECTS["counters"], summary, summary.drop(columns=idle), tuple(_verdicts(profile))),
        ReportTable("crosscheck", SUBJECTS["crosscheck"], frame, different if len(different) else None),
    )
    facts = tuple(
        fact
        for fact in _facts(profile)
        if fact.label in ("target", "part", "method", "cache", "input", "mode", "MACs", "status")
    )
    return Report(profile.name, facts, (), tables, profile)


def comparison_report(profiles: Sequence[Profile]) -> Report:
    """The report that sets several networks side by side; ratios are to the first."""
    frame = compare(profiles)
    mixed = len({profile.mode for profile in profiles}) > 1
    partial = any(not profile.complete for profile in profiles)
    hidden = [*([] if mixed else ["mode"]), *([] if partial else ["status"])]
    notes = [Note(f"Ratios are to {profiles[0].name}, the first.", "method"), Note(HOW_COUNTED, "method")]
    for profile in profiles:
        if profile.exclude:
            notes.insert(0, Note(f"{profile.name}: {_excluded(profile)}", "warning"))
        if not profile.complete:
            notes.insert(0, Note(f"{profile.name}: {_partial(profile)}", "warning"))
    table = ReportTable("comparison", SUBJECTS["comparison"], frame, frame.drop(columns=hidden))
    return Report(f"Comparison of {_plural(len(profiles), 'network')}", (), tuple(notes), (table,))


def _facts(profile: Profile) -> Iterable[Fact]:
    yield Fact("target", profile.target)
    if profile.part:
        times = f", the first of its {profile.part_calls} calls" if profile.part_calls > 1 else ""
        yield Fact("part", f"{profile.part}{times}")
    if profile.cache:
        yield Fact("cache", _plural(profile.cache, "token"))
    if profile.method != "forward":
        yield Fact("method", profile.method)
    yield Fact("input", show_shapes(profile.input_shapes))
    yield Fact("mode", profile.mode)
    yield Fact("status", profile.status)
    if profile.environment:
        yield Fact("made with", ", ".join(f"{name} {version}" for name, version in profile.environment.items()))
    frozen = profile.parameters_total - profile.trainable_total
    size = bytes_text(profile.parameter_bytes) + (f", {thousands(frozen)} of them frozen" if frozen else "")
    yield _figure("parameters", profile.parameters_total, size)
    if profile.buffers_total:
        yield _figure("buffers", profile.buffers_total, "elements, not in the parameters")
    least = "" if profile.complete else "≥"
    count = profile.total
    parts = [name for name in SCALAR_OPERATIONS if name in ("multiplies", "adds") or getattr(count, name)]
    for name in parts:
        yield _figure(name, getattr(count, name), "not in the FLOPs" if name == "comparisons" else "", least)
    yield _figure("MACs", count.macs, "multiply–accumulate pairs of contractions", least)
    if profile.macs_on_padding:
        share = share_text(profile.macs_on_padding / count.macs)
        yield _figure("on padding zeros", profile.macs_on_padding, f"{share} of the MACs", least)
    if profile.causal_macs is not None:
        yield _figure("causal MACs", profile.causal_macs, "without the scores that causal masks hide", least)
    yield _figure("FLOPs", count.flops, " + ".join(name for name in parts if name != "comparisons"), least)
    yield from _headline(profile)


def _headline(profile: Profile) -> Iterable[Fact]:
    """The figure by the convention that was asked for, where it is not one of those above."""
    if profile.convention != "exact":
        least = "" if profile.complete else "≥"
        meaning = find_convention(profile.convention).meaning
        yield _figure(f"by {profile.convention}", profile.headline, meaning, least)


def _figure(label: str, number: int, aside: str = "", least: str = "") -> Fact:
    short = engineering(number) if number >= 1000 else ""
    return Fact(label, least + thousands(number), short, aside, is_figure=True)


def _partial(profile: Profile) -> str:
    rows = _records(profile.uncounted)
    reasons = [f"{item.module or ROOT}: {item.reason}" for item in profile.trace.unseen]
    if rows:
        operations = _some(f"{row['op']} ({_plural(row['calls'], 'call')})" for row in rows)
        reasons.insert(0, f"no rule for {operations}")
    return f"{'; '.join(reasons)}; counts are lower bounds, shares are of what is counted."


def _excluded(profile: Profile) -> str:
    """What was left out, and that the totals are without it."""
    excluded = profile.trace.excluded
    if excluded is None:
        return "Nothing was excluded."
    rows = _records(profile.table("shares"))
    row = rows[-1]
    steps = any(call.phase == "optimizer" for call in excluded.whole.calls) and not optimizer_steps(excluded.whole)
    kept = "; the optimizer's steps could not be told apart, and are all in the totals" if steps else ""
    status = "" if all(call.status != "uncounted" for call in excluded.calls) else ", some of it without a rule"
    return (
        f"Without {_plural(len(excluded.modules), 'excluded module')} ({_some(excluded.patterns)}): no total has "
        f"their {thousands(row['parameters'])} parameters, {thousands(row['macs'])} MACs and "
        f"{thousands(row['flops'])} FLOPs{status}{kept}."
    )


def _notes(profile: Profile) -> Iterable[Note]:
    if not profile.complete:
        yield Note(f"Partial: {_partial(profile)}", "warning")
    if profile.exclude:
        yield Note(_excluded(profile), "warning")
    if profile.trace.real_run:
        yield Note(
            f"Counted on a real run on the CPU, with seeded inputs where none were given: {profile.trace.real_run}. "
            "Other data may cost more or less.",
            "warning",
        )
    if profile.views:
        yield Note(f"Kinds of work seen with: {', '.join(view.replace('_', ' ') for view in profile.views)}.", "remark")
    lesson = conv_against_linear(profile)
    if lesson:
        yield Note(lesson, "finding")
    if profile.never_ran:
        yield Note(f"Never ran: {_some(profile.never_ran)}.", "remark")
    unused = [record for record in profile.trace.parameters if record.use == "unused" and not record.buffer]
    if unused:
        size = thousands(sum(record.size for record in unused))
        names = _some(record.names[0] for record in unused)
        yield Note(f"Parameters that no operation read: {names} ({size} elements).", "remark")
    yield Note(HOW_COUNTED, "method")


def conv_against_linear(profile: Profile) -> str | None:
    """The sentence that sets linear layers against convolutions, for a network that has both."""
    shares = {
        (kind, figure): kind_share(profile, kind, figure)
        for kind in ("conv", "linear")
        for figure in ("parameters", "multiplies")
    }
    if not all(shares.values()):
        return None
    of = "multiplies" if profile.complete else "counted multiplies"
    return (
        f"Linear layers hold {share_text(shares['linear', 'parameters'])} of the parameters and do "
        f"{share_text(shares['linear', 'multiplies'])} of the {of}; convolutions hold "
        f"{share_text(shares['conv', 'parameters'])} and do {share_text(shares['conv', 'multiplies'])}."
    )


def _some(names: Iterable[str], most: int = 8) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _plural(number: int, noun: str) -> str:
    return f"{thousands(number)} {noun}" + ("" if number == 1 else "s")


def _table(profile: Profile, name: str, depth: int | None) -> ReportTable:
    frame = profile.table(name)
    shown: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    if name == "shares":
        shown = frame
    elif name == "layers" and depth is None:
        shown, notes = _shown_layers(profile)
    elif name == "modules" and depth is not None:
        shown, notes = _shown_modules(profile, depth)
    elif name == "uncounted" and len(frame):
        shown = frame
    elif name == "training":
        shown, notes = _shown_training(frame)
    elif name == "crosscheck":
        notes = tuple(_verdicts(profile))
        left = [not explained for explained in frame["explained"]]
        shown = frame[left] if any(left) else None
    return ReportTable(name, SUBJECTS[name], frame, shown, notes)


def _shown_training(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The parts of the whole step, and how the backward pass compares with the forward."""
    total = next(row for row in reversed(_records(frame)) if row["layer"] == "total")
    rows = [
        (part.replace("_", " "), total.get(f"{part}_macs", 0), total[f"{part}_flops"])
        for part in PARTS
        if total[f"{part}_flops"]
    ]
    ratio = total["backward_forward_ratio"]
    note = () if is_missing(ratio) else (f"The backward pass has {ratio_text(ratio)} the MACs of the forward pass.",)
    return make_table(("part", "macs", "flops"), rows), note


def _shown_modules(profile: Profile, depth: int) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The tree down to ``depth``, each module with the figures of all below it, under their plain names."""
    frame = profile.table("modules", depth=depth)
    headline = [find_convention(profile.convention).column]
    figures = dict.fromkeys(name for name in ("parameters", *COUNT_COLUMNS, *headline) if name not in _idle(profile))
    totals = [name for figure in figures for name in (f"{figure}_total", f"{figure}_total_share") if name in frame]
    shown = frame[["module", "type", "depth", "calls", *totals, *([] if profile.complete else ["status"])]]
    hidden = len(profile.modules) - len(frame)
    note = "Each module's figures are those of all below it"
    note += f", {_plural(hidden, 'module')} further down too." if hidden else "."
    return shown.rename(columns={name: name.replace("_total", "") for name in totals}), (note,)


def _idle(profile: Profile) -> list[str]:
    """The scalar operations that need no column, since the network does none of them."""
    return [name for name in ("divides", "comparisons", "transcendentals") if not getattr(profile.total, name)]


def _shown_layers(profile: Profile) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The layers that cost or hold something, the costliest where they are many, and the network's own row."""
    frame = profile.layers
    rows = _records(frame)
    excluded = [rows.pop()] if profile.exclude else []
    kept = [
        row for row in rows if row["status"] == "partial" or any(row[name] for name in ("parameters", *COUNT_COLUMNS))
    ]
    notes = []
    if len(kept) < len(rows):
        notes.append(f"Left out: {_plural(len(rows) - len(kept), 'layer')} without parameters whose work is free.")
    if len(kept) > ROWS_SHOWN:
        every = len(kept)
        kept = sorted(kept, key=_rank)[:ROWS_SHOWN]
        flops = sum(row["flops"] for row in kept if not is_missing(row["flops"]))
        part = share_text(flops / profile.total.flops) if profile.total.flops else "none"
        notes.append(f"The {ROWS_SHOWN} costliest of {every} layers by FLOPs, with {part} of them.")
    if rows:
        counts = {name: getattr(profile.total, name) for name in COUNT_COLUMNS}
        name = WITHOUT_EXCLUDED if excluded else WHOLE_NETWORK
        whole = {"layer": name, "parameters": profile.parameters_total, "status": profile.status}
        column = find_convention(profile.convention).column
        figures = {"macs_on_padding": profile.macs_on_padding, column: profile.headline}
        shares = {f"{name}_share": float(bool({**whole, **counts}[name])) for name in PARTS_SHOWN}
        kept.append({**dict.fromkeys(frame.columns, ""), **whole, **counts, **figures, **shares})
    kept += excluded
    idle = set(_idle(profile))
    if all(row["calls"] in (0, 1, "") for row in kept):
        idle.add("calls")
    if profile.complete:
        idle.add("status")
    if not profile.macs_on_padding:
        idle.add("macs_on_padding")
    columns = [name for name in frame.columns if name not in idle]
    return make_table(columns, ([row[name] for name in columns] for row in kept)), tuple(notes)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _rank(row: Mapping[str, Any]) -> tuple[bool, int, int]:
    """Sorts what is not wholly counted first, then by cost."""
    return row["status"] != "partial", -(row["flops"] or 0), -(row["comparisons"] or 0)


def _verdicts(profile: Profile) -> Iterable[str]:
    """For each counter: how many layers agree, why the others do not, and what has no reason."""
    for counter in profile.counters:
        if counter.status == "ok":
            yield from _verdict(profile, counter)
        else:
            yield f"{_title(counter)}: {counter.status}: {counter.message}"


def _verdict(profile: Profile, counter: CounterRecord) -> Iterable[str]:
    (summary,) = _records(crosscheck_summary(profile.trace, [counter]))
    yield (
        f"{_title(counter)}: {summary['equal']} of {_plural(summary['layers'], 'layer')} equal, "
        f"{summary['explained']} explained, {summary['unexplained']} unexplained."
    )
    for row in _records(reasons_table(profile.trace, [counter])):
        yield f"{row['reason']}: {row['amount']:+,} in {_plural(row['layers'], 'layer')}"


def _title(counter: CounterRecord) -> str:
    return f"{counter.counter} {counter.version}".strip()
