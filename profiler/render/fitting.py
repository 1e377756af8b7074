"""A table → the columns that fit in a terminal of a given width, and their texts.

Figures are exact if the table's main columns then fit, and short if more of them fit then.  All short figures of a
column have the same unit, which is in its heading.  If columns do not fit, the least important are left out; a figure
is never cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rich.cells import cell_len

from profiler.columns import FILES, MAIN, Column
from profiler.formatting import format_table, is_numeric_column
from profiler.render.names import LEAST, cut_end, cut_middle, shorten
from profiler.render.units import scale_of
from profiler.schema import Table

GAP = 2
"""The number of blanks between two columns."""

NAME_PART = 0.4
"""The fraction of the width that a name in the first column may take before it is shortened."""

NAME_LEAST = 16
"""The minimum width of a shortened name."""

TEXT_PART = 1 / 3
"""The fraction of the width that is kept free for a main text."""

LINE = "\n"

FRONT = re.compile("[│├└─ |`-]*(?:─|-) |[-+~=] ")
"""What is in front of a name and stays: the lines of a tree, or the sign of a change."""

Spelled = Callable[[str], str]
"""A function that spells a text for the terminal."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A table as text, its columns that fit, and those that do not, the most important first.

    ``headings`` are those of its columns, ``widths`` the widths of columns whose texts wrap.
    """

    table: Table
    texts: Mapping[str, Sequence[str]]
    headings: Mapping[str, str]
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
    """The texts with figures in one style, the headings, and the columns that fit with their widths."""

    headings: Mapping[str, str]
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
    chosen = _attempt(table, groups, width, spelled)
    if not all(map(chosen.shows, main[: texts + 1])):
        short = _attempt(table, groups, width, spelled, short=True)
        chosen = max(chosen, short, key=lambda attempt: sum(map(attempt.shows, main)))
    columns = tuple(column for column in table.columns if column.name in chosen.taken)
    without = tuple(column for group in every for column in group if column.name not in chosen.taken)
    return Fitted(table, chosen.texts, chosen.headings, columns, without, chosen.taken)


def _attempt(
    table: Table, groups: Sequence[Together], width: int, spelled: Spelled, *, short: bool = False
) -> _Attempt:
    """The columns that fit if integers are exact or ``short``; the first column always fits."""
    texts = _spelled(format_table(table), spelled)
    headings = {column.name: two_line_heading(column) for column in table.columns}
    if short:
        _shorten_figures(table, texts, headings, spelled)
    needs = {column.name: _width(headings[column.name], texts[column.name]) for column in table.columns}
    (first, *_), *others = groups
    cut_names = partial(shorten_names, mark=spelled("…"), is_tree=table.of_unit("depth") is not None)
    cells = texts[first.name]
    most = int(width * NAME_PART)
    if short:
        main = (column for group in others if group[0].priority < MAIN for column in group if not column.width)
        most = min(most, width - sum(needs[column.name] + GAP for column in main))
    shown = cut_names(cells, max(NAME_LEAST, most))
    taken = {first.name: _width(headings[first.name], shown)}
    room = width - taken[first.name]

    def widen(columns: Sequence[Column]) -> None:
        nonlocal room
        for column in columns:
            more = min(room, needs[column.name] - taken[column.name])
            taken[column.name] += more
            room -= more

    main_texts = [group[0] for group in others if _is_main_text(group[0], width)]
    for column in main_texts:
        taken[column.name] = min(needs[column.name], column.width)
        room -= taken[column.name] + GAP
    for group in others:
        if group[0] in main_texts:
            continue
        if main_texts and group[0].priority >= MAIN:
            widen([first, *main_texts])
        least = sum(min(needs[column.name], column.width or width) + GAP for column in group)
        if least <= room:
            for column in group:
                most = needs[column.name] if column.unit != "formula" else min(needs[column.name], column.width)
                taken[column.name] = min(most, room - GAP)
                room -= taken[column.name] + GAP
        elif not group[0].width:  # a column that can be shortened gives way to others
            break
    widen([first, *main_texts] if main_texts else [])
    formulas = [column for column in table.columns if column.name in taken and column.unit == "formula"]
    widen([first, *formulas])  # the remaining width goes to names and formulas
    texts[first.name] = cut_names(cells, taken[first.name])
    for column in formulas:
        texts[column.name] = [cut_end(text, taken[column.name], spelled("…")) for text in texts[column.name]]
    return _Attempt(headings, texts, taken)


def _is_main_text(column: Column, width: int) -> bool:
    """Whether it is a text of main importance that may be broken into lines; room for it is kept free."""
    return column.unit == "text" and column.priority < MAIN and 0 < column.width <= width * TEXT_PART


def _shorten_figures(table: Table, texts: dict[str, list[str]], headings: dict[str, str], spelled: Spelled) -> None:
    """Write the integers of each column in one unit, which is added to its heading."""
    for column in table.columns:
        values = table[column.name]
        scale = scale_of(values, column.unit)
        if scale is not None:
            least = spelled("≥")
            texts[column.name] = [
                spelled(scale.text(value, least=text.startswith(least))) if isinstance(value, int) else text
                for value, text in zip(values, texts[column.name], strict=True)
            ]
            headings[column.name] = _with_unit(headings[column.name], scale.name, texts[column.name])


def _with_unit(heading: str, unit: str, texts: Sequence[str]) -> str:
    """The heading with the unit on its last line, or on a line of its own if it would make the column wider."""
    lines = heading.split(LINE)
    together = f"{lines[-1]} ({unit})"
    is_wider = len(lines) == 1 or cell_len(together) > max(map(cell_len, (*lines, *texts)))
    return LINE.join((*lines, f"({unit})") if is_wider else (*lines[:-1], together))


def shorten_names(names: Sequence[str], most: int, mark: str, *, is_tree: bool = False) -> list[str]:
    """The names in ``most`` cells, shortened in the middle; what is in front of a name stays.

    In a tree, the names below different parents may be equal.
    """
    if not any(cell_len(name) > most for name in names):
        return list(names)
    fronts = [found[0] if (found := FRONT.match(name)) else "" for name in names]
    rests = [name[len(front) :] for name, front in zip(names, fronts, strict=True)]
    if not is_tree:
        longest = max(map(cell_len, fronts))
        return [front + name for front, name in zip(fronts, shorten(rests, most - longest, mark), strict=True)]
    return [
        front + cut_middle(rest, max(LEAST, most - cell_len(front)), mark)
        for front, rest in zip(fronts, rests, strict=True)
    ]


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
    return column.heading.replace(", ", f",{LINE}")


def _spelled(texts: Mapping[str, Sequence[str]], spelled: Spelled) -> dict[str, list[str]]:
    return {name: [spelled(text) for text in column] for name, column in texts.items()}


def _width(heading: str, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (*heading.split(LINE), *cells))
