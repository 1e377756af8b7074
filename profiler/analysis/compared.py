"""The columns of a comparison: every one that can be named, with its value for a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from profiler import catalog
from profiler.columns import FIRST, SUMMARIES, Column
from profiler.conventions import find_convention, headline_of
from profiler.errors import ProfilerError, did_you_mean, shown
from profiler.measures import Measure, Ratio, find_measure, measures, measures_in, ratios
from profiler.profiles import Profile
from profiler.records import KINDS, show_shapes
from profiler.tabulate import Group

FAILED = "failed"
"""The status of a network that could not be profiled."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One network of a comparison: its profile, or the reason why there is none.

    ``source`` is what names it on the command line, if anything does.
    """

    name: str
    target: str = ""
    source: str = ""
    profile: Profile | None = None
    reason: str = ""

    @classmethod
    def of(cls, given: Profile | Compared) -> Compared:
        return given if isinstance(given, Compared) else cls(given.name, given.target, profile=given)


Cell = Callable[[Compared], object]

Columns = list[tuple[Column, Cell]]

DEFAULT_KINDS = {"conv": (26, 26), "linear": (5, 6), "attention": (27, 27)}
"""The kinds whose shares of parameters and of multiplies the table has, each with its priorities."""

DEFAULT_FIGURES = ("parameters", "multiplies")

DEFAULT_RATIOS = {"parameters": 22, "macs": 4, "flops": 21}
"""The figures whose ratio to the baseline the table has, with the priority of the column."""

PRIORITIES = {"macs": 3, "parameters": 2, "multiplies": 23, "adds": 24}
"""The priorities of figures that differ from those in other tables."""


def _cell(table: str, place: int, name: str) -> Callable[[Profile], object]:
    """The value of that column in one row of a table of the profile; missing if it does not have them."""

    def value(profile: Profile) -> object:
        rows = profile.tabulated(table).records()
        return rows[place].get(name) if rows else None

    return value


OF_A_PROFILE: Mapping[str, tuple[Column, Callable[[Profile], object]]] = {
    column.name: (column, value)
    for column, value in (
        (Column("input", "shape", 25), lambda profile: show_shapes(profile.input_shapes)),
        (Column("mode", priority=28), lambda profile: profile.mode),
        (Column("trainable", "count", 29, "trainable parameters"), lambda profile: profile.trainable_total),
        (Column("parameter_bytes", "bytes", 30, "size of parameters"), lambda profile: profile.parameter_bytes),
        (Column("buffers", "count", 31, meaning="elements of buffers"), lambda profile: profile.buffers_total),
        (
            Column("active_parameters", "count", 52, meaning="parameters that one token uses, with generate"),
            _cell("generation", -1, "active_parameters"),
        ),
        (
            Column("generation_flops", "count", 53, "FLOPs of the generation", meaning="of prefill and all steps"),
            _cell("generation", -1, "flops"),
        ),
        (
            Column("cache_bytes", "bytes", 54, heading="cache", meaning="bytes of the cache after the generation"),
            _cell("generation", -1, "cache_bytes"),
        ),
        (
            Column("generation_time", "count", 55, "time of the generation, ps", meaning="at least, on the device"),
            _cell("generation", -1, "time_at_least"),
        ),
        (
            Column("tokens_per_second", "rate", 56, "tokens/s at most", meaning="of the generation, on the device"),
            _cell("generation", -1, "tokens_per_second"),
        ),
        (
            Column("mfu", "share", 57, "MFU", meaning="of contractions, without what is recomputed"),
            _cell("utilization", 0, "utilization"),
        ),
        (
            Column("hfu", "share", 58, "HFU", meaning="of contractions, with what is recomputed"),
            _cell("utilization", 1, "utilization"),
        ),
        (
            Column("days", "rate", 59, meaning="of training, for the budget of tokens"),
            _cell("training_run", 0, "days"),
        ),
        (
            Column("device_hours", "rate", 60, meaning="of training, for the budget of tokens"),
            _cell("training_run", 0, "device_hours"),
        ),
    )
}

OF_MEMORY: Mapping[str, tuple[Column, Callable[[Profile], int | None]]] = {
    column.name: (column, value)
    for column, value in (
        (
            Column("peak_activation_bytes", "bytes", 4, "peak activations", meaning="most bytes alive at once"),
            lambda profile: profile.peak_activation_bytes,
        ),
        (
            Column("gradient_bytes", "bytes", 34, "gradients", meaning="bytes of the gradients of parameters"),
            lambda profile: profile.gradient_bytes,
        ),
        (
            Column("optimizer_bytes", "bytes", 35, "optimizer state", meaning="bytes that the optimizer keeps"),
            lambda profile: profile.optimizer_bytes,
        ),
        (
            Column("memory_needed", "bytes", 36, "memory at least", meaning="bytes of tensors that the run needs"),
            lambda profile: profile.memory_needed,
        ),
    )
}
"""The columns on live memory, which is followed in a run of its own."""


def _of_energy(name: str, heading: str, what: str, priority: int) -> Column:
    meaning = f"an estimate, in picojoules: {what}"
    return Column(name, "count", priority, heading, bound=True, bound_by="energy_status", meaning=meaning)


OF_MACHINE: Mapping[str, tuple[str, str, Column]] = {
    column.name: (table, figure, column)
    for table, figure, column in (
        (
            "roofline",
            "time_at_least",
            Column(
                "time_at_least",
                "count",
                4,
                "time at least, ps",
                bound=True,
                bound_by="time_status",
                meaning="a lower bound of the time on the device, in picoseconds",
            ),
        ),
        ("roofline", "bound_by", Column("bound_by", priority=39, meaning="what most of the time is spent on")),
        (
            "roofline",
            "utilization",
            Column("utilization", "share", 38, meaning="share of the time in which contractions run at their peak"),
        ),
        ("roofline", "status", Column("time_status", "status", 43, meaning="partial if some time is not known")),
        ("energy", "energy", _of_energy("energy", "energy, pJ", "both together", 4)),
        ("energy", "arithmetic", _of_energy("energy_of_arithmetic", "energy of arithmetic, pJ", "arithmetic", 40)),
        ("energy", "memory", _of_energy("energy_of_memory", "energy of memory, pJ", "memory", 41)),
        ("energy", "status", Column("energy_status", "status", 44, meaning="partial if some energy is not known")),
    )
}
"""The columns on a device and on energy: the table with it in its last row, its name there, and the column."""

OF_ANY: Mapping[str, tuple[Column, Cell]] = {
    column.name: (column, value)
    for column, value in (
        (Column("network", "name", FIRST, refers_to="network"), lambda network: network.name),
        (Column("target", priority=50), lambda network: network.target),
        (Column("source", priority=51), lambda network: network.source),
        (
            Column("status", "status", 20),
            lambda network: FAILED if network.profile is None else network.profile.status,
        ),
        (
            Column("reason", priority=SUMMARIES - 1, width=24, meaning="why the network has no figures"),
            lambda network: network.reason,
        ),
    )
}


def default_columns(baseline: Profile | None, convention: str) -> Columns:
    """The columns that a comparison has if none are named; ratios are to ``baseline``."""
    found = [OF_ANY["network"], _of_profile("input")]
    for measure in measures_in("comparison"):
        column, value = _figure(measure)
        found.append((replace(column, priority=PRIORITIES.get(column.name, column.priority)), value))
    for place, name in enumerate(DEFAULT_FIGURES):
        for kind, priorities in DEFAULT_KINDS.items():
            column, value = _share(kind, find_measure(name))
            found.append((replace(column, priority=priorities[place]), value))
    for name, priority in DEFAULT_RATIOS.items():
        column, value = _ratio(find_measure(name), baseline)
        found.append((replace(column, priority=priority), value))
    for name in _shown_of(baseline):
        found += [find_column(name, baseline), find_column(f"{name}_ratio", baseline)]
    found += [OF_ANY["status"], _of_profile("mode")]
    headline = headline_of(convention)
    if headline is not None:
        found += [_figure(headline), _ratio(headline, baseline)]
    return found


def _shown_of(profile: Profile | None) -> list[str]:
    """The figures of memory, time and energy that the profile has."""
    if profile is None:
        return []
    return [
        *(["peak_activation_bytes"] if profile.trace.whole.memory is not None else []),
        *(["time_at_least"] if profile.device is not None else []),
        *(["energy"] if profile.energy_model is not None else []),
    ]


def named_columns(names: Iterable[str], baseline: Profile | None) -> Columns:
    """The columns of these names, the first the most important.  Raises :class:`ProfilerError` for an unknown one."""
    found = []
    for place, name in enumerate(dict.fromkeys(names), 1):
        column, value = find_column(name, baseline)
        found.append((replace(column, priority=min(place, SUMMARIES - 2) if column.priority else FIRST), value))
    return found


def find_column(name: str, baseline: Profile | None = None) -> tuple[Column, Cell]:
    """The column of that name.  Raises :class:`ProfilerError`, which offers the nearest."""
    if name in OF_ANY:
        return OF_ANY[name]
    if name in OF_A_PROFILE:
        return _of_profile(name)
    if name in OF_MEMORY:
        return OF_MEMORY[name][0], _of_memory(name)
    if name in OF_MACHINE:
        return OF_MACHINE[name][2], _of_machine(name)
    figures = _figures()
    if name in figures:
        return _figure(figures[name])
    if name in catalog.ratios():
        return _quotient(next(ratio for ratio in ratios() if ratio.name == name))
    if name.removesuffix("_ratio") in figures:
        return _ratio(figures[name.removesuffix("_ratio")], baseline)
    whole = name.removesuffix("_ratio")
    if whole in RATIOS_OF and name != whole:
        return _ratio_to(RATIOS_OF[whole], whole, baseline)
    kind, measure = _kind_and_figure(name)
    if measure is not None:
        return _share(kind, measure)
    hint = did_you_mean(name, _every())
    if not hint:
        hint = (
            ", expected a figure (macs), its ratio to the baseline (macs_ratio), the share of a kind of work "
            "(conv_macs_share), or a fact (input, mode, status); docs/compare.md lists them"
        )
    raise ProfilerError(f"column {shown(name)} is not known{hint}")


def column_names() -> dict[str, list[str]]:
    """The names that :func:`find_column` knows, for a page: facts, figures, their ratios, and kinds of work."""
    return {
        "facts": [*OF_ANY, *OF_A_PROFILE],
        "memory": [*OF_MEMORY],
        "machine": [*OF_MACHINE],
        "figures": [*_figures()],
        "ratios": [*catalog.ratios()],
        "kinds": [*KINDS],
    }


def _every() -> list[str]:
    """Every name."""
    figures = _figures()
    shares = [f"{kind}_{figure}_share" for kind in KINDS for figure in figures]
    named = [*OF_ANY, *OF_A_PROFILE, *OF_MEMORY, *OF_MACHINE, *figures, *catalog.ratios()]
    return [*named, *(f"{figure}_ratio" for figure in (*figures, *RATIOS_OF)), *shares]


def _figures() -> dict[str, Measure]:
    """Every figure that can be compared, those of conventions included, by name."""
    headlines = [headline for name in catalog.conventions() if (headline := headline_of(name)) is not None]
    return {measure.name: measure for measure in (*measures(), *headlines)}


def _kind_and_figure(name: str) -> tuple[str, Measure | None]:
    """``conv_macs_share`` → the kind and the figure; no figure if the name is something else."""
    figures = _figures()
    for kind in KINDS:
        figure = name.removeprefix(f"{kind}_").removesuffix("_share")
        if name == f"{kind}_{figure}_share" and figure in figures:
            return kind, figures[figure]
    return "", None


def _of_profile(name: str) -> tuple[Column, Cell]:
    column, value = OF_A_PROFILE[name]
    return column, lambda network: None if network.profile is None else value(network.profile)


RATIOS_OF: Mapping[str, Column] = {
    **{name: column for name, (column, _) in OF_MEMORY.items()},
    **{name: column for name, (_, _, column) in OF_MACHINE.items() if column.unit == "count"},
}
"""The columns beside figures of calls whose ratio to the baseline can be named."""


def _of_memory(name: str) -> Cell:
    """Missing if the live memory of the profile is not known."""

    def value(network: Compared) -> int | None:
        try:
            return None if network.profile is None else OF_MEMORY[name][1](network.profile)
        except ProfilerError:
            return None

    return value


def _of_machine(name: str) -> Cell:
    """Missing if the profile has no device, or no model of energy."""
    table, figure, _ = OF_MACHINE[name]

    def value(network: Compared) -> object:
        rows = [] if network.profile is None else network.profile.tabulated(table).records()
        return rows[-1][figure] if rows else None

    return value


def _ratio_to(column: Column, name: str, baseline: Profile | None) -> tuple[Column, Cell]:
    """The ratio of a column that is no figure of calls to that of the baseline."""
    value = _of_memory(name) if name in OF_MEMORY else _of_machine(name)
    whole = None if baseline is None else value(Compared.of(baseline))

    def ratio(network: Compared) -> float | None:
        above = value(network)
        return _divided(above, whole) if isinstance(above, int) and isinstance(whole, int) else None

    return Column(f"{name}_ratio", "ratio", 50, f"{column.heading.split(',')[0]}, ratio"), ratio


def _figure(measure: Measure) -> tuple[Column, Cell]:
    return measure.column(), lambda network: None if network.profile is None else figure_of(network.profile, measure)


def _quotient(ratio: Ratio) -> tuple[Column, Cell]:
    """The column of a ratio of figures of one network."""

    def value(network: Compared) -> float | None:
        if network.profile is None:
            return None
        names = (ratio.above, *ratio.below)
        return ratio.of({name: figure_of(network.profile, find_measure(name)) for name in names})

    return ratio.column(), value


def _share(kind: str, measure: Measure) -> tuple[Column, Cell]:
    column = Column(f"{kind}_{measure.name}_share", "share", 32, f"{kind}, of {measure.heading}")
    return column, lambda network: None if network.profile is None else share_of(network.profile, kind, measure)


def _ratio(measure: Measure, baseline: Profile | None) -> tuple[Column, Cell]:
    column = Column(f"{measure.name}_ratio", "ratio", 50, f"{measure.heading}, ratio")
    whole = 0 if baseline is None else figure_of(baseline, measure)
    return (
        column,
        lambda network: None if network.profile is None else _divided(figure_of(network.profile, measure), whole),
    )


def figure_of(profile: Profile, measure: Measure) -> int | None:
    """The figure of a whole network, also if its tables do not show it; None if it is not known."""
    if not profile.work.figures.knows(measure, profile.work.whole):
        return None
    return profile.work.figures.sum(measure, profile.work.whole)


def share_of(profile: Profile, kind: str, measure: Measure) -> float | None:
    """The share of this kind of work in a figure, as a fraction of one; missing if the figure is zero or unknown."""
    work = profile.work
    if kind == "uncounted" and measure.figure is not None:
        return None
    group = Group(
        tallies=[tally for tally in work.tallies if tally.kind == kind],
        parameters=[record for record in work.trace.parameters if not record.buffer and record.use == kind],
    )
    return _divided(work.figures.sum(measure, group), figure_of(profile, measure))


def _divided(above: int | None, below: int | None) -> float | None:
    """Their quotient; missing if one of them is not known."""
    return None if above is None or below is None else quotient(above, below)


def quotient(part: int, whole: int) -> float | None:
    """``part / whole``, or missing if the whole is 0."""
    return part / whole if whole else None


def distinguishing(networks: Sequence[Compared]) -> Columns:
    """The columns that distinguish networks of the same name: the target, the source, or a number."""
    found: Columns = []
    seen: list[tuple[str, ...]] = [(network.name,) for network in networks]
    for name in ("target", "source"):
        if len(set(seen)) == len(seen):
            return found
        more = [(*known, str(OF_ANY[name][1](network))) for known, network in zip(seen, networks, strict=True)]
        if len(set(more)) > len(set(seen)):
            found.append(OF_ANY[name])
            seen = more
    if len(set(seen)) < len(seen):
        numbers = {id(network): number for number, network in enumerate(networks, 1)}
        found.append((Column("number", "count", 49), lambda network: numbers[id(network)]))
    return found


def headline_column(convention: str) -> str:
    """The column with the headline of a convention."""
    return find_convention(convention).column
