"""Modules that a network does not hold: they are made, copied, unpickled or taken from a list while it runs."""

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
    """A custom linear layer."""

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
    """Calls a module that it gets in one of ``WAYS``."""

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
    """It counts as a linear layer, in the row of the network's module that was running."""
    profile = profiler.profile(nn.Sequential(Uses(way)), torch.zeros(2, 4), mode=mode)
    (row,) = profile.layers.query("macs > 0").to_dict("records")
    assert (row["layer"], row["macs"], row["kind"]) == ("0", times * 2 * 4 * 4, "linear")
    forward = 2 * 4 * 4 + 2 * 4
    backward = 2 * 4 * 4 + 2 * 4
    assert profile.total.multiplies == forward + (backward if mode == "training" else 0)


def test_a_copy_runs_its_own_forward_and_its_own_weights() -> None:
    """The changed copy runs, and nothing runs in the original."""

    class Widened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            copied = copy.deepcopy(self.layer)
            copied.weight = nn.Parameter(torch.zeros(7, 4, device=x.device))
            copied.bias = nn.Parameter(torch.zeros(7, device=x.device))
            result: torch.Tensor = copied(x)
            return result

    profile = profiler.profile(Widened(), torch.zeros(2, 4))
    assert profile.total.macs == 2 * 7 * 4
    assert {record.name: record.calls for record in profile.trace.modules} == {"": 1, "layer": 0}


def test_a_copy_runs_beside_its_original() -> None:
    """The original has its rows; the work of the copy belongs to the caller."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.body(x) + copy.deepcopy(self.body)(x)
            return result

    layers = profiler.profile(Both(), torch.zeros(2, 4)).layers
    assert dict(zip(layers["layer"], layers["macs"], strict=True)) == {"body.0": 32, "body.1": 0, "(root)": 32}


def test_a_functional_call_with_other_tensors_belongs_to_the_module() -> None:
    """The module runs with weights that were computed for it."""

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


class Last(nn.Module):
    """A linear layer in a module, on the result of something that the forward makes."""

    def __init__(self, make: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Linear(4, 4))
        self.make = make

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.part[0](self.make(x))
        return result


def _frozen(x: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = nn.Linear(4, 4).requires_grad_(False)(x)
    return result


ONE = 3 * 4 * 4
"""The MACs of three rows through a layer of 4 × 4."""

MADE: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int, int]] = {
    # what is made, the layers of the forward (the last one too), the products of the backward pass
    "a layer": (lambda x: nn.Linear(4, 4)(x), 2, 2 + 1),
    "a layer on the CPU": (lambda x: nn.Linear(4, 4, device="cpu")(x), 2, 2 + 1),
    "a layer that is moved": (lambda x: nn.Linear(4, 4).to(x.device).to(x.dtype)(x), 2, 2 + 1),
    "two layers": (lambda x: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))(x), 3, 2 + 2 + 1),
    "a frozen layer": (_frozen, 2, 1),
    "a constant after it": (lambda x: x @ torch.randn(4, 4), 2, 1),
    "a constant in front": (lambda x: (torch.randn(4, 4) @ x.T).T, 2, 1),
    "a constant of numbers": (lambda x: x @ torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 4), 2, 1),
    "a parameter": (lambda x: x @ nn.Parameter(torch.randn(4, 4)), 2, 2 + 1),
    "a leaf": (lambda x: x @ torch.randn(4, 4, requires_grad=True), 2, 2 + 1),
    "what is made of a leaf": (lambda x: x @ torch.randn(4, 4, requires_grad=True).T.contiguous(), 2, 2 + 1),
}


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("name", MADE)
def test_modules_and_tensors_made_in_a_forward_are_trained(name: str, real: bool) -> None:
    """There is a product for each layer in the forward, and one for each gradient that is needed."""
    make, forward, backward = MADE[name]
    x = torch.randn(3, 4) if real else torch.empty(3, 4, device="meta")
    inference = profiler.profile(Last(make), x)
    training = profiler.profile(Last(make), x, mode="training")
    assert (inference.total.macs, inference.complete, inference.trace.real_run) == (forward * ONE, True, "")
    assert (training.total.macs, training.complete) == ((forward + backward) * ONE, True)
    assert {call.module for call in inference.trace.calls if call.count.macs} == {"", "part.0"}


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_convolution_that_a_forward_makes(mode: Mode) -> None:
    """5 × 5 positions of 3 × 3 and of 1 × 1 taps; the first convolution needs no gradient of its input."""
    net = Last(lambda x: nn.Conv2d(2, 2, 3, padding=1)(x))
    net.part = nn.Sequential(nn.Conv2d(2, 2, 1))
    made, held = 5 * 5 * 2 * 2 * 3 * 3, 5 * 5 * 2 * 2
    profile = profiler.profile(net, torch.zeros(1, 2, 5, 5), mode=mode)
    assert profile.total.macs == made + held + (made + 2 * held if mode == "training" else 0)
    assert profile.complete
