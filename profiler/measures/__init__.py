"""The figures of tables, one file each: the name of a figure, where it is shown, and its value for one call.

A new figure is a new file here that defines ``MEASURE``; no other file names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Protocol

from profiler import catalog
from profiler.columns import Column, Unit
from profiler.records import OpCall, ParameterRecord

HEADLINE = "flops"
"""The default headline of a network."""


class Whole(Protocol):
    """A network with all its figures."""

    @property
    def mode(self) -> str:
        """Inference or training."""

    def figure(self, name: str) -> int:
        """The figure of that name, of the whole network."""

    def knows(self, name: str) -> bool:
        """Whether that figure is known of every call."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: ``figure`` is its value for an operation call, ``held`` its value for a parameter or buffer.

    ``tables`` names the tables that show it; ``shares`` names those that also show each row's share of the whole, with
    the priority of that column.  ``listed`` says whether titles of tables name the figure, ``always`` whether it is
    shown even if it is 0 in the whole network.  A figure ``of_memory`` is known of uncounted operations too; it is None
    for a call whose record does not say which memory it uses.  In the facts on a network its name is ``label``, by
    default its heading; ``fact`` returns the remark on it there, or None if it is not shown as a fact.
    """

    name: str
    heading: str
    meaning: str
    figure: Callable[[OpCall], int | None] | None = None
    held: Callable[[ParameterRecord], int] | None = None
    unit: Unit = "count"
    priority: int = 45
    tables: tuple[str, ...] = ("layers", "modules", "operations")
    shares: Mapping[str, int] = field(default_factory=dict, hash=False)
    always: bool = False
    listed: bool = True
    label: str = ""
    of_memory: bool = False
    fact: Callable[[Whole], str | None] | None = None

    def column(self, ending: str = "") -> Column:
        """The column for it; with an ending (``total``, ``before``), a variant of the column."""
        return _column(self, ending)

    def share(self, table: str, of: str = "") -> Column:
        """The column for its share of the whole, after the column ``of``."""
        return _share(self, table, of or self.name)

    def words(self, whole: Whole) -> str | None:
        """The remark on the network's figure, which may be empty; None if the figure is not shown."""
        if self.fact is not None:
            return self.fact(whole)
        return "" if self.always or whole.figure(self.name) else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure that is a ratio of sums: that of ``above`` divided by those of ``below``, for the same calls.

    It follows the last of these in the tables of that measure; see :class:`Measure`.
    """

    name: str
    heading: str
    meaning: str
    above: str
    below: tuple[str, ...]
    priority: int = 45
    tables: tuple[str, ...] = ("layers", "modules", "operations", "shares")

    def column(self, ending: str = "") -> Column:
        """The column for it."""
        return _column_of_ratio(self, ending)

    def of(self, figures: Mapping[str, int | None]) -> float | None:
        """The ratio of these figures; None if one of them is not known, or if it would be divided by zero."""
        return ratio_of(figures[self.above], [figures[name] for name in self.below])


# Columns are values that every table of every network has, so each is made once.


@lru_cache(maxsize=1024)
def _column(measure: Measure, ending: str) -> Column:
    return Column(
        f"{measure.name}_{ending}" if ending else measure.name,
        measure.unit,
        measure.priority,
        f"{measure.heading}, {ending}" if ending else measure.heading,
        figure=measure.heading if measure.listed else "",
        bound=measure.figure is not None and not measure.of_memory,
        meaning=measure.meaning,
    )


@lru_cache(maxsize=1024)
def _share(measure: Measure, table: str, of: str) -> Column:
    meaning = f"{measure.heading} as a share of those of the whole network"
    return Column(f"{of}_share", "share", measure.shares[table], "share", of=of, meaning=meaning)


@lru_cache(maxsize=1024)
def _column_of_ratio(ratio: Ratio, ending: str) -> Column:
    return Column(
        f"{ratio.name}_{ending}" if ending else ratio.name,
        "rate",
        ratio.priority,
        f"{ratio.heading}, {ending}" if ending else ratio.heading,
        meaning=ratio.meaning,
    )


def ratio_of(above: int | None, below: Sequence[int | None]) -> float | None:
    """``above`` divided by the sum of ``below``; None if one of them is not known, or if that sum is zero."""
    if above is None or None in below:
        return None
    divisor = sum(below)  # type: ignore[arg-type]
    return above / divisor if divisor else None


@cache
def ratios() -> tuple[Ratio, ...]:
    """Every figure that is a ratio of others."""
    return tuple(catalog.extension("profiler.ratios", name, "RATIO") for name in catalog.ratios())


def ratios_in(table: str) -> tuple[Ratio, ...]:
    """The ratios that the table of that name shows."""
    return tuple(ratio for ratio in ratios() if table in ratio.tables)


@cache
def measures() -> tuple[Measure, ...]:
    """Every figure, in the order in which tables show them."""
    return tuple(catalog.extension(__name__, name, "MEASURE") for name in catalog.measures())


def measures_in(table: str) -> tuple[Measure, ...]:
    """The figures that the table of that name shows."""
    return tuple(measure for measure in measures() if table in measure.tables)


def find_measure(name: str) -> Measure:
    """The figure of that name."""
    return next(measure for measure in measures() if measure.name == name)
