"""What a renderer may know of a column: how it is called, what its values are, and how important it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal[
    "name", "text", "status", "shape", "formula", "depth", "count", "bytes", "share", "ratio", "difference", "flag"
]
"""What the values of a column are; it decides how they are written.

A ``name`` identifies something in the network.  A ``depth`` says how far below the root the first column's module is.
"""

FIRST, HEADLINE, MAIN, SUMMARIES, FILES = 0, 1, 10, 90, 100
"""Priorities: that of the first column, that of the headline, and three limits.

Columns below ``MAIN`` decide whether a terminal shows exact or short figures.  Those from ``SUMMARIES`` on are not in
summaries, and those from ``FILES`` on are in files only.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    The smaller its ``priority``, the later a column is left out where room is scarce.  Without a ``heading`` it is
    headed by its name.  ``figure`` is what the title of the table calls it, if it does.  ``of`` is the column that it
    belongs to: a share goes with its figure.  A text may be brought down to ``width`` cells (0: it may not).  A
    ``bound`` is at least so much where the row's status is ``partial``.
    """

    name: str
    unit: Unit = "text"
    priority: int = 50
    heading: str = ""
    figure: str = ""
    of: str = ""
    width: int = 0
    bound: bool = False
    meaning: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "heading", self.heading or self.name.replace("_", " "))

    @property
    def label(self) -> str:
        """What a sentence calls it."""
        return self.figure or self.heading.replace(",", "")
