"""A finished sweep → its pictures: cost against size, for each network or for each kind of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from profiler.pictures._sweep import TOTAL, Curve, Mark, picture_bytes
from profiler.render.report import ReportPicture
from profiler.sweeps.crossings import FIGURE, LEAST_SHARE, Crossing, Line, at_values, sentences
from profiler.sweeps.tables import NAME


def pictures_of(lines: Iterable[Line], crossings: Sequence[Crossing]) -> tuple[ReportPicture, ...]:
    """The pictures along the axis with the most sizes: the cost of all lines, and the kinds of work of the first one.

    A single line has the second picture alone; without lines there is none.
    """
    found = list(lines)
    if not found:
        return ()
    names = max((line.names for line in found), key=lambda names: _most_sizes(found, names))
    along = [line for line in found if line.names == names]
    size = " = ".join(names)
    kinds = _kinds(along[0], size, crossings, NAME if len(along) == 1 else f"{NAME}-kinds")
    return (kinds,) if len(along) == 1 else (_totals(along, size), kinds)


def _most_sizes(lines: Sequence[Line], names: tuple[str, ...]) -> int:
    return max(len(line.points) for line in lines if line.names == names)


def _totals(lines: Sequence[Line], size: str) -> ReportPicture:
    targets = {line.target for line in lines}
    curves = []
    for line in lines:
        fixed = at_values([line])
        name = f"{line.target}{fixed}" if len(targets) > 1 else fixed.removeprefix(", ")
        curves.append(Curve(name or line.target, tuple((at, sum(work.values())) for at, work in line.points)))
    title = f"Cost of {min(targets)}" if len(targets) == 1 else f"Cost of {len(targets)} networks"
    words, content = picture_bytes(title, size, FIGURE, curves, ())
    return ReportPicture(f"{NAME}.svg", words, content)


def _kinds(line: Line, size: str, crossings: Sequence[Crossing], stem: str) -> ReportPicture:
    works = [work for _, work in line.points]
    kinds = {kind for work in works for kind in work if work[kind] >= LEAST_SHARE * sum(work.values())}
    order = sorted(kinds, key=lambda kind: (-max(work.get(kind, 0) for work in works), kind))
    curves = (
        [Curve(TOTAL, tuple((at, sum(work.values())) for at, work in line.points), TOTAL)] if len(order) > 1 else []
    )
    curves += [Curve(kind, tuple((at, work.get(kind, 0)) for at, work in line.points), kind) for kind in order]
    own = [found for found in crossings if found.line == line and found.first is not None]
    marks = [Mark(found.first, sentences([found])[0]) for found in own if found.first is not None]
    words, content = picture_bytes(f"{line.target}{at_values([line])}", size, FIGURE, curves, marks)
    return ReportPicture(f"{stem}.svg", words, content)
