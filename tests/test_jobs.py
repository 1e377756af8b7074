"""``--jobs``: several networks in several processes, with the same output as in one."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import profiler
from profiler.cli import jobs
from profiler.cli.jobs import in_processes
from profiler.errors import TargetError, TraceError
from tests import forking
from tests.jobs_work import dies, foreign, process_of, raise_it, square
from tests.test_cli import run

pytestmark = pytest.mark.slow

NETWORKS = '''
import os, sys, time
import torch
from torch import nn


HAS_FAILED = os.path.join(os.path.dirname(__file__), "has_failed")


class Fails(nn.Module):
    def forward(self, x):
        open(HAS_FAILED, "w").close()
        raise ValueError("this network does not run")


class Exit(BaseException):
    """The command does not know this class."""


class Leaves(nn.Module):
    def forward(self, x):
        raise Exit("gone")


class Dies(nn.Module):
    def forward(self, x):
        os._exit(3)


class Prints(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)

    def forward(self, x):
        print("hello from", os.getpid())
        return super().forward(x)


class Fine(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)


class Waits(nn.Module):
    def forward(self, x):
        open(f"waits.{os.getpid()}", "w").close()
        time.sleep(1200)
        return x


class Slow(nn.Module):
    def forward(self, x):
        end = time.monotonic() + 120
        while not os.path.exists(HAS_FAILED) and time.monotonic() < end:
            time.sleep(0.02)
        raise ValueError("this network is slow and does not run")
'''

CONFIG = "model: {{target: 'net.py:{name}'}}\ninputs: [{{shape: [2, 4]}}]\n"
SMALL = ("torchvision:squeezenet1_1", "torchvision:resnet18", "torchvision:alexnet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with configs of networks that fail, print, wait, and end their process."""
    (tmp_path / "net.py").write_text(NETWORKS, encoding="utf-8")
    for name in ("Fails", "Leaves", "Dies", "Prints", "Fine", "Waits", "Slow"):
        (tmp_path / f"{name.lower()}.yaml").write_text(CONFIG.format(name=name), encoding="utf-8")
    for name in ("Fine", "Waits"):
        (tmp_path / f"{name.lower()}_too.yaml").write_text(CONFIG.format(name=name), encoding="utf-8")
    return tmp_path


def start(folder: Path, *arguments: str) -> forking.Forked:
    """A command line in ``folder``, in a process group of its own."""
    return forking.Forked([*forking.PROFILER, *arguments], cwd=folder, session=True)


def contents(folder: Path) -> dict[str, str]:
    """All files below a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_results_come_in_the_order_of_the_items() -> None:
    """Also when a later item is done first; the work is done in other processes."""
    assert list(in_processes(square, [1, 2, 4, 5, 6], 2)) == [1, 2 * 2, 4 * 4, 5 * 5, 6 * 6]
    assert os.getpid() not in set(in_processes(process_of, [1, 2, 3], 2))


@pytest.mark.parametrize(("items", "jobs"), [([1, 2, 4], 1), ([1], 4), ([], 4)])
def test_one_job_or_one_item_needs_no_process(items: list[int], jobs: int) -> None:
    """The work is done in this process."""
    assert set(in_processes(process_of, items, jobs)) <= {os.getpid()}


@pytest.mark.parametrize("count", [1, 2])
def test_the_first_item_that_fails_decides(count: int) -> None:
    """Results before it are there, and the error is its own, although a later item fails earlier."""
    results = in_processes(square, [1, 3, 7, 2], count)
    assert next(results) == 1
    with pytest.raises(TargetError, match="no square of 3"):
        next(results)


def test_the_traceback_of_the_other_process_is_kept() -> None:
    """An error has a cause that shows where it was raised."""
    with pytest.raises(TargetError) as caught:
        list(in_processes(square, [3, 1], 2))
    assert "in square" in str(caught.value.__cause__)


@pytest.mark.parametrize("number", [0, 1])
def test_an_error_of_an_unknown_class_keeps_its_name(number: int) -> None:
    """It is an exception of the same name and message, and an ordinary one if it was one."""
    with pytest.raises(BaseException, match="broken") as caught:
        list(in_processes(foreign, [number, number], 2))
    assert type(caught.value).__name__ == "Foreign"
    assert isinstance(caught.value, Exception) == bool(number)


def test_a_process_that_ends_is_an_error() -> None:
    """The message says what to do."""
    with pytest.raises(jobs.JobsError, match="--jobs 2: a process ended before its network was profiled"):
        list(in_processes(dies, [3, 4], 2))


def test_compare_is_the_same(folder: Path) -> None:
    """With saved profiles among the networks too, in the order of the command line."""
    saved = str(folder / "saved.json")
    profiler.profile(nn.Linear(3, 4), torch.empty(1, 3, device="meta"), name="saved").save(saved)
    sources = (SMALL[0], saved, str(folder / "fine.yaml"), str(folder / "fine_too.yaml"))
    one = run("compare", *sources, "--format", "markdown")
    assert one.code == 0
    places = [one.out.index(name) for name in ("`squeezenet1_1`", "`saved`", "`fine`", "`fine_too`")]
    assert places == sorted(places)
    assert run("compare", *sources, "--format", "markdown", "--jobs", "2") == one


def test_profile_is_the_same(folder: Path) -> None:
    """Every file of every network, and what is printed."""
    one = run("profile", *SMALL, "--output", str(folder / "one"))
    two = run("profile", *SMALL, "--output", str(folder / "two"), "--jobs", "2")
    assert (one.code, two.code) == (0, 0)
    assert one.out == two.out
    assert contents(folder / "one") == contents(folder / "two")
    assert len(contents(folder / "one")) > len(SMALL)


def test_report_is_the_same(folder: Path) -> None:
    """Also for configs with rewrites: a report by two processes is up to date for one."""
    rewritten = (
        "model: {target: 'torchvision:resnet18'}\ninputs: [{shape: [1, 3, 64, 64]}]\nrewrites: [fold_batchnorm]\n"
    )
    for name in ("folded.yaml", "folded_too.yaml"):
        (folder / name).write_text(rewritten, encoding="utf-8")
    sources = (str(folder / "folded.yaml"), SMALL[0], str(folder / "folded_too.yaml"))
    arguments = ("report", *sources, "--output", str(folder / "out"))
    assert run(*arguments, "--jobs", "2").code == 0
    checked = run(*arguments, "--check")
    assert (checked.code, checked.err) == (0, "")


@pytest.mark.parametrize("name", ["fails", pytest.param("leaves", marks=pytest.mark.exhaustive)])
def test_a_network_that_fails_among_good_ones(folder: Path, name: str) -> None:
    """The exit code and the message are those of one process, and nothing is written."""
    sources = (str(folder / f"{which}.yaml") for which in ("fine", name, "fine_too"))
    arguments = ("profile", "--no-crosscheck", *sources, "--output", str(folder / "out"))
    one = run(*arguments)
    assert one.code == 2
    assert len(one.err.splitlines()) == 1
    assert run(*arguments, "--jobs", "2") == one
    assert not (folder / "out").exists()


def test_of_two_that_fail_both_are_reported(folder: Path) -> None:
    """In the order of the command line, also if the second fails earlier; there is nothing to compare."""
    arguments = ("compare", str(folder / "slow.yaml"), str(folder / "fails.yaml"))
    has_failed = folder / "has_failed"
    has_failed.touch()
    one = run(*arguments)
    assert (one.code, one.out) == (2, "")
    slow, fails = one.err.splitlines()
    assert "this network is slow and does not run" in slow
    assert "this network does not run" in fails
    has_failed.unlink()  # from here on the first network waits until the second has failed
    assert run(*arguments, "--jobs", "2") == one


def test_debug_shows_the_traceback_of_the_other_process(folder: Path) -> None:
    """It names the line of the network."""
    failed = run("compare", str(folder / "fails.yaml"), str(folder / "fine.yaml"), "--jobs", "2", "--debug")
    assert failed.code == 1
    assert 'raise ValueError("this network does not run")' in failed.err


def test_a_network_that_ends_its_process(folder: Path) -> None:
    """A comparison goes on without it, in new processes."""
    sources = (str(folder / "dies.yaml"), str(folder / "prints.yaml"), str(folder / "leaves.yaml"))
    failed = run("compare", *sources, "--jobs", "2", "--format", "csv")
    assert failed.code == 1
    assert [line.split(",")[0] for line in failed.out.splitlines()] == ["network", "dies", "prints", "leaves"]
    reasons = [line for line in failed.err.splitlines() if line.startswith("profiler: ")]
    assert [reason.rpartition("/")[2] for reason in reasons] == [
        "dies.yaml: its process ended before it was profiled, as it does if memory runs out",
        "leaves.yaml: Exit was raised: gone",
        "profiler: 2 of 3 networks failed",
    ]


@pytest.mark.exhaustive
def test_a_network_that_ends_its_process_ends_a_whole_command(folder: Path) -> None:
    """A command that needs all networks ends with one line."""
    sources = (str(folder / "dies.yaml"), str(folder / "prints.yaml"))
    whole = run("profile", *sources, "--jobs", "2")
    assert (whole.code, whole.out) == (2, "")
    assert whole.err.splitlines()[-1].startswith("profiler: --jobs 2: a process ended before its network was profiled")


def test_attempts_have_errors_in_place_of_results() -> None:
    """All others have their results, in order; an error does not end the work."""
    for number in (1, 3):
        found = list(jobs.attempts(square, list(range(9)), number))
        assert [type(item) if isinstance(item, TargetError) else item for item in found] == [
            TargetError if item in (3, 7) else item * item for item in range(9)
        ]


def test_what_networks_print_is_not_in_the_document(folder: Path) -> None:
    """It goes to standard error from other processes too, and those end with the command."""
    process = start(folder, "profile", "prints.yaml", "fine.yaml", "--format", "csv", "--jobs", "2")
    out, err = process.communicate()
    assert process.returncode == 0
    assert out == run("profile", str(folder / "prints.yaml"), str(folder / "fine.yaml"), "--format", "csv").out
    printed = [line.split()[-1] for line in err.splitlines() if line.startswith("hello from")]
    assert printed
    assert not any(is_running(int(pid)) for pid in printed)


def is_running(pid: int) -> bool:
    """Whether a process still runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGINT, True), pytest.param(signal.SIGINT, False, marks=pytest.mark.exhaustive), (signal.SIGTERM, False)],
)
def test_a_signal_ends_all_processes(folder: Path, number: signal.Signals, whole_group: bool) -> None:
    """Ctrl-C reaches all processes of a terminal, ``kill`` one: both end all, with one line and the usual exit code."""
    process = start(folder, "compare", "waits.yaml", "waits_too.yaml", "--jobs", "2")
    while len(waiting := [int(path.suffix[1:]) for path in folder.glob("waits.*") if path.suffix != ".yaml"]) < 2:
        assert process.poll() is None, "the process ended too early"
        time.sleep(0.05)
    assert all(map(is_running, waiting))
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, err = process.communicate()
    assert process.returncode == 128 + number
    assert not any(map(is_running, waiting))
    assert len(err.splitlines()) == 1, err


def test_help_names_the_option() -> None:
    """In all three commands; a number below one is refused."""
    for command in ("profile", "compare", "report"):
        assert "--jobs N" in run(command, "--help").out
        assert run(command, "x.yaml", "--jobs", "0").code == 2


def test_an_error_has_the_class_of_one_process() -> None:
    """The profiler's own classes are kept, since they decide the exit code."""
    for error in (TargetError, TraceError):
        with pytest.raises(error):
            list(in_processes(raise_it, [error, error], 2))
