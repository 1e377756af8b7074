"""How other counters get the inputs of a network: keyword-only arguments and objects, in the way of each counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import profiler
from profiler import catalog
from profiler.crosschecks.calling import all_by_name, all_by_position, positional_tensors
from profiler.crosschecks.counter import find_counter
from profiler.crosschecks.process import FromObject, count_in_process
from profiler.errors import ProfilerError, TraceError
from profiler.profiles import Profile
from tests import forking


class Cache:
    """Keys that grow with each step."""

    def __init__(self, keys: torch.Tensor) -> None:
        self.keys = keys

    def update(self, keys: torch.Tensor) -> torch.Tensor:
        self.keys = torch.cat([self.keys, keys])
        return self.keys


class KeywordOnly(nn.Module):
    """A layer whose second input has to be named."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.second = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor, *, y: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        result: torch.Tensor = self.first(x) + self.second(y) * scale
        return result


class AnyKeyword(KeywordOnly):
    """A layer that takes any keyword arguments."""

    def forward(self, x: torch.Tensor, **named: Any) -> torch.Tensor:
        return super().forward(x, **named)


class AnyPositional(KeywordOnly):
    """A layer that takes any positional arguments."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(inputs[0], y=inputs[1])


class Step(nn.Module):
    """A step with a cache, which is returned in an object."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, cache: Cache, scale: float = 1.0) -> Any:
        keys = cache.update(self.project(x))
        return Cache(torch.mm(x, keys.t()) * scale)


def x() -> torch.Tensor:
    return torch.ones(3, 4)


def y() -> torch.Tensor:
    return torch.ones(3, 6)


BOTH = 3 * 4 * 5 + 3 * 6 * 5
STEP = 3 * 4 * 4
IN_OWN_PROCESS = [name for name in catalog.counters() if find_counter(name).own_process]
CALLS: list[Any] = [
    pytest.param(KeywordOnly, lambda: ((x(),), {"y": y()}), BOTH, id="positional and keyword"),
    pytest.param(KeywordOnly, lambda: {"x": x(), "y": y(), "scale": 2.0}, BOTH, id="keyword"),
    pytest.param(AnyKeyword, lambda: {"x": x(), "y": y()}, BOTH, id="any keyword"),
    pytest.param(AnyPositional, lambda: (x(), y()), BOTH, id="any positional"),
    pytest.param(Step, lambda: (x(), Cache(torch.ones(7, 4))), STEP, id="an object"),
    pytest.param(Step, lambda: ((x(),), {"scale": 2.0, "cache": Cache(torch.ones(7, 4))}), STEP, id="a named object"),
]


@pytest.mark.parametrize("counter", [name for name in catalog.counters() if name not in IN_OWN_PROCESS])
@pytest.mark.parametrize(("network", "inputs", "layers"), CALLS)
def test_counters_in_this_process(
    counter: str, network: type[nn.Module], inputs: Callable[[], Any], layers: int
) -> None:
    """Each counts the linear layers, and reports its own count of the product; the inputs are unchanged."""
    given = inputs()
    record = profiler.crosscheck(network().eval(), given, against=[counter]).counters[0]
    assert record.status == "ok", record.message
    linear = [figure for figure in record.figures if figure.module]
    assert sum(figure.figure for figure in linear) == layers
    assert _shapes(given) == _shapes(inputs())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counter", "network", "inputs", "layers"),
    [
        pytest.param(
            counter,
            *CALLS[place].values,
            id=f"{CALLS[place].id}-{counter}",
            marks=() if place == 5 or (counter, place) == ("ptflops", 3) else pytest.mark.exhaustive,
        )
        for place in (0, 3, 5)
        for counter in IN_OWN_PROCESS
    ],
)
def test_counters_in_a_separate_process(
    counter: str,
    network: type[nn.Module],
    inputs: Callable[[], Any],
    layers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each counts something, or is skipped with the reason; none crashes, and the inputs are unchanged."""
    forking.fork_counters(monkeypatch)
    given = inputs()
    functions = (F.relu, F.linear, torch.matmul, torch.Tensor.matmul)
    record = count_in_process(counter, FromObject(network().eval(), given))
    assert functions == (F.relu, F.linear, torch.matmul, torch.Tensor.matmul)
    if counter == "ptflops" and network is AnyPositional:
        assert (record.status, record.message) == (
            "skipped",
            "it calls a network with one tensor or with keyword arguments only",
        )
        return
    assert record.status == "ok", record.message
    assert any(figure.figure for figure in record.figures if figure.module)
    assert _shapes(given) == _shapes(inputs())


def _shapes(inputs: Any) -> Any:
    values = [inputs] if isinstance(inputs, dict) else inputs
    return [
        (value.keys.shape, value.keys.device) if isinstance(value, Cache) else getattr(value, "shape", None)
        for part in values
        for value in (part.values() if isinstance(part, dict) else part if isinstance(part, tuple) else [part])
    ]


def _raise_within(model: nn.Module) -> None:
    with positional_tensors(model, {"x": x(), "y": y()}):
        raise ProfilerError("on purpose")


class Many(nn.Module):
    """A forward with every kind of parameter that has a name."""

    def forward(self, a: Any, /, b: Any, c: Any = 3, d: Any = 4) -> Any:
        return a, b, c, d


def test_named_arguments_become_positional() -> None:
    """Defaults fill the gaps; parameters after the last given one are left to the forward."""
    assert all_by_position(Many(), ((1,), {"b": 2})) == (1, 2)
    assert all_by_position(Many(), ((1, 2), {"d": 5})) == (1, 2, 3, 5)
    assert all_by_position(Many(), (1, 2)) == (1, 2)
    assert all_by_position(KeywordOnly(), ((x(),), {"y": y()})) is None
    assert all_by_position(AnyKeyword(), {"x": 1, "y": 2}) is None


def test_positional_arguments_become_named() -> None:
    """If one of them has no name, none is named."""
    assert all_by_name(KeywordOnly(), ((1,), {"y": 2})) == {"x": 1, "y": 2}
    assert all_by_name(Many(), (1, 2)) is None
    assert all_by_name(AnyPositional(), (1, 2)) is None


def test_the_original_forward_is_restored() -> None:
    """It is restored if the counter raises, and if the network had a forward as an instance attribute."""
    model = KeywordOnly()
    own = model.forward
    for forward in (None, own):
        if forward is not None:
            model.__dict__["forward"] = forward
        with positional_tensors(model, {"x": x(), "y": y()}) as tensors:
            assert model(*tensors).shape == (3, 5)
        assert vars(model).get("forward") is forward
        with pytest.raises(ProfilerError):
            _raise_within(model)
        assert vars(model).get("forward") is forward


def test_both_kinds_of_arguments() -> None:
    """A tuple of a tuple and a dict is a call; a list of the two, or a pair of them in a call, is two arguments."""

    class TakesTwo(nn.Module):
        def forward(self, pair: Any, named: Any) -> torch.Tensor:
            return torch.mm(pair[0], named["y"])

    def macs(model: nn.Module, inputs: Any) -> int:
        result: Profile = profiler.profile(model, inputs)
        return result.total.macs

    pair = torch.ones(3, 4), 1
    named: dict[Any, Any] = {"y": torch.ones(4, 6)}
    assert macs(KeywordOnly(), ((x(),), {"y": y()})) == BOTH
    assert macs(KeywordOnly(), ([x()], {"y": y()})) == BOTH
    assert macs(KeywordOnly(), ((), {"x": x(), "y": y()})) == BOTH
    assert macs(TakesTwo(), [pair, named]) == 3 * 4 * 6
    assert macs(TakesTwo(), ((pair, named), {})) == 3 * 4 * 6
    assert macs(TakesTwo(), (pair, {**named, 7: 1})) == 3 * 4 * 6  # there are no names, so no keywords
    with pytest.raises(TraceError):
        macs(TakesTwo(), (pair, named))
