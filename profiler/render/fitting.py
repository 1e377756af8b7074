"""A table → the columns, and their texts, that have room in a terminal of some width.

Figures are exact where the table's main columns then fit, and short (``655.6 M``) where they do not.  A column
that has no room is left out, the least important first; no figure is ever cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from rich.cells import cell_len

from profiler.formatting import engineering, format_table, is_numeric_column, thousands
from profiler.render.headings import heading

GAP = 2
"""The blank cells between two columns."""

NAME_PART = 0.4
"""How much of the width a name in the first column may take before its front is cut."""

NAME_LEAST = 16
"""What is left of a name in any case."""

WRAPPED_LEAST = 20
"""How many cells a column needs that wraps; with fewer it is left out."""

NEVER_SHOWN = ("depth",)
"""A column that the terminal shows in another way: the tree of modules shows a module's depth."""

Spelled = Callable[[str], str]
"""How a text is spelled for the terminal at hand."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a table a terminal shows, the most important ones first.

    The groups in ``main`` decide whether figures are exact; those in ``more`` follow as far as there is room, and
    after them the columns that no group names.  ``wrapped`` is the one column of text that may take the room that is
    left on several lines, in place of columns that no group names.  The columns of the headline come straight after
    the name, so they are the last to go.
    """

    main: tuple[tuple[str, ...], ...]
    more: tuple[tuple[str, ...], ...] = ()
    wrapped: str | None = None


def _with_share(*figures: str) -> tuple[tuple[str, ...], ...]:
    return tuple((figure, f"{figure}_share") for figure in figures)


LAYOUTS: Mapping[str, Layout] = {
    "shares": Layout(
        (("kind",), *_with_share("flops", "parameters", "multiplies")),
        (("layers",), *_with_share("adds", "macs")),
    ),
    "layers": Layout(
        (("layer",), ("flops",), ("status",), ("kind",), ("parameters",), ("multiplies",), ("adds",)),
        (
            ("formula",),
            ("flops_share",),
            ("parameters_share",),
            ("comparisons",),
            ("output_shape",),
            ("macs",),
            ("macs_share",),
            ("calls",),
            ("divides",),
            ("transcendentals",),
            ("type",),
            ("input_shape",),
        ),
    ),
    "modules": Layout(
        (("module",), ("flops",), ("status",), ("parameters",), ("multiplies",), ("adds",)),
        (
            ("flops_share",),
            ("parameters_share",),
            ("type",),
            ("macs",),
            ("macs_share",),
            ("calls",),
            ("comparisons",),
            ("divides",),
            ("transcendentals",),
        ),
    ),
    "uncounted": Layout((("op",), ("calls",), ("elements",)), (("bound", "bound_share"),), wrapped="modules"),
    "training": Layout((("part",), ("flops",), ("macs",))),
    "counters": Layout(
        (("counter",), ("macs",), ("figure",), ("ratio",), ("explained_share",)),
        (("layers",), ("equal",), ("explained",), ("unexplained",), ("version",)),
        wrapped="message",
    ),
    "crosscheck": Layout((("layer",), ("counter",), ("difference",), ("macs",), ("figure",)), wrapped="reason"),
    "rewriting": Layout(
        (("kind",), ("flops_before", "flops_after", "flops_saved")),
        (
            ("parameters_before", "parameters_after", "parameters_saved"),
            ("macs_before", "macs_after", "macs_saved"),
            ("multiplies_before", "multiplies_after", "multiplies_saved"),
            ("adds_before", "adds_after", "adds_saved"),
        ),
    ),
    "comparison": Layout(
        (
            ("network",),
            ("flops",),
            ("parameters",),
            ("macs",),
            ("macs_ratio",),
            ("linear_parameters_share", "linear_multiplies_share"),
        ),
        (
            ("status",),
            ("flops_ratio",),
            ("parameters_ratio",),
            ("multiplies", "adds"),
            ("input",),
            ("conv_parameters_share", "conv_multiplies_share"),
            ("mode",),
        ),
    ),
}
"""The layout of each table by its name; a table without one shows its columns in their own order."""


def layout_of(name: str, frame: pd.DataFrame, headline: str) -> Layout:
    """The layout of the table of that name for the columns that it has, with the headline's column first.

    ``headline`` is the column of the convention that was asked for; where the table has it, it takes the place of
    the FLOPs.  Columns that no group names come last.
    """
    layout = LAYOUTS.get(name) or Layout(tuple((column,) for column in frame.columns))
    layout = _with_headline(layout, frame, headline)
    main, more = (
        tuple(group for group in groups if all(column in frame for column in group))
        for groups in (layout.main, layout.more)
    )
    named = {column for group in (*main, *more) for column in group}
    rest = tuple((column,) for column in frame.columns if column not in named and column not in NEVER_SHOWN)
    if layout.wrapped in frame:
        return Layout(main, more, layout.wrapped)
    return Layout(main, (*more, *rest))


def _with_headline(layout: Layout, frame: pd.DataFrame, column: str) -> Layout:
    """The layout with the column of the convention, where the table has it, in the place of the FLOPs."""
    named = next((name for name in frame.columns if re.fullmatch("by_[a-z]+", name)), column)
    headline = tuple(name for name in (named, f"{named}_share") if name in frame.columns)
    if not headline or named == "flops":
        return layout
    flops = next((group for group in layout.main if "flops" in group), None)
    others = [group for group in layout.main[1:] if group not in (headline, flops)]
    more = [group for group in layout.more if not set(group) <= {*headline, "flops_share"}]
    if flops is not None:
        more.append(("flops",))
        more += [group for group in layout.more if group == ("flops_share",)]
    return replace(layout, main=(layout.main[0], headline, *others), more=tuple(more))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A table as text, the columns that have room, and those that have none, the most important first.

    ``wrapped`` is the column that may wrap, in ``wrapped_width`` cells.
    """

    frame: pd.DataFrame
    texts: pd.DataFrame
    columns: tuple[str, ...]
    without_room: tuple[str, ...] = ()
    wrapped: str | None = None
    wrapped_width: int = 0


def fit(frame: pd.DataFrame, layout: Layout, width: int, spelled: Spelled = str) -> Fitted:
    """The table in ``width`` cells, its columns in the table's order; ``layout`` is of :func:`layout_of`."""
    main, more = layout.main, layout.more
    first = main[0][0]
    wrapped = layout.wrapped if layout.wrapped is not None and any(frame[layout.wrapped]) else None
    texts, chosen, names, widths = frame, list[str](), list[str](), dict[str, int]()
    for integer in (thousands, engineering):
        texts = _spelled(format_table(frame, integer), spelled)
        names = texts[first].tolist()
        widths = {name: _column_width(name, texts[name].tolist()) for name in frame.columns}
        most = int(width * NAME_PART)
        if integer is engineering:
            most = min(most, width - sum(widths[name] + GAP for group in main[1:] for name in group))
        widths[first] = _column_width(first, _cut(names, max(NAME_LEAST, most), spelled))
        chosen = _choose(main, [], widths, width)
        if len(chosen) == sum(map(len, main)):
            reserved = WRAPPED_LEAST + GAP if wrapped and _taken(chosen, widths) + WRAPPED_LEAST <= width else 0
            chosen = _choose(more, chosen, widths, width - reserved)
            break
    room = width - _taken(chosen, widths)
    spare = room + GAP if layout.wrapped is None else 0  # goes to the names
    cut = pd.Series(_cut(names, widths[first] + max(0, spare), spelled), index=texts.index, dtype="object")
    texts = texts.assign(**{first: cut})
    if wrapped is not None and room >= WRAPPED_LEAST:
        chosen.append(wrapped)
    columns = tuple(name for name in frame.columns if name in chosen)
    return Fitted(frame, texts, columns, _without_room(layout, frame, columns), wrapped, room)


def _taken(columns: Sequence[str], widths: Mapping[str, int]) -> int:
    """The cells that these columns take, with a gap after each."""
    return sum(widths[name] + GAP for name in columns)


def _without_room(layout: Layout, frame: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns of the layout that are not among ``columns``, in the layout's order."""
    wrapped = (layout.wrapped,) if layout.wrapped is not None and any(frame[layout.wrapped]) else ()
    wanted = (*(name for group in (*layout.main, *layout.more) for name in group), *wrapped)
    return tuple(name for name in wanted if name not in columns)


def fit_busy_rows(frame: pd.DataFrame, layout: Layout, width: int, spelled: Spelled = str) -> tuple[Fitted, int]:
    """The table in ``width`` cells without the rows that have nothing but 0 in the columns shown, and their number.

    Rows without comparisons need no column for them, and without those rows other columns may have room: a row is
    left out only where it is 0 in all the columns that are finally shown.  The last row, the network's, always stays.
    """
    whole = fit(frame, layout, width, spelled)
    left_out = idle_rows(frame, whole.columns)
    if "comparisons" in whole.columns:
        return whole, 0
    without = replace(layout, more=tuple(group for group in layout.more if group != ("comparisons",)))
    while any(left_out):
        fitted = fit(frame[[not row for row in left_out]], without, width, spelled)
        idle = idle_rows(frame, fitted.columns)
        still = [row and now for row, now in zip(left_out, idle, strict=True)]
        if still == left_out:
            return replace(fitted, without_room=_without_room(layout, frame, fitted.columns)), sum(left_out)
        left_out = still
    return whole, 0


def idle_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[bool]:
    """Which rows have nothing but zeros in the figures of these columns; never the last, the network's own."""
    figures = [frame[name].tolist() for name in columns if is_numeric_column(frame, name)]
    if not figures:
        return [False] * len(frame)
    idle = [all(isinstance(value, int | float) and value == 0 for value in row) for row in zip(*figures, strict=True)]
    return [*idle[:-1], False]


def two_line_heading(name: str) -> str:
    """The heading, broken in two lines where it says of what."""
    return heading(name).replace(", ", ",\n")


def _spelled(texts: pd.DataFrame, spelled: Spelled) -> pd.DataFrame:
    columns = {
        name: pd.Series([spelled(text) for text in texts[name].tolist()], index=texts.index, dtype="object")
        for name in texts.columns
    }
    return pd.DataFrame(columns, index=texts.index, columns=texts.columns)


def _cut(names: Sequence[str], most: int, spelled: Spelled) -> list[str]:
    """The names brought down to ``most`` cells."""
    return [cut_front(name, most, spelled("…")) for name in names]


def cut_front(text: str, most: int, mark: str = "…") -> str:
    """The text's last cells: of a dotted name, what tells it from its neighbours."""
    if cell_len(text) <= most:
        return text
    room = most - len(mark)
    while cell_len(text) > room:
        text = text[max(1, (cell_len(text) - room) // 2) :]
    return mark + text


def _column_width(name: str, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (*two_line_heading(name).split("\n"), *cells))


def _choose(
    groups: Sequence[tuple[str, ...]], chosen: Sequence[str], widths: Mapping[str, int], width: int
) -> list[str]:
    """``chosen`` and the groups that have room beside it, up to the first that has none; the very first always."""
    taken = list(chosen)
    for group in groups:
        names = [*taken, *group]
        if taken and sum(widths[name] for name in names) + GAP * (len(names) - 1) > width:
            break
        taken = names
    return taken
