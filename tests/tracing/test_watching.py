"""Calls of modules are seen wherever they come from, with the user's hooks in their places."""

from __future__ import annotations

import copy
import inspect
import pickle
from types import MethodType
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from profiler.records import Mode, Trace
from profiler.traces import trace


def places(found: Trace, op: str) -> list[tuple[str, int]]:
    """Where an operator ran: the modules and the numbers of their calls."""
    return [(call.event.module, call.event.module_call) for call in found.calls if call.op == f"aten::{op}"]


def calls(found: Trace) -> dict[str, int]:
    """How often each module was called."""
    return {module.name: module.calls for module in found.modules}


class Doubled(nn.Module):
    """A linear layer, called once."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x)


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_work_of_hooks_is_that_of_their_module(mode: Mode) -> None:
    """Before its forward, after it, and with its result replaced; each hook runs once."""
    model, ran = Doubled(), []
    model.layer.register_forward_pre_hook(lambda module, args: (args[0].exp(),))
    model.layer.register_forward_hook(lambda module, args, output: output.sin()[:2])
    model.layer.register_forward_hook(lambda module, args, output: ran.append(tuple(output.shape)))
    found = trace(model, (torch.zeros(4, 3),), mode)
    assert places(found, "exp")[:1] == places(found, "sin")[:1] == [("layer", 1)]
    assert ran == [(2, 3)]
    assert found.modules[1].input_shapes == (((4, 3),),)
    assert found.modules[1].output_shapes == (((2, 3),),)


def test_global_hooks_run_once_for_each_module() -> None:
    """Those that the caller has registered."""
    names: list[str] = []
    handle = register_module_forward_pre_hook(lambda module, args: names.append(type(module).__name__))
    try:
        found = trace(Doubled(), (torch.zeros(4, 3),))
    finally:
        handle.remove()
    assert names == ["Doubled", "Linear"]
    assert calls(found) == {"": 1, "layer": 1}


class Recursive(nn.Module):
    """Calls itself, or its forward, until its input has a single row."""

    def __init__(self, *, directly: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.directly = directly

    def forward(self, x: torch.Tensor) -> Any:
        if len(x) == 1:
            return self.layer(x)
        return self.forward(x[1:]) if self.directly else self(x[1:])


@pytest.mark.parametrize(("directly", "expected"), [(False, 4), (True, 1)])
def test_a_module_that_calls_itself(directly: bool, expected: int) -> None:
    """Is called once more each time; its own forward is a part of the same call."""
    assert calls(trace(Recursive(directly=directly), (torch.zeros(4, 3),))) == {"": expected, "layer": 1}


class SetsForward(nn.Module):
    """Replaces the forward of its layer when it runs first, calls it twice, and removes the replacement."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> Any:
        original = self.layer.forward
        self.layer.forward = lambda x: original(x).exp()  # type: ignore[method-assign, assignment]
        x = self.layer(self.layer(x))
        del self.layer.forward
        return self.layer(x)


def test_a_forward_that_is_replaced_in_a_run_is_seen() -> None:
    """Its work is that of the module on which it was set, whose calls go on being counted."""
    found = trace(SetsForward(), (torch.zeros(4, 3),))
    assert calls(found) == {"": 1, "layer": 3}
    assert places(found, "exp") == [("layer", 1), ("layer", 2)]


class HooksInForward(nn.Module):
    """Adds a hook to its layer for one call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> Any:
        handle = self.layer.register_forward_pre_hook(lambda module, args: (args[0].exp(),))
        x = self.layer(x)
        handle.remove()
        return self.layer(x)


def test_a_hook_that_is_added_in_a_run_is_in_its_place() -> None:
    """Its work is that of the module."""
    assert places(trace(HooksInForward(), (torch.zeros(4, 3),)), "exp") == [("layer", 1)]


class CopiesInForward(nn.Module):
    """Runs copies of its layer, made in three ways."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> Any:
        for copied in (copy.deepcopy(self.layer), pickle.loads(pickle.dumps(self.layer))):
            assert copied._compiled_call_impl is None
            x = copied(x)
        return copied.forward(x)


def test_copies_that_a_forward_makes_are_not_watched() -> None:
    """Their work is that of the module that makes them."""
    found = trace(CopiesInForward(), (torch.zeros(4, 3),))
    assert calls(found) == {"": 1, "layer": 0}
    assert places(found, "linear") == [("", 1)] * 3


class Inspects(nn.Module):
    """Runs if its layer's forward looks like a forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> Any:
        forward = self.layer.forward
        assert list(inspect.signature(forward).parameters) == ["input"]
        assert (forward.__name__, forward.__qualname__) == ("forward", "Linear.forward")
        assert (forward.__doc__, forward.__module__) == (nn.Linear.forward.__doc__, nn.Linear.__module__)
        assert not hasattr(forward, "of_something_else")
        return self.layer(x)


def test_a_watched_forward_has_the_attributes_of_the_original() -> None:
    """Its name, its documentation and its signature."""
    assert calls(trace(Inspects(), (torch.zeros(4, 3),))) == {"": 1, "layer": 1}


class SharedActivation(nn.Module):
    """Blocks that share an activation; the second holds it under two names."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.ReLU()
        self.first, self.second = nn.Sequential(shared), nn.Sequential(shared, shared)
        self.own = shared

    def forward(self, x: torch.Tensor) -> Any:
        return self.own(self.second(self.first(x)))


def test_a_shared_module_has_its_name_below_the_one_that_calls_it() -> None:
    """The first of its names there."""
    found = trace(SharedActivation(), (torch.zeros(4, 3),))
    expected = {"": 1, "first": 1, "first.0": 1, "second": 1, "second.0": 2, "second.1": 0, "own": 1}
    assert calls(found) == expected
    assert {module.first_name for module in found.modules if module.type == "ReLU"} == {"first.0"}


def halved(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Stands for the forward of one module."""
    return x / 2


class Keeping(nn.Module):
    """Keeps itself, and layers whose forward is an attribute, outside of the network."""

    def __init__(self, kept: list[nn.Module]) -> None:
        super().__init__()
        self.layer, self.bound, self.usual = (nn.Linear(3, 3) for _ in range(3))
        vars(self.layer)["forward"] = torch.relu
        vars(self.bound)["forward"] = MethodType(halved, self.bound)
        self.keep = kept.extend

    def forward(self, x: torch.Tensor) -> Any:
        self.keep([self, self.layer, self.bound, self.usual])
        return self.usual(self.bound(self.layer(x)))


def test_a_copy_that_the_network_keeps_is_no_longer_watched() -> None:
    """After the run its modules are called as others are, with the forward that they had."""
    kept: list[nn.Module] = []
    found = trace(Keeping(kept), (torch.zeros(4, 3),))
    network, layer, bound, usual = kept
    assert vars(layer)["forward"] is torch.relu
    assert vars(bound)["forward"] == MethodType(halved, bound)
    assert "forward" not in {**vars(network), **vars(usual)}
    assert network(torch.zeros(2, 3, device="meta")).shape == (2, 3)
    assert calls(found) == {"": 1, "layer": 1, "bound": 1, "usual": 1}
