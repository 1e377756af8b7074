"""An estimate of the energy of a network: multiplies and adds by dtype, and the bytes that it moves.

A model of energy is one YAML file: ``horowitz_45nm.yaml`` is the model ``horowitz_45nm``, with its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.calls import Tally
from profiler.columns import FIRST, HEADLINE, Column
from profiler.config.yaml_files import read_yaml
from profiler.devices import dictionary_in, positive_in, positives_in, text_in
from profiler.errors import ConfigError, did_you_mean, shown
from profiler.records import ROOT
from profiler.roofline import dtype_of
from profiler.schema import Table
from profiler.tabulate import Work
from profiler.traffic import traffic_of

if TYPE_CHECKING:
    from profiler.profiles import Profile

FOLDER = Path(__file__).parent

KEYS = ("name", "source", "multiply", "add", "sram", "dram")
"""The keys of a file; all of them are required."""

COLUMNS = (
    Column("layer", "name", FIRST, refers_to="module"),
    Column("kind", priority=3, meaning="kind of the costliest work that it does"),
    Column("arithmetic", "count", 4, "arithmetic, pJ", bound=True, meaning="picojoules of multiplies and adds"),
    Column("memory", "count", 5, "memory, pJ", bound=True, meaning="picojoules if each byte moved is one of DRAM"),
    Column("memory_sram", "count", 30, "memory as SRAM, pJ", bound=True, meaning="picojoules if it were one of SRAM"),
    Column("picojoules", "count", HEADLINE, bound=True, meaning="an estimate: arithmetic and memory together"),
    Column("share", "share", HEADLINE + 1, of="picojoules", meaning="share of the energy of the network"),
    Column("status", "status", 2, meaning="partial if the energy of some work is not known"),
    Column("reason", "text", 20, width=30, meaning="why some energy is not known"),
)


@dataclass(frozen=True, slots=True)
class EnergyModel:
    """Picojoules for each multiply and add by dtype, and for each byte of SRAM and DRAM."""

    name: str
    source: str
    multiply: Mapping[str, float]
    add: Mapping[str, float]
    sram: float
    dram: float


def energy_models() -> tuple[str, ...]:
    """The names of the models that come with the profiler."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def find_energy_model(name: str) -> EnergyModel:
    """The model of that name, or in the file of that path.  Raises :class:`~profiler.errors.ConfigError`."""
    known = energy_models()
    if name in known:
        return read_energy_model(FOLDER / f"{name}.yaml")
    if name.endswith((".yaml", ".yml")):
        return read_energy_model(Path(name))
    raise ConfigError(
        f"energy model {shown(name)} is not known, expected one of {', '.join(known)}, or the path of a YAML file"
        f"{did_you_mean(name, known)}"
    )


def read_energy_model(path: Path) -> EnergyModel:
    """The model in a file.  Raises :class:`~profiler.errors.ConfigError`, which names the key."""
    found = dictionary_in(path, read_yaml(path), KEYS)
    return EnergyModel(
        text_in(path, "name", found["name"]),
        text_in(path, "source", found["source"]),
        positives_in(path, "multiply", found["multiply"], "picojoules by dtype, such as float32: 3.7"),
        positives_in(path, "add", found["add"], "picojoules by dtype, such as float32: 0.9"),
        positive_in(path, "sram", found["sram"]),
        positive_in(path, "dram", found["dram"]),
    )


@dataclass(slots=True)
class Energy:
    """Picojoules of some operations, and why those of others are not known."""

    arithmetic: Fraction = Fraction(0)
    bytes: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def row(self, name: str, kind: str, model: EnergyModel, whole: Energy) -> tuple[object, ...]:
        """The row of these operations."""
        memory, all_of_it = self.bytes * _exact(model.dram), whole.arithmetic + whole.bytes * _exact(model.dram)
        total = self.arithmetic + memory
        return (
            name,
            kind,
            round(self.arithmetic),
            round(memory),
            round(self.bytes * _exact(model.sram)),
            round(total),
            float(total / all_of_it) if all_of_it else None,
            "partial" if self.reasons else "complete",
            "; ".join(self.reasons),
        )


def energy_of(tallies: Iterable[Tally], model: EnergyModel) -> Energy:
    """The energy of these calls."""
    found = Energy()
    for tally in tallies:
        traffic = traffic_of(tally.call)
        if traffic is None:
            found.reasons["the bytes of a profile of an earlier version are not known"] = None
        else:
            found.bytes += (traffic.read + traffic.written) * tally.times
        if tally.status == "uncounted":
            found.reasons[f"{tally.op} has no rule"] = None
        count, dtype = tally.answer.count, dtype_of(tally.signature)
        for what, number, costs in (
            ("multiply", count.multiplies, model.multiply),
            ("add", count.adds, model.add),
            ("divide", count.divides, {}),
            ("transcendental", count.transcendentals, {}),
            ("comparison", count.comparisons, {}),
        ):
            if number and dtype not in costs:
                found.reasons[f"{model.name} has no {what} of {dtype}"] = None
            elif number:
                found.arithmetic += number * tally.times * _exact(costs[dtype])
    return found


def _exact(number: float) -> Fraction:
    """The decimal number that is written in the file."""
    return Fraction(repr(number))


def energy_table(work: Work, model: EnergyModel) -> Table:
    """One row for each layer that moves something or computes, and a row ``whole network`` after them."""
    whole = energy_of(work.tallies, model)
    rows = [
        found.row(module or ROOT, work.kinds[module], model, whole)
        for module, group in work.by_module.items()
        if group.tallies and ((found := energy_of(group.tallies, model)).arithmetic or found.bytes or found.reasons)
    ]
    rows.append(whole.row("whole network", "", model, whole))
    return Table.of("energy", f"Energy, an estimate by {model.name}", COLUMNS, rows, 1)


def remarks(model: EnergyModel) -> tuple[str, ...]:
    """What the table means, and where its figures are from."""
    return (
        f"An estimate: multiplies and adds, and each byte moved as one of DRAM. Source: {model.source}",
        "Control, leakage, and work without a figure in the source (status partial) are not in it.",
    )


def energy(profile: Profile, model: str | EnergyModel) -> Table:
    """The energy of a profile's layers by a model, given by name, by the path of its file, or itself.

    Raises :class:`~profiler.errors.ConfigError` for an unknown model.
    """
    return energy_table(profile.work, find_energy_model(model) if isinstance(model, str) else model)
