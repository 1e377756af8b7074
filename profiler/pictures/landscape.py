"""Parameters against work for many networks, with those that no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from profiler.formatting import engineering
from profiler.measures import Measure, find_measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    BLUE,
    COLUMN,
    FAINT,
    GRAY,
    INK,
    PAGE,
    POINTS,
    SMALL,
    Fill,
    Sheet,
    bare,
    label,
    shortened,
    width_of,
)
from profiler.pictures._subjects import least
from profiler.profiles import Profile
from profiler.render.placing import Box, needs_line, place_labels
from profiler.render.scatter import front, limits, stairs, tick_text, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ON_FRONT, OFF_FRONT = Fill(BLUE, "", BLUE), Fill("white", "", GRAY)

LONGEST = 90.0
"""The maximum width of a name in points."""

MANY = 14
"""With more networks, the picture is a page wide."""


def shown(profiles: Profiles, measure: Measure) -> list[Profile]:
    """The networks with some of both figures; zero has no place on a logarithmic axis."""
    return [profile for profile in profiles if profile.parameters_total and profile.figure(measure.name)]


def _points(networks: Sequence[Profile], measure: Measure) -> list[tuple[int, int]]:
    return [(profile.figure(measure.name), profile.parameters_total) for profile in networks]


def names(networks: Sequence[Profile]) -> list[str]:
    """The names of the networks; the targets of those with the same name."""
    given = [profile.name for profile in networks]
    chosen = [
        profile.target if given.count(profile.name) > 1 and profile.target != profile.name else profile.name
        for profile in networks
    ]
    return [
        f"{least(profile)}{shortened(name, LONGEST, SMALL)}" for profile, name in zip(networks, chosen, strict=True)
    ]


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """A column wide; a page for many networks."""
    networks = shown(profiles, measure)
    wide = len(networks) > MANY
    hidden = [profile.name for profile in profiles if profile not in networks]
    notes = (
        [f"Not shown, since they have no parameters or no counted {measure.heading}: {', '.join(hidden)}."]
        if hidden
        else []
    )
    if any(profile.mode == "training" for profile in networks):
        notes.append("Training steps: " + ", ".join(p.name for p in networks if p.mode == "training") + ".")
    if networks and wide:
        notes.append("Networks without a name had no room for it.")
    if any(not profile.complete for profile in networks):
        notes.append("Triangles (≥) are lower bounds: some of the work of these networks is not counted.")
    return Sheet(
        f"Parameters against {measure.heading} of {len(networks)} networks",
        "",
        ((ON_FRONT, "Pareto front: no other network is as small in both"), (OFF_FRONT, "others")) if networks else (),
        tuple(notes),
        width=PAGE if wide else COLUMN,
        height=(300 if wide else 180) if networks else 24,
        left=46 if networks else 4,
        right=8,
        below=26 if networks else 4,
    )


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """A point for each network on logarithmic axes, and a line through the front."""
    networks = shown(profiles, measure)
    if not networks:
        bare(ax)
        label(ax, f"no network has parameters and counted {measure.heading}", (0.5, 0.5), ha="center", color=GRAY)
        return
    points = _points(networks, measure)
    _axes(ax, points, measure)
    best = front(points)
    line = stairs([points[place] for place in best], ax.get_xlim()[1], ax.get_ylim()[1])
    ax.plot(*zip(*line, strict=True), color=BLUE, linewidth=0.7, zorder=1.5, gid="front")
    marks = [(fill, partial) for fill in (OFF_FRONT, ON_FRONT) for partial in (False, True)]
    for fill, partial in marks:
        places = [
            place
            for place, profile in enumerate(networks)
            if (place in best) == (fill is ON_FRONT) and partial != profile.complete
        ]
        ax.scatter(
            [points[place][0] for place in places],
            [points[place][1] for place in places],
            s=16 if partial else 14,
            marker=">" if partial else "o",
            facecolor=fill.color,
            edgecolor=fill.line,
            linewidth=0.8,
            zorder=2 + (fill is ON_FRONT),
            gid="on the front" if fill is ON_FRONT else "off the front",
        )
    _labels(ax, networks, points, best, line)


def _axes(ax: Axes, points: Sequence[tuple[int, int]], measure: Measure) -> None:
    bare(ax, keep=("left", "bottom"))
    ax.set_xscale("log")
    ax.set_yscale("log")
    for numbers, axis, set_limits in (
        ([x for x, _ in points], ax.xaxis, ax.set_xlim),
        ([y for _, y in points], ax.yaxis, ax.set_ylim),
    ):
        ends = limits(numbers)
        set_limits(*ends)
        found = ticks(*ends)
        axis.set_ticks(found, [tick_text(tick) for tick in found])
        axis.set_ticks([], minor=True)
        axis.grid(visible=True, color=FAINT)
    options: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    ax.annotate(measure.heading, (1, 0), xytext=(0, -15), ha="right", va="top", **options)
    options |= {"rotation": 90, "rotation_mode": "anchor"}
    ax.annotate(find_measure("parameters").heading, (0, 1), xytext=(-34, 0), ha="right", va="center", **options)


def _labels(
    ax: Axes,
    networks: Sequence[Profile],
    points: Sequence[tuple[int, int]],
    best: Sequence[int],
    line: Sequence[tuple[float, float]],
) -> None:
    """The names beside the points; those on the front have their places first."""
    scale = POINTS / ax.figure.dpi
    at = [(float(x) * scale, float(y) * scale) for x, y in ax.transData.transform(points)]
    box = ax.get_window_extent()
    area = Box(*(float(edge) * scale for edge in (box.x0, box.y0, box.x1, box.y1)))
    texts = names(networks)
    sizes = [(width_of(text, SMALL) + 1.5, SMALL * 1.25) for text in texts]
    order = [*best, *(place for place in range(len(points)) if place not in best)]
    drawn = [(float(x) * scale, float(y) * scale) for x, y in ax.transData.transform(line)]
    edges = [
        Box(min(x, u) - 0.7, min(y, v) - 0.7, max(x, u) + 0.7, max(y, v) + 0.7) for (x, y), (u, v) in pairwise(drawn)
    ]
    for place, found in enumerate(place_labels(at, sizes, area, order, edges)):
        if found is None:
            continue
        x, y = at[place]
        middle = ((found.left + found.right) / 2 - x, (found.bottom + found.top) / 2 - y)
        near = needs_line(at[place], found)
        if near is not None:
            ax.annotate(
                "",
                points[place],
                xytext=(near[0] - x, near[1] - y),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": GRAY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2.5},
            )
        color = INK if place in best else GRAY
        label(ax, texts[place], points[place], middle, SMALL, ha="center", color=color, bbox=None, gid="name")


def words(profiles: Profiles, measure: Measure) -> str:
    """The ranges of both figures, and the networks on the front."""
    networks = shown(profiles, measure)
    if not networks:
        return f"No network has parameters and counted {measure.heading}."
    points = _points(networks, measure)
    best = [networks[place].name for place in front(points)]
    some = ", ".join(best[:8]) + (f" and {len(best) - 8} more" if len(best) > 8 else "")
    xs, ys = zip(*points, strict=True)
    of = measure.heading
    return (
        f"Parameters against {of} of {len(networks)} networks, from {engineering(min(ys))} to"
        f" {engineering(max(ys))} parameters and from {engineering(min(xs))} to {engineering(max(xs))} {of};"
        f" on the Pareto front, where no other network is as small in both: {some}."
    )


PICTURE = Picture(
    "parameters against work for many networks",
    draw,
    sheet,
    words,
    least=2,
    most=None,
    figures=("macs", "multiplies", "adds", "flops"),
)
