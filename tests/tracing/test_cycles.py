"""Inputs and results that contain themselves."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.records import Mode
from profiler.tracing.results import result_on_meta

MACS = 3 * 4 * 5
MODES: tuple[tuple[Mode, int], ...] = (("inference", MACS), ("training", 2 * MACS))


class Named(dict[str, Any]):
    """A custom mapping."""


@dataclass
class Pair:
    """A custom dataclass."""

    x: Any
    me: Any = None


def filled(mapping: Any) -> Any:
    mapping.update(x=torch.zeros(3, 4))
    mapping.update(me=mapping)
    return mapping


def ended(sequence: Any) -> Any:
    sequence.append(torch.zeros(3, 4))
    sequence.append(sequence)
    return sequence


def in_tuple() -> Any:
    inner: list[Any] = [torch.zeros(3, 4)]
    inner.append((inner,))
    return inner


def pair() -> Pair:
    found = Pair(torch.zeros(3, 4))
    found.me = found
    return found


WAYS: dict[str, tuple[Callable[[], Any], Callable[[Any], tuple[Any, Any]]]] = {
    "a dict": (lambda: filled({}), lambda given: (given["x"], given["me"])),
    "an ordered dict": (lambda: filled(OrderedDict()), lambda given: (given["x"], given["me"])),
    "a subclass of dict": (lambda: filled(Named()), lambda given: (given["x"], given["me"])),
    "a list": (lambda: ended([]), lambda given: (given[0], given[1])),
    "a deque": (lambda: ended(deque()), lambda given: (given[0], given[1])),
    "a list in a tuple": (in_tuple, lambda given: (given[0], given[1][0])),
    "a dataclass": (pair, lambda given: (given.x, given.me)),
}


class Takes(nn.Module):
    """Uses what it finds in an input that contains itself, through a module that gets the same input."""

    def __init__(self, way: str, outer: bool = True) -> None:
        super().__init__()
        self.way = way
        self.inner = Takes(way, outer=False) if outer else nn.Linear(4, 5)

    def forward(self, given: Any) -> Any:
        if isinstance(self.inner, Takes):
            return self.inner(given)
        x, itself = WAYS[self.way][1](given)
        assert itself is given
        return self.inner(x)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("mode", "macs"), MODES)
def test_an_input_that_contains_itself_is_copied(way: str, mode: Mode, macs: int) -> None:
    """The copy contains itself as well, and the caller's object is unchanged."""
    given = WAYS[way][0]()
    x, itself = WAYS[way][1](given)
    profile = profiler.profile(Takes(way), (given,), mode=mode)
    assert (profile.total.macs, profile.complete) == (macs, True)
    assert WAYS[way][1](given) == (x, itself)
    assert itself is given
    assert not x.is_meta


class Returns(nn.Module):
    """Returns its result in something that contains itself."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.inner = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> Any:
        y, given = self.inner(x), WAYS[self.way][0]()
        if isinstance(given, Pair):
            given.x = y
        else:
            given["x" if isinstance(given, dict) else 0] = y
        return given


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("mode", "macs"), MODES)
def test_a_result_that_contains_itself_is_searched_once(way: str, mode: Mode, macs: int) -> None:
    """This holds for the trace and for the backward pass, also of a part."""
    profile = profiler.profile(nn.Sequential(Returns(way)), torch.zeros(3, 4), mode=mode)
    assert (profile.total.macs, profile.complete) == (macs, True)
    result = result_on_meta(Returns(way), torch.zeros(3, 4))
    x, itself = WAYS[way][1](result)
    assert itself is result
    assert (x.shape, x.is_meta) == ((3, 5), True)
