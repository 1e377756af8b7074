"""Two networks, or one before and after a change: the modules that differ, each as a pair of bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.analysis.diff_tables import MARKS
from profiler.analysis.diffing import Diff, DiffRow, diff
from profiler.formatting import engineering, ratio_text, share_text
from profiler.measures import Measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    FIRST,
    GRAY,
    SECOND,
    SMALL,
    Sheet,
    bare,
    label,
    name_rows,
    room_for,
    safe,
    width_of,
)
from profiler.pictures._subjects import remarks
from profiler.records import ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 16
"""The number of modules with their own bars; the smaller changes are summed up."""

NAMES = 120
"""The room for names at the left, in points."""

THICKNESS = 0.36


@dataclass(frozen=True, slots=True)
class Pair:
    """A part of the networks: its name with the sign of its change, its figure before and after, and what is known."""

    name: str
    was: int
    now: int
    partial: tuple[bool, bool]

    @property
    def text(self) -> str:
        """``102.8 M → 51.4 M, −50 %``; a figure of a module that is not fully counted is a lower bound."""
        signs = ["≥" if side else "" for side in self.partial]
        if not self.was or not self.now or self.was == self.now:
            return f"{signs[bool(self.now)]}{engineering(self.now or self.was)}"
        return f"{signs[0]}{engineering(self.was)} → {signs[1]}{engineering(self.now)}, {_change(self.was, self.now)}"


def _change(was: int, now: int) -> str:
    """``−2.41 %``; ``12×`` of a figure that grew to more than ten times."""
    return ratio_text(now / was) if now > 10 * was else f"{'−' if now < was else '+'}{share_text(abs(now - was) / was)}"


def pairs(found: Diff, measure: Measure) -> list[Pair]:
    """The parts that differ, in the order of the networks, and those that do not in one more pair.

    Modules are taken together by the first parts of their names, as many as leave at most ``MOST`` parts.
    """
    every = _parts(found, 1)
    for depth in range(2, 2 + max(row.side.name.count(".") for row in found.rows)):
        deeper = _parts(found, depth)
        if len(deeper) > MOST:
            break
        every = deeper
    ranked = sorted(every, key=lambda name: abs(sum(row.difference(measure.name) for row in every[name])), reverse=True)
    own = set(ranked if len(ranked) <= MOST else ranked[: MOST - 1])
    shown = [_pair(f"{_mark(rows)} {name or ROOT}", rows, measure) for name, rows in every.items() if name in own]
    others = [row for name, rows in every.items() if name not in own for row in rows]
    if others:
        shown.append(_pair(f"~ {len(every) - len(own)} others", others, measure))
    same = [row for row in found.rows if row.status == "same"]
    if same and shown:
        shown.append(_pair(f"{MARKS['same']} all that is the same", same, measure))
    return [pair for pair in shown if pair.was or pair.now]


def _parts(found: Diff, depth: int) -> dict[str, list[DiffRow]]:
    """The rows that differ by the first ``depth`` parts of their names."""
    parts: dict[str, list[DiffRow]] = {}
    for row in found.rows:
        if row.status != "same":
            parts.setdefault(".".join(row.side.name.split(".")[:depth]), []).append(row)
    return parts


def _mark(rows: list[DiffRow]) -> str:
    """The sign of a change, which all rows have, or that of a part that changed."""
    found = {row.status for row in rows}
    return MARKS[found.pop() if len(found) == 1 else "changed"]


def _pair(name: str, rows: list[DiffRow], measure: Measure) -> Pair:
    was, now = (sum(figures) for figures in zip(*(row.figure(measure.name) for row in rows), strict=True))
    of_work = measure.figure is not None
    partial = [
        of_work and any(side is not None and side.partial for side in sides)
        for sides in ((row.before for row in rows), (row.after for row in rows))
    ]
    return Pair(name, was, now, (partial[0], partial[1]))


def total(found: Diff, measure: Measure) -> Pair:
    """The figure of both networks."""
    was, now = found.total(measure.name)
    of_work = measure.figure is not None
    return Pair("", was, now, (of_work and not found.before.complete, of_work and not found.after.complete))


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """As high as its bars."""
    found = diff(*profiles)
    rows = pairs(found, measure)
    names = found.before.name, found.after.name
    return Sheet(
        f"{names[0]} → {names[1]}",
        f"{measure.heading}: {total(found, measure).text}",
        ((FIRST, f"before: {names[0]}"), (SECOND, f"after: {names[1]}")) if rows else (),
        (
            *(["~ changed, - only before, + only after, = the same"] if rows else []),
            *remarks(profiles),
        ),
        height=20 * max(1, len(rows)),
        left=room_for([row.name for row in rows], NAMES, SMALL),
        right=max((width_of(safe(row.text), SMALL) for row in rows), default=0) + 8,
    )


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """Two bars for each part, on the scale of the largest one."""
    found = diff(*profiles)
    rows = pairs(found, measure)
    bare(ax, keep=("left",) if rows else ())
    if not rows:
        what = "no module differs" if found.same else f"no module that differs has {measure.heading}"
        label(ax, what, (0.5, 0.5), ha="center", color=GRAY)
        return
    ax.set_yticks([])
    ax.set_xlim(0, max(max(row.was, row.now) for row in rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for place, row in enumerate(rows):
        for fill, side, number in ((FIRST, -0.5, row.was), (SECOND, 0.5, row.now)):
            if number:
                ax.barh(place + side * THICKNESS, number, THICKNESS, gid=f"{place} {side}", **fill.options)
        label(ax, row.text, (max(row.was, row.now), place), (3, 0), SMALL)
    name_rows(ax, [row.name for row in rows], NAMES, SMALL)


def words(profiles: Profiles, measure: Measure) -> str:
    """The change of the figure, and of the parts that change it most."""
    found = diff(*profiles)
    rows = [row for row in pairs(found, measure) if row.was != row.now]
    whole = f"{found.before.name} → {found.after.name}: {measure.heading} {total(found, measure).text}"
    if not rows:
        return f"{whole}; {'no module differs' if found.same else 'no part differs in them'}."
    most = sorted(rows, key=lambda row: abs(row.now - row.was), reverse=True)[:3]
    return f"{whole}; most of it in {'; '.join(f'{row.name[2:]} ({row.text})' for row in most)}."


PICTURE = Picture("what changed between two networks, part by part", draw, sheet, words, least=2, most=2)
