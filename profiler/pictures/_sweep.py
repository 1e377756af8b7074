"""The points of a sweep along one size: what each kind of work costs, or what several networks cost, as lines.

It is drawn of lines of points and not of profiles, so it is not among the pictures that ``--picture`` names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING, Any

from profiler.formatting import engineering
from profiler.pictures._drawing import (
    BLUE,
    COLUMN,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    SMALL,
    Fill,
    Sheet,
    as_file,
    bare,
    fill_of,
    safe,
    styled,
    words_of,
)
from profiler.render.scatter import tick_text, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOTAL = "total"
"""The name of the curve of a whole network beside those of its kinds of work."""

COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P")

MOST = 12
"""The maximum number of curves in a picture."""

LOGARITHMIC = 4
"""An axis is logarithmic if its largest number is at least this many times its smallest."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Sizes in rising order, each with its cost; ``kind`` is the kind of work that the cost is of, if any."""

    name: str
    points: tuple[tuple[int, int], ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A size from which on something holds, in words."""

    size: int
    words: str


def drawing(title: str, size: str, cost: str, curves: Sequence[Curve], marks: Sequence[Mark]) -> Figure:
    """The curves against ``size``, which names the horizontal axis; ``cost`` is the unit of the vertical one.

    A cost of 0 has no place on a logarithmic axis and is left out.
    """
    shown = list(curves[:MOST])
    left_out = len(curves) - len(shown)
    notes = [mark.words for mark in marks] + ([f"{left_out} more curves are not shown."] if left_out else [])
    key = tuple((_fill(curve, place), words_of(curve.name)) for place, curve in enumerate(shown))
    with styled():
        sheet = Sheet(title, "", key, tuple(notes), width=COLUMN, height=150, left=46, right=10, below=26)
        ax = sheet.axes()
        _axes(ax, shown, size, cost)
        for place, curve in enumerate(shown):
            _curve(ax, curve, place)
        for mark in marks:
            ax.axvline(mark.size, color=INK, linewidth=0.6, linestyle=":", zorder=1.2, gid="crossover")
            ax.annotate(
                f"{mark.size}",
                (mark.size, 1),
                xycoords=("data", "axes fraction"),
                xytext=(2, -1),
                textcoords="offset points",
                ha="left",
                va="top",
                fontsize=SMALL,
                color=INK,
            )
        sheet.decorate(ax)
        drawn: Figure = ax.figure  # type: ignore[assignment]
    return drawn


def picture_bytes(
    title: str, size: str, cost: str, curves: Sequence[Curve], marks: Sequence[Mark], suffix: str = "svg"
) -> tuple[str, bytes]:
    """The picture in words, and as a file in the format ``suffix``; equal arguments give equal bytes."""
    words = in_words(size, cost, curves, marks)
    return words, as_file(drawing(title, size, cost, curves, marks), suffix, title, words)


def in_words(size: str, cost: str, curves: Sequence[Curve], marks: Sequence[Mark]) -> str:
    """What each curve does from its first point to its last, and the marks."""
    parts = [
        f"{safe(words_of(curve.name))} from {engineering(curve.points[0][1])} at {curve.points[0][0]} to "
        f"{engineering(curve.points[-1][1])} at {curve.points[-1][0]}"
        for curve in curves[:MOST]
    ]
    return " ".join([f"{cost} against {size}: {'; '.join(parts)}.", *(mark.words for mark in marks)])


def _color(curve: Curve, place: int) -> str:
    if curve.kind == TOTAL:
        return INK
    return fill_of(curve.kind).color if curve.kind else COLORS[place % len(COLORS)]


def _fill(curve: Curve, place: int) -> Fill:
    return Fill(_color(curve, place), "", _color(curve, place))


def _curve(ax: Axes, curve: Curve, place: int) -> None:
    points = [(x, y) for x, y in curve.points if y > 0]
    if not points:
        return
    ax.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=_color(curve, place),
        linewidth=1.1,
        linestyle="-" if curve.kind == TOTAL else DASHES[place % len(DASHES)],
        marker=MARKS[place % len(MARKS)],
        markersize=2.6,
        zorder=2,
        gid=safe(curve.name),
    )


def _axes(ax: Axes, curves: Sequence[Curve], size: str, cost: str) -> None:
    bare(ax, keep=("left", "bottom"))
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points if y > 0] or [1]
    for numbers, axis, limits, scale in (
        (xs, ax.xaxis, ax.set_xlim, ax.set_xscale),
        (ys, ax.yaxis, ax.set_ylim, ax.set_yscale),
    ):
        low, high = min(numbers), max(numbers)
        if high >= LOGARITHMIC * low:
            room = 10 ** (0.04 * log10(high / low))
            scale("log")
            limits(low / room, high * room)
            found = ticks(low / room, high * room)
        else:
            bottom = 0.0 if axis is ax.yaxis else low - 0.04 * ((high - low) or 1)
            limits(bottom, high + 0.04 * ((high - bottom) or 1))
            found = [tick for tick in axis.get_majorticklocs() if bottom <= tick <= high]
        axis.set_ticks(found, [tick_text(tick) if tick else "0" for tick in found])
        axis.set_ticks([], minor=True)
        axis.grid(visible=True, color=FAINT)
    options: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    ax.annotate(safe(size), (1, 0), xytext=(0, -15), ha="right", va="top", **options)
    options |= {"rotation": 90, "rotation_mode": "anchor"}
    ax.annotate(safe(cost), (0, 1), xytext=(-36, 0), ha="right", va="center", **options)
