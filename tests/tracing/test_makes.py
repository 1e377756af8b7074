"""Networks have the same make only if their attributes are equal by value, with the types of all values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from profiler.tracing.makes import MAKES, Make


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
