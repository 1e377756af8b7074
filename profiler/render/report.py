"""Profiles → a :class:`Report`: its content in order, without the syntax of any format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from profiler import catalog
from profiler.analysis.comparison import EVERYTHING, Compared, Selection, baseline_of, comparison_table, kind_share
from profiler.analysis.rewriting import disappeared, rewriting_table
from profiler.calls import tallies
from profiler.conventions import find_convention
from profiler.crosschecks.tables import SUMMARY_COLUMNS, reason_lines, summary_lines
from profiler.errors import ProfilerError
from profiler.excluding import optimizer_steps
from profiler.formatting import bytes_text, engineering, is_missing, pico_text, ratio_text, share_text, thousands
from profiler.measures import HEADLINE, find_measure, measures, measures_in, ratios, ratios_in
from profiler.profiles import Profile
from profiler.records import ROOT, WHILE_IT_RAN, CounterRecord, show_shapes
from profiler.render.scatter import Landscape, Place
from profiler.schema import Table
from profiler.tables import energy, generation, modules, roofline, training, utilization
from profiler.tables.crosscheck import summary as counters_table
from profiler.tabulate import part_of, with_headline

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 40
"""The maximum number of layers in a summary; of more layers it lists the costliest."""

CAUTIONS_SHOWN = 5
"""The maximum number of networks in a comparison for which it says why their figures are partial."""

WHOLE_NETWORK = "whole network"
WITHOUT_EXCLUDED = "without excluded"
TOTALS = ("total", WHOLE_NETWORK, WITHOUT_EXCLUDED)
"""The names of the rows of totals."""

OF_DEVICE, OF_ENERGY = ("roofline", "roofline_kinds", "roofline_operations"), ("energy",)
"""The tables that only a profile with a device, or with a model of energy, has."""

OF_RUN = ("utilization", "training_run")
"""The tables that only a profile with a device and a throughput has."""

HOW_COUNTED = (
    "Multiplies and adds are counted separately, as exact integers. MACs are the multiply–accumulate pairs of "
    "contractions only (conv, linear, matmul, attention, recurrent). FLOPs = multiplies + adds + divides + "
    "transcendentals of all operations; comparisons are listed separately."
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about the whole network, as text; a figure also has a short form (``714.2 M``) and a remark.

    A figure may be a lower bound; its ``value`` then begins with ``≥``.
    """

    label: str
    value: str
    short: str = ""
    aside: str = ""
    is_figure: bool = False
    is_bound: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about the whole network.

    A warning affects the meaning of the figures, a finding is a conclusion from them, a method says how they were made.
    """

    text: str
    kind: Literal["warning", "finding", "remark", "method"]


@dataclass(frozen=True, slots=True)
class Bar:
    """The shares of two kinds of work in one figure, as fractions of one."""

    label: str
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ReportTable:
    """One table: ``table`` is the complete one for files, ``shown`` the part for a summary or a terminal.

    Without ``shown``, the table is only written to its file.  With ``busy_only``, a terminal may leave out rows that
    have only 0 in the columns that fit.  ``about_shown`` are those of the ``notes`` that are only true of ``shown``.
    """

    table: Table
    shown: Table | None = None
    notes: tuple[str, ...] = ()
    busy_only: bool = False
    about_shown: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def frame(self) -> pd.DataFrame:
        return self.table.frame


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """A picture of the report: the name of its file, the words that describe it, and its content."""

    file: str
    words: str
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The content for a renderer; ``profile`` is missing if the report is about several profiles.

    ``landscape`` is what a page draws of several networks.
    """

    title: str
    facts: tuple[Fact, ...]
    notes: tuple[Note, ...]
    tables: tuple[ReportTable, ...]
    profile: Profile | None = None
    bars: tuple[Bar, ...] = ()
    pictures: tuple[ReportPicture, ...] = ()
    landscape: Landscape | None = None


def profile_report(
    profile: Profile, tables: Sequence[str] | None = None, depth: int | None = None, top: int | None = None
) -> Report:
    """The report on one network, with the tables of these names (by default all of them), the shares first.

    ``depth`` shows the tree of modules down to that level instead of the layers; ``top`` shows that many of the
    costliest layers, and the others together.  The files stay complete.  The cross-check is left out if no other
    counter was run.  Raises :class:`ProfilerError` for an unknown table.
    """
    known = catalog.tables()
    for name in tables or ():
        if name not in known:
            raise ProfilerError(f"table {name!r} is not known, expected one of {', '.join(known)}")
    names = tuple(name for name in known if tables is None or name in tables)
    if profile.mode != "training":
        names = tuple(name for name in names if name != "training")
    if not profile.counters:
        names = tuple(name for name in names if name != "crosscheck")
    if profile.trace.whole.memory is None:
        names = tuple(name for name in names if name not in ("memory", "peak"))
    if profile.trace.whole.generation is None:
        names = tuple(name for name in names if name != "generation")
    if profile.device is None:
        names = tuple(name for name in names if name not in OF_DEVICE)
    if profile.device is None or profile.throughput is None:
        names = tuple(name for name in names if name not in OF_RUN)
    if profile.energy_model is None:
        names = tuple(name for name in names if name not in OF_ENERGY)
    return Report(
        title=profile.name,
        facts=tuple(_facts(profile)),
        notes=tuple(_notes(profile)),
        tables=tuple(_table(profile, name, depth, top) for name in names),
        profile=profile,
        bars=tuple(_bars(profile)) if "shares" in names else (),
    )


def rewriting_report(before: Profile, after: Profile, findings: Sequence[str], left: Sequence[str]) -> Report:
    """The report that compares a network before and after its rewrites.

    ``findings`` say what was changed and whether the two are equivalent, ``left`` what was not changed and why.
    """
    gone = disappeared(before, after)
    notes = [Note(finding, "finding") for finding in findings]
    notes += [Note(f"Work that disappeared: {_some(gone)} ({_plural(len(gone), 'layer')}).", "remark")] if gone else []
    notes += [Note(f"Left: {reason}", "remark") for reason in left]
    table = rewriting_table(before, after)
    networks = comparison_report([before, after]).tables[0]
    return Report(
        title=before.name,
        facts=tuple(
            fact
            for fact in _facts(before)
            if fact.label in ("target", "part", "method", "cache", "input", "mode", "status")
        ),
        notes=(*notes, Note(HOW_COUNTED, "method")),
        tables=(replace(networks, notes=()), ReportTable(table, table)),
    )


def crosscheck_report(profile: Profile) -> Report:
    """The report that compares our MACs with the figures of other counters: each counter's total, and the layers.

    It shows the layers that differ; the files have all layers.
    """
    summary = counters_table(profile.work)
    idle = [] if any(summary["message"]) else ["message"]
    table = profile.tabulated("crosscheck")
    different = table.where([bool(difference) for difference in table["difference"]])
    tables = (
        ReportTable(summary, summary.without(idle), tuple(_verdicts(profile))),
        ReportTable(table, different if len(different) else None),
    )
    facts = tuple(
        fact
        for fact in _facts(profile)
        if fact.label in ("target", "part", "method", "cache", "input", "mode", "MACs", "status")
    )
    return Report(profile.name, facts, (), tables, profile)


def comparison_report(networks: Sequence[Profile | Compared], selection: Selection = EVERYTHING) -> Report:
    """The report that compares several networks side by side; ``selection`` says what it shows of them."""
    table = comparison_table(networks, selection)
    every = [Compared.of(network) for network in networks]
    profiles = [network.profile for network in every if network.profile is not None]
    mixed = len({profile.mode for profile in profiles}) > 1
    unclear = len(profiles) < len(every) or any(not profile.complete for profile in profiles)
    hidden = [] if selection.columns is not None else [*([] if mixed else ["mode"]), *([] if unclear else ["status"])]
    if selection.columns is None:
        shares = ("attention_parameters_share", "attention_multiplies_share")
        hidden += shares if not any(share for name in shares for share in table[name]) else ()
    notes = list(_cautions(every))
    failed = [network.name for network in every if network.profile is None]
    if failed:
        notes.append(Note(f"{_plural(len(failed), 'network')} of {len(every)} failed: {_some(failed)}.", "warning"))
    notes += _how_selected(every, selection, table)
    notes.append(Note(HOW_COUNTED, "method"))
    shown = ReportTable(table, table.without(hidden))
    title = f"Comparison of {_plural(len(every), 'network')}"
    return Report(title, (), tuple(notes), (shown,), landscape=_landscape(profiles))


def _landscape(profiles: Sequence[Profile]) -> Landscape | None:
    """Parameters against MACs of the networks that have some of both, if there are two of them."""
    figure = find_measure("macs")
    places = [
        Place(profile.name, profile.parameters_total, profile.figure(figure.name), not profile.complete)
        for profile in profiles
        if profile.parameters_total and profile.figure(figure.name)
    ]
    return Landscape(figure.heading, tuple(places)) if len(places) > 1 else None


def _cautions(networks: Sequence[Compared]) -> Iterable[Note]:
    """What affects the meaning of figures; of more than some networks only that it does."""
    cautions = [(network.name, list(caution(network.profile))) for network in networks if network.profile is not None]
    cautions = [(name, texts) for name, texts in cautions if texts]
    for name, texts in cautions[:CAUTIONS_SHOWN]:
        yield from (Note(f"{name}: {text}", "warning") for text in texts)
    more = [name for name, _ in cautions[CAUTIONS_SHOWN:]]
    if more:
        text = f"{_plural(len(more), 'more network')} with uncounted or excluded work: {_some(more)}."
        yield Note(text, "warning")


def _how_selected(networks: Sequence[Compared], selection: Selection, table: Table) -> Iterable[Note]:
    """Which rows are shown, and which network ratios are to."""
    if len(table) < len(networks):
        order = selection.sort or "their headline"
        yield Note(f"The first {len(table)} of {_plural(len(networks), 'network')}, sorted by {order}.", "remark")
    if any(column.unit == "ratio" for column in table.columns):
        baseline = baseline_of(networks, selection)
        first = ", the first" if baseline is networks[0] else ""
        if baseline.profile is None:
            yield Note(f"There are no ratios, because their baseline {baseline.name} failed.", "warning")
        else:
            yield Note(f"Ratios are to {baseline.name}{first}.", "method")


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
    for measure in sorted(measures(), key=lambda measure: measure.name == HEADLINE):  # the sum comes last
        words = measure.words(profile)
        if measure.figure is not None and words is not None:
            bound = "" if measure.of_memory else least
            yield _figure(measure.label or measure.heading, profile.figure(measure.name), words, bound)
    yield from _headline(profile)
    yield from _memory(profile)
    yield from _machine(profile)


def _machine(profile: Profile) -> Iterable[Fact]:
    """The time that the network at least takes on its device, and its energy, if they are known."""
    if profile.device is not None:
        row = profile.tabulated("roofline").records()[-1]
        aside = f"on {profile.device.name}; no real run is as fast"
        yield _measured("time at least", row["time_at_least"], row["status"], "s", aside)
    if profile.energy_model is not None:
        row = profile.tabulated("energy").records()[-1]
        aside = f"an estimate by {profile.energy_model.name}"
        yield _measured("energy", row["energy"], row["status"], "J", aside)


def _measured(label: str, number: int | None, status: str, unit: str, aside: str) -> Fact:
    """A number of picoseconds or picojoules, which is a lower bound if some is not known."""
    least = "≥" if status == "partial" and number is not None else ""
    value = f"{least}{thousands(number)}" + ("" if number is None else f" p{unit}")
    return Fact(label, value, least + pico_text(number, unit), aside, is_figure=True, is_bound=bool(least))


def _memory(profile: Profile) -> Iterable[Fact]:
    """The bytes of tensors that the run needs, if they are known."""
    if profile.trace.whole.memory is None:
        return
    figures = (
        ("peak activations", profile.peak_activation_bytes),
        ("gradients", profile.gradient_bytes),
        ("optimizer state", profile.optimizer_bytes),
        ("memory at least", profile.memory_needed),
    )
    for label, number in figures:
        if number:
            yield Fact(label, f"{thousands(number)} bytes", bytes_text(number), is_figure=True)


def _headline(profile: Profile) -> Iterable[Fact]:
    """The figure of the profile's convention, if it is not among the figures above."""
    convention = find_convention(profile.convention)
    if convention.column != HEADLINE:
        least = "" if profile.complete else "≥"
        yield _figure(f"by {convention.name}", profile.headline, convention.meaning, least)


def _figure(label: str, number: int, aside: str = "", least: str = "") -> Fact:
    short = engineering(number) if number >= 1000 else ""
    return Fact(label, least + thousands(number), short, aside, is_figure=True, is_bound=bool(least))


def caution(profile: Profile) -> Iterable[str]:
    """What affects the meaning of a profile's figures: work that is not counted, and what is excluded."""
    if not profile.complete:
        yield _partial(profile)
    if profile.exclude:
        yield _excluded(profile)


def _partial(profile: Profile) -> str:
    rows = profile.tabulated("uncounted").records()
    reasons = [f"{item.module or ROOT}: {item.reason}" for item in profile.trace.unseen]
    if rows:
        operations = _some(f"{row['op']} ({_plural(row['calls'], 'call')})" for row in rows)
        reasons.insert(0, f"no rule for {operations}")
    return f"{'; '.join(reasons)}; counts are lower bounds, shares are of what is counted."


def _excluded(profile: Profile) -> str:
    """What was excluded, and that the totals are without it."""
    excluded = profile.trace.excluded
    if excluded is None:
        return "Nothing was excluded."
    rows = profile.tabulated("shares").records()
    row = rows[-1]
    steps = any(tally.phase == "optimizer" for tally in tallies(excluded.whole.calls)) and not optimizer_steps(
        excluded.whole
    )
    kept = "; the optimizer's steps could not be assigned to modules, and are all in the totals" if steps else ""
    status = (
        "" if all(tally.status != "uncounted" for tally in tallies(excluded.calls)) else ", some of it without a rule"
    )
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
    if profile.trace.real_run == WHILE_IT_RAN:
        yield Note(f"{WHILE_IT_RAN.capitalize()}. With other data it may cost more or less.", "remark")
    elif profile.trace.real_run:
        yield Note(
            f"Counted on a real run on the CPU, with seeded inputs if none were given: {profile.trace.real_run}. "
            "Other data may cost more or less.",
            "warning",
        )
    if profile.views:
        yield Note(f"Views on kinds of work: {', '.join(view.replace('_', ' ') for view in profile.views)}.", "remark")
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
    """The sentence that compares linear layers with convolutions, for a network that has both."""
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


def _table(profile: Profile, name: str, depth: int | None, top: int | None) -> ReportTable:
    table = profile.tabulated(name)
    shown: Table | None = None
    notes: tuple[str, ...] = ()
    about_shown: tuple[str, ...] = ()
    if name == "shares":
        shown = _ranked(table, profile)
    elif name == "layers" and depth is None:
        shown, notes = _shown_layers(profile, top)
        about_shown = notes
    elif name == "modules" and depth is not None:
        shown, notes = _shown_modules(profile, depth)
        about_shown = notes
    elif name == "uncounted" and len(table):
        shown = table
    elif name in ("memory", "peak"):
        shown = _largest(table, "at_peak_bytes", LARGEST_SHOWN)
    elif name == "roofline":
        shown, notes = _largest(table, "time_at_least", top or ROWS_SHOWN), roofline.remarks(profile.work)
    elif name == "energy":
        shown, notes = _largest(table, "energy", top or ROWS_SHOWN), energy.remarks(profile.work)
    elif name == "generation":
        shown, notes = _shown_generation(profile, table)
    elif name == "utilization":
        shown, notes = utilization.shown(table), tuple(utilization.remarks(profile.work))
    elif name == "training_run":
        shown = table.without([column.name for column in table.columns if all(map(is_missing, table[column.name]))])
    elif name == "training":
        shown, notes = _shown_training(table)
    elif name == "crosscheck":
        notes = tuple(_verdicts(profile))
        left = [not explained for explained in table["explained"]]
        shown = table.where(left) if any(left) else None
    return ReportTable(table, shown, notes, busy_only=name == "layers", about_shown=about_shown)


def _largest(table: Table, figure: str, most: int) -> Table:
    """The ``most`` rows with the largest figure, and the footer."""
    rows, values = range(len(table)), table[figure]
    order = sorted(rows[: len(table) - table.footer], key=lambda row: -(values[row] or 0))
    kept = {*order[:most], *rows[len(table) - table.footer :]}
    return table.where([row in kept for row in rows])


LARGEST_SHOWN = 12
"""The number of rows about memory on a screen."""


def _ranked(table: Table, profile: Profile) -> Table:
    """The table with the headline of the profile as its most important figure."""
    return replace(table, columns=with_headline(table.columns, find_convention(profile.convention).column))


def _bars(profile: Profile) -> Iterable[Bar]:
    """Shares of convolutions and linear layers, in parameters and in multiplies, if the network has both."""
    kinds, figures = ("conv", "linear"), ("parameters", "multiplies")
    shares = {figure: {kind: kind_share(profile, kind, figure) or 0.0 for kind in kinds} for figure in figures}
    if all(share for parts in shares.values() for share in parts.values()):
        yield from (Bar(figure, parts) for figure, parts in shares.items())


def _shown_training(table: Table) -> tuple[Table, tuple[str, ...]]:
    """The parts of the whole step, and the ratio of the backward pass to the forward pass."""
    ratio = next(row["backward_forward_ratio"] for row in reversed(table.records()) if row["layer"] == "total")
    note = () if is_missing(ratio) else (f"The backward pass has {ratio_text(ratio)} the MACs of the forward pass.",)
    return training.step(table), note


def _shown_generation(profile: Profile, table: Table) -> tuple[Table, tuple[str, ...]]:
    """All of it, without the status if everything is counted; and how its figures were found."""
    return generation.shown(table), tuple(generation.remarks(profile.work))


def _shown_modules(profile: Profile, depth: int) -> tuple[Table, tuple[str, ...]]:
    """The tree down to ``depth``, each module with the figures of everything below it."""
    table = _ranked(modules.tree(profile.work, depth), profile)
    hidden = len(profile.modules) - len(table)
    note = "The figures of each module include everything below it"
    note += f"; {_plural(hidden, 'deeper module')} {'is' if hidden == 1 else 'are'} not shown." if hidden else "."
    return table.without([*_idle(profile), *(["status"] if profile.complete else [])]), (note,)


def _idle(profile: Profile) -> list[str]:
    """The figures that need no column, since they are zero in this network or not known."""
    idle = {
        measure.name
        for measure in measures()
        if not measure.always and not (profile.knows(measure.name) and profile.figure(measure.name))
    }
    return [*idle, *(ratio.name for ratio in ratios() if idle.intersection(ratio.below))]


def _shown_layers(profile: Profile, top: int | None) -> tuple[Table, tuple[str, ...]]:
    """The layers that cost something or have parameters, the costliest of many, and the row of the network.

    Layers that are not shown one by one share a row, so that the rows add up to the network.
    """
    table = _ranked(profile.tabulated("layers"), profile)
    figures = measures_in("layers")
    rows = table.records()
    excluded = [rows.pop()] if profile.exclude else []
    costs = [measure.name for measure in figures if not measure.of_memory]
    kept = [row for row in rows if row["status"] == "partial" or any(row[name] for name in costs)]
    notes = []
    if len(kept) < len(rows):
        notes.append(f"Left out: {_plural(len(rows) - len(kept), 'layer')} without parameters whose work is free.")
    if top is not None or len(kept) > ROWS_SHOWN:
        kept, note = _costliest(kept, ROWS_SHOWN if top is None else top, table, profile)
        notes += note
    if rows:
        whole: dict[str, Any] = dict.fromkeys(table, "")
        whole |= {"layer": WITHOUT_EXCLUDED if excluded else WHOLE_NETWORK, "status": profile.status}
        whole[find_convention(profile.convention).column] = profile.headline
        for measure in figures:
            whole[measure.name] = profile.figure(measure.name) if profile.knows(measure.name) else None
            if table.name in measure.shares:
                whole[f"{measure.name}_share"] = float(bool(whole[measure.name]))
        for ratio in ratios_in(table.name):
            whole[ratio.name] = ratio.of(whole)
        kept.append(whole)
    kept += excluded
    idle = set(_idle(profile))
    if all(row["calls"] in (0, 1, "") for row in kept):
        idle.add("calls")
    if profile.complete:
        idle.add("status")
    footer = len(excluded) + bool(rows)
    body = [[row[name] for name in table] for row in kept]
    shown = Table.of(table.name, table.subject, table.columns, body, footer)
    return shown.without(idle), tuple(notes)


Row = dict[str, Any]


def _costliest(rows: list[Row], most: int, table: Table, profile: Profile) -> tuple[list[Row], list[str]]:
    """The costliest ``most`` rows by the headline, one for all others together, and a note on how many there are."""
    headline = table.column(find_convention(profile.convention).column)
    rows = sorted(rows, key=lambda row: _rank(row, headline.name))
    shown, others = rows[:most], rows[most:]
    if not others:
        return shown, []
    figure = sum(row[headline.name] or 0 for row in shown)
    part = share_text(figure / profile.headline) if profile.headline else "none"
    which = f"{most} costliest" if most > 1 else "costliest"
    note = f"The {which} of {_plural(len(rows), 'layer')} by {headline.label}, with {part} of them."
    return [*shown, _together(others, table, profile)], [note]


def _rank(row: Mapping[str, Any], headline: str) -> tuple[bool, int, int, int]:
    """Sort key: partial rows first, then by cost: by the headline, then by work that it may not include."""
    return row["status"] != "partial", -(row[headline] or 0), -(row["flops"] or 0), -(row["comparisons"] or 0)


def _together(rows: Sequence[Row], table: Table, profile: Profile) -> Row:
    """One row for all of these layers: the sums of their figures, and what part of the network those are."""
    found: Row = dict.fromkeys(table, "")
    found["layer"] = f"… {_plural(len(rows), 'more layer')}"
    found["status"] = "partial" if any(row["status"] == "partial" for row in rows) else "complete"
    for column in table.columns:
        if column.type is int:
            known = [row[column.name] for row in rows if not is_missing(row[column.name])]
            found[column.name] = sum(known) if known else None
    for ratio in ratios_in(table.name):
        found[ratio.name] = ratio.of(found)
    headline = find_convention(profile.convention).column
    for column in table.columns:
        if column.unit == "share":
            whole = profile.headline if column.of == headline else profile.figure(column.of)
            found[column.name] = part_of(found[column.of], whole)
    if all(row["calls"] in (0, 1) for row in rows):
        found["calls"] = ""
    return found


def _verdicts(profile: Profile) -> Iterable[str]:
    """For each counter: how many layers agree, why others differ, and how many differences have no reason."""
    for counter in profile.counters:
        if counter.status == "ok":
            yield from _verdict(profile, counter)
        else:
            yield f"{_title(counter)}: {counter.status}: {counter.message}"


def _verdict(profile: Profile, counter: CounterRecord) -> Iterable[str]:
    (line,) = summary_lines(profile.trace, [counter])
    summary: dict[str, Any] = dict(zip(SUMMARY_COLUMNS, line, strict=True))
    yield (
        f"{_title(counter)}: {summary['equal']} of {_plural(summary['layers'], 'layer')} equal, "
        f"{summary['explained']} explained, {summary['unexplained']} unexplained."
    )
    for _, _, reason, layers, amount in reason_lines(profile.trace, [counter]):
        yield f"{reason}: {amount:+,} in {_plural(layers, 'layer')}"


def _title(counter: CounterRecord) -> str:
    return f"{counter.counter} {counter.version}".strip()
