"""Networks have the same make only if their attributes are equal by value, with the types of all values."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from profiler import profile
from profiler.tracing.makes import MAKES, Make
from profiler.tracing.memo import without_memo
from profiler.tracing.network_copies import HOOKS
from profiler.tracing.tree_copies import copy_of_tree


class Scaled(nn.Module):
    """A network with one attribute of its own."""

    def __init__(self, attribute: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.attribute = attribute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x)
        return result


def make_of(attribute: Any) -> Make:
    return MAKES.of(Scaled(attribute), training=False)


DIFFERENT: list[tuple[Any, ...]] = [
    (1, True, 1.0, "1", (1,), [1], (True,), [True], [1.0], (1, 1), [1, 1], [[1]], [(1,)], ([1],), {1: 1}, {1}),
    (0, 0.0, -0.0, "0.0", "-0.0", (0.0,), (-0.0,), [0.0], [-0.0], (0,), ("0.0",), (0, 0.0), (0, -0.0), (0.0, 0)),
    ((), [], None, {}, set(), frozenset(), ((),), [[]], ([],), (None,), [None]),
    (torch.float32, torch.float64, (torch.float32,), [torch.float32], "torch.float32"),
    ((1, 2, 3), (1, 2, 4), [1, 2, 3], [3, 2, 1], (1, (2, 3)), (1, [2, 3]), (1.0, 2, 3)),
]


@pytest.mark.parametrize("values", DIFFERENT, ids=str)
def test_values_that_code_can_distinguish(values: tuple[Any, ...]) -> None:
    """Each of them is another make, and each has the same make again."""
    keys = [make_of(value).key for value in values]
    assert len(set(keys)) == len(keys)
    assert [make_of(copy.deepcopy(value)).key for value in values] == keys


@pytest.mark.parametrize("value", [[], [1], [0.0], [[1]], ([1],), {"a": 1}, {1}])
def test_contents_that_may_change(value: Any) -> None:
    """The attribute is named if there is a container in it that can change."""
    assert make_of(value).changing == (("attribute",), ())


@pytest.mark.parametrize("value", [1, (), (1, 2), (0.0,), ((1,), 2), None, frozenset({1})])
def test_contents_that_stay(value: Any) -> None:
    """No other attribute is."""
    assert make_of(value).changing == ((), ())


def test_lists_that_two_modules_share() -> None:
    """It is another make than that of a network with two equal lists."""
    one, two = nn.Sequential(Scaled([1]), Scaled([1])), nn.Sequential(Scaled([1]), Scaled([1]))
    shared: Any = two[0]
    two[1].attribute = shared.attribute
    first, second = (MAKES.of(network, training=False) for network in (one, two))
    assert first.numbers == second.numbers
    assert first.key != second.key


class CallsForward(Scaled):
    """Calls the forward of its layer directly."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer.forward(x)


@pytest.mark.parametrize(("kind", "names_forward"), [(Scaled, False), (CallsForward, True)])
def test_layers_whose_forward_is_called_directly_have_their_work(kind: type[Scaled], names_forward: bool) -> None:
    """Code that names ``forward`` is noticed; the work of a layer is its own in both cases, when it runs again too."""
    network, x = kind(1), torch.zeros(3, 2)
    make = MAKES.of(network, training=False)
    assert (make.read, make.names_forward) == (True, names_forward)
    with without_memo():
        plain = profile(network, x).trace
    for _ in range(2):
        trace = profile(network, x).trace
        assert [call.event.module for call in trace.calls] == ["layer"]
        assert (trace.calls, trace.modules, trace.parameters) == (plain.calls, plain.modules, plain.parameters)


def test_copies_of_modules_share_empty_hooks_if_their_code_was_read() -> None:
    """They have one dictionary for each kind, which is not that of an original; else they have their own."""
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    make = MAKES.of(network, training=False)
    of_read, of_others = copy_of_tree(make, {}), copy_of_tree(replace(make, read=False), {})
    assert of_read is not None
    assert of_others is not None
    for name in HOOKS:
        shared = {id(vars(module)[name]) for module in of_read}
        own = {id(vars(module)[name]) for module in of_others}
        originals = {id(vars(module)[name]) for module in network.modules()}
        assert (len(shared), len(own)) == (1, 3)
        assert originals.isdisjoint(shared | own)


def test_networks_with_hooks_of_any_kind_are_copied_in_another_way() -> None:
    """A hook that is no part of a call, such as one on the state, is copied with its module."""
    network = nn.Sequential(nn.Linear(2, 2))
    layer: Any = network[0]
    layer.register_state_dict_post_hook(lambda *_: None)
    assert copy_of_tree(MAKES.of(network, training=False), {}) is None
