"""The figures that tables show, one file each: what a figure is called, where it is shown, and its value for one call.

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
"""The figure of a network where no convention is asked for."""


class Whole(Protocol):
    """A network of which every figure is known."""

    @property
    def mode(self) -> str:
        """Inference or training."""

    def figure(self, name: str) -> int:
        """The figure of that name, of the whole network."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: ``figure`` is its value for an operation call, ``held`` that for a parameter or buffer.

    ``tables`` are those that show it; ``shares`` are those that show what part of the whole each row is, with the
    priority of that column.  ``listed`` says whether titles of tables name the figure, ``always`` whether it is shown
    where the whole network has none of it.  Among the facts on a network it is called ``label``, its heading where
    that is empty, and ``fact`` gives the words beside it, or nothing where it is no fact.
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
        """The column that shows it; one with an ending (``total``, ``before``) is of the same figure."""
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
        """The column that shows what part of the whole it is, behind the column ``of``."""
        of = of or self.name
        meaning = f"{self.heading} as a part of those of the whole network"
        return Column(f"{of}_share", "share", self.shares[table], "share", of=of, meaning=meaning)

    def words(self, whole: Whole) -> str | None:
        """The words beside the network's figure, empty where there are none; nothing where it is not shown."""
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
