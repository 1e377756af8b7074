"""The cost along the depth of the network: each layer in order of execution, its work upwards, its parameters down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from profiler.formatting import share_text, thousands
from profiler.measures import Measure, find_measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    COLUMN,
    GRAY,
    INK,
    OTHER,
    PAGE,
    POINTS,
    SMALL,
    Fill,
    Sheet,
    bare,
    fill_of,
    label,
    shortened,
    width_of,
    words_of,
)
from profiler.pictures._subjects import about, remarks
from profiler.records import EXCLUDED, KINDS, ROOT, ParameterRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = 26
"""With more layers, groups of layers are named in place of the layers."""

MOST_BARS = 160
"""With more layers, neighbors share a bar."""

MOST_GROUPS = 20

OWN_FILL = 0.01
"""A kind with less than this share of both figures is drawn as other."""

LEAST = 5.7
"""The width in points that bars need for a name, which is then written upwards."""

NAMES = 62.0
"""The room for names below the axes, in points."""


@dataclass
class Bar:
    """The shares of some consecutive layers, kind by kind: of the work, and of the parameters."""

    names: list[str] = field(default_factory=list)
    done: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)


def bars(profiles: Profiles, measure: Measure) -> list[Bar]:
    """The layers that do some of the work or hold parameters, in order of execution; at most ``MOST_BARS``."""
    (profile,) = profiles
    whole = {name: profile.figure(name) or 1 for name in (measure.name, "parameters")}
    rows = [
        row
        for row in profile.tabulated("layers").records()
        if row["layer"] != EXCLUDED and (row[measure.name] or row["parameters"])
    ]
    held: dict[str, list[ParameterRecord]] = {}
    for record in profile.trace.parameters:
        if not record.buffer:
            held.setdefault(record.module or ROOT, []).append(record)
    number = min(len(rows), MOST_BARS)
    found = [Bar() for _ in range(number)]
    for place, row in enumerate(rows):
        bar = found[place * number // len(rows)]
        bar.names.append(row["layer"])
        bar.done[row["kind"]] = bar.done.get(row["kind"], 0) + (row[measure.name] or 0) / whole[measure.name]
        for record in held.get(row["layer"], ()):
            bar.held[record.use] = bar.held.get(record.use, 0) + record.size / whole["parameters"]
    return found


def kinds_in(found: Sequence[Bar]) -> list[str]:
    """The kinds with their own fill, in the order of tables."""
    totals = [{kind: sum(part(bar).get(kind, 0) for bar in found) for kind in KINDS} for part in (_done, _held)]
    return [kind for kind in KINDS if any(total[kind] >= OWN_FILL for total in totals)]


def _done(bar: Bar) -> dict[str, float]:
    return bar.done


def _held(bar: Bar) -> dict[str, float]:
    return bar.held


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """A column wide; a page if the network is deep."""
    (profile,) = profiles
    found = bars(profiles, measure)
    own = kinds_in(found)
    key: list[tuple[Fill, str]] = [(fill_of(kind), words_of(kind)) for kind in own]
    if any(kind not in own for bar in found for kind, share in (*bar.done.items(), *bar.held.items()) if share):
        key.append((OTHER, "other"))
    layers = sum(len(bar.names) for bar in found)
    lines = []
    if layers > len(found):
        lines.append(f"A bar stands for about {round(layers / len(found))} consecutive layers.")
    if found and (beginning := _beginning([name for name, _, _ in _groups(found)])):
        lines.append(f"Names are those below {beginning.rstrip('.')}.")
    return Sheet(
        profile.name,
        about(profile, _figures(measure)),
        tuple(key),
        (" ".join(lines), *remarks(profiles)) if lines else remarks(profiles),
        width=COLUMN if layers <= 60 else PAGE,
        height=120 if found else 24,
        left=44 if found else 4,
        below=_names_room(found, (COLUMN if layers <= 60 else PAGE) - 48) if found else 4,
    )


def _figures(measure: Measure) -> list[Measure]:
    held = find_measure("parameters")
    return [held] if measure.name == held.name else [held, measure]


def _names_room(found: Sequence[Bar], across: float) -> float:
    if _flat(found, across):
        return SMALL + 8
    longest = max(width_of(name, SMALL) for name, _, _ in groups(found))
    return min(NAMES, longest) + 8


def groups(found: Sequence[Bar]) -> list[tuple[str, int, int]]:
    """The names below the axes, each with its first and its last bar: layers, or what many layers have in common.

    They are without the beginning that all of them have.
    """
    named = _groups(found)
    beginning = _beginning([name for name, _, _ in named])
    return [(name.removeprefix(beginning), first, last) for name, first, last in named]


def _beginning(names: Sequence[str]) -> str:
    """The modules that all names begin with: ``encoder.layers.``; empty for a single name."""
    paths = [name.split(".")[:-1] for name in names]
    level = 0
    while len(names) > 1 and all(len(path) > level and path[level] == paths[0][level] for path in paths):
        level += 1
    return "".join(f"{part}." for part in paths[0][:level]) if level else ""


def _groups(found: Sequence[Bar]) -> list[tuple[str, int, int]]:
    if sum(len(bar.names) for bar in found) <= MOST_NAMED:
        return [(bar.names[0], place, place) for place, bar in enumerate(found)]
    best: list[tuple[str, int, int]] = []
    for level in range(1, 12):
        runs = []
        places = enumerate(bar.names[0].split(".")[:level] for bar in found)
        for name, run in groupby(places, lambda item: ".".join(item[1])):
            numbers = [place for place, _ in run]
            runs.append((name, numbers[0], numbers[-1]))
        if best and len(runs) > MOST_GROUPS:
            break
        best = runs
    return best


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """Stacked bars upwards and downwards from a common line."""
    found = bars(profiles, measure)
    if not found:
        bare(ax)
        label(ax, "no layer does work that is counted or holds parameters", (0.5, 0.5), ha="center", color=GRAY)
        return
    mirrored = measure.name != "parameters"
    own = kinds_in(found)
    many = len(found) > 60
    for part, sign in ((_done, 1), *([(_held, -1)] if mirrored else [])):
        bottoms = [0.0] * len(found)
        for kind in (*own, "other"):
            heights = [
                sum(share for name, share in part(bar).items() if name not in own)
                if kind == "other"
                else part(bar).get(kind, 0.0)
                for bar in found
            ]
            if not any(heights):
                continue
            fill = OTHER if kind == "other" else fill_of(kind)
            options = fill.options if not many else {**fill.options, "linewidth": 0}
            ax.bar(
                range(len(found)),
                [sign * height for height in heights],
                1.0 if many else 0.8,
                bottoms,
                gid=f"{kind} {sign}",
                **options,
            )
            bottoms = [bottom + sign * height for bottom, height in zip(bottoms, heights, strict=True)]
    _frame(ax, found, measure, mirrored)


def _frame(ax: Axes, found: Sequence[Bar], measure: Measure, mirrored: bool) -> None:
    bare(ax, keep=("left",))
    top = max(sum(bar.done.values()) for bar in found) or 0.01
    low = max(sum(bar.held.values()) for bar in found) if mirrored else 0
    step = nice_step(max(top, low))
    ax.set_xlim(-0.6, max(len(found), 4) - 0.4)
    ax.set_ylim(-low * 1.04, top * 1.04)
    ticks = [place * step for place in range(-int(low / step), int(top / step) + 1)]
    ax.set_yticks(ticks, [f"{abs(tick) * 100:g} %" for tick in ticks])
    ax.axhline(0, color=INK, linewidth=0.7)
    for text, end in ((f"{measure.heading}, share", 1), *([("parameters, share", 0)] if mirrored else [])):
        ax.annotate(
            text,
            (0, end),
            xycoords="axes fraction",
            xytext=(-36, 0),
            textcoords="offset points",
            rotation=90,
            rotation_mode="anchor",
            ha="right" if end else "left",
            va="center",
            fontsize=SMALL,
            annotation_clip=False,
        )
    _names(ax, found)


def nice_step(largest: float) -> float:
    """The distance of ticks on an axis up to ``largest``: 1, 2 or 5 times a power of ten, at most five of them."""
    steps = (factor * 10.0**power for power in range(-6, 1) for factor in (1, 2, 5))
    return next((step for step in steps if largest / step <= 5), 1.0)


def _each(found: Sequence[Bar], across: float) -> float:
    """The room for a bar on axes of a width in points."""
    return across / (max(len(found), 4) + 0.2)


def _flat(found: Sequence[Bar], across: float) -> bool:
    """Whether the names fit side by side, each below its bars; some bars are too narrow for any name."""
    each = _each(found, across)
    named = [(name, each * (last - first + 1)) for name, first, last in groups(found)]
    return all(width_of(name, SMALL) + 4 <= room for name, room in named if room >= LEAST)


def _names(ax: Axes, found: Sequence[Bar]) -> None:
    """The names of layers or groups, written upwards, and lines between groups."""
    named = groups(found)
    across = float(ax.get_window_extent().width) * POINTS / ax.figure.dpi
    each, flat = _each(found, across), _flat(found, across)
    single = all(first == last for _, first, last in named)
    for name, first, last in named:
        middle = (first + last) / 2
        if not single and first:
            ax.axvline(first - 0.5, color=GRAY, linewidth=0.4, linestyle=(0, (2, 2)), zorder=0)
        if each * (last - first + 1) < LEAST:
            continue
        ax.annotate(
            shortened(name, NAMES, SMALL),
            (middle, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -4) if flat else (SMALL * 0.36, -4),
            textcoords="offset points",
            rotation=0 if flat else 90,
            rotation_mode="anchor",
            ha="center" if flat else "right",
            va="top" if flat else "baseline",
            fontsize=SMALL,
            annotation_clip=False,
            parse_math=False,
        )


def words(profiles: Profiles, measure: Measure) -> str:
    """Where along the depth half of the work is done, and what these layers hold."""
    (profile,) = profiles
    found = bars(profiles, measure)
    layers = sum(len(bar.names) for bar in found)
    if not any(profile.figure(name) for name in (measure.name, "parameters")):
        return f"{profile.name} has no parameters and no counted {measure.heading}."
    text = f"{profile.name}: {measure.heading} and parameters of {thousands(layers)} layers in order of execution"
    done = held = 0.0
    for place, bar in enumerate(found):
        done += sum(bar.done.values())
        held += sum(bar.held.values())
        if done >= 0.5:
            first = sum(len(one.names) for one in found[: place + 1])
            which = "layer 1, which holds" if first == 1 else f"layers 1 to {thousands(first)}, which hold"
            return (
                f"{text}; {share_text(min(done, 1.0))} of the {measure.heading} are in {which}"
                f" {share_text(min(held, 1.0))} of the parameters."
            )
    return f"{text}."


PICTURE = Picture(
    "cost along the depth of the network, in order of execution",
    draw,
    sheet,
    words,
    figures=("macs", "multiplies", "adds", "flops", "parameters"),
)
