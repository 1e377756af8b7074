"""A saved profile as the baseline of a check: what a network cost before, and by how much it may grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from profiler.analysis.diffing import Diff, DiffRow
from profiler.budgets.model import Finding, Growth, Layer
from profiler.budgets.parts import Part, whole
from profiler.calls import tallies
from profiler.errors import ConfigError
from profiler.formatting import thousands
from profiler.limits import Certainty, Limit
from profiler.measures import HEADLINE, Measure, measures_in
from profiler.profiles import Profile, load_profile
from profiler.records import show_shapes


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """A profile with which another one is compared; ``tolerance`` is the allowed growth as a fraction of one.

    ``place`` is where it was found.  ``remarks`` are sentences on the baseline itself.
    """

    profile: Profile
    place: str = ""
    tolerance: Fraction = Fraction(0)
    remarks: tuple[str, ...] = ()


def compared() -> tuple[Measure, ...]:
    """The figures that may not grow: those of the table of modules that every saved profile has."""
    return tuple(measure for measure in measures_in("modules") if not measure.of_memory)


def load_baseline(path: Path, tolerance: Fraction = Fraction(0)) -> Baseline:
    """The baseline that is saved in ``path``, with its costs by the rules of this version.

    So a change of the rules is not taken for one of the network.  Raises :class:`StoredProfileError`.
    """
    saved = load_profile(path)
    profile = saved.priced_again()
    changed = any(saved.figure(measure.name) != profile.figure(measure.name) for measure in compared())
    remarks = (f"The baseline is counted by the rules of this version: {changes(saved, profile)}.",) if changed else ()
    return Baseline(profile, str(path), tolerance, remarks)


def check_comparable(profile: Profile, baseline: Baseline) -> None:
    """Raise :class:`ConfigError` if the baseline is of another kind of run, so that no figure can be compared."""
    for what in ("mode", "method", "part", "cache", "exclude"):
        found, expected = getattr(baseline.profile, what), getattr(profile, what)
        if found != expected:
            raise ConfigError(
                f"{baseline.place}: {what}: found {_shown(found)}, expected {_shown(expected)} as in {profile.name}; "
                "--update writes the baseline again"
            )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return str(value) if value else "none"


def remarks_on(profile: Profile, baseline: Baseline) -> list[str]:
    """Sentences on what differs between the two besides the figures."""
    old, remarks = baseline.profile, list(baseline.remarks)
    if old.input_shapes != profile.input_shapes:
        shapes = f"{show_shapes(old.input_shapes)}, and this profile {show_shapes(profile.input_shapes)}"
        remarks.append(f"The baseline has the input {shapes}.")
    if old.target != profile.target:
        remarks.append(f"The baseline is of the target {old.target}, and this profile of {profile.target}.")
    if not old.complete:
        remarks.append("The baseline is partial: its counts are lower bounds.")
    return remarks


def growth(profile: Profile, baseline: Baseline) -> list[Finding]:
    """One finding for each figure; without the layers."""
    part = whole(profile)
    findings = []
    for measure in compared():
        before, after = baseline.profile.figure(measure.name), part.figure(measure.name)
        limit = _limit(before, baseline.tolerance)
        certainty = _certainty(part, measure, profile, baseline.profile)
        findings.append(
            Finding(
                f"baseline.{measure.name}",
                measure.heading,
                measure.name,
                limit,
                after,
                limit.judge(after, certainty),
                certainty=certainty,
                before=before,
                tolerance=baseline.tolerance,
            )
        )
    return findings


def _limit(before: int, tolerance: Fraction) -> Limit:
    more = f" + {float(tolerance * 100):.10g} %" if tolerance else ""
    return Limit(f"<= {thousands(before)}{more} (baseline)", most=before * (1 + tolerance))


def _certainty(part: Part, measure: Measure, profile: Profile, before: Profile) -> Certainty:
    """A count of a partial profile is good enough if everything that is not counted was in the baseline too.

    Operations with the same signature cost the same, so they add the same unknown cost to both.
    """
    certainty = part.certainty(measure.name)
    return "exact" if certainty == "at least" and _as_unknown_as(profile, before) else certainty


def _as_unknown_as(profile: Profile, before: Profile) -> bool:
    if profile.trace.unseen:
        return False
    mine, its = _unknown(profile), _unknown(before)
    return all(times <= its.get(signature, 0) for signature, times in mine.items())


def _unknown(profile: Profile) -> dict[object, int]:
    """How often each signature that is not counted was called."""
    found: dict[object, int] = {}
    for tally in tallies(profile.trace.calls):
        if tally.call.status == "uncounted":
            found[tally.call.signature] = found.get(tally.call.signature, 0) + tally.times
    return found


def grown_layers(found: Diff, figure: str) -> list[Layer]:
    """The layers whose figure is larger than before, those that grew the most first."""
    rows = sorted((row for row in found.rows if row.difference(figure) > 0), key=lambda row: -row.difference(figure))
    return [Layer(row.name, row.side.type, row.figure(figure)[1], row.figure(figure)[0], _change(row)) for row in rows]


def all_growth(found: Diff, figures: Sequence[str]) -> list[Growth]:
    """The layers that grew in one of the figures, those with the most additional FLOPs first."""
    rows = [row for row in found.rows if any(row.difference(figure) > 0 for figure in figures)]
    rows.sort(key=lambda row: (-row.difference(HEADLINE), -row.difference("parameters")))
    return [
        Growth(row.name, row.side.type, _change(row), {figure: row.difference(figure) for figure in figures})
        for row in rows
    ]


def _change(row: DiffRow) -> str:
    """What changed: added, or shapes, parameters, calls, cost."""
    if row.before is None:
        return "added"
    what = ", ".join(row.changes)
    return f"{what}; was {row.before.name}" if row.renamed else what


def changes(before: Profile, after: Profile) -> str:
    """``MACs 1,000 → 1,100``: the figures that differ, or that none does."""
    texts = [
        f"{measure.heading} {thousands(before.figure(measure.name))} → {thousands(after.figure(measure.name))}"
        for measure in compared()
        if before.figure(measure.name) != after.figure(measure.name)
    ]
    return ", ".join(texts) or "no figure changed"
