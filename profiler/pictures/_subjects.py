"""Profiles → what pictures say of them: a line about a network, remarks on what is missing, and figures in words."""

from __future__ import annotations

from collections.abc import Sequence

from profiler.formatting import engineering, is_missing
from profiler.measures import Measure
from profiler.profiles import Profile
from profiler.records import show_shapes


def least(profile: Profile) -> str:
    """The sign before a count of a profile: ``≥`` if some work is not counted."""
    return "" if profile.complete else "≥"


def amount(profile: Profile, measure: Measure, number: int | None = None) -> str:
    """A figure of the whole network, or ``number`` of it: ``714.2 M MACs``."""
    number = profile.figure(measure.name) if number is None else number
    bound = least(profile) if measure.figure is not None and not is_missing(number) else ""
    unit = measure.heading if number != 1 else measure.heading.removesuffix("s")
    return bound + engineering(number, unit)


def about(profile: Profile, measures: Sequence[Measure]) -> str:
    """The network in one line: its input, its figures, its mode if that is training."""
    parts = [f"input {show_shapes(profile.input_shapes)}"] if any(profile.input_shapes) else []
    parts += [amount(profile, measure) for measure in measures]
    if profile.mode == "training":
        parts.append("a training step")
    return " · ".join(parts)


def remarks(profiles: Sequence[Profile]) -> tuple[str, ...]:
    """What the figures do not include."""
    several = len(profiles) > 1
    lines = []
    for profile in profiles:
        name = f"{profile.name}: " if several else ""
        if not profile.complete:
            lines.append(f"{name}partial: some work has no rule; counts are lower bounds, and shares are of the rest.")
        if profile.exclude:
            lines.append(f"{name}without the excluded modules ({', '.join(profile.exclude)}).")
    if len(lines) > 3:
        partial = sum(not profile.complete for profile in profiles)
        return (f"{partial} of {len(profiles)} networks are partial (≥): their counts are lower bounds.",)
    return tuple(lines)


def whose(measure: Measure) -> str:
    """The figure with its article: ``the MACs``."""
    return f"the {measure.heading}"
