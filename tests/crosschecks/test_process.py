"""A counter in a separate process: whatever happens there becomes a record here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import profiler
from profiler import catalog
from profiler.crosschecks.calling import installed_version
from profiler.crosschecks.counter import find_counter
from profiler.crosschecks.process import FromFunction, FromObject, count_in_process
from tests import forking

pytestmark = pytest.mark.slow  # each test starts processes


def ending(how: str) -> FromFunction:
    """The network that ends in this way."""
    return FromFunction("tests.crosschecks.crashing:ending", (how,))


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("exit", "ended with exit code 3: it printed nothing"),
        ("signal", "ended with signal 9: it printed nothing"),
        ("raise", "ValueError: not today"),
    ],
)
def test_a_crash_is_a_record(how: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network exits, is killed, or raises."""
    if how != "raise":  # this one is run as a user's
        forking.fork_counters(monkeypatch)
    record = count_in_process("thop", ending(how))
    assert (record.status, record.message) == ("failed", message)
    assert record.version == installed_version("thop")


def test_a_counter_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is in seconds."""
    monkeypatch.setattr("profiler.crosschecks.process.TIME_LIMIT", 0.2)
    record = count_in_process("thop", ending("sleep"))
    assert (record.status, record.message) == ("failed", "took longer than 0.2 s")


def test_a_network_that_cannot_be_sent_is_skipped() -> None:
    """A class inside a function cannot be pickled."""

    class Local(nn.Linear):
        pass

    record = count_in_process("thop", FromObject(Local(2, 2), (torch.zeros(1, 2),)))
    assert record.status == "skipped"
    assert record.message.startswith("the network cannot be sent to another process: ")


def test_a_counter_that_is_not_installed_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setattr("profiler.crosschecks.process.installed_version", lambda name: "")
    record = count_in_process("thop", ending("raise"))
    assert (record.status, record.message) == ("skipped", "not installed; pip install thop")


def test_a_config_is_sent_without_its_network() -> None:
    """The other process makes the network from its target, with real tensors, or on meta for torch."""
    config = profiler.load_config("configs/alexnet.yaml")
    checked = profiler.crosscheck(config, against=["torch", "torchinfo"])
    figures = {record.counter: sum(figure.figure for figure in record.figures) for record in checked.counters}
    assert figures == {"torch": checked.total.macs, "torchinfo": 714_682_664}
    assert profiler.unexplained(checked.crosscheck).empty


def test_a_counter_on_a_large_network_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """fvcore runs in this process unless the network is large; then it has the limit of the other counters."""
    monkeypatch.setattr("profiler.crosschecking.LONG_RUN", 0)
    monkeypatch.setattr("profiler.crosschecks.process.TIME_LIMIT", 0.2)
    model, inputs = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.zeros(2, 3)
    (record,) = profiler.crosscheck(model, inputs).counters
    assert (record.counter, record.status, record.message) == ("fvcore", "failed", "took longer than 0.2 s")


def test_a_large_network_that_cannot_be_sent_is_counted_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only counters that patch torch need a separate process."""

    class Local(nn.Linear):
        pass

    monkeypatch.setattr("profiler.crosschecking.LONG_RUN", 0)
    first, second = profiler.crosscheck(Local(2, 2), torch.zeros(1, 2), against=["fvcore", "thop"]).counters
    assert (first.status, second.status) == ("ok", "skipped")


def test_versions_are_known() -> None:
    """All counters are installed where the tests run."""
    assert all(installed_version(find_counter(name).distribution) for name in catalog.counters())


NET = "from torch import nn\n\n\ndef Net(widths):\n    return nn.Sequential(nn.Linear(3, widths[1]), nn.ReLU())\n"
CONFIG = "model: {target: 'net.py:Net', kwargs: {widths: {1: 4}}}\ninputs: [{shape: [2, 3]}]\n"
COMMAND = "from profiler.cli import main; main()"


def test_modules_in_the_current_folder_are_not_run(tmp_path: Path) -> None:
    """The counter's process imports no file with the name of another module; kwargs may have keys that are numbers."""
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "net.yaml").write_text(CONFIG)
    for name in ("json", "pickle", "statistics", "yaml", "torch", "thop", "profiler"):
        (tmp_path / f"{name}.py").write_text(f"open('{name}.txt', 'w').close()\nraise SystemExit(9)\n")
    words = ("crosscheck", "net.yaml", "--against", "thop", "--format", "csv")
    ended = forking.run([sys.executable, "-P", "-W", "ignore", "-c", COMMAND, *words], cwd=tmp_path)
    assert list(tmp_path.glob("*.txt")) == []
    assert ended.returncode == 0, ended.stderr
    assert f"0,Linear,thop,{2 * 3 * 4},{2 * 3 * 4}," in ended.stdout


def test_modules_beside_the_caller_can_be_imported(tmp_path: Path) -> None:
    """The counter's process makes a network whose class is in a module of the caller's folder."""
    (tmp_path / "mine.py").write_text("from torch import nn\n\n\nclass Mine(nn.Linear):\n    pass\n")
    (tmp_path / "script.py").write_text(
        "import sys, torch, profiler, mine\n"
        "checked = profiler.crosscheck(mine.Mine(3, 4), torch.rand(2, 3), against=['thop'])\n"
        "assert [record.status for record in checked.counters] == ['ok'], checked.counters\n"
        "assert profiler.unexplained(checked.crosscheck).empty\n"
        "assert 'thop' not in sys.modules\n"
    )
    ended = forking.run([sys.executable, "-W", "ignore", str(tmp_path / "script.py")], cwd=tmp_path.parent)
    assert (ended.returncode, ended.stderr) == (0, "")
