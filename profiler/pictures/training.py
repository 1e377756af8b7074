"""The parts of a training step, each with the kinds of layers that it is spent in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.formatting import engineering, ratio_text, share_text
from profiler.measures import Measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    OTHER,
    Fill,
    Sheet,
    bare,
    fill_of,
    label,
    name_rows,
    room_for,
    safe,
    width_of,
    words_of,
)
from profiler.pictures._subjects import about, least, remarks
from profiler.records import EXCLUDED, KINDS
from profiler.tables.training import PARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OWN_FILL = 0.02
"""A kind with less than this share of every part is drawn as other."""


def parts(profiles: Profiles, measure: Measure) -> dict[str, dict[str, int]]:
    """The figure of each part with some of it, kind by kind."""
    (profile,) = profiles
    kinds = {row["layer"]: row["kind"] for row in profile.tabulated("layers").records()}
    found: dict[str, dict[str, int]] = {}
    for row in profile.tabulated("training").records():
        if row["layer"] in ("total", EXCLUDED):
            continue
        for part in PARTS:
            number = row.get(f"{part}_{measure.name}", 0)
            if number:
                by_kind = found.setdefault(part, {})
                kind = kinds.get(row["layer"], "other")
                by_kind[kind] = by_kind.get(kind, 0) + number
    return {part: found[part] for part in PARTS if part in found}


def refusal(profiles: Profiles) -> str | None:
    """A step of training must have been profiled."""
    (profile,) = profiles
    if profile.mode == "training":
        return None
    return f"found the mode {profile.mode}, expected a profile of a training step (mode: training)"


def kinds_in(found: dict[str, dict[str, int]]) -> list[str]:
    """The kinds with their own fill, in the order of tables."""
    return [
        kind
        for kind in KINDS
        if any(by_kind.get(kind, 0) >= OWN_FILL * sum(by_kind.values()) > 0 for by_kind in found.values())
    ]


def _texts(profiles: Profiles, measure: Measure) -> list[str]:
    """What is written behind each bar: the figure, and its share of the step."""
    found = parts(profiles, measure)
    sums = [sum(by_kind.values()) for by_kind in found.values()]
    return [f"{least(profiles[0])}{engineering(number)}, {share_text(number / sum(sums))}" for number in sums]


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """As high as its bars."""
    (profile,) = profiles
    found = parts(profiles, measure)
    own = kinds_in(found)
    key: list[tuple[Fill, str]] = [(fill_of(kind), words_of(kind)) for kind in own]
    if any(kind not in own for by_kind in found.values() for kind in by_kind):
        key.append((OTHER, "other"))
    ratio = next(
        row["backward_forward_ratio"]
        for row in profile.tabulated("training").records()[::-1]
        if row["layer"] == "total"
    )
    ratios = () if ratio is None else (f"The backward pass has {ratio_text(ratio)} the MACs of the forward pass.",)
    return Sheet(
        profile.name,
        about(profile, (measure,)),
        tuple(key),
        (*ratios, *remarks(profiles)),
        height=17 * max(1, len(found)),
        left=room_for([part.replace("_", " ") for part in found], 90),
        right=max((width_of(safe(text)) for text in _texts(profiles, measure)), default=0) + 8,
    )


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """A stacked bar for each part."""
    found = parts(profiles, measure)
    if not found:
        bare(ax)
        label(ax, f"no {measure.heading} are counted", (0.5, 0.5), ha="center")
        return
    bare(ax, keep=("left",))
    ax.set_yticks([])
    ax.set_ylim(len(found) - 0.4, -0.6)
    sums = [sum(by_kind.values()) for by_kind in found.values()]
    ax.set_xlim(0, max(sums))
    own = kinds_in(found)
    left = [0] * len(found)
    for kind in (*own, "other"):
        widths = [
            by_kind.get(kind, 0) if kind != "other" else sum(n for name, n in by_kind.items() if name not in own)
            for by_kind in found.values()
        ]
        if any(widths):
            fill = OTHER if kind == "other" else fill_of(kind)
            ax.barh(range(len(found)), widths, 0.68, left, gid=kind, **fill.options)
            left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, (number, text) in enumerate(zip(sums, _texts(profiles, measure), strict=True)):
        label(ax, text, (number, place), (3, 0))
    name_rows(ax, [part.replace("_", " ") for part in found], 90)


def words(profiles: Profiles, measure: Measure) -> str:
    """The share of each part."""
    (profile,) = profiles
    found = parts(profiles, measure)
    if not found:
        return f"A training step of {profile.name} has no counted {measure.heading}."
    sums = {part.replace("_", " "): sum(by_kind.values()) for part, by_kind in found.items()}
    whole = sum(sums.values())
    shares = ", ".join(f"{part} {share_text(number / whole)}" for part, number in sums.items())
    return f"The {measure.heading} of a training step of {profile.name}: {shares}."


PICTURE = Picture("the parts of a training step", draw, sheet, words, refusal=refusal, figures=("flops", "macs"))
