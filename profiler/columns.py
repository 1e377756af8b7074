"""What a renderer may know about a column: its name and heading, the unit of its values, and its importance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal[
    "name",
    "text",
    "status",
    "mark",
    "shape",
    "formula",
    "depth",
    "size",
    "count",
    "bytes",
    "share",
    "ratio",
    "rate",
    "difference",
    "change",
    "flag",
]
"""The unit of the values of a column; it decides how they are written.

A ``name`` identifies something in the network.  A ``depth`` is the depth of the first column's module below the root.
A ``size`` is an integer that was given, such as that of a batch; it is written without a prefix.
A ``rate`` is a number that need not be an integer, such as one per second.
A ``mark`` is ``same``, ``changed``, ``removed``, ``added`` or empty; a ``change`` is a difference as a fraction of the
figure before.
"""

TYPES: Mapping[Unit, type] = {
    **dict.fromkeys(("name", "text", "status", "mark", "shape", "formula"), str),
    **dict.fromkeys(("depth", "size", "count", "bytes", "difference"), int),
    **dict.fromkeys(("share", "ratio", "rate", "change"), float),
    "flag": bool,
}
"""The type of the values of a column of that unit, if they are not missing."""

FIRST, HEADLINE, MAIN, SUMMARIES, FILES = 0, 1, 10, 90, 100
"""Priorities: that of the first column, that of the headline, and three limits.

Columns below ``MAIN`` decide whether a terminal shows exact or short figures.  Those from ``SUMMARIES`` on are not in
summaries, and those from ``FILES`` on are in files only.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    On a narrow terminal, columns with a large ``priority`` are left out first.  The default ``heading`` is the name.
    ``figure`` is the name of the column in the title of the table, if it is named there.  ``of`` is the column that it
    belongs to, such as the figure of a share.  A text may be cut to ``width`` cells (0: it may not be cut).  A
    ``bound`` is a lower bound if the row's status is ``partial``, which is in the column ``bound_by``, by default in
    the first column of statuses.  ``refers_to`` says what a name identifies, if a page knows more about it.
    """

    name: str
    unit: Unit = "text"
    priority: int = 50
    heading: str = ""
    figure: str = ""
    of: str = ""
    width: int = 0
    bound: bool = False
    bound_by: str = ""
    meaning: str = ""
    refers_to: Literal["", "module", "network"] = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "heading", self.heading or self.name.replace("_", " "))

    @property
    def type(self) -> type:
        """The type of its values: ``str``, ``int``, ``float`` or ``bool``."""
        return TYPES[self.unit]

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return self.figure or self.heading.replace(",", "")
