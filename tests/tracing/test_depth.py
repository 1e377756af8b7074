"""Networks are traced at every depth of nesting at which torch itself runs them."""

from __future__ import annotations

import sys
import threading

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import TraceError
from profiler.records import Mode


def nested(depth: int) -> nn.Module:
    """A linear layer in ``depth`` containers."""
    module: nn.Module = nn.Linear(4, 4)
    for _ in range(depth):
        module = nn.Sequential(module)
    return module


def deepest() -> int:
    """The number of containers that a forward pass of torch gets through, from the current depth of the stack."""
    works, fails = 100, 1000
    while fails - works > 1:
        middle = (works + fails) // 2
        try:
            nested(middle)(torch.zeros(2, 4))
            works = middle
        except RecursionError:
            fails = middle
    return works


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "times"), [("inference", 1), ("training", 2)])
def test_a_network_that_torch_can_run_can_be_profiled(mode: Mode, times: int) -> None:
    """The depth is the last one at which torch runs; the recursion limit is the user's again afterwards."""
    before = sys.getrecursionlimit()
    profile = profiler.profile(nested(deepest()), torch.zeros(2, 4), mode=mode)
    assert profile.total.macs == times * 2 * 4 * 4
    assert sys.getrecursionlimit() == before


class Endless(nn.Module):
    """Calls itself without end."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self(self.layer(x))
        return result


@pytest.mark.slow
@pytest.mark.parametrize("threaded", [False, True])
def test_an_endless_recursion_is_an_error(threaded: bool) -> None:
    """The interpreter does not crash, in the main thread or in another one."""
    found: list[Exception] = []

    def attempt() -> None:
        try:
            profiler.profile(Endless(), torch.zeros(2, 4))
        except TraceError as error:
            found.append(error)

    before = sys.getrecursionlimit()
    if threaded:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    else:
        attempt()
    assert "RecursionError" in str(found[0])
    assert sys.getrecursionlimit() == before


def test_a_recursion_limit_that_the_network_sets_is_kept() -> None:
    """The profiler restores only the limit that it set itself."""

    class Sets(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            sys.setrecursionlimit(5000)
            return super().forward(input)

    before = sys.getrecursionlimit()
    try:
        profiler.profile(Sets(4, 4), torch.zeros(2, 4))
        assert sys.getrecursionlimit() == 5000
    finally:
        sys.setrecursionlimit(before)
