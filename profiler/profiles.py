"""A :class:`Profile`: the records of one network with the tables computed from them; saving and loading as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiler import catalog
from profiler.calls import tallies
from profiler.conventions import find_convention, headline_of
from profiler.devices import Device, find_device
from profiler.energy import EnergyModel, energy_of, find_energy_model
from profiler.errors import ProfilerError, StoredProfileError, shown
from profiler.excluding import leave_out
from profiler.files import write_text
from profiler.formatting import thousands
from profiler.frames import shown_frame
from profiler.garbage import without_collection
from profiler.kept import kept_table
from profiler.measures import find_measure
from profiler.memory import MemoryRecord, state_bytes
from profiler.opcount import OpCount
from profiler.printable import visible
from profiler.records import CounterRecord, Mode, Trace
from profiler.roofline import PICO, bound
from profiler.schema import Table
from profiler.tabulate import Work, total_count
from profiler.throughput import Throughput
from profiler.views import apply_views, find_view

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from profiler.analysis.explaining import Explanation

REPLACED_BY_ATTENTION = frozenset(
    {"Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"}
)
"""Classes of torch whose modules functional attention does not call: it takes their probability as an argument."""


@dataclass(frozen=True, repr=False)
class Profile:
    """What one network costs, and where.

    ``target`` says what was profiled, ``environment`` has the versions of the libraries, and ``counters`` the reports
    of other counters.  ``convention`` is the convention of the headline, ``views`` are those that sort its work into
    kinds.  ``method`` is the method that was called; ``part`` is the module that was profiled (empty for the whole
    network), in the first of the ``part_calls`` calls by the whole network; ``cache`` is the number of tokens in the
    cache (0 without a cache).  ``device`` and ``energy_model`` are those by which times and energies are shown, and
    ``throughput`` is the speed of a run of training.  A profile is a value: it does not hold the network.
    ``memory_run`` finds its live memory while the network exists; see :attr:`peak_activation_bytes`.  The tables are
    pandas data frames that are computed from the records on first use.
    """

    name: str
    target: str
    mode: Mode
    trace: Trace
    environment: Mapping[str, str]
    counters: tuple[CounterRecord, ...] = ()
    convention: str = "exact"
    views: tuple[str, ...] = ()
    method: str = "forward"
    part: str = ""
    part_calls: int = 0
    cache: int = 0
    device: Device | None = None
    throughput: Throughput | None = None
    energy_model: EnergyModel | None = None
    memory_run: Callable[[], MemoryRecord] | None = field(default=None, compare=False)

    @cached_property
    def total(self) -> OpCount:
        """The counts of the whole network; see :attr:`complete`."""
        return total_count(self.trace)

    @cached_property
    def parameters_total(self) -> int:
        """The number of parameters; shared ones count once, buffers are not included."""
        return sum(record.size for record in self.trace.parameters if not record.buffer)

    @cached_property
    def trainable_total(self) -> int:
        """The number of parameters that require a gradient."""
        return sum(record.size for record in self.trace.parameters if record.trainable and not record.buffer)

    @cached_property
    def parameter_bytes(self) -> int:
        """The size of the parameters in bytes."""
        return sum(record.bytes for record in self.trace.parameters if not record.buffer)

    @property
    def peak_activation_bytes(self) -> int:
        """The most bytes of activations that are alive at once.

        Every storage counts that is an input, a result of an operation, or the gradient of one; parameters, buffers and
        the gradients of parameters do not.  See ``docs/memory.md``.

        Live memory takes a second run on the meta device.  It is made on the first use of this property, or at once
        with ``memory=True``.  Raises :class:`~profiler.errors.ProfilerError`, which says what to do, if it was not made
        and the network no longer exists or has changed, and for a saved profile without it.
        """
        return self._memory.peak_activation_bytes

    @property
    def gradient_bytes(self) -> int:
        """The bytes of the gradients of parameters after the backward pass; see :attr:`peak_activation_bytes`."""
        return self._memory.gradient_bytes

    @property
    def optimizer_bytes(self) -> int:
        """The bytes that the named optimizer keeps, without its step counts; see :attr:`peak_activation_bytes`."""
        return state_bytes(self._memory.optimizer, self._memory.gradient_bytes)

    @property
    def memory_needed(self) -> int:
        """The bytes of tensors that the run needs at least; see :attr:`peak_activation_bytes`.

        Parameters, buffers and the optimizer's state, and the most bytes of everything else that is alive at once.  The
        workspace of kernels and the rounding of an allocator are on top.
        """
        held = sum(record.bytes for record in self.trace.whole.parameters)
        return held + self.optimizer_bytes + self._memory.peak_bytes

    @cached_property
    def _memory(self) -> MemoryRecord:
        found = self.trace.whole.memory
        if found is not None:
            return found
        if self.memory_run is None:
            raise ProfilerError(
                f"{self.name}: its live memory is not known, expected a profile that was made with it: "
                "profile(..., memory=True), --memory, or memory: true in a config"
            )
        return self.memory_run()

    def with_memory(self) -> Profile:
        """The same profile with its live memory, in its tables ``memory`` and ``peak`` and in files too.

        Raises :class:`~profiler.errors.ProfilerError` as :attr:`peak_activation_bytes` does.
        """
        trace = replace(self.trace.whole, memory=self._memory)
        return replace(self, trace=leave_out(trace, self.exclude), memory_run=None)

    @property
    def time_at_least(self) -> float:
        """The seconds that the network at least takes on its :attr:`device`; see :meth:`with_device`.

        It is a lower bound: see ``docs/bytes.md``.  Operations without a known time are not in it; the table
        ``roofline`` says which.  Raises :class:`~profiler.errors.ProfilerError` without a device.
        """
        if self.device is None:
            raise ProfilerError('time_at_least: found no device, expected one, as in profile.with_device("h100")')
        return float(bound(self.work.tallies, self.device).total)

    @property
    def energy(self) -> float:
        """The estimated joules of the network by its :attr:`energy_model`; see :meth:`with_energy`.

        Work without a known energy is not in it; the table ``energy`` says which.  Raises
        :class:`~profiler.errors.ProfilerError` without a model.
        """
        if self.energy_model is None:
            raise ProfilerError('energy: found no model, expected one, as in profile.with_energy("horowitz_45nm")')
        return float(energy_of(self.work.tallies, self.energy_model).total(self.energy_model) / PICO)

    @cached_property
    def buffers_total(self) -> int:
        """The number of elements of all buffers."""
        return sum(record.size for record in self.trace.parameters if record.buffer)

    @cached_property
    def complete(self) -> bool:
        """Whether every operation is either counted or known to be free, and no unseen work was noticed."""
        return not self.trace.unseen and all(tally.status != "uncounted" for tally in self.work.tallies)

    def figure(self, name: str) -> int:
        """The figure of that name (see ``profiler.measures``), of the whole network."""
        return self.work.figure(name)

    def knows(self, name: str) -> bool:
        """Whether that figure is known; the bytes that calls move are not in profiles of earlier versions."""
        return self.work.knows(name)

    @cached_property
    def headline(self) -> int:
        """The headline figure of the network, by its :attr:`convention`."""
        return self.work.figures.sum(find_convention(self.convention).measure, self.work.whole)

    @property
    def macs_on_padding(self) -> int:
        """The number of MACs that have a padded zero as operand."""
        return self.figure("macs_on_padding")

    @property
    def causal_macs(self) -> int | None:
        """The MACs of inference without those of scores that causal masks hide; None if no mask is causal."""
        return None if find_measure("causal_macs").words(self) is None else self.figure("causal_macs")

    @property
    def status(self) -> str:
        """``"complete"``, or ``"partial"`` if totals are lower bounds: work has no rule, or is unseen."""
        return "complete" if self.complete else "partial"

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the tensors that went into the network."""
        root = self.trace.modules[0]
        return root.input_shapes[0] if root.input_shapes else ()

    @property
    def never_ran(self) -> tuple[str, ...]:
        """The modules without children that were never called and whose parameters nothing read.

        Functional attention does the work of the dropouts and identities in its module, so these are not included.
        """
        read = {record.module for record in self.trace.parameters if record.use != "unused"}
        names = [record.name for record in self.trace.whole.modules]
        parents = {name.rpartition(".")[0] for name in names if name}
        attending = {tally.module for tally in self.work.tallies if tally.kind == "attention"}
        return tuple(
            record.name
            for record in self.trace.modules
            if not record.calls
            and record.name not in parents
            and record.name not in read
            and not (record.type in REPLACED_BY_ATTENTION and record.name.rpartition(".")[0] in attending)
        )

    @cached_property
    def work(self) -> Work:
        headline = headline_of(self.convention)
        return Work(self.trace, headline, self.counters, self.device, self.energy_model, self.throughput)

    @cached_property
    def _tables(self) -> dict[str, Table]:
        return {}

    def tabulated(self, name: str, *, depth: int | None = None) -> Table:
        """The table of that name with its schema; ``depth`` limits the tree of modules.

        Raises :class:`~profiler.errors.ProfilerError` for an unknown table.
        """
        names = catalog.tables()
        if name not in names:
            raise ProfilerError(f"table {name!r} is not known, expected one of {', '.join(names)}")
        make: Callable[..., Table] = catalog.extension("profiler.tables", name, "table")
        if depth is not None and name == "modules":
            return make(self.work, depth)
        if name not in self._tables:
            with without_collection():
                self._tables[name] = kept_table(make, self.work)
        return self._tables[name]

    def table(self, name: str, *, depth: int | None = None) -> pd.DataFrame:
        """The table of that name as a data frame, see :meth:`tabulated`."""
        return self.tabulated(name, depth=depth).frame

    @property
    def layers(self) -> pd.DataFrame:
        """One row for each module that ran operations itself."""
        return self.table("layers")

    @property
    def shares(self) -> pd.DataFrame:
        """Layers, parameters and counts by kind of work, with shares as fractions of one.

        The table ``shares``, also in files, has an additional last row ``total``.
        """
        return self.table("shares").iloc[: -1 if self.trace.excluded is None else -2]

    @property
    def modules(self) -> pd.DataFrame:
        """The tree of modules, self and total."""
        return self.table("modules")

    @property
    def operations(self) -> pd.DataFrame:
        """One row for each operation."""
        return self.table("operations")

    @property
    def parameters(self) -> pd.DataFrame:
        """One row for each parameter; tied parameters have one row."""
        return self.table("parameters")

    @property
    def uncounted(self) -> pd.DataFrame:
        """The operations without a rule."""
        return self.table("uncounted")

    @property
    def training(self) -> pd.DataFrame:
        """The cost of a training step, layer by layer: forward, recompute, input and weight gradients, optimizer."""
        return self.table("training")

    @property
    def generation(self) -> pd.DataFrame:
        """What the generation of tokens costs: prefill, single decode steps, and all of it; empty without one."""
        return self.table("generation")

    @property
    def crosscheck(self) -> pd.DataFrame:
        """Layer by layer, the reports of other counters, our MACs, and why they differ.

        A notebook shows it as the report of ``profiler crosscheck``, if other counters were run.
        """

        def shown() -> str:
            from profiler.render.notebook import report_html  # imported when a notebook shows it
            from profiler.render.report import crosscheck_report

            return report_html(crosscheck_report(self))

        table = self.table("crosscheck")
        return shown_frame(table, shown) if self.counters else table

    def plot(self, name: str, *, ax: Axes | None = None, figure: str | None = None) -> Figure:
        """The picture of that name as a matplotlib figure: ``"shares"``, ``"depth"``, ``"icicle"``, ``"training"``.

        ``ax`` are axes to draw on, and ``figure`` names the figure that is shown (``"macs"``, ``"parameters"``).
        Raises :class:`~profiler.errors.ProfilerError`; see :func:`profiler.plot`.
        """
        from profiler.pictures import plot  # imported when a picture is drawn

        return plot(name, self, ax=ax, figure=figure)

    def with_convention(self, convention: str) -> Profile:
        """The same profile with the headline of another convention (see ``profiler.conventions``).

        Raises :class:`~profiler.errors.ProfilerError` for an unknown name.
        """
        return replace(self, convention=find_convention(convention).name)

    def with_device(self, device: str | Device) -> Profile:
        """The same profile with the time that it at least takes on ``device``: a name, the path of a file, or itself.

        Its tables ``roofline``, ``roofline_kinds`` and ``roofline_operations`` then have rows, and
        :attr:`time_at_least` is known.  Raises :class:`~profiler.errors.ConfigError` for an unknown device.
        """
        return replace(self, device=find_device(device) if isinstance(device, str) else device)

    def with_energy(self, model: str | EnergyModel) -> Profile:
        """The same profile with an estimate of its energy by ``model``: a name, the path of a file, or itself.

        Its table ``energy`` then has rows, and :attr:`energy` is known.  Raises
        :class:`~profiler.errors.ConfigError` for an unknown model.
        """
        return replace(self, energy_model=find_energy_model(model) if isinstance(model, str) else model)

    def with_throughput(
        self,
        *,
        tokens_per_second: float | None = None,
        step_time: float | None = None,
        devices: int = 1,
        tokens_per_step: int | None = None,
        token_budget: float | None = None,
    ) -> Profile:
        """The same profile of a training step with the measured speed of the run that it belongs to.

        The speed is given in tokens per second of all ``devices`` together, or as the seconds of a step; a step has
        ``tokens_per_step`` tokens, by default those of the profiled one.  ``token_budget`` is the number of tokens of
        the whole run.  With a device, the tables ``utilization`` (MFU and HFU) and ``training_run`` then have rows.
        Raises :class:`~profiler.errors.ProfilerError` if the mode is not training, and for numbers that contradict
        each other.
        """
        found = Throughput.read(
            tokens_per_second=tokens_per_second,
            step_time=step_time,
            devices=devices,
            tokens_per_step=tokens_per_step,
            token_budget=token_budget,
        )
        if self.mode != "training":
            raise ProfilerError(f"throughput: {self.name} is profiled in mode {self.mode}, expected mode training")
        return replace(self, throughput=found)

    def with_views(self, *views: str) -> Profile:
        """The same work sorted into kinds by more views (see ``profiler.views``); no count changes.

        Raises :class:`~profiler.errors.ProfilerError` for an unknown name.
        """
        new = tuple(view for view in dict.fromkeys(views) if view not in self.views)
        trace = leave_out(apply_views(self.trace.whole, new), self.exclude)
        return replace(self, trace=trace, views=(*self.views, *new))

    @property
    def exclude(self) -> tuple[str, ...]:
        """The patterns of the excluded modules; see :meth:`excluding`."""
        return () if self.trace.excluded is None else self.trace.excluded.patterns

    def excluding(self, *patterns: str) -> Profile:
        """The same profile without the modules that match ``patterns``, and without everything below them.

        Patterns match fully qualified names (``aux*``) or types (``Dropout``).  The work and parameters of these
        modules are in no total; tables have a separate row for them.  Raises :class:`~profiler.errors.ProfilerError`
        for a pattern that matches nothing.
        """
        return replace(self, trace=leave_out(self.trace, tuple(dict.fromkeys((*self.exclude, *patterns)))))

    def explain(self, name: str | None = None) -> Explanation:
        """Why the network costs what it costs, or the layer, operator or kind of work of that name.

        ``name`` is a layer (``features.0``, or the end of its name), a pattern (``layer1.*``), an operator (``conv2d``)
        or a kind (``norm``).  The explanation has a ``text``, and the same in ``markdown`` and ``latex``.  Raises
        :class:`~profiler.errors.ProfilerError` for a name that means nothing, or several layers.
        """
        from profiler.analysis.explaining import explain  # imported when something is explained

        return explain(self, name)

    def priced_again(self) -> Profile:
        """The same calls with their costs by the rules that are registered now, such as those of a newer version.

        An answer is kept if the profile does not have everything that a rule may read, and if a rule no longer exists.
        """
        from profiler.pricing import price_again  # a profile that is only shown does not need the rules
        from profiler.rules import REGISTRY

        if not self.trace.whole.signatures:
            return self
        priced = apply_views(price_again(self.trace.whole, REGISTRY.seen_from_here()), self.views)
        return replace(self, trace=leave_out(priced, self.exclude))

    def __getstate__(self) -> dict[str, Any]:
        """Without the cached figures, whose keys are the ids of calls, and without a way to run the network."""
        kept = {name: value for name, value in self.__dict__.items() if name not in ("work", "_tables", "_memory")}
        return {**kept, "memory_run": None}

    def with_counters(self, *counters: CounterRecord) -> Profile:
        """The same profile with these reports of other counters, which replace the old ones."""
        return replace(self, counters=counters)

    def save(self, path: str | Path) -> None:
        """Write the profile to ``path`` as JSON; :func:`load_profile` reads it back.

        It is written to a temporary file and moved.  Raises :class:`OutputError` if that is not possible.
        """
        write_text(Path(path), self.to_json())

    def to_json(self) -> str:
        """The profile as JSON text, one record per line."""
        from profiler.stored import (
            SCHEMA,
            SCHEMA_VERSION,
            write_device,
            write_energy_model,
            write_generation,
            write_memory,
            write_trace,
        )

        generation = self.trace.whole.generation
        head = {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "name": self.name,
            "target": self.target,
            "mode": self.mode,
            "environment": dict(self.environment),
            "real_run": self.trace.real_run,
            "convention": self.convention,
            "views": list(self.views),
            **({"exclude": list(self.exclude)} if self.exclude else {}),
            **({"unseen": [asdict(item) for item in self.trace.whole.unseen]} if self.trace.whole.unseen else {}),
            **({"method": self.method} if self.method != "forward" else {}),
            **({"cache": self.cache} if self.cache else {}),
            **({} if self.trace.whole.memory is None else {"memory": write_memory(self.trace.whole.memory)}),
            **({} if generation is None else {"generation": write_generation(generation)}),
            **({"part": self.part, "part_calls": self.part_calls} if self.part else {}),
            **({} if self.device is None else {"device": write_device(self.device)}),
            **({} if self.throughput is None else {"throughput": self.throughput.written()}),
            **({} if self.energy_model is None else {"energy_model": write_energy_model(self.energy_model)}),
        }
        lists = {**write_trace(self.trace.whole), "counters": [asdict(record) for record in self.counters]}
        lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
        for key, items in lists.items():
            body = ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in items)
            lines.append(f" {json.dumps(key)}: [\n{body}\n ]" if items else f" {json.dumps(key)}: []")
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def __repr__(self) -> str:
        """The profile in one line."""
        figures = ((self.parameters_total, "parameters"), (self.total.macs, "MACs"), (self.total.flops, "FLOPs"))
        counted = ", ".join(f"{thousands(number)} {what}" for number, what in figures)
        return f"<Profile {visible(self.name)}: {counted}, {self.status}, {self.mode}>"

    def __str__(self) -> str:
        """The terminal report, as wide as the terminal; 80 columns without a terminal."""
        from profiler.render.screen import printed  # imported when a profile is printed

        return printed(self)

    def _repr_html_(self) -> str:
        """The headline, the shares, the layers and the modules, as HTML for a notebook."""
        from profiler.render.notebook import profile_html  # imported when a notebook shows a profile

        return profile_html(self)


def load_profile(path: str | Path, *, reprice: bool = False) -> Profile:
    """The profile that :meth:`Profile.save` wrote to ``path``; every table is equal to the saved one's.

    With ``reprice`` its costs are computed by the rules that are registered now; see :meth:`Profile.priced_again`.
    Raises :class:`~profiler.errors.StoredProfileError` if the file cannot be read, is not a profile of a known schema
    version, or has impossible content.
    """
    from profiler.stored import read_profile

    profile = Profile(**read_profile(Path(path)))
    for problem in _underivable(profile):
        raise StoredProfileError(f"{path}: {problem}")
    return profile.priced_again() if reprice else profile


BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""The exceptions of arithmetic on shapes that an operation cannot have."""


CHECKED_CALLS = 5000
"""The maximum number of calls for which the cross-check of a saved profile is computed on load, as a check."""


def _underivable(profile: Profile) -> Iterator[str]:
    """The parts of a profile from which no table can be made: shapes that are impossible for an operation."""
    from profiler.crosschecks.counters.fvcore import fvcore_figure

    for tally in tallies(profile.trace.whole.calls):
        call = tally.call
        try:
            fvcore_figure(call)
            for view in catalog.views():
                find_view(view)(call)
        except BROKEN:
            shapes = shown([list(spec.shape) for spec in call.inputs])
            yield f"calls.{tally.place}.inputs: found {shapes} for {shown(call.op)}, expected the tensors that it takes"
    if len(profile.trace.whole.calls) > CHECKED_CALLS:
        return  # the search for reasons goes through all calls of a module, which takes long
    try:
        profile.tabulated("crosscheck")
    except BROKEN as error:
        names = shown([counter.counter for counter in profile.counters])
        yield f"counters: found {names}, expected figures that agree with the calls ({type(error).__name__})"
