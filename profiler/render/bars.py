"""Shares → bars of block characters, which say the same as the numbers beside them."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

from profiler.columns import HEADLINE, Column
from profiler.formatting import is_missing
from profiler.schema import Table

CELLS = 10
"""The length of a bar for all of the whole."""

EIGHTHS = " ▏▎▍▌▋▊▉"
FULL = "█"

TREE_PRIORITY = 5
"""The importance of the headline's share and its bars in a tree: behind the parameters, before further figures."""

PRIORITY = 25
"""The importance of bars in other tables: behind all figures that a terminal of usual width shows."""

BARS = "_bars"
"""The end of the names of columns with bars."""


def with_bars(table: Table, totals: Container[Any], *, ascii_only: bool = False) -> Table:
    """The table with bars behind the share of its headline, if it has one; rows of ``totals`` have none."""
    headline = {column.name for column in table.columns if column.priority == HEADLINE}
    share = next((column for column in table.columns if column.unit == "share" and column.of in headline), None)
    if share is None:
        return table
    is_tree = table.of_unit("depth") is not None
    priority = TREE_PRIORITY if is_tree else PRIORITY
    bars = [
        "" if first in totals else bar(value, ascii_only=ascii_only)
        for first, value in zip(table.values[0], table[share.name], strict=True)
    ]
    columns, values = list(table.columns), list(table.values)
    place = columns.index(share)
    if is_tree:
        columns[place] = replace(share, priority=priority)
    columns.insert(place + 1, Column(f"{share.name}{BARS}", priority=priority, heading=" ", width=CELLS))
    values.insert(place + 1, bars)
    return replace(table, columns=tuple(columns), values=tuple(values))


def has_bars(column: Column) -> bool:
    """Whether a column was added for bars."""
    return column.name.endswith(BARS)


def bar(share: float | None, cells: int = CELLS, *, ascii_only: bool = False) -> str:
    """A bar for a fraction of one: empty for 0 and for an unknown share, else of at least an eighth of a cell."""
    if share is None or is_missing(share) or share <= 0:
        return ""
    if ascii_only:
        return "#" * max(1, round(min(share, 1) * cells))
    eighths = max(1, round(min(share, 1) * cells * 8))
    return FULL * (eighths // 8) + EIGHTHS[eighths % 8].strip()
