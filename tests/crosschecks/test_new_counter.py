"""A new counter is one file in the folder of counters: it is run, explained, and known by its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import forking

COUNTER = '''
"""Counts each convolution exactly, and a linear layer as the elements of its result."""

from profiler.crosschecks.counter import Counter, Reported
from profiler.crosschecks.evidence import Item
from profiler.crosschecks.products import products, result
from profiler.crosschecks.reasons import Part, Reason
from profiler.records import CounterFigure

RESULTS = Reason("results", "It counts the results.", "counts the results of {0}")


def run(model, inputs):
    from torch import nn

    from profiler.crosschecks.calling import call
    from profiler.crosschecks.watching import Tally

    figures = Tally()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, __, out, name=name: figures.add(name, "linear", out.numel()))
        elif isinstance(module, nn.Conv2d):
            each = module.weight[0].numel()
            module.register_forward_hook(lambda _, __, out, name=name: figures.add(name, "conv", out.numel() * each))
    call(model, inputs)
    return Reported(figures=figures.figures())


def convention(module):
    for call in module.calls:
        if call.op == "aten::linear":
            ours = products(call)
            yield Item("linear", ours, (Part(result(call).size - ours, RESULTS, module.record.type),))
        elif call.kind == "conv":
            yield Item("conv", products(call))


COUNTER = Counter(
    run=run, convention=convention, distribution="torch", reports_calls=False, reasons=(RESULTS,)
)
'''

START = """
import sys
import profiler.crosschecks.counters
profiler.crosschecks.counters.__path__.append(sys.argv.pop(1))
from profiler.cli import main
main()
"""

NET = """
from torch import nn


def Net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))
"""


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``profiler WORDS`` in ``folder``, with the counters there beside those of the package."""
    start = [sys.executable, "-W", "ignore", "-c", START, str(folder / "counters")]
    return forking.run([*start, *words], cwd=folder, fresh=True)


@pytest.mark.slow
def test_a_new_counter_is_one_file(tmp_path: Path) -> None:
    """A config and the command line take its name; its figures are in the table, with its reasons."""
    (tmp_path / "counters").mkdir()
    (tmp_path / "counters" / "result_counter.py").write_text(COUNTER, encoding="utf-8")
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    config = "model: {target: 'net.py:Net'}\ninputs: [{shape: [2, 3, 8, 8]}]\ncrosscheck: [result-counter]\n"
    (tmp_path / "net.yaml").write_text(config, encoding="utf-8")
    conv, linear = 2 * 4 * 6 * 6 * 3 * 3 * 3, 2 * 5 * (4 * 6 * 6)

    ended = command(tmp_path, "crosscheck", "net.yaml", "--against", "result-counter,torch", "--format", "csv")
    assert ended.returncode == 0, ended.stderr
    rows = [line.split(",") for line in ended.stdout.splitlines() if ",result-counter," in line]
    assert [row[:6] for row in rows] == [
        ["0", "Conv2d", "result-counter", str(conv), str(conv), "0"],
        ["2", "Linear", "result-counter", str(linear), str(2 * 5), str(2 * 5 - linear)],
    ]
    assert f"result-counter counts the results of Linear (-{linear - 2 * 5:,})" in ended.stdout

    unknown = command(tmp_path, "crosscheck", "net.yaml", "--against", "abacus")
    assert "torchprofile, result-counter" in " ".join(unknown.stderr.split())


@pytest.mark.exhaustive
def test_a_counters_wrong_convention_is_unexplained(tmp_path: Path) -> None:
    """The check above is able to fail."""
    (tmp_path / "counters").mkdir()
    wrong = COUNTER.replace("result(call).size - ours, RESULTS", "result(call).size + 1 - ours, RESULTS")
    assert wrong != COUNTER
    (tmp_path / "counters" / "result_counter.py").write_text(wrong, encoding="utf-8")
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "net.yaml").write_text("model: {target: 'net.py:Net'}\ninputs: [{shape: [2, 3, 8, 8]}]\n")
    ended = command(tmp_path, "crosscheck", "net.yaml", "--against", "result-counter")
    assert ended.returncode == 1
    assert "1 differences are unexplained" in ended.stderr
