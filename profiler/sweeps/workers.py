"""Where points are profiled: in this process, in processes of this machine, or on a running cluster, through joblib.

A process that dies takes the points with it that were under way.  Each of them is profiled once more, alone, and a
point whose process dies again is reported as failed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from profiler.errors import FOREIGN_ERRORS
from profiler.sweeps.measuring import FAILED, Result, Task, measure_group, measured

Group = list[Task]

DIED = "the process that profiled it ended twice, as it does if memory runs out or the code of the network crashes"
"""The error of a point whose process dies."""


class Workers(Protocol):
    """Processes that profile groups of points, ``number`` of them at a time.

    ``deaths`` are the exceptions that say that a process died.
    """

    number: int
    deaths: tuple[type[BaseException], ...]

    def results(self, groups: Iterator[tuple[int, Group]]) -> Generator[tuple[int, list[Result]]]:
        """The results of the groups, in any order."""

    def alone(self, task: Task) -> Result:
        """The result of a single point.  Raises one of ``deaths`` if its process dies."""

    def close(self) -> None:
        """End the processes that this object started."""


def results_of(groups: Iterator[Group], workers: Workers | None) -> Generator[Result]:
    """The results of all points of all groups, in any order; without ``workers``, this process profiles them."""
    if workers is None:
        yield from measured(task for group in groups for task in group)
        return
    feed = Feed(groups)
    while not feed.ended:
        feed.open()
        outcomes = workers.results(feed)
        try:
            for place, results in outcomes:
                feed.returned(place)
                yield from results
        except workers.deaths:
            pass
        finally:
            feed.close()
            with warnings.catch_warnings():  # joblib warns of results that nobody takes
                warnings.simplefilter("ignore")
                outcomes.close()
        for group in feed.lost():
            yield from (_alone(task, workers) for task in group)
    feed.check()


def _alone(task: Task, workers: Workers) -> Result:
    try:
        return workers.alone(task)
    except workers.deaths:
        return Result(task.number, FAILED, error=DIED)


class Feed:
    """The groups for joblib, which takes them in threads of its own; and of which of them no result has come.

    An error of the iterator, which may run a person's code, ends the feed; :meth:`check` raises it in the right thread.
    """

    def __init__(self, groups: Iterator[Group]) -> None:
        self.ended = False
        self._groups = groups
        self._under_way: dict[int, Group] = {}
        self._number = 0
        self._open = True
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[tuple[int, Group]]:
        return self

    def __next__(self) -> tuple[int, Group]:
        with self._lock:
            if not self._open or self.ended:
                raise StopIteration
            try:
                group = next(self._groups)
            except StopIteration:
                self.ended = True
                raise
            except BaseException as error:
                self.ended, self._error = True, error
                raise StopIteration from None
            self._number += 1
            self._under_way[self._number] = group
            return self._number, group

    def open(self) -> None:
        """Give out groups again."""
        self._open = True

    def close(self) -> None:
        """Give out no more groups; no thread is within the iterator any more when this returns."""
        with self._lock:
            self._open = False

    def returned(self, place: int) -> None:
        """Note that the results of a group have come back."""
        del self._under_way[place]

    def lost(self) -> list[Group]:
        """The groups without results, which are no longer under way."""
        lost = list(self._under_way.values())
        self._under_way.clear()
        return lost

    def check(self) -> None:
        """Raise the error of the iterator, if there was one."""
        if self._error is not None:
            raise self._error


SECONDS_TO_END = 0.5
"""How often a process looks whether its parent is still there."""


def _follow(parent: int) -> None:
    """Leave interrupts, which reach every process of a terminal, to the parent; and end when the parent is gone.

    A parent that was killed cannot end its processes, and joblib's would wait for it for minutes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_TO_END)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


class Processes:
    """Processes on this machine."""

    def __init__(self, number: int) -> None:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        self.number = number
        self.deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)
        self._single: Any = None

    def results(self, groups: Iterator[tuple[int, Group]]) -> Generator[tuple[int, list[Result]]]:
        from joblib import Parallel, delayed

        parallel = Parallel(
            self.number,
            "loky",
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=2 * self.number,
            max_nbytes=None,
            initializer=_follow,
            initargs=(os.getpid(),),
        )
        yield from parallel(delayed(measure_group)(place, group) for place, group in groups)

    def alone(self, task: Task) -> Result:
        from joblib.externals.loky import ProcessPoolExecutor

        if self._single is None:
            self._single = ProcessPoolExecutor(1, initializer=_follow, initargs=(os.getpid(),))
        try:
            return _first(self._single.submit(measure_group, 0, [task]).result())
        except self.deaths:
            self._end_single()
            raise

    def _end_single(self) -> None:
        if self._single is not None:
            self._single.shutdown(wait=True, kill_workers=True)
            self._single = None

    def close(self) -> None:
        self._end_single()


def _first(found: tuple[int, list[Result]]) -> Result:
    return found[1][0]


def in_rounds(
    groups: Iterator[tuple[int, Group]], number: int, parallel: Callable[[Iterable[Any]], list[Any]]
) -> Iterator[tuple[int, list[Result]]]:
    """The results for a backend of joblib that returns lists only: some groups for each process at a time."""
    from joblib import delayed

    while chosen := list(islice(groups, 4 * number)):
        yield from parallel(delayed(measure_group)(place, group) for place, group in chosen)


@contextlib.contextmanager
def workers_of(jobs: int, cluster: str | None) -> Iterator[Workers | None]:
    """The workers that ``--jobs`` and ``--cluster`` name; None if this process does the work.

    Raises :class:`ClusterError` for a cluster that cannot be reached.
    """
    workers: Workers | None
    if cluster is not None:
        from profiler.sweeps.clusters import connected

        workers = connected(cluster)
    else:
        workers = Processes(jobs) if jobs > 1 else None
    try:
        yield workers
    finally:
        if workers is not None:
            with contextlib.suppress(*FOREIGN_ERRORS):
                workers.close()
