"""Rows of a sweep → from which size on one kind of work does more multiplies than another.

Two neighboring points say between which sizes that changes.  The exact size is found between them, by profiles or by a
closed form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

from profiler.sweeps.store import Row

FIGURE = "multiplies"
"""The figure in which kinds of work are compared."""

LEAST_SHARE = 0.02
"""A kind of work with a smaller share of the figure on both sides is not compared."""

CHECKED = 12
"""The number of further sizes between two points that are profiled, to see whether kinds change places again."""

Work = Mapping[str, int]
"""The figure of each kind of work at one point."""

Ask = Callable[[int], Work | None]
"""``ask(size)``: the work at any size; None if the network cannot be profiled there.

A profile answers it.  A closed form of the same network, where there is one, answers it too, and faster.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """The points of one target that differ in one axis only: sizes in rising order, each with its work.

    ``names`` are those of the axis, ``fixed`` the values of everything else that varies.
    """

    target: str
    names: tuple[str, ...]
    fixed: tuple[tuple[str, Any], ...]
    points: tuple[tuple[int, Work], ...]


@dataclass(frozen=True, slots=True)
class Crossing:
    """At ``high`` and not at ``low``, two neighboring points, ``more`` does more than ``less``.

    ``first`` is the first size of which that is true, if it was found; ``certain`` says that every size between the
    points is known, so that there is no other change between them.
    """

    line: Line
    more: str
    less: str
    low: int
    high: int
    first: int | None = None
    certain: bool = False


def lines_of(rows: Iterable[Row], axes: Sequence[tuple[str, ...]]) -> Iterator[Line]:
    """The lines along every axis whose names have the same whole number at each point.

    A line has two points at least.  Points that failed or are partial are left out.
    """
    found: dict[tuple[str, int, str], list[tuple[int, Work]]] = {}
    names = [name for axis in axes for name in axis]
    for row in rows:
        if row.status != "complete":
            continue
        work = _work(json.loads(row.figures))
        values = dict(zip(names, json.loads(row.values), strict=True))
        for place, axis in enumerate(axes):
            first, *others = (values[name] for name in axis)
            if type(first) is not int or any(other != first for other in others):
                continue
            fixed = [(name, value) for name, value in values.items() if name not in axis]
            found.setdefault((row.target, place, json.dumps(fixed)), []).append((first, work))
    for (target, place, others_as_text), points in found.items():
        if len(points) > 1:
            pairs = tuple((name, value) for name, value in json.loads(others_as_text))
            yield Line(target, axes[place], pairs, tuple(sorted(points, key=lambda point: point[0])))


def _work(figures: Mapping[str, Any]) -> Work:
    return {kind: row[FIGURE] for kind, row in figures["kinds"].items() if row.get(FIGURE)}


def crossings_of(line: Line) -> Iterator[Crossing]:
    """Where two kinds of work change places between neighboring points."""
    for (low, below), (high, above) in pairwise(line.points):
        kinds = sorted(
            {kind for work in (below, above) for kind in work if work[kind] >= LEAST_SHARE * sum(work.values())}
        )
        for one, other in combinations(kinds, 2):
            for more, less in ((one, other), (other, one)):
                if _does_more(above, more, less) and not _does_more(below, more, less):
                    yield Crossing(line, more, less, low, high)


def _does_more(work: Work, more: str, less: str) -> bool:
    return work.get(more, 0) > work.get(less, 0)


def located(crossing: Crossing, ask: Ask, checked: int = CHECKED) -> Crossing:
    """The crossing with its first size, by bisection; without it if ``ask`` has no answer at a size between the points.

    About ``checked`` further sizes between the points are looked at, all of them if there are no more.  If they
    contradict a single change, the first size is not given.
    """
    answers: dict[int, bool] = {crossing.low: False, crossing.high: True}

    def holds(size: int) -> bool | None:
        if size not in answers:
            work = ask(size)
            if work is None:
                return None
            answers[size] = _does_more(work, crossing.more, crossing.less)
        return answers[size]

    low, high = crossing.low, crossing.high
    while high - low > 1:
        middle = (low + high) // 2
        answer = holds(middle)
        if answer is None:
            return crossing
        low, high = (low, middle) if answer else (middle, high)
    between = range(crossing.low + 1, crossing.high)
    step = max(1, -(-len(between) // checked))
    for size in between[::step]:
        if holds(size) is None:
            return crossing
    single = all(answer == (size >= high) for size, answer in answers.items())
    if not single:
        return crossing
    certain = len(answers) == len(between) + 2
    return Crossing(crossing.line, crossing.more, crossing.less, crossing.low, crossing.high, high, certain)


WORDS = {
    "conv": "convolutions",
    "linear": "linear layers",
    "depthwise": "depthwise convolutions",
    "recurrent": "recurrent layers",
    "matmul": "matrix products",
    "norm": "normalizations",
    "activation": "activations",
    "pool": "pooling",
    "resample": "resampling",
    "elementwise": "elementwise operations",
}


def _words(kind: str) -> str:
    return WORDS.get(kind, kind)


def sentences(crossings: Sequence[Crossing]) -> list[str]:
    """The crossings in words; those that differ only in what else varies are one sentence."""
    grouped: dict[tuple[Any, ...], list[Crossing]] = {}
    for found in crossings:
        between = () if found.first is not None else (found.low, found.high)
        key = (found.line.target, found.line.names, found.more, found.less, found.first, between, found.certain)
        grouped.setdefault(key, []).append(found)
    return [_sentence(same) for same in grouped.values()]


def _sentence(same: Sequence[Crossing]) -> str:
    found = same[0]
    size = " = ".join(found.line.names)
    subject = f"{found.line.target}{at_values([crossing.line for crossing in same])}"
    action = f"{_words(found.more)} {_verb(found.more)} more multiplies than {_words(found.less)}"
    if found.first is None:
        return (
            f"{subject}: between {size} = {found.low} and {found.high}, the order changes: at {found.high}, {action}."
        )
    sentence = f"{subject}: from {size} = {found.first} on, {action}"
    if found.certain:
        return f"{sentence}."
    return f"{sentence} (by bisection between {found.low} and {found.high}; not every size between them was looked at)."


def _verb(kind: str) -> str:
    return "do" if _words(kind).endswith("s") and kind in WORDS else "does"


def at_values(lines: Sequence[Line]) -> str:
    """``, B = 1, 2, 4``: the values of everything else that varies, one part for each name."""
    values: dict[str, list[str]] = {}
    for line in lines:
        for name, value in line.fixed:
            text = value if isinstance(value, str) else json.dumps(value)
            known = values.setdefault(name, [])
            if text not in known:
                known.append(text)
    parts = [f"{name} = {', '.join(texts)}" for name, texts in values.items()]
    return f", {'; '.join(parts)}" if parts else ""
