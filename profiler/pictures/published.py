"""Published figures against counted ones: how far each is from what a paper or a library prints, and why."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiler.formatting import share_text
from profiler.measures import Measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    BLUE,
    COLUMN,
    FAINT,
    GRAY,
    INK,
    LINE,
    ORANGE,
    PAGE,
    SMALL,
    Fill,
    Sheet,
    bare,
    name_rows,
    room_for,
    wrapped,
)
from profiler.pictures._subjects import least, remarks
from profiler.profiles import Profile
from profiler.records import show_shapes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = Path(__file__).with_name("published.csv")
"""The published figures; ``python -m tests.published.shipped`` writes them."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}

NOT_KNOWN = "?"
"""The reason for a difference that nobody has explained."""

MOST = 30
"""The number of comparisons that are shown; of more, those with the largest differences."""

REASONS = 250.0
"""The room for reasons at the right, in points."""


@dataclass(frozen=True, slots=True)
class Row:
    """One published figure of a network: as it is printed, where, and why ours may differ."""

    source: str
    what: str
    printed: str
    reason: str
    twice: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published figure with ours; ``low`` and ``high`` are the values that would be printed like it."""

    name: str
    what: str
    counted: int
    published: Decimal
    low: Decimal
    high: Decimal
    reason: str

    @property
    def difference(self) -> float:
        """How much ours is above the published figure, as a fraction of it."""
        return float(self.counted / self.published - 1)

    @property
    def agrees(self) -> bool:
        """Whether ours would be printed as the published figure."""
        return self.low <= self.counted <= self.high


@cache
def _data() -> dict[tuple[str, str, int], list[Row]]:
    """The published figures by target, shapes of the inputs, and number of parameters."""
    found: dict[tuple[str, str, int], list[Row]] = {}
    with DATA.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = row["target"], row["input"], int(row["counted_parameters"])
            for what in ("macs", "parameters"):
                if row[what]:
                    published = Row(row["source"], what, row[what], row[f"{what}_reason"], row["twice"] == "yes")
                    found.setdefault(key, []).append(published)
    return found


def comparisons(profiles: Profiles) -> list[Comparison]:
    """The published figures of the networks, with ours; at most ``MOST``, those that differ most."""
    found = []
    for profile in profiles:
        key = profile.target, show_shapes(profile.input_shapes), profile.parameters_total
        rows = _data().get(key, []) if profile.mode == "inference" and profile.exclude == () else []
        several = len({row.source for row in rows}) > 1
        for row in rows:
            name = f"{profile.name} ({row.source})" if several else profile.name
            found.append(_compared(profile, name, row))
    if len(found) > MOST:
        kept = sorted(found, key=lambda one: -abs(one.difference))[:MOST]
        found = [one for one in found if one in kept]
    return found


def _compared(profile: Profile, name: str, row: Row) -> Comparison:
    digits, _, unit = row.printed.partition(" ")
    scale = UNITS[unit]
    step = Decimal(1).scaleb(int(Decimal(digits).as_tuple().exponent)) * scale / 2 if unit else Decimal(0)
    published = Decimal(digits) * scale
    counted = profile.parameters_total if row.what == "parameters" else profile.total.macs * (2 if row.twice else 1)
    return Comparison(name, row.what, counted, published, published - step, published + step, row.reason)


def refusal(profiles: Profiles) -> str | None:
    """At least one figure must be published."""
    if comparisons(profiles):
        return None
    names = ", ".join(profile.name for profile in profiles[:3]) + (", …" if len(profiles) > 3 else "")
    return f"no published figure is known for {names}, as built and with these inputs; see docs/published-figures.md"


def _rows(found: Sequence[Comparison]) -> list[str]:
    """The names of rows, one for each network and source."""
    return list(dict.fromkeys(one.name for one in found))


def _names(profiles: Profiles, found: Sequence[Comparison]) -> list[str]:
    bounds = {profile.name: least(profile) for profile in profiles}
    return [bounds.get(name.partition(" (")[0], "") + name for name in _rows(found)]


GAP = 3.0
"""The room between two rows, in points."""

FIGURE = 8.8
"""The least height of one figure of a row, in points."""


def _lines(one: Comparison) -> list[str]:
    """The difference of a figure that does not print as published, with its whole reason."""
    if one.agrees:
        return []
    reason = "the reason is not known" if one.reason == NOT_KNOWN else one.reason
    return wrapped(f"{_percent(one.difference)}: {reason}", REASONS - 10, SMALL)


def _heights(found: Sequence[Comparison]) -> list[float]:
    """The height of each figure, with the room for its reason."""
    return [max(FIGURE, len(_lines(one)) * SMALL * LINE) for one in found]


def _places(found: Sequence[Comparison]) -> tuple[list[float], list[float], float]:
    """From the top: the middle of each figure and of each row, and the height of all rows, in points."""
    heights = _heights(found)
    figures = [0.0] * len(found)
    rows = []
    top = 0.0
    for name in _rows(found):
        start = top
        for place, one in enumerate(found):
            if one.name == name:
                figures[place] = top + heights[place] / 2
                top += heights[place]
        rows.append((start + top) / 2)
        top += GAP
    return figures, rows, top


MACS, PARAMETERS = Fill(BLUE), Fill(ORANGE, "////")
PRINTED = Fill(FAINT, "", FAINT)


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """A page wide if there are reasons to show."""
    found = comparisons(profiles)
    reasons = any(not one.agrees for one in found)
    every = sum(len(_data().get((p.target, show_shapes(p.input_shapes), p.parameters_total), [])) for p in profiles)
    notes = []
    if reasons:
        notes.append("Open marks differ for the reason given.")
    if any(not one.agrees and one.reason == NOT_KNOWN for one in found):
        notes.append("The reason for × is not known.")
    if len(found) < every:
        notes.append(f"The {len(found)} largest differences of {every} figures.")
    return Sheet(
        "Counted against published",
        "how much our figure is above the published one",
        ((MACS, "MACs (●)"), (PARAMETERS, "parameters (◆)"), (PRINTED, "prints as published")),
        (*([" ".join(notes)] if notes else []), *remarks(profiles)),
        width=PAGE if reasons else COLUMN,
        height=_places(found)[2] + 4,
        left=room_for(_names(profiles, found), 130),
        right=REASONS if reasons else 36,
        below=14,
    )


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """A row for each network: the values that print as published, and ours."""
    found = comparisons(profiles)
    bare(ax, keep=("bottom",))
    ends = [float(edge / one.published - 1) for one in found for edge in (one.low, one.high)]
    ends += [0.0, *(one.difference for one in found)]
    room = max((max(ends) - min(ends)) * 0.06, 0.0005)
    ax.set_xlim(min(ends) - room, max(ends) + room)
    places, middles, height = _places(found)
    ax.set_ylim(height, -4)
    ax.axvline(0, color=GRAY, linewidth=0.6, zorder=0.5)
    steps = nice_ticks(min(ends) - room, max(ends) + room)
    ax.set_xticks(steps, [f"{step * 100:+g} %".replace("-", "−").replace("+0 ", "0 ") for step in steps])
    ax.grid(visible=True, axis="x", color=FAINT)
    for one, row in zip(found, places, strict=True):
        low, high = (float(edge / one.published - 1) for edge in (one.low, one.high))
        ax.barh(row, max(high - low, room / 30), FIGURE * 0.75, low, facecolor=FAINT, edgecolor="none", zorder=1)
        fill = MACS if one.what == "macs" else PARAMETERS
        known = one.reason != NOT_KNOWN
        shape = ("o" if one.what == "macs" else "D") if one.agrees or known else "x"
        face: dict[str, Any] = {"color": fill.color} if shape == "x" else {"edgecolor": fill.color}
        if shape != "x":
            face["facecolor"] = fill.color if one.agrees else "white"
        ax.scatter([one.difference], [row], s=13, marker=shape, linewidth=1.0, zorder=3, gid=f"{one.what}", **face)
        _remark(ax, one, row)
    name_rows(ax, _names(profiles, found), 130, at=middles)


def _remark(ax: Axes, one: Comparison, row: float) -> None:
    """The difference of a figure that does not print as published, with its reason."""
    if one.agrees:
        return
    ax.annotate(
        "\n".join(_lines(one)),
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        linespacing=LINE * 0.9,
        color=INK,
        annotation_clip=False,
        parse_math=False,
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """At most eight round numbers from ``low`` to ``high``, 0 among them if it is between both."""
    steps = (factor * 10.0**power for power in range(-6, 3) for factor in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 7)
    return [place * step for place in range(-int(-low / step) if low < 0 else 0, int(high / step) + 1)]


def _percent(part: float) -> str:
    """``+7.61 %``."""
    sign = "" if not part else "+" if part > 0 else "−"
    return f"{sign}{share_text(abs(part))}"


def words(profiles: Profiles, measure: Measure) -> str:
    """How many figures agree, and which one differs most."""
    found = comparisons(profiles)
    agreeing = sum(one.agrees for one in found)
    text = f"Counted against published: {agreeing} of {len(found)} figures print as published"
    if agreeing == len(found):
        return f"{text}."
    most = max((one for one in found if not one.agrees), key=lambda one: abs(one.difference))
    what = "MACs" if most.what == "macs" else most.what
    reason = "the reason is not known" if most.reason == NOT_KNOWN else most.reason
    return f"{text}; the {what} of {most.name} differ most, by {_percent(most.difference)} ({reason})."


PICTURE = Picture("published figures against counted ones", draw, sheet, words, most=None, refusal=refusal, figures=())
