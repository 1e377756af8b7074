"""Points and the sizes of their labels → places of the labels where none covers another one or a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; lengths are in points."""

    left: float
    bottom: float
    right: float
    top: float

    def inside(self, other: Box) -> bool:
        """Whether it is within the other one."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )


DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Where a label may be relative to its point, the best place first."""

DISTANCES = (4.0, 9.0, 15.0, 22.0, 30.0)
"""The distances of a label from its point."""

NEAR = 6.5
"""A label that is farther from its point is connected with it by a line."""

POINT = 2.6
"""Half of the side of a point, which no label covers."""


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    area: Box,
    order: Sequence[int],
    obstacles: Sequence[Box] = (),
    point: float = POINT,
    written: Sequence[Box] = (),
) -> list[Box | None]:
    """The boxes of the labels, of these widths and heights, in ``area``; None for those that have no place.

    Labels are placed one after the other in ``order``; the nearest free place is taken.  No label covers a point, an
    obstacle, another label, or the line from another label to its point; no such line goes through a label.  Those that
    are ``written`` already count as labels.  The result depends on the arguments alone.
    """
    blocked = _Taken([Box(x - point, y - point, x + point, y + point) for x, y in points])
    blocked.add(obstacles)
    labels = _Taken(written)
    found: list[Box | None] = [None] * len(points)
    for place in order:
        for box in _candidates(points[place], sizes[place]):
            line = _line(points[place], box)
            if (
                box.inside(area)
                and not blocked.meets(box)
                and not labels.meets(box)
                and not any(map(labels.meets, line))
            ):
                found[place] = box
                labels.add([box])
                blocked.add(line)
                break
    return found


class _Taken:
    """Boxes that are taken."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._edges = np.empty((0, 4))
        self.add(boxes)

    def add(self, boxes: Sequence[Box]) -> None:
        edges = np.array([(box.left, box.bottom, box.right, box.top) for box in boxes]).reshape(-1, 4)
        self._edges = np.concatenate((self._edges, edges))

    def meets(self, box: Box) -> bool:
        """Whether the box covers a part of one of them."""
        known = self._edges
        covers = (
            (known[:, 0] < box.right) & (known[:, 2] > box.left) & (known[:, 1] < box.top) & (known[:, 3] > box.bottom)
        )
        return bool(covers.any())


def needs_line(point: tuple[float, float], box: Box) -> tuple[float, float] | None:
    """The nearest point of a label, if it is so far from its point that a line has to connect them."""
    x, y = point
    near = min(max(x, box.left), box.right), min(max(y, box.bottom), box.top)
    far = (near[0] - x) ** 2 + (near[1] - y) ** 2 > NEAR**2
    return near if far else None


def _line(point: tuple[float, float], box: Box) -> list[Box]:
    """The line from a label to its point, as small boxes; empty if it needs none."""
    near = needs_line(point, box)
    if near is None:
        return []
    across, up = near[0] - point[0], near[1] - point[1]
    steps = max(2, round((across**2 + up**2) ** 0.5 / 2))
    places = [(point[0] + across * step / steps, point[1] + up * step / steps) for step in range(2, steps)]
    return [Box(x - 0.6, y - 0.6, x + 0.6, y + 0.6) for x, y in places]


def _candidates(point: tuple[float, float], size: tuple[float, float]) -> list[Box]:
    x, y = point
    width, height = size
    boxes = []
    for distance in DISTANCES:
        for across, up in DIRECTIONS:
            far = distance if not (across and up) else distance * 0.75
            left = x + far if across > 0 else x - far - width if across < 0 else x - width / 2
            bottom = y + far if up > 0 else y - far - height if up < 0 else y - height / 2
            boxes.append(Box(left, bottom, left + width, bottom + height))
    return boxes
