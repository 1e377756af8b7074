"""A table → the columns, and their texts, that have room in a terminal of some width.

Figures are exact where the table's main columns then fit, and short (``655.6 M``) where that makes room for more of
them.  A column that has no room is left out, the least important first; no figure is ever cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from rich.cells import cell_len

from profiler.columns import FILES, MAIN, Column
from profiler.formatting import engineering, format_table, is_numeric_column, thousands
from profiler.schema import Table

GAP = 2
"""The blank cells between two columns."""

NAME_PART = 0.4
"""How much of the width a name in the first column may take before its front is cut."""

NAME_LEAST = 16
"""What is left of a name in any case."""

Spelled = Callable[[str], str]
"""How a text is spelled for the terminal at hand."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A table as text, the columns that have room, and those that have none, the most important first.

    ``widths`` are the cells that a text takes which wraps.
    """

    table: Table
    texts: pd.DataFrame
    columns: tuple[Column, ...]
    without_room: tuple[Column, ...]
    widths: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that have room."""
        return tuple(column.name for column in self.columns)


Together = tuple[Column, ...]
"""Columns that are shown together or not at all."""


def by_importance(table: Table) -> list[Together]:
    """The columns of which a terminal shows as many as have room, the most important first.

    Columns of one importance of which one belongs to the other stay together.  A text that may be shortened is left
    out where it is empty in every row.
    """
    groups: list[list[Column]] = []
    for column in sorted(table.columns, key=lambda column: column.priority):
        if column.priority >= FILES or (column.width and not any(table[column.name])):
            continue
        beside = [group for group in groups if group[0].priority == column.priority and group[0].name == column.of]
        if beside:
            beside[0].append(column)
        else:
            groups.append([column])
    return [tuple(group) for group in groups]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The texts with figures written in one way, and what has room: the cells that each column takes."""

    texts: pd.DataFrame
    taken: Mapping[str, int]

    def shows(self, group: Together) -> bool:
        return group[0].name in self.taken


def fit(table: Table, width: int, spelled: Spelled = str, passed_over: Sequence[str] = ()) -> Fitted:
    """The table in ``width`` cells, its columns in the table's order, without those that are ``passed_over``."""
    every = by_importance(table)
    groups = [group for group in every if group[0].name not in passed_over]
    main = [group for group in groups if group[0].priority < MAIN]
    texts = next((place for place, group in enumerate(main) if group[0].width), len(main))
    chosen = _attempt(table, groups, thousands, width, spelled)
    if not all(map(chosen.shows, main[: texts + 1])):
        short = _attempt(table, groups, engineering, width, spelled)
        chosen = max(chosen, short, key=lambda attempt: sum(map(attempt.shows, main)))
    columns = tuple(column for column in table.columns if column.name in chosen.taken)
    without = tuple(column for group in every for column in group if column.name not in chosen.taken)
    return Fitted(table, chosen.texts, columns, without, chosen.taken)


def _attempt(
    table: Table, groups: Sequence[Together], integer: Callable[[int | None], str], width: int, spelled: Spelled
) -> _Attempt:
    """What has room where integers are written so; the first column always has."""
    texts = _spelled(format_table(table, integer), spelled)
    needs = {column.name: _width(column, texts[column.name].tolist()) for column in table.columns}
    (first, *_), *others = groups
    cells = texts[first.name].tolist()
    most = int(width * NAME_PART)
    if integer is engineering:
        main = (column for group in others if group[0].priority < MAIN for column in group if not column.width)
        most = min(most, width - sum(needs[column.name] + GAP for column in main))
    taken = {first.name: _width(first, [cut_front(cell, max(NAME_LEAST, most), spelled("…")) for cell in cells])}
    room = width - taken[first.name]
    for group in others:
        least = sum(min(needs[column.name], column.width or width) + GAP for column in group)
        if least <= room:
            for column in group:
                most = needs[column.name] if column.unit != "formula" else min(needs[column.name], column.width)
                taken[column.name] = min(most, room - GAP)
                room -= taken[column.name] + GAP
        elif not group[0].width:  # what can be shortened leaves its room to others
            break
    for column in table.columns:  # what room is left goes to names and formulas
        if column.name in taken and (column == first or column.unit == "formula"):
            more = min(room, needs[column.name] - taken[column.name])
            taken[column.name] += more
            room -= more
            cut = cut_front if column == first else cut_end
            shown = [cut(text, taken[column.name], spelled("…")) for text in texts[column.name].tolist()]
            texts = texts.assign(**{column.name: pd.Series(shown, index=texts.index, dtype="object")})
    return _Attempt(texts, taken)


def fit_busy_rows(table: Table, width: int, spelled: Spelled = str) -> tuple[Fitted, int]:
    """The table in ``width`` cells without the rows that have nothing but 0 in the columns shown, and their number.

    The room that this makes goes to no column in which one of those rows is not 0.  The last row, the network's,
    always stays.
    """
    whole = fit(table, width, spelled)
    idle = idle_rows(table, whole.names)
    if not any(idle):
        return whole, 0
    only = table.where(idle)
    needing = [column.name for column in whole.without_room if _has_figures(only, column)]
    return fit(table.where([not row for row in idle]), width, spelled, needing), sum(idle)


def _has_figures(table: Table, column: Column) -> bool:
    values = table[column.name].tolist()
    return is_numeric_column(table.frame, column.name) and any(value != 0 for value in values)


def idle_rows(table: Table, names: Sequence[str]) -> list[bool]:
    """Which rows have nothing but zeros in the figures of these columns; never the last, the network's own."""
    figures = [table[name].tolist() for name in names if is_numeric_column(table.frame, name)]
    if not figures:
        return [False] * len(table)
    idle = [all(isinstance(value, int | float) and value == 0 for value in row) for row in zip(*figures, strict=True)]
    return [*idle[:-1], False]


def two_line_heading(column: Column) -> str:
    """The heading, broken in two lines where it says of what."""
    return column.heading.replace(", ", ",\n")


def _spelled(texts: pd.DataFrame, spelled: Spelled) -> pd.DataFrame:
    columns = {
        name: pd.Series([spelled(text) for text in texts[name].tolist()], index=texts.index, dtype="object")
        for name in texts.columns
    }
    return pd.DataFrame(columns, index=texts.index, columns=texts.columns)


def cut_front(text: str, most: int, mark: str = "…") -> str:
    """The text's last cells: of a dotted name, what tells it from its neighbors."""
    if cell_len(text) <= most:
        return text
    room = most - len(mark)
    while cell_len(text) > room:
        text = text[max(1, (cell_len(text) - room) // 2) :]
    return mark + text


def cut_end(text: str, most: int, mark: str = "…") -> str:
    """The text's first cells."""
    if cell_len(text) <= most:
        return text
    while cell_len(text) > most - len(mark):
        text = text[:-1]
    return text + mark


def _width(column: Column, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (*two_line_heading(column).split("\n"), *cells))
