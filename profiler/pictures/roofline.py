"""Layers below the roof of a device: FLOPs per byte against the FLOP/s that are possible at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import log10, pi, sqrt
from typing import TYPE_CHECKING, Any

from profiler.devices import Device
from profiler.formatting import engineering, pico_text, share_text
from profiler.measures import Measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    FAINT,
    GRAY,
    INK,
    OTHER,
    PAGE,
    POINTS,
    SMALL,
    Sheet,
    bare,
    fill_of,
    label,
    shortened,
    width_of,
    words_of,
)
from profiler.pictures._subjects import about, remarks
from profiler.records import KINDS
from profiler.render.placing import Box, needs_line, place_labels
from profiler.render.scatter import tick_text, ticks
from profiler.roofline import dtype_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_SHARE = 0.01
"""A layer with a smaller share of the time has no label."""

OWN_FILL = 0.01
"""Kinds with less of the time together are drawn as other."""

AREA, LARGEST = 7.0, 420.0
"""The areas of the dots of a layer without time and of one with all of it, in square points."""

HATCHED = 4.0
"""The smallest radius of a dot with a hatch, in points."""

LONGEST = 110.0
"""The maximum width of a name in points."""

FLAT = 6.0
"""The highest roof is flat for at least this factor of intensities."""

HEIGHT, LEFT, BELOW = 230.0, 52.0, 26.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A layer: FLOPs per byte, FLOP/s at most, its share of the least time, and how many layers are like it."""

    name: str
    kind: str
    intensity: float
    speed: float
    share: float
    bound_by: str
    times: int = 1

    @property
    def area(self) -> float:
        """The area of its dot, in square points."""
        return AREA + LARGEST * self.share

    @property
    def radius(self) -> float:
        """The radius of its dot, in points."""
        return sqrt(self.area / pi)

    @property
    def text(self) -> str:
        """Its label."""
        name = shortened(self.name, LONGEST, SMALL)
        return name if self.times == 1 else f"{name} and {self.times - 1} like it"


def refusal(profiles: Profiles) -> str | None:
    """The profile must have a device."""
    (profile,) = profiles
    if profile.device is None:
        return "found a profile without a device, expected one with it (--device h100, or device: h100)"
    return None


def device_of(profiles: Profiles) -> Device:
    """The device of the profile."""
    (profile,) = profiles
    assert profile.device is not None
    return profile.device


def dots(profiles: Profiles) -> list[Dot]:
    """The layers with FLOPs whose time is known, those that take most of it first."""
    (profile,) = profiles
    rows = profile.tabulated("roofline").records()[:-1]
    found = [
        Dot(
            row["layer"],
            row["kind"],
            row["intensity"],
            row["flops"] / (row["time_at_least"] / 1e12),
            row["share"],
            row["bound_by"],
        )
        for row in rows
        if row["flops"] and row["intensity"] and row["time_at_least"] and row["status"] == "complete"
    ]
    return sorted(found, key=lambda dot: -dot.share)


def labeled(found: list[Dot]) -> list[Dot]:
    """The dots with labels, the slowest first; layers at one place share one."""
    places: dict[tuple[object, ...], list[Dot]] = {}
    for dot in found:
        places.setdefault((dot.kind, dot.intensity, dot.speed), []).append(dot)
    together = [
        Dot(first.name, first.kind, first.intensity, first.speed, first.share, first.bound_by, len(same))
        for first, *others in places.values()
        for same in [[first, *others]]
        if first.share * len(same) >= LEAST_SHARE
    ]
    return sorted(together, key=lambda dot: -dot.share * dot.times)


@dataclass(frozen=True, slots=True)
class Roof:
    """A peak in FLOP/s, of contractions or of other arithmetic."""

    name: str
    peak: float
    of_contractions: bool = True


def roofs(profiles: Profiles) -> list[Roof]:
    """The peaks of the arithmetic of the network, the highest first."""
    (profile,) = profiles
    device = device_of(profiles)
    dtypes = dict.fromkeys(
        dtype_of(tally.signature)
        for tally in profile.work.tallies
        if any(term.contracted for term in tally.answer.terms)
    )
    found = [Roof(f"contractions, {dtype}", device.tensor[dtype]) for dtype in dtypes if dtype in device.tensor]
    others = dict.fromkeys(
        dtype_of(tally.signature)
        for tally in profile.work.tallies
        if any(not term.contracted and term.count.flops for term in tally.answer.terms)
    )
    found += [Roof(f"other, {dtype}", device.vector[dtype], False) for dtype in others if dtype in device.vector]
    return sorted(found, key=lambda roof: -roof.peak)


def kinds_in(found: list[Dot]) -> list[str]:
    """The kinds with their own fill, in the order of tables."""
    times: dict[str, float] = {}
    for dot in found:
        times[dot.kind] = times.get(dot.kind, 0.0) + dot.share
    return [kind for kind in KINDS if times.get(kind, 0.0) >= OWN_FILL and fill_of(kind) is not OTHER]


def left_out(profiles: Profiles) -> str:
    """How many layers have no dot, and why."""
    (profile,) = profiles
    rows = profile.tabulated("roofline").records()[:-1]
    idle = [row for row in rows if not row["flops"] and row["status"] == "complete"]
    unknown = sum(row["status"] != "complete" for row in rows)
    texts = []
    if idle:
        share = share_text(sum(row["share"] or 0.0 for row in idle))
        texts.append(f"{len(idle)} layer{'s' * (len(idle) != 1)} without FLOPs, with {share} of the time")
    if unknown:
        texts.append(f"{unknown} whose time is not known")
    return f"Not shown: {'; '.join(texts)}." if texts else ""


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """A page wide, below the name of the network and of the device."""
    (profile,) = profiles
    found, device = dots(profiles), device_of(profiles)
    own = kinds_in(found)
    key = [(fill_of(kind), words_of(kind)) for kind in own]
    if any(dot.kind not in own for dot in found):
        key.append((OTHER, "other"))
    ridges = [f"{roof.name} {roof.peak / device.memory_bandwidth:,.1f}" for roof in roofs(profiles)]
    notes = [f"Ridge points, in FLOPs per byte: {'; '.join(ridges)}."] if ridges else []
    notes += ["Each layer at most as fast as this; no real run is. The area of a dot grows with its share of the time."]
    return Sheet(
        f"{profile.name} on {device.name}",
        f"{about(profile, ())} · {total(profiles)}",
        tuple(key),
        (*notes, *filter(None, [left_out(profiles)]), *remarks(profiles)),
        width=PAGE,
        height=HEIGHT if found else 24,
        left=LEFT if found else 4,
        right=10,
        below=BELOW if found else 4,
    )


def total(profiles: Profiles) -> str:
    """The time of the network in words."""
    (profile,) = profiles
    whole = profile.tabulated("roofline").records()[-1]
    known = "" if whole["status"] == "complete" else ", without what is not known"
    return f"at least {pico_text(whole['time_at_least'], 's')}{known}"


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """The roofs, a dot for each layer, and the names of those that take most of the time."""
    found, device = dots(profiles), device_of(profiles)
    if not found:
        bare(ax)
        label(ax, "no layer has FLOPs and a known time", (0.5, 0.5), ha="center", color=GRAY)
        return
    lines = roofs(profiles)
    _axes(ax, found, lines, device.memory_bandwidth)
    texts = list(_roofs(ax, lines, device.memory_bandwidth))
    own = kinds_in(found)
    groups: dict[tuple[str, float], list[Dot]] = {}
    for dot in found:
        groups.setdefault((dot.kind, round(dot.area, 1)), []).append(dot)
    for (kind, area), group in groups.items():  # dots of one size are drawn together, which makes small files
        fill = fill_of(kind) if kind in own else OTHER
        options = fill.options if group[0].radius >= HATCHED else {**fill.options, "hatch": None}
        at = [dot.intensity for dot in group], [dot.speed for dot in group]
        ax.scatter(*at, s=area, zorder=3, gid="layers", **options)
    _labels(ax, found, _edges(ax, lines, device.memory_bandwidth), texts)


def _axes(ax: Axes, found: list[Dot], lines: list[Roof], bandwidth: float) -> None:
    """Logarithmic axes with all dots, the highest ridge point and its roof."""
    bare(ax, keep=("left", "bottom"))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ridges = [roof.peak / bandwidth * FLAT for roof in lines[:1]]
    xs, ys = [dot.intensity for dot in found] + ridges, [dot.speed for dot in found] + [roof.peak for roof in lines]
    for numbers, axis, limits in ((xs, ax.xaxis, ax.set_xlim), (ys, ax.yaxis, ax.set_ylim)):
        low, high = min(numbers), max(numbers)
        room = max(2.0, (high / low) ** 0.08)
        limits(low / room, high * room)
        shown = ticks(low / room, high * room)
        axis.set_ticks(shown, [tick_text(tick) for tick in shown])
        axis.set_ticks([], minor=True)
        axis.grid(visible=True, color=FAINT)
    options: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    ax.annotate("FLOPs per byte", (1, 0), xytext=(0, -15), ha="right", va="top", **options)
    options |= {"rotation": 90, "rotation_mode": "anchor"}
    ax.annotate("FLOP/s at most", (0, 1), xytext=(-40, 0), ha="right", va="center", **options)


def _corners(ax: Axes, peak: float, bandwidth: float) -> list[tuple[float, float]]:
    """The roof of one peak: along the bandwidth up to the ridge point, and flat from there."""
    left, right = ax.get_xlim()
    bottom, _ = ax.get_ylim()
    start = max(left, bottom / bandwidth)
    ridge = peak / bandwidth
    return [(start, start * bandwidth), (ridge, peak), (right, peak)]


def _roofs(ax: Axes, lines: list[Roof], bandwidth: float) -> Iterator[Box]:
    """Draw the roofs with their names; yield the boxes of the names."""
    scale = POINTS / ax.figure.dpi
    _, right = ax.get_xlim()
    taken: list[float] = []
    for roof in lines:
        peak = roof.peak
        style: Any = "-" if roof.of_contractions else (0, (4, 2))
        corners = zip(*_corners(ax, peak, bandwidth), strict=True)
        ax.plot(*corners, color=INK, linewidth=0.8, linestyle=style, gid="roof")
        text = f"{roof.name}: {engineering(round(peak))}FLOP/s"
        x, y = (float(value) * scale for value in ax.transData.transform((right, peak)))
        if any(abs(y - other) < SMALL * 1.4 for other in taken):
            continue
        taken.append(y)
        label(ax, text, (right, peak), (-1, 5), SMALL, ha="right", bbox=None, gid="name of a roof")
        yield Box(x - width_of(text, SMALL) - 2, y + 5 - SMALL * 0.7, x, y + 5 + SMALL * 0.7)
    yield from _slope(ax, bandwidth, lines)


def _slope(ax: Axes, bandwidth: float, lines: list[Roof]) -> Iterator[Box]:
    """Write the bandwidth above the lower end of the slope."""
    scale = POINTS / ax.figure.dpi
    if lines:
        (x, y), (u, v), *_ = _corners(ax, lines[0].peak, bandwidth)
    else:
        (x, y) = max(ax.get_xlim()[0], ax.get_ylim()[0] / bandwidth), 0.0
        y = x * bandwidth
        u = ax.get_xlim()[1]
        v = u * bandwidth
        ax.plot([x, u], [y, v], color=INK, linewidth=0.8, gid="roof")
    text = f"memory: {engineering(round(bandwidth))}B/s"
    at = 10 ** (log10(x) + 0.25 * (log10(u) - log10(x)))
    left, top = (float(value) * scale for value in ax.transData.transform((at, at * bandwidth)))
    label(ax, text, (at, at * bandwidth), (-4, 5), SMALL, ha="right", bbox=None, gid="name of a roof")
    yield Box(left - 4 - width_of(text, SMALL) - 2, top + 5 - SMALL * 0.7, left - 4, top + 5 + SMALL * 0.7)


def _edges(ax: Axes, lines: list[Roof], bandwidth: float) -> list[Box]:
    """The roofs as small boxes, so that no label covers them."""
    scale = POINTS / ax.figure.dpi
    boxes = []
    for peak in [roof.peak for roof in lines] or [ax.get_ylim()[1]]:
        corners = ax.transData.transform(_corners(ax, peak, bandwidth)) * scale
        for (x, y), (u, v) in pairwise([(float(a), float(b)) for a, b in corners]):
            steps = max(1, round(max(abs(u - x), abs(v - y)) / 3))
            for step in range(steps):
                left, low = x + (u - x) * step / steps, y + (v - y) * step / steps
                boxes.append(Box(left - 0.6, low - 0.6, left + (u - x) / steps + 0.6, low + (v - y) / steps + 0.6))
    return boxes


def _labels(ax: Axes, found: list[Dot], edges: list[Box], written: list[Box]) -> None:
    """The names of the layers that take most of the time, where they cover no dot, no roof and no other name."""
    scale = POINTS / ax.figure.dpi
    named = labeled(found)
    if not named:
        return

    def at(dot: Dot) -> tuple[float, float]:
        x, y = ax.transData.transform((dot.intensity, dot.speed))
        return float(x) * scale, float(y) * scale

    box = ax.get_window_extent()
    area = Box(*(float(edge) * scale for edge in (box.x0, box.y0, box.x1, box.y1)))
    around = [
        Box(x - dot.radius, y - dot.radius, x + dot.radius, y + dot.radius) for dot in found for x, y in [at(dot)]
    ]
    points = [at(dot) for dot in named]
    sizes = [(width_of(dot.text, SMALL) + 1.5, SMALL * 1.25) for dot in named]
    places = place_labels(points, sizes, area, range(len(named)), [*edges, *around], written=written)
    for dot, point, place in zip(named, points, places, strict=True):
        if place is None:
            continue
        x, y = point
        near = needs_line(point, place)
        if near is not None:
            ax.annotate(
                "",
                (dot.intensity, dot.speed),
                xytext=(near[0] - x, near[1] - y),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": GRAY, "linewidth": 0.4, "shrinkA": 0, "shrinkB": dot.radius},
            )
        middle = ((place.left + place.right) / 2 - x, (place.bottom + place.top) / 2 - y)
        label(ax, dot.text, (dot.intensity, dot.speed), middle, SMALL, ha="center", bbox=None, gid="name")


def words(profiles: Profiles, measure: Measure) -> str:
    """The time, what bounds it, and the layers that take most of it."""
    (profile,) = profiles
    rows = profile.tabulated("roofline").records()[:-1]
    times: dict[str, float] = {}
    for row in rows:
        times[row["bound_by"]] = times.get(row["bound_by"], 0.0) + (row["share"] or 0.0)
    bounds = ", ".join(
        f"{share_text(times[name])} in layers bound by {what}"
        for name, what in (
            ("memory", "memory"),
            ("tensor", "the peak of contractions"),
            ("vector", "that of other FLOPs"),
        )
        if times.get(name)
    )
    slowest = sorted((row for row in rows if row["share"]), key=lambda row: -row["share"])[:3]
    most = ", ".join(f"{row['layer']} {share_text(row['share'])}" for row in slowest)
    return f"{profile.name} on {device_of(profiles).name}: {total(profiles)}; {bounds}; most of it in {most}."


PICTURE = Picture("the layers of a network below the roof of a device", draw, sheet, words, refusal=refusal, figures=())
