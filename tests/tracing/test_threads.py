"""Work that a forward gives to other threads is counted, in the module that the work belongs to."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import Pool, ThreadPool
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from profiler import profile
from profiler.errors import TraceError
from profiler.profiles import Profile
from profiler.records import Mode
from tests.tracing.test_running import image

ROWS, SIZE, OUT = 3, 4, 5
ONE = ROWS * SIZE * OUT
"""The MACs of one of the two branches."""

MODES = pytest.mark.parametrize("mode", ["inference", "training"])

Way = Callable[[list[nn.Module], torch.Tensor], Any]
"""A way to run branches: (modules, input of all of them) → their results."""


class Branches(nn.Module):
    """Two layers and their sum; ``way`` runs them."""

    def __init__(self, way: Way, first: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(SIZE, OUT) if first is None else first
        self.second = nn.Linear(SIZE, OUT)
        self.way = way

    def forward(self, x: torch.Tensor) -> Any:
        first, second = self.way([self.first, self.second], x)
        return first + second


def in_threads(branches: list[nn.Module], x: torch.Tensor) -> Any:
    results: dict[int, Any] = {}

    def work(index: int) -> None:
        results[index] = branches[index](x)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(branches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[index] for index in range(len(branches))]


class Worker(threading.Thread):
    """A subclass of ``Thread``."""

    def __init__(self, branch: nn.Module, x: torch.Tensor) -> None:
        super().__init__()
        self.branch, self.x, self.result = branch, x, torch.empty(0)

    def run(self) -> None:
        self.result = self.branch(self.x)


def in_threads_of_a_class(branches: list[nn.Module], x: torch.Tensor) -> Any:
    workers = [Worker(branch, x) for branch in branches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not any("run" in vars(worker) for worker in workers)
    return [worker.result for worker in workers]


def in_a_pool(branches: list[nn.Module], x: torch.Tensor) -> Any:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda branch: branch(x), branches))


def in_a_pool_of_multiprocessing(branches: list[nn.Module], x: torch.Tensor) -> Any:
    with ThreadPool(2) as pool:
        return pool.map(lambda branch: branch(x), branches)


def by_imap(branches: list[nn.Module], x: torch.Tensor) -> Any:
    with ThreadPool(2) as pool:
        return list(pool.imap(lambda branch: branch(x), branches))


def by_asyncio(branches: list[nn.Module], x: torch.Tensor) -> Any:
    async def gathered() -> Any:
        return await asyncio.gather(*(asyncio.to_thread(branch, x) for branch in branches))

    return asyncio.run(gathered())


def by_fork(branches: list[nn.Module], x: torch.Tensor) -> Any:
    jit: Any = torch.jit  # without annotations
    future = jit.fork(branches[0], x)
    return jit.wait(future), branches[1](x)


def one_thread_in_another(branches: list[nn.Module], x: torch.Tensor) -> Any:
    results: list[Any] = []
    outer = threading.Thread(target=lambda: results.extend(in_threads(branches, x)))
    outer.start()
    outer.join()
    return results


def by_parallel_apply(branches: list[nn.Module], x: torch.Tensor) -> Any:
    return nn.parallel.parallel_apply(branches, [x, x])


@pytest.fixture(scope="module")
def existing_pools() -> Iterator[dict[str, Way]]:
    """Pools, and a thread with a queue, that were started before any trace."""
    requests: queue.Queue[Any] = queue.Queue()

    def serve() -> None:
        while (request := requests.get()) is not None:
            branch, x, answers = request
            answers.put(branch(x))

    def by_queue(branches: list[nn.Module], x: torch.Tensor) -> Any:
        answers: queue.Queue[Any] = queue.Queue()
        requests.put((branches[0], x, answers))
        second = branches[1](x)
        return answers.get(), second

    server = threading.Thread(target=serve)
    server.start()
    with ThreadPoolExecutor(2) as pool, ThreadPool(2) as other:
        list(pool.map(abs, range(4)))
        yield {
            "pool": lambda branches, x: list(pool.map(lambda branch: branch(x), branches)),
            "pool of multiprocessing": lambda branches, x: other.map(lambda branch: branch(x), branches),
            "queue": by_queue,
        }
    requests.put(None)
    server.join()


def macs(profile: Profile) -> dict[tuple[str, str], int]:
    """MACs by module and phase."""
    counts: dict[tuple[str, str], int] = {}
    for call in profile.trace.calls:
        if call.count.macs:
            key = (call.module, call.phase)
            counts[key] = counts.get(key, 0) + call.count.macs
    return counts


def expected(mode: Mode, first: int = ONE) -> dict[tuple[str, str], int]:
    """Each branch once; in training also the gradient of its weight."""
    phases = ("forward",) if mode == "inference" else ("forward", "backward")
    return {(name, phase): cost for phase in phases for name, cost in (("first", first), ("second", ONE))}


class DependsOnData(nn.Module):
    """Its result depends on its data."""

    def forward(self, x: torch.Tensor) -> Any:
        return x if x.sum().item() > -1e9 else 2 * x


WAYS: dict[str, Way] = {
    "threads": in_threads,
    "a class": in_threads_of_a_class,
    "pool": in_a_pool,
    "pool of multiprocessing": in_a_pool_of_multiprocessing,
    "imap": by_imap,
    "asyncio": by_asyncio,
    "fork": by_fork,
    "nested": one_thread_in_another,
}


@MODES
@pytest.mark.parametrize("way", WAYS)
def test_work_in_other_threads_is_counted_in_its_module(way: str, mode: Mode) -> None:
    """The forward makes the threads and pools; all work in them is counted, and its gradients."""
    found = profile(Branches(WAYS[way]), image(ROWS, SIZE), mode=mode)
    plain = profile(Branches(lambda branches, x: [branch(x) for branch in branches]), image(ROWS, SIZE), mode=mode)
    assert macs(found) == expected(mode)
    assert (found.total, found.status) == (plain.total, "complete")
    assert {record.name: record.calls for record in found.trace.modules} == {"": 1, "first": 1, "second": 1}
    assert {record.use for record in found.trace.parameters} == {"linear"}


@MODES
@pytest.mark.parametrize("way", ["pool", "pool of multiprocessing", "queue"])
def test_work_in_existing_threads_is_counted(way: str, mode: Mode, existing_pools: dict[str, Way]) -> None:
    """The forward hands work to a pool that already exists, or any thread calls a module of the network."""
    found = profile(Branches(existing_pools[way]), image(ROWS, SIZE), mode=mode)
    assert macs(found) == expected(mode)
    assert found.status == "complete"


@MODES
def test_functions_in_other_threads_belong_to_the_module_that_starts_them(mode: Mode) -> None:
    """A thread that calls no module works for the module that was running when the thread was started."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(OUT, SIZE))

        def forward(self, x: torch.Tensor) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(F.linear, x, self.weight).result()

    found = profile(Branches(in_threads, Inner()), image(ROWS, SIZE), mode=mode)
    assert macs(found) == expected(mode)


@MODES
def test_gradients_belong_to_the_branch_that_made_their_graph(mode: Mode) -> None:
    """Autograd numbers nodes from the start in each thread, yet the branches of several sizes are not confused."""
    deep = nn.Sequential(nn.Linear(SIZE, 7), nn.Tanh(), nn.Linear(7, OUT))
    found = profile(Branches(in_threads, deep), image(ROWS, SIZE), mode=mode)
    counts = macs(found)
    assert counts["first.0", "forward"] == ROWS * SIZE * 7
    assert counts["first.2", "forward"] == ROWS * 7 * OUT
    if mode == "training":
        assert counts["first.0", "backward"] == ROWS * SIZE * 7
        assert counts["first.2", "backward"] == 2 * ROWS * 7 * OUT
        assert counts["second", "backward"] == ONE


@pytest.mark.skipif(not hasattr(torch, "accelerator"), reason="this torch has no torch.accelerator")
def test_parallel_apply_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """``nn.parallel.parallel_apply`` runs modules in threads; the test pretends that there is an accelerator."""
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(torch.accelerator, "device_index", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cpu"))
    found = profile(Branches(by_parallel_apply), image(ROWS, SIZE))
    assert macs(found) == expected("inference")
    branch = nn.Sequential(nn.Linear(SIZE, OUT), DependsOnData())
    real = profile(Branches(by_parallel_apply, branch), torch.rand(ROWS, SIZE))
    assert real.trace.real_run  # the exception of the thread comes out as another exception, however
    assert sum(macs(real).values()) == 2 * ONE


@pytest.mark.slow
def test_many_threads_at_once_do_not_mix_up_modules() -> None:
    """Each of many layers has a size of its own and is counted in its own row, however the threads interleave."""

    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Sequential(nn.Linear(SIZE, n), nn.Linear(n, OUT)) for n in range(1, 17))

        def forward(self, x: torch.Tensor) -> Any:
            with ThreadPoolExecutor(8) as pool:
                return sum(pool.map(lambda layer: layer(x), self.layers))

    for mode in ("inference", "training"):
        counts = macs(profile(Many(), image(ROWS, SIZE), mode=mode))
        for n in range(1, 17):
            assert counts[f"layers.{n - 1}.0", "forward"] == ROWS * SIZE * n
            assert counts[f"layers.{n - 1}.1", "forward"] == ROWS * n * OUT
            if mode == "training":
                assert counts[f"layers.{n - 1}.0", "backward"] == ROWS * SIZE * n
                assert counts[f"layers.{n - 1}.1", "backward"] == 2 * ROWS * n * OUT


@pytest.mark.slow
def test_work_that_needs_data_in_a_thread_is_run_for_real(capfd: pytest.CaptureFixture[str]) -> None:
    """The exception that data is missing reaches no caller, yet it causes a real run and prints nothing."""

    for way in (in_threads, in_a_pool):
        branch = nn.Sequential(DependsOnData(), nn.Linear(SIZE, OUT))
        found = profile(Branches(way, branch), torch.rand(ROWS, SIZE))
        assert found.trace.real_run
        assert sum(macs(found).values()) == 2 * ONE
    assert capfd.readouterr().err == ""


def test_an_exception_in_a_pool_is_reported() -> None:
    """The exception comes out of the pool as it does without the profiler."""

    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            raise KeyError("on purpose")

    with pytest.raises(TraceError, match="on purpose"):
        profile(Branches(in_a_pool, Fails()), image(ROWS, SIZE))
    assert_threading_is_unpatched()


def assert_threading_is_unpatched() -> None:
    """Python's threads and pools have their original methods."""
    assert threading.Thread.start.__module__ == "threading"
    assert ThreadPoolExecutor.submit.__module__ == "concurrent.futures.thread"
    for method in (Pool.__init__, Pool.apply_async, Pool.imap, Pool.imap_unordered):
        assert method.__module__ == "multiprocessing.pool"


def test_unrelated_threads_are_not_recorded() -> None:
    """Another thread's work during a trace is not recorded, runs on its own device, and may start threads."""
    begun, done = threading.Event(), threading.Event()
    results: list[torch.Tensor] = []

    def elsewhere() -> None:
        begun.wait()
        with ThreadPoolExecutor(1) as pool:
            results.append(pool.submit(lambda: torch.ones(2, 2) @ torch.ones(2, 2)).result())
        done.set()

    def meanwhile(branches: list[nn.Module], x: torch.Tensor) -> Any:
        begun.set()
        done.wait()
        return in_threads(branches, x)

    other = threading.Thread(target=elsewhere)
    other.start()
    found = profile(Branches(meanwhile), image(ROWS, SIZE))
    other.join()
    assert macs(found) == expected("inference")
    assert torch.equal(results[0], torch.full((2, 2), 2.0))
    assert_threading_is_unpatched()


@pytest.mark.slow
def test_two_traces_at_once_see_only_their_own_threads() -> None:
    """Networks that are profiled in several threads do not see each other's threads."""
    with ThreadPoolExecutor(4) as pool:
        profiles = pool.map(lambda _: profile(Branches(in_threads), image(ROWS, SIZE), mode="training"), range(8))
        assert all(macs(found) == expected("training") for found in profiles)
    assert_threading_is_unpatched()


def test_a_thread_that_outlives_the_trace_works_as_before() -> None:
    """A worker that the forward starts works like any other thread after the trace."""
    requests: queue.Queue[Any] = queue.Queue()
    answers: queue.Queue[Any] = queue.Queue()

    def serve() -> None:
        while (work := requests.get()) is not None:
            answers.put(work())

    def with_a_worker(branches: list[nn.Module], x: torch.Tensor) -> Any:
        threading.Thread(target=serve, daemon=True).start()
        requests.put(lambda: branches[0](x))
        return answers.get(), branches[1](x)

    found = profile(Branches(with_a_worker), image(ROWS, SIZE))
    assert macs(found) == expected("inference")
    calls = len(found.trace.calls)
    weight = nn.Linear(3, 3)
    requests.put(lambda: (weight(torch.ones(2, 3)), torch.is_grad_enabled()))
    result, enabled = answers.get()
    requests.put(None)
    assert enabled
    assert result.requires_grad
    assert result.device.type == "cpu"
    assert len(found.trace.calls) == calls
