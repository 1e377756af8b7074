"""Whatever is raised, and wherever: the network, its inputs and torch itself are unchanged."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_modules
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

import profiler
from profiler.tracing.objects import tensors_in
from profiler.tracing.state import SETTINGS
from tests.stopping import Stops

ERRORS = (RuntimeError, NotImplementedError)


function_modes: Any = _get_current_function_mode_stack
dispatch_modes: Any = _get_current_dispatch_mode_stack


class Cache:
    """Keys that grow, in an attribute and in a slot."""

    def __init__(self) -> None:
        self.keys = torch.ones(7, 4)
        self.whole = self.keys[:5]
        self.length = torch.tensor(7)
        self.lock = threading.Lock()
        self.steps = 0

    def update(self, keys: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        self.length += 1
        self.whole.mul_(2)
        self.keys = torch.cat([self.keys, keys])
        return self.keys


class Step(nn.Module):
    """A step with a cache; with ``data`` it needs a real run."""

    def __init__(self, *, data: bool = False) -> None:
        super().__init__()
        self.project = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.steps: torch.Tensor = nn.Buffer(torch.zeros(1))
        self.data = data

    def forward(self, x: torch.Tensor, cache: Cache) -> Any:
        self.steps += 1
        keys = cache.update(self.norm(self.project(x)))
        y = x @ keys.T + torch.rand(())
        if self.data and y.sum().item() > 1e9:
            return y
        return y.softmax(-1)


class Lazy(Step):
    """A network whose parameters have no shapes before it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.LazyLinear(4)


def snapshot(model: nn.Module, inputs: Any) -> dict[str, Any]:
    """All that a profile might change."""
    _, cache = inputs
    lazy = [isinstance(tensor, nn.UninitializedParameter) for tensor in model.parameters()]
    return {
        "lazy": lazy,
        "state": [] if any(lazy) else [tensor.tolist() for tensor in model.state_dict().values()],
        "modules": [(module.training, sorted(vars(module)), type(module).forward) for module in model.modules()],
        "hooks": [
            [len(hooks) for name, hooks in vars(module).items() if name.endswith("_hooks")]
            for module in model.modules()
        ],
        "gradients": [(parameter.requires_grad, parameter.grad) for parameter in model.parameters()],
        "tensors": [(id(tensor), tensor.device.type, tensor.tolist()) for tensor in tensors_in(inputs)],
        "attributes": {name: id(value) for name, value in vars(cache).items()},
        "random": (torch.get_rng_state().numpy().tobytes(), random.getstate()),
        "settings": [read() for read, _ in SETTINGS],
        "inference": torch.is_inference_mode_enabled(),
        "modes": (len(dispatch_modes()), len(function_modes())),
        "global hooks": [
            len(hooks)
            for name, hooks in vars(torch_modules).items()
            if name.startswith("_global_") and hasattr(hooks, "__len__")
        ],
        "device": torch.get_default_device(),
        "threads": threading.active_count(),
    }


class StopsFunctions(TorchFunctionMode):
    """Raises at the n-th function of torch, whoever calls it, also while something is copied.

    Setting the gradient mode never raises, because cleaning up sets it too.
    """

    def __init__(self, number: int, error: BaseException) -> None:
        super().__init__()
        self.left, self.error = number, error

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch._C._set_grad_enabled:
            self.left -= 1
            if self.left == 0:
                raise self.error
        return func(*args, **(kwargs or {}))


EXHAUSTIVE = pytest.mark.exhaustive


STEP = pytest.mark.parametrize("step", [3, pytest.param(1, marks=EXHAUSTIVE)])
"""The distance of the operations at which a run is stopped: each in turn only if everything is tested."""


def stopped_everywhere(stops: Any, error: type[BaseException], model: nn.Module, mode: Any, step: int) -> int:
    """Profile with an error at each ``step``-th operation until none is left; return about how many there were."""
    inputs = (torch.ones(3, 4), Cache())
    before = snapshot(model, inputs)
    number = 1 - step
    while True:
        number += step
        stop = stops(number, error("stop"))
        try:
            with stop:
                profiler.profile(model, inputs, mode=mode)
        except (profiler.ProfilerError, error):
            pass
        assert snapshot(model, inputs) == before, f"at operation {number}"
        if stop.left > 0:
            return number - 1


@STEP
@pytest.mark.parametrize("stops", [Stops, pytest.param(StopsFunctions, marks=pytest.mark.slow)])
@pytest.mark.parametrize("error", [KeyboardInterrupt, *(pytest.param(kind, marks=pytest.mark.slow) for kind in ERRORS)])
@pytest.mark.parametrize("mode", ["inference", pytest.param("training", marks=pytest.mark.slow)])
def test_an_error_at_every_operation_leaves_no_trace(
    stops: Any, error: type[BaseException], mode: Any, step: int
) -> None:
    """After an error, one that leads to a real run, or Ctrl-C, the state, inputs, hooks and settings are restored."""
    assert stopped_everywhere(stops, error, Step(), mode, step) > 10


@STEP
@pytest.mark.slow
@pytest.mark.parametrize(
    ("stops", "model"),
    [
        pytest.param(Stops, lambda: Step(data=True), id="operations of a real run"),
        pytest.param(StopsFunctions, Lazy, id="functions of a lazy run"),
        pytest.param(StopsFunctions, lambda: Step(data=True), id="functions of a real run", marks=EXHAUSTIVE),
        pytest.param(Stops, Lazy, id="operations of a lazy run", marks=EXHAUSTIVE),
    ],
)
def test_an_error_in_real_and_lazy_runs_leaves_no_trace(stops: Any, model: Any, step: int) -> None:
    """The real run and the run that gives lazy parameters their shapes make their own copies too."""
    assert stopped_everywhere(stops, RuntimeError, model(), "inference", step) > 10


@pytest.mark.parametrize("counter", ["fvcore", "torch", "torch-cpu"])
def test_counters_leave_no_trace(counter: str) -> None:
    """A counter gets a copy; random numbers and settings are restored."""
    model, inputs = Step(), (torch.ones(3, 4), Cache())
    before = snapshot(model, inputs)
    record = profiler.crosscheck(model, inputs, against=[counter]).counters[0]
    assert record.status == "ok", record.message
    assert snapshot(model, inputs) == before


class Setting(nn.Module):
    """A forward that changes torch's settings."""

    def __init__(self, number: int, *, fails: bool) -> None:
        super().__init__()
        self.number, self.fails = number, fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read, write = SETTINGS[self.number]
        write(_other(read()))
        if self.fails:
            raise RuntimeError("stop")
        return x @ x.T


def _other(value: Any) -> Any:
    """Another value for a setting."""
    if isinstance(value, tuple):
        return tuple(map(_other, value))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return "medium" if value != "medium" else "high"
    return torch.float16 if value in (torch.bfloat16, torch.float32) else torch.bfloat16


@contextmanager
def restored() -> Iterator[None]:
    """Restore the settings, so that a failing test does not change them for others."""
    before = [read() for read, _ in SETTINGS]
    try:
        yield
    finally:
        for (read, write), value in zip(SETTINGS, before, strict=True):
            if read() != value:
                write(value)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_settings_that_a_forward_changes_are_set_back(number: int, fails: bool) -> None:
    """The default dtype, gradient mode, determinism, autocast, anomaly detection, precision, threads are restored."""
    with restored():
        before = [read() for read, _ in SETTINGS]
        try:
            profiler.profile(Setting(number, fails=fails), torch.ones(3, 4))
        except profiler.ProfilerError:
            assert fails
        assert [read() for read, _ in SETTINGS] == before


@pytest.mark.parametrize(
    "change",
    [
        lambda model, inputs: setattr(inputs[1], "keys", inputs[1].keys.clone()),
        lambda model, inputs: inputs[1].whole.add_(1),
        lambda model, inputs: setattr(inputs[1], "steps", 1),
        lambda model, inputs: torch.rand(1),
        lambda model, inputs: model.norm.train(False),
        lambda model, inputs: model.steps.add_(1),
        lambda model, inputs: model.register_forward_hook(lambda *_: None),
        lambda model, inputs: model.project.weight.requires_grad_(False),
    ],
)
def test_the_snapshot_sees_every_change(change: Any) -> None:
    """The checks above fail on each change."""
    model, inputs = Step(), (torch.ones(3, 4), Cache())
    before = snapshot(model, inputs)
    change(model, inputs)
    assert snapshot(model, inputs) != before
