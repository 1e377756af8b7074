"""The figures of tables, one file each: the name of a figure, where it is shown, and its value for one call.

A new figure is a new file here that defines ``MEASURE``; no other file names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
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


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: ``figure`` is its value for an operation call, ``held`` its value for a parameter or buffer.

    ``tables`` names the tables that show it; ``shares`` names those that also show each row's share of the whole, with
    the priority of that column.  ``listed`` says whether titles of tables name the figure, ``always`` whether it is
    shown even if it is 0 in the whole network.  In the facts on a network its name is ``label``, by default its
    heading; ``fact`` returns the remark on it there, or None if it is not shown as a fact.
    """

    name: str
    heading: str
    meaning: str
    figure: Callable[[OpCall], int] | None = None
    held: Callable[[ParameterRecord], int] | None = None
    unit: Unit = "count"
    priority: int = 45
    tables: tuple[str, ...] = ("layers", "modules", "operations")
    shares: Mapping[str, int] = field(default_factory=dict)
    always: bool = False
    listed: bool = True
    label: str = ""
    fact: Callable[[Whole], str | None] | None = None

    def column(self, ending: str = "") -> Column:
        """The column for it; with an ending (``total``, ``before``), a variant of the column."""
        return Column(
            f"{self.name}_{ending}" if ending else self.name,
            self.unit,
            self.priority,
            f"{self.heading}, {ending}" if ending else self.heading,
            figure=self.heading if self.listed else "",
            bound=self.figure is not None,
            meaning=self.meaning,
        )

    def share(self, table: str, of: str = "") -> Column:
        """The column for its share of the whole, after the column ``of``."""
        of = of or self.name
        meaning = f"{self.heading} as a share of those of the whole network"
        return Column(f"{of}_share", "share", self.shares[table], "share", of=of, meaning=meaning)

    def words(self, whole: Whole) -> str | None:
        """The remark on the network's figure, which may be empty; None if the figure is not shown."""
        if self.fact is not None:
            return self.fact(whole)
        return "" if self.always or whole.figure(self.name) else None


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
