"""``dask:tcp://host:8786`` or ``ray:auto`` → the workers of a running cluster, through the joblib backend of each."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

from profiler.errors import FOREIGN_ERRORS, ClusterError, did_you_mean, shown
from profiler.printable import one_line
from profiler.sweeps.measuring import Result, Task, measure_group
from profiler.sweeps.workers import Group, Workers, in_rounds

SECONDS = 10
"""The time in which a cluster has to answer."""


def connected(text: str) -> Workers:
    """The workers of the cluster that ``text`` names.

    Raises :class:`ClusterError` if it names none, cannot be reached, has no workers or another version of the profiler.
    """
    kind, _, address = text.partition(":")
    if kind not in CLUSTERS or not address:
        hint = did_you_mean(kind, CLUSTERS)
        raise ClusterError(
            f"--cluster {shown(text)}: expected dask:ADDRESS, such as dask:tcp://127.0.0.1:8786, or ray:auto{hint}"
        )
    return CLUSTERS[kind](text, address)


def _imported(package: str, extra: str, text: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        hint = f'pip install "static-flop-profiler[{extra}]"'
        raise ClusterError(f"--cluster {text}: {package} cannot be imported; install it with: {hint}") from error


def profiler_version() -> str:
    """The version of the profiler where this is called."""
    from profiler.environment import environment

    return environment()["profiler"]


def _check_versions(text: str, found: set[str]) -> None:
    own = profiler_version()
    if found != {own}:
        versions = ", ".join(sorted(found))
        raise ClusterError(f"--cluster {text}: found version {versions} of the profiler on its workers, expected {own}")


class _Cluster:
    """What clusters have in common; ``_text`` is the cluster as the user named it."""

    number: int
    deaths: tuple[type[BaseException], ...]
    _text: str

    def _reported(self, results: Iterator[tuple[int, list[Result]]]) -> Generator[tuple[int, list[Result]]]:
        """The results; an error that is not the death of a worker is one of the cluster."""
        try:
            yield from results
        except self.deaths:
            raise
        except Exception as error:
            reason = one_line(str(error).strip().rpartition("\n")[2])
            raise ClusterError(f"--cluster {self._text}: its workers cannot do the work ({reason})") from error


class Dask(_Cluster):
    """The workers of a Dask scheduler."""

    def __init__(self, text: str, address: str) -> None:
        self._text = text
        distributed = _imported("distributed", "dask", text)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it prints tracebacks of what is reported here
        try:
            self._client = distributed.Client(address, timeout=SECONDS, set_as_default=False)
        except FOREIGN_ERRORS as error:
            reason = one_line(str(error)) or type(error).__name__
            raise ClusterError(f"--cluster {text}: cannot be reached within {SECONDS} s ({reason})") from error
        try:
            self._check(text)
        except BaseException:
            self.close()
            raise
        self.number = sum(self._client.ncores().values())
        self.deaths = (distributed.scheduler.KilledWorker,)

    def _check(self, text: str) -> None:
        try:
            self._client.wait_for_workers(1, timeout=SECONDS)
            versions = set(self._client.run(profiler_version).values())
        except TimeoutError as error:
            raise ClusterError(f"--cluster {text}: has no workers, expected at least one") from error
        except FOREIGN_ERRORS as error:
            raise ClusterError(f"--cluster {text}: the profiler is not installed on every worker ({error})") from error
        own = profiler_version()
        if versions != {own}:
            found = ", ".join(sorted(versions))
            raise ClusterError(
                f"--cluster {text}: found version {found} of the profiler on its workers, expected {own}"
            )

    def results(self, groups: Iterator[tuple[int, Group]]) -> Generator[tuple[int, list[Result]]]:
        from joblib import Parallel, delayed

        parallel = Parallel(
            self.number,
            _dask_backend()(client=self._client),
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=2 * self.number,
        )
        yield from self._reported(parallel(delayed(measure_group)(place, group) for place, group in groups))

    def alone(self, task: Task) -> Result:
        found: tuple[int, list[Result]] = self._client.submit(measure_group, 0, [task], pure=False).result()
        return found[1][0]

    def close(self) -> None:
        self._client.close(timeout=SECONDS)


def _dask_backend() -> Any:
    """joblib's backend for Dask, which also returns when a worker dies: the original waits for ever then."""
    from joblib._dask import DaskDistributedBackend

    if not hasattr(DaskDistributedBackend, "_collect"):  # a later joblib, which may have learned it
        return DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        async def _collect(self) -> None:
            while self._continue:
                async for future, result in self.waiting_futures:
                    waiting, callback = self._results.pop(future), self._callbacks.pop(future)
                    if future.status == "error":
                        waiting.set_exception(result[1])
                        callback(result[1])
                    else:
                        waiting.set_result(result)
                        callback(result)
                await asyncio.sleep(0.01)

    return Backend


class Ray(_Cluster):
    """The workers of a Ray cluster."""

    def __init__(self, text: str, address: str) -> None:
        self._text = text
        self._ray = _imported("ray", "ray", text)
        backend = _imported("ray.util.joblib", "ray", text)
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except FOREIGN_ERRORS as error:
            raise ClusterError(f"--cluster {text}: cannot be reached ({one_line(str(error))})") from error
        try:
            self._check(text)
        except BaseException:
            self.close()
            raise
        backend.register_ray()
        self.number = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        names = ("WorkerCrashedError", "RayActorError", "NodeDiedError", "OutOfMemoryError")
        self.deaths = tuple(kind for name in names if (kind := getattr(self._ray.exceptions, name, None)) is not None)

    def _check(self, text: str) -> None:
        try:
            version = self._ray.get(self._ray.remote(profiler_version).remote(), timeout=6 * SECONDS)
        except self._ray.exceptions.GetTimeoutError as error:
            raise ClusterError(f"--cluster {text}: has no worker that is free, expected at least one") from error
        except FOREIGN_ERRORS as error:
            reason = one_line(str(error).strip().rpartition("\n")[2])
            raise ClusterError(f"--cluster {text}: the profiler cannot run on its workers ({reason})") from error
        _check_versions(text, {version})

    def results(self, groups: Iterator[tuple[int, Group]]) -> Generator[tuple[int, list[Result]]]:
        from joblib import Parallel, parallel_config

        with parallel_config(backend="ray"):
            # at least 2: joblib runs the work of one process in its own
            yield from self._reported(in_rounds(groups, self.number, Parallel(max(2, self.number), batch_size=1)))

    def alone(self, task: Task) -> Result:
        measure = self._ray.remote(max_retries=0)(measure_group)
        found: tuple[int, list[Result]] = self._ray.get(measure.remote(0, [task]))
        return found[1][0]

    def close(self) -> None:
        self._ray.shutdown()


CLUSTERS: dict[str, Callable[[str, str], Workers]] = {"dask": Dask, "ray": Ray}
"""The kinds of clusters by the word before the colon."""
