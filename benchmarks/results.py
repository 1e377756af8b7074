"""What was measured, as it is stored: ``results.json`` holds every sample; ratios are computed from them when shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.timing import Samples

RESULTS = Path(__file__).with_name("results.json")

CLOCK = "cpu"
"""The clock of all verdicts: CPU time, since other processes make the wall time longer but hardly the CPU time."""


@dataclass(frozen=True)
class Result:
    """One row on one subject: the samples of all things by clock, single figures, and which things failed and why."""

    row: str
    subject: str
    samples: Mapping[str, Samples] = field(default_factory=dict)
    figures: Mapping[str, list[float]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    load: float = 0.0

    def seconds(self, thing: str, clock: str = CLOCK) -> float | None:
        """The median time of a thing; None if it was not measured."""
        return None if thing not in self.samples else median(self.samples[thing][clock])

    def ratios(self, thing: str, against: str, clock: str = CLOCK) -> list[float]:
        """The ratio of two things in every repeat that both have."""
        if not {thing, against} <= set(self.samples):
            return []
        pairs = zip(self.samples[thing][clock], self.samples[against][clock], strict=False)
        return [over / under for over, under in pairs]

    def joined(self, other: Result) -> Result:
        """The same with the samples of another run appended."""
        samples = {name: {clock: list(times) for clock, times in of.items()} for name, of in self.samples.items()}
        for name, of in other.samples.items():
            for clock, times in of.items():
                samples.setdefault(name, {}).setdefault(clock, []).extend(times)
        figures = {name: list(values) for name, values in self.figures.items()}
        for name, values in other.figures.items():
            figures.setdefault(name, []).extend(values)
        failed = {**self.failed, **other.failed}
        return Result(self.row, self.subject, samples, figures, failed, self.when, self.load)


@dataclass(frozen=True)
class Target:
    """One figure of a result and the bounds that it should hold: upper bounds, or lower ones if ``at_least``.

    A ``clockless`` figure is not a time: it is the same by every clock.
    """

    label: str
    values: Callable[[Result, str], list[float]]
    unit: str
    must: float | None = None
    wanted: float | None = None
    at_least: bool = False
    subjects: tuple[str, ...] = ()
    clockless: bool = False

    def only(self, *subjects: str) -> Target:
        """The same target, for these subjects only."""
        return replace(self, subjects=subjects)

    def of(self, result: Result, clock: str = CLOCK) -> float | None:
        """The median of the figure over all repeats; None if it was not measured, or is for other subjects."""
        if self.subjects and result.subject not in self.subjects:
            return None
        values = self.values(result, clock)
        return median(values) if values else None

    def spread(self, result: Result, clock: str = CLOCK) -> tuple[float, float] | None:
        """The lower and the upper quartile; None for fewer than three repeats."""
        values = self.values(result, clock)
        if len(values) < 3:
            return None
        low, _, high = quantiles(values, n=4, method="inclusive")
        return low, high

    def verdict(self, value: float) -> str:
        """``wanted`` or ``must`` for the stricter bound that holds, ``missed`` for neither, empty without bounds."""
        for word, bound in (("wanted", self.wanted), ("must", self.must)):
            if bound is not None and (value >= bound if self.at_least else value <= bound):
                return word
        return "" if self.must is None else "missed"

    def worst(self, values: Iterable[float]) -> float:
        """The value of several that is farthest from the target."""
        return min(values) if self.at_least else max(values)


def ratio(thing: str, against: str, must: float | None = None, wanted: float | None = None, label: str = "") -> Target:
    """The time of ``thing`` as a multiple of that of ``against``."""
    return Target(
        label or f"{thing} / {against}", lambda result, clock: result.ratios(thing, against, clock), "×", must, wanted
    )


def quicker(thing: str, than: str, must: float | None = None, wanted: float | None = None, label: str = "") -> Target:
    """How many times quicker ``thing`` is than ``than``."""
    return Target(
        label or f"{than} / {thing}",
        lambda result, clock: result.ratios(than, thing, clock),
        "×",
        must,
        wanted,
        at_least=True,
    )


def seconds(*things: str, must: float | None = None, wanted: float | None = None, label: str = "") -> Target:
    """The seconds of one thing, or of several together."""

    def values(result: Result, clock: str) -> list[float]:
        if not set(things) <= set(result.samples):
            return []
        return [sum(times) for times in zip(*(result.samples[thing][clock] for thing in things), strict=False)]

    return Target(label or " + ".join(things), values, "s", must, wanted)


def figure(name: str, unit: str, must: float | None = None, wanted: float | None = None) -> Target:
    """A single figure that was measured beside the times."""
    return Target(name, lambda result, clock: list(result.figures.get(name, ())), unit, must, wanted, clockless=True)


@dataclass(frozen=True)
class Stored:
    """All results and the machine on which they were measured."""

    machine: Mapping[str, str]
    results: tuple[Result, ...]

    def of(self, row: str) -> list[Result]:
        """The results of one row."""
        return [result for result in self.results if result.row == row]

    def updated(self, machine: Mapping[str, str], new: Iterable[Result]) -> Stored:
        """With new results in place of the old ones of the same row and subject."""
        results = {(result.row, result.subject): result for result in (*self.results, *new)}
        return Stored(machine, tuple(results.values()))


def read(path: Path = RESULTS) -> Stored:
    """The stored results; none if there is no file."""
    if not path.exists():
        return Stored({}, ())
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Stored(content["machine"], tuple(Result(**item) for item in content["results"]))


def as_json(stored: Stored) -> str:
    """The text of ``results.json``: one result a line, times with six significant digits."""
    results = ",\n".join("  " + json.dumps(_rounded(asdict(result))) for result in stored.results)
    return f'{{\n "machine": {json.dumps(dict(stored.machine), indent=2)},\n "results": [\n{results}\n ]\n}}\n'


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
