"""A whole profile is answered from an earlier one of an equal network, and only then."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import profiler
from profiler import traces
from profiler.errors import TraceError
from profiler.rules.registry import rules_replaced
from profiler.tracing import memo


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Each test starts with an empty memo."""
    memo.clear()
    yield
    memo.clear()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """As many items as networks have run."""
    found: list[None] = []
    original: Any = getattr(traces, "record")  # noqa: B009

    def record(*args: Any, **kwargs: Any) -> Any:
        found.append(None)
        return original(*args, **kwargs)

    monkeypatch.setattr(traces, "record", record)
    return found


class Net(nn.Module):
    """A small network whose inputs may be two."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, 4)
        self.scale = 2

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        x = self.last(F.relu(self.norm(self.first(x))))
        return x * self.scale if y is None else x * y


def given(*shape: int, **options: Any) -> torch.Tensor:
    return torch.zeros(*(shape or (2, 4)), **options)


def profiled(model: nn.Module, *inputs: Any, **options: Any) -> Any:
    return profiler.profile(model, inputs or (given(),), **options).trace


def test_the_same_profile_again_does_not_run(runs: list[None]) -> None:
    """Neither for the network itself, nor for a copy or an equal one, nor with other inputs that are equal."""
    model = Net()
    first = profiled(model)
    assert len(runs) == 1
    for again in (model, copy.deepcopy(model), Net(), Net().train(), Net().eval()):
        assert profiled(again) is first
    assert profiled(model, torch.ones(2, 4)) is first
    assert len(runs) == 1


@pytest.mark.filterwarnings("default")  # torch imports sympy in the first backward pass, which adds a filter
@pytest.mark.parametrize("options", [{"mode": "training"}, {"mode": "training", "optimizer": "adam"}], ids=str)
def test_training_again_does_not_run(options: dict[str, Any], runs: list[None]) -> None:
    """The same holds for a step of training."""
    first = profiled(Net(), **options)
    assert profiled(Net(), **options) is first
    assert len(runs) == 1


class Warns(Net):
    """Warns in each run."""

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        warnings.warn("careful", stacklevel=1)
        return super().forward(x, y)


def test_filters_of_warnings_that_raise(runs: list[None]) -> None:
    """A filter that makes an error of a warning is noticed, unless another one comes before it; others are not."""
    with warnings.catch_warnings(record=True):
        warnings.resetwarnings()
        first = profiled(Warns())
        warnings.simplefilter("ignore", DeprecationWarning)
        assert profiled(Warns()) is first
        warnings.simplefilter("error")
        with pytest.raises(TraceError, match="careful"):
            profiled(Warns())
        warnings.simplefilter("ignore")
        assert profiled(Warns()) is first
        warnings.filterwarnings("error", "careful")
        with pytest.raises(TraceError, match="careful"):
            profiled(Warns())
    assert len(runs) == 3


def _shared() -> tuple[torch.Tensor, torch.Tensor]:
    both = given()
    return both, both


def _views() -> tuple[torch.Tensor, torch.Tensor]:
    both = given(4, 4)
    return both[:2], both[2:]


def _twice() -> tuple[torch.Tensor, torch.Tensor]:
    both = given()
    return both, both.view_as(both)


INPUTS: dict[str, Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "size": lambda: ((given(3, 4),), {}),
    "dtype": lambda: ((given(dtype=torch.float64),), {}),
    "strides": lambda: ((given(4, 2).t(),), {}),
    "gradient": lambda: ((given(requires_grad=True),), {}),
    "parameter": lambda: ((nn.Parameter(given(), requires_grad=False),), {}),
    "meta": lambda: ((given(device="meta"),), {}),
    "two": lambda: ((given(), given()), {}),
    "two that are one": lambda: (_shared(), {}),
    "two that share memory": lambda: (_views(), {}),
    "two that share all memory": lambda: (_twice(), {}),
    "training": lambda: ((given(),), {"mode": "training"}),
    "optimizer": lambda: ((given(),), {"mode": "training", "optimizer": "sgd"}),
    "another optimizer": lambda: ((given(),), {"mode": "training", "optimizer": "adam"}),
}
"""Inputs and settings that differ in one thing from each other."""


def outcome(model: nn.Module, inputs: Any, options: Any) -> Any:
    """The trace of a profile, or its error."""
    try:
        return profiled(model, *inputs, **options)
    except profiler.ProfilerError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.slow
def test_other_inputs_and_settings_run(runs: list[None]) -> None:
    """Each is what it is without the memo, also when all others came before."""
    model = Net()
    with memo.without_memo():
        expected = {name: outcome(model, *make()) for name, make in INPUTS.items()}
    for again in range(2):
        for name, make in INPUTS.items():
            before = len(runs)
            assert outcome(model, *make()) == expected[name], name
            assert again or len(runs) > before, name


class Multiplied(nn.Module):
    """Multiplies its input by its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


def test_an_input_that_is_a_parameter_of_the_network() -> None:
    """It is not an input like others of its metadata."""
    model = Multiplied()
    inputs = [nn.Parameter(torch.zeros(4, 4)), model.weight, model.weight.detach(), torch.zeros(4, 4)]
    with memo.without_memo():
        expected = [outcome(model, (x,), {}) for x in inputs]
    for order in (range(4), reversed(range(4))):
        memo.clear()
        for place in order:
            assert outcome(model, (inputs[place],), {}) == expected[place]


def _attribute(model: Any) -> None:
    model.scale = 2.0


CHANGES: dict[str, Callable[[Any], Any]] = {
    "attribute": lambda model: setattr(model, "scale", 3),
    "type of an attribute": _attribute,
    "new attribute": lambda model: setattr(model, "other", 3),
    "weight of another shape": lambda model: setattr(model.first, "bias", nn.Parameter(torch.zeros(1))),
    "no bias": lambda model: setattr(model.first, "bias", None),
    "dtype": lambda model: model.double(),
    "frozen weight": lambda model: model.first.requires_grad_(False),
    "tied weights": lambda model: setattr(model.last, "weight", model.first.weight),
    "module": lambda model: setattr(model, "norm", nn.LayerNorm(4)),
    "attribute of a layer": lambda model: setattr(model.norm, "eps", 1e-3),
    "new module": lambda model: setattr(model, "unused", nn.ReLU()),
    "removed module": lambda model: setattr(model, "norm", nn.Identity()),
    "new buffer": lambda model: model.register_buffer("extra", torch.zeros(3)),
    "hook": lambda model: model.first.register_forward_hook(lambda module, args, result: result * 2),
    "hook before": lambda model: model.register_forward_pre_hook(lambda module, args: (args[0] * 2,)),
    "forward": lambda model: setattr(model.first, "forward", lambda x: x * 2),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_changed_network_runs(name: str, mode: Any, runs: list[None]) -> None:
    """The profile is that of the network as it is now."""
    model = Net()
    profiled(model, mode=mode)
    CHANGES[name](model)
    with memo.without_memo():
        expected = outcome(model, (given(),), {"mode": mode})
    before = len(runs)
    for _ in range(2):
        assert outcome(model, (given(),), {"mode": mode}) == expected
    assert len(runs) > before


class Doubling(TorchFunctionMode):
    """Multiplies the result of every linear layer by 2."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result * 2 if func is F.linear else result


class DoublingOperators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The same for operators."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class Written:
    """A context in which a setting of torch has another value."""

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], Any], value: Any) -> None:
        self._read, self._write, self._value = read, write, value

    def __enter__(self) -> None:
        self._before = self._read()
        self._write(self._value)

    def __exit__(self, *_: object) -> None:
        self._write(self._before)


MEMO_CLEAR: Callable[[], Any] = memo.clear

SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "function mode": Doubling,
    "dispatch mode": DoublingOperators,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: torch.device("meta"),
    "default dtype": lambda: Written(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "deterministic": lambda: Written(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "without the memo": memo.without_memo,
    "replaced rule": lambda: rules_replaced({"aten::linear": None}),
    "cleared memo": lambda: nullcontext(MEMO_CLEAR()),
    "saved tensors": lambda: torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_other_surroundings_run(name: str, runs: list[None]) -> None:
    """In them a profile is what it is without the memo, and it is the first one again afterwards."""
    model = Net()
    first = profiled(model)
    with SURROUNDINGS[name]():
        with memo.without_memo():
            expected = outcome(model, (given(),), {})
        before = len(runs)
        assert outcome(model, (given(),), {}) == expected
        assert len(runs) > before
    assert profiled(model) == first


class Deciding(nn.Module):
    """Its work depends on the values of its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(int(x.sum())):
            x = x + 1
        return x * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
def test_values_of_inputs_decide(dtype: torch.dtype) -> None:
    """Real runs and integers are not answered."""
    model = Deciding()
    counts = [len(profiled(model, torch.full((2,), value, dtype=dtype)).calls) for value in (1, 2, 1, 3)]
    assert counts[0] == counts[2]
    assert counts[0] < counts[1] < counts[3]


def test_profiles_share_nothing_that_can_be_changed() -> None:
    """A table that somebody has changed does not change the next profile."""
    first, second = (profiler.profile(Net(), (given(),)) for _ in range(2))
    names = ("modules", "operations", "parameters", "layers")
    tables = {name: getattr(second, name) for name in names if hasattr(second, name)}
    assert len(tables) > 1
    for name, table in tables.items():
        changed = getattr(first, name)
        changed = changed() if callable(changed) else changed
        table = table() if callable(table) else table
        before = table.copy()
        changed.insert(0, "another", 1)
        fresh = getattr(profiler.profile(Net(), (given(),)), name)
        fresh = fresh() if callable(fresh) else fresh
        assert table.equals(before)
        assert fresh.equals(before)


def test_threads_at_once() -> None:
    """All of them get the profile that a single thread gets."""
    with memo.without_memo():
        expected = [profiled(Net(width)) for width in (4, 5)]
    found: list[bool] = []

    def work(place: int) -> None:
        for _ in range(3):
            found.append(profiled(Net(4 + place)) == expected[place])

    threads = [threading.Thread(target=work, args=(place % 2,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 12
