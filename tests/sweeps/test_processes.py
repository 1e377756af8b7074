"""Sweeps on several processes: the same files, workers that die, commands that are killed or stopped, clusters."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import profiler
from profiler.cli import cli
from profiler.sweeps.measuring import FAILED, Result, Task
from profiler.sweeps.running import group_size
from profiler.sweeps.workers import DIED, Feed, results_of
from tests import forking
from tests.sweeps.networks import multiplies_of_mlp, write_networks, write_search
from tests.sweeps.test_sweeping import rows_of

FILES = ("sweep.csv", "sweep.md", "summary.md", "sweep.parquet", "sweep.svg")

CONFIG = "model: {target: 'nets.py:NETWORK', kwargs: {width: w}}\nsizes: {B: 2, w: 4}\ninputs: [{shape: [B, 6]}]\n"


def written(folder: Path, network: str = "mlp") -> Path:
    """A config of a network with a batch B and a width w."""
    write_networks(folder)
    path = folder / "net.yaml"
    path.write_text(CONFIG.replace("NETWORK", network))
    return path


def command(*arguments: object) -> list[str]:
    """The command line of ``profiler sweep`` in another process."""
    return [*forking.PROFILER, "sweep", *map(str, arguments)]


def finished(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, when it has ended."""
    return forking.run(command(*arguments))


@pytest.mark.slow
def test_files_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    """They are equal byte for byte."""
    path = written(tmp_path)
    for jobs in (1, 2):
        options = ["--vary", "B=1:5", "--vary", "w=2,6,9", "--jobs", str(jobs), "-o", str(tmp_path / str(jobs)), "-q"]
        done = CliRunner().invoke(cli, ["sweep", str(path), *options])
        assert (done.exit_code, done.stderr) == (0, "")
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    rows = rows_of(tmp_path / "2")
    expected = [multiplies_of_mlp(batch, width) for batch in range(1, 6) for width in (2, 6, 9)]
    assert [int(row["multiplies"]) for row in rows] == expected


@pytest.mark.exhaustive
def test_a_worker_that_dies_is_the_error_of_its_point(tmp_path: Path) -> None:
    """The points that were under way with it, and those after it, have their figures."""
    frame = profiler.sweep(written(tmp_path, "dying"), {"w": list(range(1, 20))}, jobs=2)
    assert list(frame["status"]) == ["complete"] * 6 + [FAILED] + ["complete"] * 12
    assert frame["error"][6] == DIED
    expected = [2 * 6 * width for width in range(1, 20) if width != 7]
    assert list(frame["multiplies"].dropna()) == expected


def rows_there(folder: Path) -> int:
    """The number of committed results in the file of a sweep that nobody writes to."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(folder / "sweep.sqlite")) as file:
        return int(file.execute("SELECT count(*) FROM points").fetchone()[0])


def begun(*arguments: object) -> forking.Forked:
    """The command, which is running; its processes are a group of their own, and Ctrl-C ends them as on a terminal."""
    return forking.Forked(command(*arguments), session=True)


def wait_for_results(folder: Path, running: forking.Forked) -> None:
    """Wait until the file of a sweep has grown, and no commit is under way: its first results are committed."""
    path, end = folder / "sweep.sqlite", time.monotonic() + 600
    before = path.stat().st_size if path.exists() else 0
    while time.monotonic() < end and running.poll() is None:
        if path.exists() and path.stat().st_size > max(before, 20_000) and not is_committing(folder):
            return
        time.sleep(0.05)
    pytest.fail(f"no results in time: {running.communicate() if running.poll() is not None else ''}")


def is_committing(folder: Path) -> bool:
    """Whether the journal would undo what is being written: SQLite ends a commit by zeros in place of its header."""
    journal = folder / "sweep.sqlite-journal"
    return journal.exists() and any(journal.read_bytes()[:8])


@pytest.mark.parametrize(
    "jobs", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.exhaustive)]
)
def test_a_killed_sweep_goes_on_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    """SIGKILL while it writes, twice, then to the end: no point is lost or doubled, and no process is left."""
    write_search(tmp_path, 400, pause=0.006)  # also a quick machine needs more than the second between two commits
    monkeypatch.chdir(tmp_path)
    there = 0
    for _ in range(2):
        running = begun("search.py:candidates", "-o", "out", "--jobs", jobs, "--resume")
        wait_for_results(tmp_path / "out", running)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        assert there < (there := rows_there(tmp_path / "out")) < 400
    done = finished("search.py:candidates", "-o", "out", "--jobs", jobs, "--resume", "-q")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out")
    assert [row["target"] for row in rows] == [f"candidate_{number}" for number in range(400)]
    assert [int(row["multiplies"]) for row in rows] == [multiplies_of_mlp(2, width) for width in range(1, 401)]


@pytest.mark.slow
def test_two_commands_on_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one gets a line and the exit code 2, and the first is stopped later with what is there."""
    write_search(tmp_path, 100_000)
    monkeypatch.chdir(tmp_path)
    running = begun("search.py:candidates", "-o", "out")
    wait_for_results(tmp_path / "out", running)
    second = finished("search.py:candidates", "-o", "out", "--resume")
    assert second.returncode == 2
    path = Path("out") / "sweep.sqlite"
    assert second.stderr == (
        f"profiler: {path}: another sweep is writing to this file; wait until it ends, or give another --output\n"
    )
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate()
    assert running.returncode == 128 + signal.SIGTERM, errors
    lines = errors.splitlines()
    there = rows_there(tmp_path / "out")
    assert lines[-2] == f"profiler: {there:,} points are in {path}; go on with --resume"
    assert lines[-1] == "profiler: stopped by SIGTERM"
    assert [row["target"] for row in rows_of(tmp_path / "out")] == [f"candidate_{number}" for number in range(there)]


@pytest.mark.slow
def test_an_interrupt_of_workers_ends_them(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of a terminal: one line, what is there is kept, and no process is left."""
    path = written(tmp_path)
    running = begun(path, "--vary", "w=1:100000", "-o", tmp_path / "out", "--jobs", 2)
    wait_for_results(tmp_path / "out", running)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate()
    assert running.returncode == 128 + signal.SIGINT, errors
    assert errors.splitlines()[-1] == "profiler: interrupted"
    assert "Traceback" not in errors
    there = rows_there(tmp_path / "out")
    assert f"profiler: {there:,} of 100,000 points are in" in errors
    end = time.monotonic() + 600
    while time.monotonic() < end:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process of the command is still there")


class Unreliable:
    """Workers in this process that die at some points, as long as ``deaths_left`` says."""

    number = 2
    deaths: tuple[type[BaseException], ...] = (ConnectionError,)

    def __init__(self, deaths_left: dict[int, int]) -> None:
        self.deaths_left = deaths_left
        self.calls: list[list[int]] = []

    def _done(self, group: list[Task]) -> list[Result]:
        self.calls.append([task.number for task in group])
        for task in group:
            if self.deaths_left.get(task.number, 0):
                self.deaths_left[task.number] -= 1
                raise ConnectionError
        return [Result(task.number, "complete", "{}") for task in group]

    def results(self, groups: Iterator[tuple[int, list[Task]]]) -> Any:
        waiting = []
        for place, group in groups:
            waiting.append((place, group))
            if len(waiting) == 2:  # two groups are under way at a time, and the later one is done first
                later, earlier = waiting.pop(), waiting.pop()
                yield later[0], self._done(later[1])
                yield earlier[0], self._done(earlier[1])
        for place, group in waiting:
            yield place, self._done(group)

    def alone(self, task: Task) -> Result:
        return self._done([task])[0]

    def close(self) -> None: ...


@pytest.mark.parametrize("deaths", [{}, {0: 1}, {5: 1, 6: 1}, {3: 2, 9: 2}, dict.fromkeys(range(11), 2)])
def test_every_point_has_one_result_whoever_dies(deaths: dict[int, int]) -> None:
    """A point whose process died once has its result; one whose process died twice has the reason."""
    groups = [[Task(number, None) for number in range(start, min(start + 3, 11))] for start in range(0, 11, 3)]
    found = sorted(results_of(iter(groups), Unreliable(dict(deaths))), key=lambda result: result.number)
    assert [result.number for result in found] == list(range(11))
    failed = [result.number for result in found if result.status == FAILED]
    assert set(failed) <= set(deaths)
    assert all(result.error == DIED for result in found if result.status == FAILED)
    assert {number for number, left in deaths.items() if left == 1}.isdisjoint(failed)


def test_an_error_of_the_source_is_raised_after_what_was_under_way() -> None:
    """It may be raised in another thread, and ends the sweep in the right one."""

    def groups() -> Iterator[list[Task]]:
        yield [Task(0, None)]
        raise ValueError("of the source")

    results = results_of(groups(), Unreliable({}))
    assert next(results).number == 0
    with pytest.raises(ValueError, match="of the source"):
        next(results)
    feed = Feed(iter([[Task(0, None)]]))
    feed.close()
    assert list(feed) == []


def test_groups_are_small_if_there_are_few_points() -> None:
    """All processes have work until the end; a long sweep has groups in which networks are shared."""
    assert [group_size(total, 2) for total in (1, 16, 32, 320, 10**6, None)] == [1, 1, 2, 20, 32, 16]
    assert group_size(100, 0) == 1


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow
def test_an_unreachable_cluster_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the limit and what imports take, and the exit code is 2."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("profiler.sweeps.clusters.SECONDS", 1)
    address = f"dask:tcp://127.0.0.1:{free_port()}"
    before = time.monotonic()
    result = CliRunner().invoke(cli, ["sweep", str(written(tmp_path)), "--vary", "w=1", "--cluster", address])
    assert time.monotonic() - before < 300
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"profiler: --cluster {address}: cannot be reached within 1 s")


DASK = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", scheduler_port=0
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.readline()
"""


RAY = """
import sys
import ray
if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def local_cluster(folder: Path, code: str) -> Iterator[str]:
    """The address of a Dask or Ray cluster with two processes on this machine, which are ended with it."""
    file = folder / "cluster.py"
    file.write_text(code)
    running = subprocess.Popen(
        [sys.executable, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        yield running.stdout.readline().strip()
    finally:
        running.stdin.close()
        running.wait(600)
        running.stdout.close()


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "package", "code"), [("dask", "distributed", DASK), ("ray", "ray", RAY)])
def test_a_cluster_gives_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, package: str, code: str
) -> None:
    """Its workers have another current folder; one that dies is the error of its point."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # otherwise it writes a token to the home folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    path = written(tmp_path, "dying")
    axes = ["--vary", "w=1:12"]
    with local_cluster(tmp_path, code) as address:
        done = finished(path, *axes, "-o", tmp_path / kind, "-q", "--cluster", f"{kind}:{address}")
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == "profiler: 1 of 12 points failed; the column error has the reasons"
    rows = rows_of(tmp_path / kind)
    assert [row["status"] for row in rows] == ["complete"] * 6 + [FAILED] + ["complete"] * 5
    assert {row["error"] for row in rows} == {"", DIED}
    local = finished(path, *axes, "-o", tmp_path / "local", "-q", "--jobs", 2)
    assert local.returncode == 1, local.stderr
    for name in FILES:
        assert (tmp_path / kind / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
