"""Profiling a callable changes nothing that the callable reaches, whatever it does and wherever it raises."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as torch_modules
from torch.optim import optimizer as torch_optimizer

import profiler
from profiler.errors import ProfilerError
from tests.stopping import Stops

SLOW = pytest.mark.slow

COUNT = 0
LOG: list[Any] = []
TABLE: dict[str, Any] = {"steps": 0, "mean": torch.zeros(2)}


class Net(nn.Module):
    """Counts its calls, in Python and in a buffer, draws random numbers and changes its statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return F.dropout(self.norm(self.layer(x)))


class Engine:
    """Holds everything that a training loop needs."""

    def __init__(self) -> None:
        self.net = Net()
        self.optimizer = torch.optim.Adam(self.net.parameters())
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 1)
        self.history: list[Any] = []
        self.average: torch.Tensor | None = None
        self.best = [torch.zeros(3)]

    def step(self, x: torch.Tensor) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = self.net(x).square().sum()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.history.append(loss)
        self.average = loss.detach()
        self.best[0].add_(1)
        result: torch.Tensor = loss
        return result

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return step_of_globals(x, self)


class Uses:
    """Its methods use global variables."""

    @staticmethod
    def static(x: torch.Tensor) -> torch.Tensor:
        return ENGINE.step(x)

    @classmethod
    def of_class(cls, x: torch.Tensor) -> torch.Tensor:
        return cls.static(x)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        return step_of_globals(x)


ENGINE = Engine()


def step_of_globals(x: torch.Tensor, engine: Any = None) -> torch.Tensor:
    """Changes everything that a function can."""
    global COUNT
    COUNT += 1
    TABLE["steps"] += 1
    TABLE["mean"].mul_(3).add_(1)
    LOG.append(x)
    return (engine or ENGINE).step(x)


def through_a_class(x: torch.Tensor) -> torch.Tensor:
    """Makes an object whose methods use global variables."""
    return Uses().run(x) + Uses.of_class(x)


class CopiesItself(Uses):
    """An object whose ``__deepcopy__`` makes a copy of its own class."""

    def __deepcopy__(self, memo: Any) -> CopiesItself:
        return CopiesItself()


USES = Uses()
COPIES_ITSELF = CopiesItself()


def through_an_object(x: torch.Tensor) -> torch.Tensor:
    """Calls an object whose methods use global variables."""
    return USES.run(x) + COPIES_ITSELF.run(x)


def with_data(x: torch.Tensor) -> torch.Tensor:
    """Needs a real run."""
    while step_of_globals(x).item() > 1e9:
        pass
    return x


def counting() -> Callable[..., Any]:
    engine, count = Engine(), 0
    recent: list[Any] = []

    def step(x: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        recent.append(engine.step(x))
        x.add_(1)
        return x

    return step


def of_arguments(net: Net, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> None:
    net(x).sum().backward()
    optimizer.step()
    net.layer = nn.Linear(4, 8)
    x.mul_(2)


def _engines(*roots: Any) -> list[Engine]:
    found = [ENGINE]
    for root in roots:
        if isinstance(root, Engine):
            found.append(root)
        if isinstance(root, functools.partial):
            found += _engines(root.func, *root.args)
        if hasattr(root, "__self__"):
            found += _engines(root.__self__)
        for cell in getattr(root, "__closure__", None) or ():
            found += _engines(cell.cell_contents)
    return found


def plain(value: Any) -> Any:
    """A comparable form of a value, with the identity of the objects in it."""
    if isinstance(value, torch.Tensor):
        return id(value), value.tolist(), value.requires_grad, value.grad_fn is None
    if isinstance(value, (list, tuple)):
        return id(value), [plain(item) for item in value]
    if isinstance(value, dict):
        return id(value), [(key if isinstance(key, str) else id(key), plain(item)) for key, item in value.items()]
    return value if isinstance(value, (int, float, str, type(None))) else id(value)


def snapshot(call: Any, inputs: Any) -> Any:
    """All state that a call would change."""
    function = getattr(call, "__func__", call)
    return (
        COUNT,
        plain(LOG),
        plain(TABLE),
        plain(inputs),
        [plain(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ()],
        [
            (
                [plain(tensor) for tensor in (*engine.net.parameters(), *engine.net.buffers())],
                [plain(parameter.grad) for parameter in engine.net.parameters()],
                [(id(module), module.training, len(module._forward_hooks)) for module in engine.net.modules()],
                engine.net.calls,
                plain(engine.optimizer.state),
                plain(engine.optimizer.param_groups),
                engine.scheduler.last_epoch,
                plain(vars(engine)),
            )
            for engine in _engines(call)
        ],
        (torch.get_rng_state().tolist(), random.getstate()),
        [
            (name, len(value))
            for module in (torch_modules, torch_optimizer)
            for name, value in vars(module).items()
            if name.startswith("_global_") and hasattr(value, "__len__")
        ],
        torch.is_grad_enabled(),
    )


CALLS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "function": (lambda: step_of_globals, lambda: torch.ones(3, 4)),
    "method": (lambda: ENGINE.step, lambda: torch.ones(3, 4)),
    "object": (Engine, lambda: torch.ones(3, 4)),
    "closure": (counting, lambda: torch.ones(3, 4)),
    "lambda": (lambda: lambda x: step_of_globals(x), lambda: torch.ones(3, 4)),
    "partial": (lambda: functools.partial(step_of_globals, engine=Engine()), lambda: torch.ones(3, 4)),
    "class": (lambda: through_a_class, lambda: torch.ones(3, 4)),
    "object of class": (lambda: through_an_object, lambda: torch.ones(3, 4)),
    "method of class": (lambda: Uses.of_class, lambda: torch.ones(3, 4)),
    "static method": (lambda: Uses.static, lambda: torch.ones(3, 4)),
    "method that names": (lambda: Uses().run, lambda: torch.ones(3, 4)),
    "arguments": (lambda: of_arguments, lambda: (ENGINE.net, ENGINE.optimizer, torch.ones(3, 4))),
    "real run": (lambda: with_data, lambda: torch.ones(3, 4)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CALLS)
def test_nothing_is_changed(case: str) -> None:
    """The state is networks, optimizers, gradients, lists, globals, closure variables, arguments, random numbers."""
    make, make_inputs = CALLS[case]
    call, inputs = make(), make_inputs()
    before = snapshot(call, inputs)
    profile = profiler.profile(call, inputs)
    assert snapshot(call, inputs) == before
    assert profile.mode == "training"
    assert profile.total.macs >= 2 * 3 * 4 * 8


@pytest.mark.parametrize("stride", [29, pytest.param(13, marks=SLOW), pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    "case", ["function", *(pytest.param(case, marks=SLOW) for case in ("arguments", "closure", "real run"))]
)
@pytest.mark.parametrize("error", [ValueError, pytest.param(KeyboardInterrupt, marks=SLOW)])
def test_an_error_at_every_operation_changes_nothing(case: str, stride: int, error: type[BaseException]) -> None:
    """The error may be raised during the copy, or in an optimizer's step."""
    make, make_inputs = CALLS[case]
    call, inputs = make(), make_inputs()
    before = snapshot(call, inputs)
    number = 1
    while True:
        stop = Stops(number, error("stop"))
        try:
            with stop:
                profiler.profile(call, inputs)
        except (ProfilerError, error):
            pass
        assert snapshot(call, inputs) == before, f"at operation {number}"
        if stop.left > 0:
            break
        number += stride
    assert number > 30


@pytest.mark.parametrize("case", CALLS)
def test_the_snapshot_sees_a_call(case: str) -> None:
    """The checks above fail if the callable runs on the originals."""
    make, make_inputs = CALLS[case]
    call, inputs = make(), make_inputs()
    before = snapshot(call, inputs)
    call(*inputs) if isinstance(inputs, tuple) else call(inputs)
    assert snapshot(call, inputs) != before
