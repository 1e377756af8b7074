"""An estimate of the energy of a network: multiplies and adds by dtype, and the bytes that it moves.

A model of energy is one YAML file: ``files/horowitz_45nm.yaml`` is the model ``horowitz_45nm``, with its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from profiler import catalog
from profiler.calls import Tally
from profiler.devices import dictionary_in, positive_in, positives_in, text_in
from profiler.errors import ConfigError, did_you_mean, shown
from profiler.roofline import dtype_of
from profiler.traffic import traffic_of

if TYPE_CHECKING:
    from profiler.profiles import Profile
    from profiler.schema import Table

FOLDER = Path(__file__).parent / "files"

KEYS = ("name", "source", "multiply", "add", "sram", "dram")
"""The keys of a file; all of them are required."""


@dataclass(frozen=True, slots=True)
class EnergyModel:
    """Picojoules for each multiply and add by dtype, and for each byte of SRAM and DRAM."""

    name: str
    source: str
    multiply: Mapping[str, float]
    add: Mapping[str, float]
    sram: float
    dram: float


def find_energy_model(name: str, folder: Path | None = None) -> EnergyModel:
    """The model of that name, or in the file of that path, which may be relative to ``folder``.

    Raises :class:`~profiler.errors.ConfigError`.
    """
    known = catalog.energy_models()
    if name in known:
        return read_energy_model(FOLDER / f"{name}.yaml")
    if name.endswith((".yaml", ".yml")):
        return read_energy_model((folder or Path()) / name)
    raise ConfigError(
        f"energy model {shown(name)} is not known, expected one of {', '.join(known)}, or the path of a YAML file"
        f"{did_you_mean(name, known)}"
    )


def read_energy_model(path: Path) -> EnergyModel:
    """The model in a file.  Raises :class:`~profiler.errors.ConfigError`, which names the key."""
    from profiler.yaml_files import read_yaml

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

    def of_bytes(self, picojoules: float) -> Fraction:
        """The energy of the bytes, if each has that many picojoules."""
        return self.bytes * _exact(picojoules)

    def total(self, model: EnergyModel) -> Fraction:
        """The energy of arithmetic, and of each byte as one of DRAM."""
        return self.arithmetic + self.of_bytes(model.dram)


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


def energy(profile: Profile, model: str | EnergyModel) -> Table:
    """The energy of a profile's layers by a model, given by name, by the path of its file, or itself.

    Raises :class:`~profiler.errors.ConfigError` for an unknown model.
    """
    return profile.with_energy(model).tabulated("energy")
