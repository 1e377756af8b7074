"""A network before and after its rewrites: each figure as a pair of bars, by kind of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.analysis.rewriting import changed_figures, rewriting_table
from profiler.formatting import engineering, share_text
from profiler.measures import HEADLINE as FLOPS
from profiler.measures import Measure, find_measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    GRAY,
    OTHER,
    Fill,
    Sheet,
    bare,
    fill_of,
    label,
    room_for,
    safe,
    shortened,
    width_of,
    words_of,
)
from profiler.pictures._subjects import least, remarks
from profiler.records import KINDS, show_shapes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OWN_FILL = 0.004
"""A kind with less than this share of every bar is drawn as other."""

THICKNESS = 0.38

Change = tuple[str, dict[str, int], dict[str, int]]
"""A figure, and its values before and after, kind by kind."""


def changes(profiles: Profiles) -> list[Change]:
    """The figures that are not zero."""
    before, after = profiles
    rows = [row for row in rewriting_table(before, after).records() if row["kind"] in KINDS]
    found = []
    for name in changed_figures():
        old, new = ({row["kind"]: row[f"{name}_{when}"] or 0 for row in rows} for when in ("before", "after"))
        if any(old.values()) or any(new.values()):
            found.append((name, old, new))
    return found


def kinds_in(found: list[Change]) -> list[str]:
    """The kinds with their own fill, in the order of tables."""
    bars = [bar for _, *pair in found for bar in pair]
    return [kind for kind in KINDS if any(bar.get(kind, 0) >= OWN_FILL * sum(bar.values()) > 0 for bar in bars)]


def change_text(old: int, new: int) -> str:
    """The change relative to the figure before: ``−2.41 %``, ``unchanged``."""
    if old == new:
        return "unchanged"
    if not old:
        return "new"
    return f"{'−' if new < old else '+'}{share_text(abs(new - old) / old)}"


def _texts(profiles: Profiles, change: Change) -> tuple[str, str]:
    """What is written behind the bars of a figure."""
    _, old, new = change
    was, now = sum(old.values()), sum(new.values())
    signs = [least(profile) if find_measure(change[0]).figure is not None else "" for profile in profiles]
    return f"{signs[0]}{engineering(was)}", f"{signs[1]}{engineering(now)}, {change_text(was, now)}"


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """As high as its bars."""
    before, after = profiles
    found = changes(profiles)
    own = kinds_in(found)
    key: list[tuple[Fill, str]] = [(fill_of(kind), words_of(kind)) for kind in own]
    if any(number and kind not in own for _, *pair in found for bar in pair for kind, number in bar.items()):
        key.append((OTHER, "other"))
    texts = [text for change in found for text in _texts(profiles, change)]
    parts = [f"input {show_shapes(before.input_shapes)}"] if any(before.input_shapes) else []
    return Sheet(
        before.name if before.name != after.name else f"{before.name}, before and after",
        " · ".join([*parts, f"upper bars: before; lower bars: {_after(before.name, after.name)}"]),
        tuple(key),
        (*_by_kind(found), *remarks(profiles)),
        height=24 * max(1, len(found)),
        left=room_for([find_measure(name).heading for name, _, _ in found], 90),
        right=max((width_of(safe(text)) for text in texts), default=0) + 8,
    )


def _by_kind(found: list[Change]) -> tuple[str, ...]:
    """The kinds whose FLOPs change, those that change most first, as one remark."""
    for name, old, new in found:
        changed = sorted((kind for kind in old if old[kind] != new[kind]), key=lambda kind: -abs(new[kind] - old[kind]))
        if name == FLOPS and changed:
            parts = [f"{words_of(kind)} {engineering(old[kind])} → {engineering(new[kind])}" for kind in changed[:3]]
            return (f"{find_measure(name).heading} by kind: {', '.join(parts)}.",)
    return ()


def _after(before: str, after: str) -> str:
    return after.removeprefix(f"{before}, ") if after.startswith(f"{before}, ") else "after"


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """Two stacked bars for each figure, as parts of the larger of both."""
    found = changes(profiles)
    if not found:
        bare(ax)
        label(ax, "no parameters, and no work that is counted", (0.5, 0.5), ha="center", color=GRAY)
        return
    bare(ax, keep=("left",))
    ax.set_yticks([])
    ax.set_xlim(0, 1)
    ax.set_ylim(len(found) - 0.5, -0.5)
    own = kinds_in(found)
    for place, change in enumerate(found):
        name, old, new = change
        whole = max(sum(old.values()), sum(new.values()))
        for which, (bar, text) in enumerate(zip((old, new), _texts(profiles, change), strict=True)):
            y = place + (which - 0.5) * THICKNESS
            left = 0.0
            for kind in (*own, "other"):
                number = bar.get(kind, 0) if kind != "other" else sum(n for k, n in bar.items() if k not in own)
                if number:
                    fill = OTHER if kind == "other" else fill_of(kind)
                    ax.barh(y, number / whole, THICKNESS * 0.94, left, gid=f"{name} {kind} {which}", **fill.options)
                    left += number / whole
            label(ax, text, (left, y), (3, 0))
        ax.annotate(
            shortened(find_measure(name).heading, 90),
            (0, place),
            xycoords=("axes fraction", "data"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            annotation_clip=False,
        )


def words(profiles: Profiles, measure: Measure) -> str:
    """How much each figure changes."""
    parts = []
    for name, old, new in changes(profiles):
        was, now = sum(old.values()), sum(new.values())
        text = change_text(was, now)
        heading = find_measure(name).heading
        parts.append(
            f"{heading} {text}" if was == now else f"{heading} {engineering(was)} → {engineering(now)} ({text})"
        )
    return f"{profiles[0].name} before and after: {'; '.join(parts) or 'no figure is counted'}."


PICTURE = Picture("before and after a rewrite, by kind of work", draw, sheet, words, least=2, most=2, figures=())
