"""Modules that a network does not hold: made, copied, pickled or taken from a list while it runs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.records import Mode


class Scaled(nn.Linear):
    """A linear layer of one's own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) * 2


WAYS: dict[str, Callable[[Any], Any]] = {
    "copied": lambda net: copy.deepcopy(net.layer),
    "copied twice": lambda net: copy.deepcopy(copy.deepcopy(net.layer)),
    "pickled": lambda net: pickle.loads(pickle.dumps(net.layer)),
    "pickled copy": lambda net: pickle.loads(pickle.dumps(copy.deepcopy(net.layer))),
    "made": lambda net: Scaled(4, 4),
    "in a list": lambda net: net.others[0],
}


class Uses(nn.Module):
    """Calls a module that it gets in one of those ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.layer = Scaled(4, 4)
        self.others = [Scaled(4, 4)]
        self.way = way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = WAYS[self.way](self)(x)
        return result


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("mode", "times"), [("inference", 1), ("training", 2)])
def test_its_work_belongs_to_the_module_that_calls_it(way: str, mode: Mode, times: int) -> None:
    """It is counted as a linear layer, in the row of the network's module that was running."""
    profile = profiler.profile(nn.Sequential(Uses(way)), torch.zeros(2, 4), mode=mode)
    (row,) = profile.layers.query("macs > 0").to_dict("records")
    assert (row["layer"], row["macs"], row["kind"]) == ("0", times * 2 * 4 * 4, "linear")
    forward = 2 * 4 * 4 + 2 * 4
    backward = 2 * 4 * 4 + 2 * 4
    assert profile.total.multiplies == forward + (backward if mode == "training" else 0)


def test_a_copy_runs_its_own_forward_and_its_own_weights() -> None:
    """What is changed in the copy is seen, and nothing runs in the original."""

    class Widened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            twin = copy.deepcopy(self.layer)
            twin.weight = nn.Parameter(torch.zeros(7, 4, device=x.device))
            twin.bias = nn.Parameter(torch.zeros(7, device=x.device))
            result: torch.Tensor = twin(x)
            return result

    profile = profiler.profile(Widened(), torch.zeros(2, 4))
    assert profile.total.macs == 2 * 7 * 4
    assert {record.name: record.calls for record in profile.trace.modules} == {"": 1, "layer": 0}


def test_a_copy_beside_its_original() -> None:
    """The original has its rows, the copy's work is the caller's."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.body(x) + copy.deepcopy(self.body)(x)
            return result

    layers = profiler.profile(Both(), torch.zeros(2, 4)).layers
    assert dict(zip(layers["layer"], layers["macs"], strict=True)) == {"body.0": 32, "body.1": 0, "(root)": 32}


def test_a_functional_call_with_other_tensors_is_the_modules_own() -> None:
    """The module runs, on weights that were made for it."""

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weights = {name: value * 2 for name, value in self.layer.named_parameters()}
            result: torch.Tensor = torch.func.functional_call(self.layer, weights, (x,))
            return result

    layers = profiler.profile(Functional(), torch.zeros(2, 4)).layers
    assert dict(zip(layers["layer"], layers["macs"], strict=True)) == {"(root)": 0, "layer": 2 * 4 * 4}
