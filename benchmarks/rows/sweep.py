"""An architecture search: many small networks from a generator, by one process, by two, and by a Dask cluster."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import environment
from benchmarks.results import Result, figure
from benchmarks.row import Options, Row

SPEED, MEMORY = "networks a second", "MiB of the command"

SEARCH = """
from collections.abc import Iterator
from torch import nn

def net(width, depth, kernel):
    body = [nn.Sequential(nn.Conv2d(width, width, kernel, padding="same"), nn.ReLU()) for _ in range(depth)]
    stem = (nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
    return nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))

def candidates() -> Iterator[dict]:
    for number in range({number}):
        kwargs = {{"width": 8 + number % 100, "depth": 1 + number // 100 % 5, "kernel": 1 + 2 * (number // 500 % 3)}}
        size = 16 + number // 1500
        yield {{"model": {{"target": "search.py:net", "kwargs": kwargs}}, "inputs": [{{"shape": [1, 3, size, size]}}]}}
"""
"""Networks with 3 to 7 convolutions or linear layers, all different."""

COMMAND = """
import resource, sys
from profiler.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
"""

CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.readline()
"""


@dataclass(frozen=True)
class Search:
    """How many candidates are profiled by how many processes, or by a cluster."""

    number: int
    jobs: int = 1
    dask: bool = False


SUBJECTS = {
    "10,000 candidates, 1 process": Search(10_000),
    "10,000 candidates, 2 processes": Search(10_000, 2),
    "10,000 candidates, Dask with 2 workers": Search(10_000, dask=True),
    "1,000 candidates, 1 process": Search(1_000),
}


def measure(subject: str, options: Options) -> Result:
    """The command as a whole process, its start included; its memory is that of the process without its workers."""
    search = SUBJECTS[subject]
    with TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "search.py").write_text(SEARCH.format(number=search.number))
        where = ["--jobs", str(search.jobs)]
        if search.dask:
            where = ["--cluster", f"dask:{stack.enter_context(_cluster(folder))}"]
        arguments = ["sweep", "search.py:candidates", "--output", "out", "--quiet", *where]
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=folder,
            env=environment(),
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - begin
        memory = float(done.stderr.split()[-1])
        rows = (folder / "out" / "sweep.csv").read_text().count("\n") - 1
    if rows != search.number:
        return Result("sweep", subject, failed={SPEED: f"{rows} rows, expected {search.number}"})
    return Result("sweep", subject, figures={SPEED: [rows / seconds], MEMORY: [memory]})


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[str]:
    """The address of a Dask cluster with two processes on this machine."""
    (folder / "cluster.py").write_text(CLUSTER)
    running = subprocess.Popen(
        [sys.executable, "cluster.py"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        yield running.stdout.readline().strip()
    finally:
        running.stdin.close()
        running.wait(60)
        running.stdout.close()


ROW = Row(
    "An architecture search: small networks from a generator, profiled into one file",
    tuple(SUBJECTS),
    measure,
    (figure(SPEED, "/s"), figure(MEMORY, "MiB")),
    quick=("1,000 candidates, 1 process",),
    repeats=1,
    limit=1800,
)
