"""Settings of Python that a trace changes are restored, and a trace leaves no garbage."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

import profiler
from profiler.garbage import RARELY, lasting_imports, rare_collection

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    """Those from before the test are restored."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_garbage_is_searched_for_less_often_within_a_run() -> None:
    """Also in a run within a run; Python's own number is restored when the last one ends."""
    with rare_collection():
        with rare_collection():
            assert gc.get_threshold() == (RARELY, 10, 10)
        assert gc.get_threshold() == (RARELY, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("chosen", [0, 2 * RARELY])
def test_a_collector_that_is_off_or_rare_stays_so(chosen: int) -> None:
    """The caller's own choice holds."""
    gc.set_threshold(chosen, 10, 10)
    with rare_collection():
        assert gc.get_threshold()[0] == chosen
    assert gc.get_threshold()[0] == chosen


def test_a_number_that_is_set_within_a_run_stays() -> None:
    """A forward may set it for good."""
    with rare_collection():
        gc.set_threshold(5000, 10, 10)
    assert gc.get_threshold()[0] == 5000


@pytest.mark.slow
def test_what_a_command_imports_is_never_searched() -> None:
    """Nothing is searched meanwhile; afterwards the collector is on again, and leaves out what exists then."""
    before = gc.get_freeze_count()
    try:
        with lasting_imports():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


COMMAND = """
import gc, sys
from profiler.cli import main
try:
    main()
finally:
    print(gc.get_freeze_count(), file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "least"),
    [(("profile", "configs/alexnet.yaml", "--quiet", "--no-crosscheck"), 100_000), (("devices",), 5_000)],
)
def test_a_command_ends_without_a_search_of_all_modules(words: tuple[str, ...], least: int) -> None:
    """Those of torch are left out before a network runs; without torch, everything is at the end of the command."""
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stderr) > least


class Network(nn.Module):
    """Layers, a module within another, a forward that is an attribute, and attributes of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.attention = nn.MultiheadAttention(4, 2)
        self.held = {"sizes": [1, 2], "again": (self.body, {3}), "scale": torch.ones(2)}
        self.body[2].forward = torch.relu

    def halved(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, ::2] / 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.halved(self.body(nn.functional.pad(x, (1, 1)))).flatten(2).permute(2, 0, 1)
        mask = torch.ones(len(rows), len(rows), dtype=torch.bool).tril()
        out: torch.Tensor = self.attention(rows, rows, rows, attn_mask=~mask)[0]
        return out.sum()


@pytest.mark.slow
@pytest.mark.usefixtures("little_to_search")
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_profile_leaves_no_garbage(mode: Literal["inference", "training"]) -> None:
    """All that a run made is freed when it ends, and not only when Python searches for garbage."""
    network, x = Network(), torch.zeros(1, 3, 8, 8)
    profiler.profile(network, x, mode=mode)  # what is made once for the process
    gc.collect()
    gc.disable()
    try:
        profiler.profile(network, x, mode=mode)
        assert gc.collect() == 0
    finally:
        gc.enable()
