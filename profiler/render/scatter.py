"""Parameters against work of many networks → an SVG drawing, for a page and for a notebook.

The drawing has no style of its own: classes name its parts for a page, and attributes are what a notebook shows.  A
name is shown beside its point if it has room there; every point has its name and its figures as a title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import dist, floor, log10

from profiler.formatting import SI_PREFIXES, engineering, thousands
from profiler.printable import visible

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 46
"""The size of the drawing and of its margins, in pixels."""

SIZE = 12
"""The size of its text."""

ADVANCE = 0.6
"""The width of a character of most fonts, as a multiple of the size."""

LONGEST = 24
"""The maximum number of characters of a name beside its point."""

RADIUS = 4.5

FAR = 14.0
"""A name that is farther from its point is connected with it by a line."""

LABELED = 300
"""With more networks, only those of the front have names beside their points."""

ACCENT, MUTED, GRID = "#1f6fbf", "#6b7480", "#8884"
"""The colors without a page: points of the front, text and other points, lines of the grid."""


@dataclass(frozen=True, slots=True)
class Place:
    """A network: its name, and its two figures, which are positive; ``bound`` says that the work is a lower bound."""

    name: str
    parameters: int
    work: int
    bound: bool = False


@dataclass(frozen=True, slots=True)
class Landscape:
    """Networks by their parameters and one figure of their work, which ``figure`` names."""

    figure: str
    networks: tuple[Place, ...]

    @property
    def title(self) -> str:
        """What it shows."""
        return f"Parameters against {self.figure}"

    @property
    def points(self) -> list[tuple[int, int]]:
        """Work and parameters of each network."""
        return [(network.work, network.parameters) for network in self.networks]

    @property
    def words(self) -> str:
        """The networks of the front, for those who do not see the drawing."""
        best = [visible(self.networks[place].name) for place in front(self.points)]
        some = ", ".join(best[:8]) + (f" and {len(best) - 8} more" if len(best) > 8 else "")
        return (
            f"{thousands(len(self.networks))} networks on logarithmic axes. Filled points are the Pareto front: no "
            f"other network has at most as many parameters and at most as many {self.figure}. These are {some}."
        )


def front(points: Sequence[tuple[int, int]]) -> list[int]:
    """The places of the points that no other point beats: smaller in one figure, and not larger in the other.

    They are in the order of the first figure.
    """
    found: list[int] = []
    lowest: int | None = None
    for place in sorted(range(len(points)), key=lambda place: (points[place], place)):
        x, y = points[place]
        if lowest is None or y < lowest or (x, y) == points[found[-1]]:
            found.append(place)
            lowest = y
    return found


def stairs(corners: Sequence[tuple[float, float]], right: float, top: float) -> list[tuple[float, float]]:
    """The line that separates what a point of the front is as small as from the rest, up to the edges of the axes."""
    line = [(corners[0][0], top)]
    for x, y in corners:
        line += [(x, line[-1][1]), (x, y)]
    return [*line, (right, line[-1][1])]


def limits(numbers: Sequence[int]) -> tuple[float, float]:
    """The ends of a logarithmic axis for these numbers, with some room."""
    low, high = min(numbers), max(numbers)
    room = max(1.25, (high / low) ** 0.09)
    return low / room, high * room


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive numbers: powers of ten, and 2 and 5 times them if there are few."""
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) >= 3:
            return found
    step = 10.0 ** floor(log10((high - low) / 2))
    found = [step * place for place in range(floor(low / step) + 1, floor(high / step) + 1)]
    return found[:: max(1, len(found) // 4)]


def tick_text(number: float) -> str:
    """``50 M``."""
    power = min(len(SI_PREFIXES) - 1, floor(log10(number) / 3 + 1e-9)) if number >= 1 else 0
    return f"{number / 1000**power:g} {SI_PREFIXES[power]}".strip()


def drawing(landscape: Landscape, links: Mapping[str, str] | None = None) -> str:
    """The SVG element; ``links`` has the addresses of networks by their names."""
    axes = _Axes.of(landscape.points)
    best = front(landscape.points)
    corners = [axes.at(*landscape.points[place]) for place in best]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in stairs(corners, WIDTH - RIGHT, TOP))
    role = "group" if links else "img"
    parts = [
        f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="{role}" '
        f'aria-label="{_safe(f"{landscape.title}. {landscape.words}")}" font-family="sans-serif" font-size="{SIZE}">',
        *axes.grid(landscape.figure),
        f'<polyline class="front" points="{line}" fill="none" stroke="{ACCENT}"/>',
    ]
    every = [*(place for place in range(len(landscape.networks)) if place not in set(best)), *best]
    parts += [_point(landscape, place, place in set(best), axes, links or {}) for place in every]
    parts += _labels(landscape, best, axes)
    return "\n".join((*parts, "</svg>"))


@dataclass(frozen=True, slots=True)
class _Axes:
    """Logarithmic axes: the ends of both."""

    across: tuple[float, float]
    up: tuple[float, float]

    @classmethod
    def of(cls, points: Sequence[tuple[int, int]]) -> _Axes:
        return cls(limits([x for x, _ in points]), limits([y for _, y in points]))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of two figures in the drawing, in pixels from its upper left corner."""
        return (
            LEFT + _part(x, self.across) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - _part(y, self.up) * (HEIGHT - TOP - BOTTOM),
        )

    def grid(self, figure: str) -> list[str]:
        """Lines with their numbers, and the names of the axes."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        lines, texts = [], []
        for tick in ticks(*self.across):
            x, _ = self.at(tick, self.up[0])
            lines.append(f"M{x:.1f} {TOP}V{bottom}")
            texts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick_text(tick)}</text>')
        for tick in ticks(*self.up):
            _, y = self.at(self.across[0], tick)
            lines.append(f"M{LEFT} {y:.1f}H{right}")
            texts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick_text(tick)}</text>')
        texts.append(f'<text x="{right}" y="{bottom + 36}" text-anchor="end">{_safe(figure)}</text>')
        middle = f"{SIZE},{TOP}"
        texts.append(f'<text transform="translate({middle}) rotate(-90)" text-anchor="end">parameters</text>')
        return [
            f'<path class="grid" d="{"".join(lines)}" stroke="{GRID}" fill="none"/>',
            f'<g class="ticks" fill="{MUTED}">{"".join(texts)}</g>',
        ]


def _part(number: float, ends: tuple[float, float]) -> float:
    low, high = map(log10, ends)
    return (log10(number) - low) / (high - low)


def _point(landscape: Landscape, place: int, on_front: bool, axes: _Axes, links: Mapping[str, str]) -> str:
    """A circle, or a triangle for a lower bound; with a link if the network has an address."""
    network = landscape.networks[place]
    x, y = axes.at(*landscape.points[place])
    least = "≥" if network.bound else ""
    figures = f"{least}{engineering(network.work, landscape.figure)}, {engineering(network.parameters, 'parameters')}"
    title = f"<title>{_safe(f'{network.name}: {figures}')}</title>"
    if network.bound:
        corners = ((-RADIUS, -RADIUS), (RADIUS + 1, 0), (-RADIUS, RADIUS))
        shape, size = "polygon", f'points="{" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)}"'
    else:
        shape, size = "circle", f'cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}"'
    fill, line, kind = (ACCENT, ACCENT, "best") if on_front else ("#fff", MUTED, "other")
    drawn = f'<{shape} class="{kind}" {size} fill="{fill}" stroke="{line}" stroke-width="1.5">{title}</{shape}>'
    address = links.get(visible(network.name))
    if address is None:
        return drawn
    return f'<a href="{_escaped(address)}" aria-label="{_safe(f"{network.name}: {figures}")}">{drawn}</a>'


def _labels(landscape: Landscape, best: Sequence[int], axes: _Axes) -> list[str]:
    """The names that have room beside their points; those of the front have their places first."""
    from profiler.render.placing import Box, needs_line, place_labels  # needs numpy

    at = [axes.at(*point) for point in landscape.points]
    names = [_short(network.name) for network in landscape.networks]
    sizes = [(len(name) * SIZE * ADVANCE + 2, SIZE * 1.2) for name in names]
    area = Box(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    line = stairs([at[place] for place in best], WIDTH - RIGHT, TOP)
    edges = [Box(min(x, u) - 1, min(y, v) - 1, max(x, u) + 1, max(y, v) + 1) for (x, y), (u, v) in pairwise(line)]
    others = [place for place in range(len(at)) if place not in set(best)] if len(at) <= LABELED else []
    order = [*best, *others]
    found = []
    for place, box in enumerate(place_labels(at, sizes, area, order, edges, POINT)):
        if box is None:
            continue
        near = needs_line(at[place], box)
        x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2 + SIZE * 0.34
        if near is not None and dist(at[place], near) > FAR:
            path = f"M{at[place][0]:.1f} {at[place][1]:.1f}L{near[0]:.1f} {near[1]:.1f}"
            found.append(f'<path class="lead" d="{path}" stroke="{MUTED}" stroke-width="0.6"/>')
        found.append(
            f'<text class="name" x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{MUTED}" aria-hidden="true">'
            f"{_safe(names[place])}</text>"
        )
    return found


POINT = RADIUS + 1.5
"""Half of the side of a point, which no name covers."""


def _short(name: str) -> str:
    """The name, without its middle if it is long."""
    text = visible(name)
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[: half - 1]}…{text[-half:]}"


def _safe(text: str) -> str:
    return _escaped(visible(text))


def _escaped(text: str) -> str:
    from html import escape  # imported when a plot is drawn

    return escape(text)
