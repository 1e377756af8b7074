"""A table → the columns that fit in a terminal of a given width, and their texts.

Figures are exact if the table's main columns then fit, and short (``655.6 M``) if more of them fit then.  If columns do
not fit, the least important are left out; a figure is never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from profiler.columns import FILES, MAIN, Column
from profiler.formatting import engineering, format_table, is_numeric_column, thousands
from profiler.schema import Table

GAP = 2
"""The number of blanks between two columns."""

NAME_PART = 0.4
"""The fraction of the width that a name in the first column may take before its front is cut."""

NAME_LEAST = 16
"""The minimum width of a cut name."""

Spelled = Callable[[str], str]
"""A function that spells a text for the terminal."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A table as text, its columns that fit, and those that do not, the most important first.

    ``widths`` are the widths of columns whose texts wrap.
    """

    table: Table
    texts: Mapping[str, Sequence[str]]
    columns: tuple[Column, ...]
    without_room: tuple[Column, ...]
    widths: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that fit."""
        return tuple(column.name for column in self.columns)


Together = tuple[Column, ...]
"""Columns that are shown together or not at all."""


def by_importance(table: Table) -> list[Together]:
    """The columns, the most important first; a terminal shows as many as fit.

    Columns of the same importance stay together if one belongs to the other.  A text that may be shortened is left out
    if it is empty in every row.
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
    """The texts with figures in one style, and the columns that fit with their widths."""

    texts: Mapping[str, Sequence[str]]
    taken: Mapping[str, int]

    def shows(self, group: Together) -> bool:
        return group[0].name in self.taken


def fit(table: Table, width: int, spelled: Spelled = str, passed_over: Sequence[str] = ()) -> Fitted:
    """The table in ``width`` cells, with its columns in their order, without those in ``passed_over``."""
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
    """The columns that fit if integers are written in this style; the first column always fits."""
    texts = _spelled(format_table(table, integer), spelled)
    needs = {column.name: _width(column, texts[column.name]) for column in table.columns}
    (first, *_), *others = groups
    cells = texts[first.name]
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
        elif not group[0].width:  # a column that can be shortened gives way to others
            break
    for column in table.columns:  # the remaining width goes to names and formulas
        if column.name in taken and (column == first or column.unit == "formula"):
            more = min(room, needs[column.name] - taken[column.name])
            taken[column.name] += more
            room -= more
            cut = cut_front if column == first else cut_end
            texts[column.name] = [cut(text, taken[column.name], spelled("…")) for text in texts[column.name]]
    return _Attempt(texts, taken)


def fit_busy_rows(table: Table, width: int, spelled: Spelled = str) -> tuple[Fitted, int]:
    """The table in ``width`` cells without the rows that have only 0 in the shown columns, and their number.

    No column is added in which one of these rows is not 0.  The last row, that of the network, always stays.
    """
    whole = fit(table, width, spelled)
    idle = idle_rows(table, whole.names)
    if not any(idle):
        return whole, 0
    only = table.where(idle)
    needing = [column.name for column in whole.without_room if _has_figures(only, column)]
    return fit(table.where([not row for row in idle]), width, spelled, needing), sum(idle)


def _has_figures(table: Table, column: Column) -> bool:
    values = table[column.name]
    return is_numeric_column(table, column.name) and any(value != 0 for value in values)


def idle_rows(table: Table, names: Sequence[str]) -> list[bool]:
    """Which rows have only zeros in the figures of these columns; never the last row, that of the network."""
    figures = [table[name] for name in names if is_numeric_column(table, name)]
    if not figures:
        return [False] * len(table)
    idle = [all(isinstance(value, int | float) and value == 0 for value in row) for row in zip(*figures, strict=True)]
    return [*idle[:-1], False]


def two_line_heading(column: Column) -> str:
    """The heading, broken into two lines if it has a second part."""
    return column.heading.replace(", ", ",\n")


def _spelled(texts: Mapping[str, Sequence[str]], spelled: Spelled) -> dict[str, list[str]]:
    return {name: [spelled(text) for text in column] for name, column in texts.items()}


def cut_front(text: str, most: int, mark: str = "…") -> str:
    """The last cells of the text: the part of a dotted name that differs from similar names."""
    if cell_len(text) <= most:
        return text
    room = most - len(mark)
    while cell_len(text) > room:
        text = text[max(1, (cell_len(text) - room) // 2) :]
    return mark + text


def cut_end(text: str, most: int, mark: str = "…") -> str:
    """The first cells of the text."""
    if cell_len(text) <= most:
        return text
    while cell_len(text) > most - len(mark):
        text = text[:-1]
    return text + mark


def _width(column: Column, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (*two_line_heading(column).split("\n"), *cells))
