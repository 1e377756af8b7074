"""The points of a sweep → its rows in a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from profiler.sweeps.measuring import FAILED, Result, Task
from profiler.sweeps.points import Point, Points, kwargs_text
from profiler.sweeps.store import Row, Store
from profiler.sweeps.workers import Workers, results_of

LARGEST_GROUP = 32
"""The maximum number of points that a process gets at once."""

GROUPS_EACH = 8
"""The number of groups that each process gets, if the number of points is known and there are enough of them."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the row of a point has besides its result."""

    digest: bytes
    target: str
    values: str
    kwargs: str


class Run:
    """One run: it profiles every point that has no result in the store.

    ``advance`` is called with the number of new results.
    """

    def __init__(self, points: Points, store: Store, workers: Workers | None, advance: Callable[[int], None]) -> None:
        self.points = points
        self.store = store
        self.workers = workers
        self.advance = advance
        self.seen = 0
        self._under_way: dict[int, _Begun] = {}

    def finish(self) -> None:
        """Profile what is missing.  Raises the errors of the source, of the store and of the cluster."""
        for result in results_of(self._groups(), self.workers):
            begun = self._under_way.pop(result.number)
            self.store.add(_row(result, begun))
            self.advance(1)
        self.store.commit()

    def _groups(self) -> Iterator[list[Task]]:
        most = group_size(self.points.total, 0 if self.workers is None else self.workers.number)
        group: list[Task] = []
        for point in self.points:
            self.seen += 1
            if self._is_known(point):
                continue
            group.append(Task(point.number, point.config, _base(point), point.error))
            if len(group) >= most:
                yield group
                group = []
        if group:
            yield group

    def _is_known(self, point: Point) -> bool:
        digest = point.digest()
        if self.store.is_known(point.number, digest):
            return True
        kwargs = "" if self.points.names else kwargs_text(point.config)
        values = json.dumps(point.values, default=str, ensure_ascii=False)
        self._under_way[point.number] = _Begun(digest, point.target, values, kwargs)
        return False


def group_size(total: int | None, processes: int) -> int:
    """How many points a process gets at once: few if there are few, so that all processes have work until the end."""
    if not processes:
        return 1
    if total is None:
        return LARGEST_GROUP // 2
    return max(1, min(LARGEST_GROUP, total // (processes * GROUPS_EACH)))


def _base(point: Point) -> str:
    return "" if point.config is None else str(point.config.base)


def _row(result: Result, begun: _Begun) -> Row:
    assert (result.status == FAILED) == (not result.figures)
    return Row(
        result.number,
        begun.digest,
        begun.target,
        begun.values,
        begun.kwargs,
        result.status,
        result.error,
        result.figures,
    )
