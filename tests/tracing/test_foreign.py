"""A run changes nothing that the copy does not hold: it is refused before it does, and what it only reads is
reported.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import profiler
from profiler.errors import TraceError
from profiler.tracing import objects

NAME = "a_module_of_the_caller"


@pytest.fixture
def elsewhere() -> Iterator[Any]:
    """A Python module with a network, a norm, an optimizer and tensors, which functions look up while they run."""
    module: Any = types.ModuleType(NAME)
    module.net, module.norm = nn.Linear(4, 2), nn.BatchNorm1d(4)
    module.weight = torch.randn(2, 4, requires_grad=True)
    module.state = torch.zeros(3, 4)
    module.optimizer = torch.optim.SGD(module.net.parameters(), momentum=0.9, lr=0.1)
    module.net.weight.grad = torch.ones(2, 4)
    sys.modules[NAME] = module
    yield module
    del sys.modules[NAME]


def contents(module: Any) -> list[Any]:
    """All state of the module that a run could change."""
    tensors = (module.weight, module.state, *module.net.parameters(), *module.norm.parameters(), *module.norm.buffers())
    values = [tensor.detach().tolist() for tensor in tensors]
    gradients = [None if tensor.grad is None else tensor.grad.tolist() for tensor in tensors]
    return [values, gradients, len(module.optimizer.state)]


def looked_up() -> Any:
    """The module, as an import inside of a function finds it."""
    return sys.modules[NAME]


def backward(x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = looked_up().net(x)
    torch.autograd.backward(y.sum())
    return y


def through_a_norm(x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = looked_up().norm(x)
    return y


def of_a_tensor(x: torch.Tensor) -> torch.Tensor:
    y = F.linear(x, looked_up().weight)
    torch.autograd.backward(y.sum())
    return y


def in_place(x: torch.Tensor) -> torch.Tensor:
    if x.sum().item() is None:  # the branch needs data, so there is a real run
        return x
    looked_up().state.add_(x)
    return x * 2


def a_step(x: torch.Tensor) -> torch.Tensor:
    looked_up().optimizer.step()
    return x * 2


@pytest.mark.parametrize("call", [backward, through_a_norm, of_a_tensor, in_place, a_step])
def test_a_callable_changes_nothing_that_its_copy_does_not_hold(call: Callable[..., Any], elsewhere: Any) -> None:
    """The run is refused even if the callable looks the object up while it runs; one line says what to do."""
    before = contents(elsewhere)
    with pytest.raises(TraceError, match=r"a run would change .*pass the module, optimizer or tensor") as raised:
        profiler.profile(call, (torch.ones(3, 4),))
    assert "\n" not in str(raised.value)
    assert contents(elsewhere) == before


class LooksUp(nn.Module):
    """A network that uses a module outside of itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = looked_up().net(x)
        return y


def test_a_network_is_not_trained_with_modules_that_it_does_not_hold(elsewhere: Any) -> None:
    """The gradients would be written to the caller's own module."""
    before = contents(elsewhere)
    with pytest.raises(TraceError, match="a run would change the gradient of a tensor of shape 2×4"):
        profiler.profile(LooksUp(), torch.ones(3, 4), mode="training")
    assert contents(elsewhere) == before


def test_parameters_that_a_network_does_not_hold_are_reported(elsewhere: Any) -> None:
    """The work is counted; the parameters are in no table, so the profile is partial."""
    before = contents(elsewhere)
    profile = profiler.profile(LooksUp(), torch.ones(3, 4))
    assert (profile.total.macs, profile.parameters_total, profile.status) == (3 * 2 * 4, 0, "partial")
    assert "it reads a parameter that is not part of the network" in profile.trace.unseen[0].reason
    assert contents(elsewhere) == before


class HoldsPlainly(nn.Module):
    """Holds tensors that are neither parameters nor buffers, and writes to them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.cache = torch.zeros(3, 4)
        self.extra = [torch.zeros(4, 4, requires_grad=True)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x) @ self.extra[0]
        if x.sum().item() is None:
            return x
        self.cache.add_(x.detach())
        made = nn.Linear(4, 4)
        y: torch.Tensor = made(x)
        return y


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_copied_and_new_objects_may_change(mode: Any) -> None:
    """Tensors that are plain attributes may change, and so may modules that a forward makes."""
    profile = profiler.profile(HoldsPlainly(), torch.ones(3, 4), mode=mode)
    forward = 3 * (3 * 4 * 4)
    assert profile.status == "complete"
    assert profile.total.macs == (forward if mode == "inference" else 3 * forward - 3 * 4 * 4)


class Large:
    """An object in the globals of this file that no function names; it may be a data set."""


LARGE = Large()


def test_a_search_for_tensors_does_not_enter_the_globals(elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All copies are searched for a tensor that none of them holds; globals that the code does not name are not."""
    entered: list[Any] = []

    def noted(value: Any) -> Any:
        entered.append(value)
        return slots(value)

    slots = objects.slots
    monkeypatch.setattr(objects, "slots", noted)
    assert list(objects.tensors_in(LARGE)) == []
    assert entered == [LARGE]
    entered.clear()
    with pytest.raises(TraceError, match="a run would change"):
        profiler.profile(backward, (torch.ones(3, 4),))
    assert entered
    assert LARGE not in entered
