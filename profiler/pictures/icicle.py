"""The tree of modules as an icicle: each module as high as its share, its parts to its right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from profiler.formatting import share_text
from profiler.measures import Measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import (
    COLUMN,
    GRAY,
    INK,
    OTHER,
    PAGE,
    PLAIN,
    POINTS,
    SMALL,
    Fill,
    Sheet,
    bare,
    fill_of,
    label,
    shortened,
    tinted,
    width_of,
    words_of,
)
from profiler.pictures._subjects import about, remarks
from profiler.records import EXCLUDED, KINDS, ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = 6
"""The number of levels that are shown; what is deeper is part of the last one."""

HEIGHT, TALL = 200.0, 330.0
"""The heights of the axes in points, for a few modules and for many."""

THINNEST, TOGETHER = 1.2, 8.0
"""Neighbors that would be thinner than the first number of points are drawn together, about as high as the second."""

OWN = "own work"


@dataclass
class Module:
    """A module with its figure; ``whole`` includes its parts, ``kind`` is that of its own work."""

    name: str
    whole: int
    own: int
    kind: str
    parts: list[Module] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """A rectangle of the picture, from ``top`` to ``bottom`` as fractions of one; ``names`` are its modules.

    ``share`` is its share of the network's figure.
    """

    level: int
    top: float
    bottom: float
    names: tuple[str, ...]
    kind: str
    leaf: bool
    share: float


def tree(profiles: Profiles, measure: Measure) -> Module:
    """The network with all its modules that have some of the figure."""
    (profile,) = profiles
    kinds = {record.module: record.use for record in profile.trace.parameters if not record.buffer}
    if measure.name != "parameters":
        kinds |= profile.work.kinds
    found: dict[str, Module] = {}
    for row in profile.tabulated("modules").records():
        if row["module"] == EXCLUDED:
            continue
        name = "" if row["module"] == ROOT else row["module"]
        whole, own = row[f"{measure.name}_total"] or 0, row[measure.name] or 0
        module = found[name] = Module(name, whole, own, kinds.get(name, "other"))
        if name and whole:
            parent = name.rpartition(".")[0]
            while parent and parent not in found:
                parent = parent.rpartition(".")[0]
            found[parent].parts.append(module)
    return _joined(found[""])


def _joined(module: Module) -> Module:
    """The tree without modules that only hold a single other one; the depth of the tree does not matter."""
    waiting = [module]
    while waiting:
        last = waiting.pop()
        for place, part in enumerate(last.parts):
            while len(part.parts) == 1 and not part.own:
                part = part.parts[0]
            last.parts[place] = part
        waiting += last.parts
    return module


def blocks(root: Module, height: float) -> list[Block]:
    """The rectangles, for axes of this height in points.  Those of a level do not overlap."""
    if not root.whole:
        return []
    point = root.whole / height
    found = [Block(0, 0.0, 1.0, (root.name,), root.kind, not root.parts, 1.0)]
    waiting = [(root, 0, 0.0)]
    while waiting:
        module, level, top = waiting.pop(0)
        if not module.parts:
            continue
        y = top
        for run in _runs(module.parts, THINNEST * point, TOGETHER * point):
            share = sum(part.whole for part in run) / root.whole
            biggest = max(run, key=lambda part: part.whole)
            names = tuple(part.name for part in run)
            leaf = len(run) > 1 or not biggest.parts or level + 2 >= LEVELS
            found.append(Block(level + 1, y, y + share, names, biggest.kind, leaf, share))
            if not leaf:
                waiting.append((biggest, level + 1, y))
            y += share
        if module.own:
            share = module.own / root.whole
            found.append(Block(level + 1, y, y + share, (f"{module.name} {OWN}",), module.kind, True, share))
    return found


def _runs(parts: Sequence[Module], least: float, together: float) -> Iterator[list[Module]]:
    """The parts in order; consecutive ones with less than ``least`` are together until they have ``together``."""
    run: list[Module] = []
    for part in parts:
        if part.whole < least:
            run.append(part)
            if sum(one.whole for one in run) >= together:
                yield run
                run = []
            continue
        if run:
            yield run
            run = []
        yield [part]
    if run:
        yield run


def _height(profiles: Profiles, measure: Measure) -> float:
    found = blocks(tree(profiles, measure), HEIGHT)
    return HEIGHT if sum(block.leaf for block in found) <= 24 else TALL


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """A column wide for a flat tree, a page for a deep one."""
    (profile,) = profiles
    height = _height(profiles, measure)
    found = blocks(tree(profiles, measure), height)
    levels = 1 + max((block.level for block in found), default=0)
    leaves = {block.kind for block in found if block.leaf}
    key: list[tuple[Fill, str]] = [(_pale(fill_of(kind)), words_of(kind)) for kind in KINDS if kind in leaves]
    if leaves - set(KINDS):
        key.append((_pale(OTHER), "other"))
    return Sheet(
        profile.name,
        about(profile, (measure,)),
        tuple(key),
        remarks(profiles),
        width=COLUMN if levels <= 3 else PAGE,
        height=height if found else 24,
    )


def _pale(fill: Fill) -> Fill:
    """The fill for an area with text on it."""
    return Fill(tinted(fill.color, 0.45), fill.hatch, "white" if fill.line == "white" else fill.line)


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """A column of rectangles for each level."""
    from matplotlib.patches import Rectangle

    bare(ax)
    box = ax.get_window_extent()
    scale = POINTS / ax.figure.dpi
    wide, high = float(box.width) * scale, float(box.height) * scale
    found = blocks(tree(profiles, measure), high)
    if not found:
        label(ax, f"no {measure.heading} are counted", (0.5, 0.5), ha="center", color=GRAY)
        return
    levels = 1 + max(block.level for block in found)
    first = min(0.12, 20 / wide) if levels > 1 else 1.0
    each = (1 - first) / max(1, levels - 1)
    ax.set_xlim(0, 1)
    ax.set_ylim(1, 0)
    parents = {block.names[0]: block for block in found if not block.leaf}
    for block in found:
        left = 0.0 if not block.level else first + (block.level - 1) * each
        width = first if not block.level else each
        fill = _pale(fill_of(block.kind)) if block.leaf else PLAIN
        tall = block.bottom - block.top
        options = fill.options | {"edgecolor": fill.line if block.leaf and fill.hatch else "white"}
        ax.add_patch(
            Rectangle((left, block.top), width, tall, **(options | {"linewidth": 0.6 if tall * high > 3 else 0.2}))
        )
        middle = (block.top + block.bottom) / 2
        if not block.level and levels > 1:
            _upright(ax, profiles[0].name, (left + width / 2, middle), high)
        elif tall * high >= SMALL * 1.12:
            back = options["facecolor"]
            _write(ax, block, parents, share_text(block.share), (left, width, middle), wide, back)


def _upright(ax: Axes, name: str, at: tuple[float, float], high: float) -> None:
    text = shortened(name, high - 8)
    label(ax, text, at, ha="center", va="center", rotation=90, rotation_mode="anchor", bbox=None)


def _write(
    ax: Axes,
    block: Block,
    parents: dict[str, Block],
    share: str,
    place: tuple[float, float, float],
    wide: float,
    back: str,
) -> None:
    """The name of a block at its left, and its share at its right if there is room."""
    left, width, middle = place
    name = _shown(block, parents)
    room = width * wide - 6
    with_share = width_of(share, SMALL) + 6
    box = {"facecolor": back, "edgecolor": "none", "pad": 0.3}
    options: dict[str, Any] = {"size": SMALL, "bbox": box}
    if room - with_share >= min(width_of(name, SMALL), 24):
        label(ax, share, (left + width, middle), (-3, 0), ha="right", color=INK, **options)
        room -= with_share
    if room >= 6:
        label(ax, shortened(name, room, SMALL), (left, middle), (3, 0), **options)


def _shown(block: Block, parents: dict[str, Block]) -> str:
    """The name below that of the module that is drawn to the left of it."""
    if len(block.names) > 1:
        return f"{len(block.names):,} modules"
    name = block.names[0]
    if name.endswith(OWN):
        return OWN
    parent = name.rpartition(".")[0]
    while parent and parent not in parents:
        parent = parent.rpartition(".")[0]
    return name.removeprefix(f"{parent}.") if parent else name


def words(profiles: Profiles, measure: Measure) -> str:
    """The largest parts of the network, and the largest module without parts."""
    (profile,) = profiles
    root = tree(profiles, measure)
    if not root.whole:
        return f"{profile.name} has no counted {measure.heading}."
    parts = sorted(root.parts, key=lambda part: -part.whole)[:4]
    shares = ", ".join(f"{part.name} {share_text(part.whole / root.whole)}" for part in parts)
    return f"{profile.name}: the tree of its modules by {measure.heading}" + (f"; {shares}." if shares else ".")


PICTURE = Picture(
    "the tree of modules, each as large as its share",
    draw,
    sheet,
    words,
    figures=("macs", "flops", "multiplies", "adds", "parameters"),
)
