"""Conventions by which tools and papers sum up a network in one figure, one file each.

A new convention is a new file here that defines ``CONVENTION``; a convention is a figure with a name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from profiler import catalog
from profiler.columns import HEADLINE
from profiler.errors import ProfilerError, did_you_mean
from profiler.measures import Measure
from profiler.records import OpCall


@dataclass(frozen=True, slots=True)
class Convention:
    """One way to count: the figure, and what it counts."""

    name: str
    measure: Measure
    meaning: str

    @property
    def column(self) -> str:
        """The column that shows it."""
        return self.measure.name


def own_figure(name: str, meaning: str, figure: Callable[[OpCall], int]) -> Convention:
    """The convention of that name, whose figure is only shown if the convention is chosen."""
    shares = {"shares": HEADLINE}
    measure = Measure(f"by_{name}", f"by {name}", meaning, figure, priority=HEADLINE, tables=(), shares=shares)
    return Convention(name, measure, meaning)


def headline_of(name: str) -> Measure | None:
    """The additional figure of tables for a convention; None if tables show its figure anyway."""
    measure = find_convention(name).measure
    return None if measure.tables else measure


def find_convention(name: str) -> Convention:
    """The convention of that name.  Raises :class:`ProfilerError`."""
    names = catalog.conventions()
    if name not in names:
        hint = did_you_mean(name, names)
        raise ProfilerError(f"convention {name!r} is not known, expected one of {', '.join(names)}{hint}")
    found: Convention = catalog.extension(__name__, name, "CONVENTION")
    return found
