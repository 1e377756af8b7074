"""``with profiler.record():`` counts code as it runs, and does not change what the code computes."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as torch_modules
from torch.optim import optimizer as torch_optimizer
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import profiler
from profiler.errors import ProfilerError
from profiler.profiles import Profile
from profiler.records import WHILE_IT_RAN

BATCH, INPUTS, HIDDEN, CLASSES = 5, 4, 8, 3
FORWARD = BATCH * INPUTS * HIDDEN + BATCH * HIDDEN * CLASSES
BACKWARD = BATCH * INPUTS * HIDDEN + 2 * BATCH * HIDDEN * CLASSES
PARAMETERS = INPUTS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES

function_modes: Any = _get_current_function_mode_stack
dispatch_modes: Any = _get_current_dispatch_mode_stack


class Net(nn.Module):
    """Two layers, a batch norm whose statistics change, and a dropout that draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(INPUTS, HIDDEN)
        self.norm = nn.BatchNorm1d(HIDDEN)
        self.drop = nn.Dropout()
        self.last = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.drop(self.norm(self.first(x)).relu()))
        return result


class World:
    """A network, its optimizer and a batch; they are always the same."""

    def __init__(self, make: Callable[..., torch.optim.Optimizer] = torch.optim.Adam, device: str = "cpu") -> None:
        torch.manual_seed(0)
        self.net = Net().to(device)
        self.optimizer = make(self.net.parameters(), lr=0.1)
        self.x, self.y = torch.randn(BATCH, INPUTS, device=device), torch.zeros(BATCH, dtype=torch.int64, device=device)
        self.losses: list[float] = []

    def step(self) -> None:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(self.x), self.y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.losses.append(loss.item())

    def steps(self) -> None:
        for _ in range(3):
            self.step()

    def state(self) -> Any:
        """All state that a step changes, to the bit."""
        return (
            [tensor.tolist() for tensor in self.net.state_dict().values()],
            [None if p.grad is None else p.grad.tolist() for p in self.net.parameters()],
            [{k: v.tolist() for k, v in values.items()} for values in self.optimizer.state.values()],
            self.losses,
            torch.get_rng_state().tolist(),
        )


def surroundings() -> Any:
    """Torch's hooks and modes, and Python's random numbers."""
    hooks = [
        (name, len(value))
        for module in (torch_modules, torch_optimizer)
        for name, value in vars(module).items()
        if name.startswith("_global_") and hasattr(value, "__len__")
    ]
    return (
        hooks,
        len(dispatch_modes()),
        len(function_modes()),
        random.getstate(),
        torch.is_grad_enabled(),
        threading.Thread.start,
        ThreadPoolExecutor.submit,
    )


def recorded(code: Callable[[], object]) -> Profile:
    with profiler.record() as recording:
        code()
    return recording.profile()


@pytest.mark.slow
def test_every_step_counts_the_same() -> None:
    """A parameter that an optimizer has written to is still a parameter."""
    world = World(torch.optim.SGD)
    one, three = recorded(world.step), recorded(world.steps)
    again = profiler.profile(world.steps)
    for column in one.training.columns:
        if column.endswith(("_macs", "_flops")):
            expected = 3 * one.training.set_index("layer").loc["total"][column]
            assert three.training.set_index("layer").loc["total"][column] == expected, column
            assert again.training.set_index("layer").loc["total"][column] == expected, column
    assert set(three.parameters["kind"]) == set(one.parameters["kind"])


@pytest.mark.slow
@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_recorded_step_computes_the_same(make: Any) -> None:
    """Parameters, buffers, gradients, optimizer state and random numbers are equal to the bit, and no hook is left."""
    with_it, without = World(make), World(make)
    torch.manual_seed(1)
    for _ in range(3):
        without.step()
    expected = without.state()
    before = surroundings()
    torch.manual_seed(1)
    profile = recorded(with_it.steps)
    assert with_it.state() == expected
    assert surroundings() == before
    assert profile.mode == "training"
    assert profile.complete
    assert profile.total.macs == 3 * (FORWARD + BACKWARD)


class Stops(TorchDispatchMode):
    """Raises at the n-th operation."""

    def __init__(self, number: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.left = number

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:
            raise ValueError("stop")
        return func(*args, **(kwargs or {}))


def stopped(number: int, recording: AbstractContextManager[Any]) -> tuple[Any, int]:
    """The state of a world after a step that raises at an operation, and how many operations were left."""
    world = World(torch.optim.SGD)
    stop = Stops(number)
    try:
        with recording, stop:
            world.step()
    except ValueError:
        pass
    return world.state(), stop.left


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_an_error_at_every_operation_reaches_the_code(stride: int) -> None:
    """The error and the work before it are the same as without a recording, and hooks and modes are restored."""
    before = surroundings()
    number = 1
    while True:
        number += stride
        recording = profiler.record()
        assert stopped(number, recording) == stopped(number, nullcontext())
        assert surroundings() == before
        if stopped(number, nullcontext())[1] > 0:
            break
    assert number > 30
    assert recording.profile().complete


def test_work_before_an_error_is_recorded() -> None:
    """The modules that the error went through no longer count as running."""
    net = nn.Linear(INPUTS, HIDDEN)
    x, wrong = torch.ones(BATCH, INPUTS), torch.ones(BATCH, HIDDEN)

    def run() -> None:
        net(x)
        try:
            nn.Sequential(net)(wrong)
        except RuntimeError:
            net(x)
        net(wrong)

    recording = profiler.record()
    with pytest.raises(RuntimeError, match="shapes"), recording:
        run()
    profile = recording.profile()
    assert profile.total.macs == 2 * BATCH * INPUTS * HIDDEN
    assert profile.layers["layer"].tolist() == ["Linear"]


class Interrupted(nn.Module):
    """Raises an exception that torch reports to no hook."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt


class Survives(nn.Module):
    """Catches even that exception."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Interrupted()
        self.layer = nn.Linear(INPUTS, HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with suppress(KeyboardInterrupt):
            self.inner(x)
        result: torch.Tensor = self.layer(x)
        return result


def test_a_module_left_without_a_hook_ends_with_its_caller() -> None:
    """Later work belongs to the caller's module."""
    net, other = Survives(), nn.Linear(INPUTS, HIDDEN)
    x = torch.ones(BATCH, INPUTS)
    profile = recorded(lambda: (net(x), other(x)))
    assert profile.total.macs == 2 * BATCH * INPUTS * HIDDEN
    assert profile.layers["layer"].tolist() == ["Survives.layer", "Linear"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_counts_equal_those_of_the_callable_and_the_network(name: str) -> None:
    """Code may be recorded or profiled; rows are named by class or by variable."""
    world = World(torch.optim.SGD if name == "sgd" else torch.optim.Adam)
    expected = profiler.profile(world.step)
    profile = recorded(world.step)
    assert profile.total == expected.total
    assert profile.layers["multiplies"].sum() == expected.layers["multiplies"].sum()
    trained = profiler.profile(world.net, world.x, mode="training", optimizer=name)
    loss = recorded(
        lambda: F.cross_entropy(torch.ones(BATCH, CLASSES, requires_grad=True), world.y).backward()  # type: ignore[no-untyped-call]
    )
    assert profile.total == trained.total + loss.total
    assert set(profile.layers["layer"]) == {"(root)", "Net", "Net.first", "Net.norm", "Net.drop", "Net.last"}
    assert profile.parameters_total == PARAMETERS + 2 * HIDDEN
    of_parameters = profile.parameters[profile.parameters["trainable"]]
    assert set(of_parameters["kind"]) == {"linear", "norm"}
    assert profile.trace.real_run == WHILE_IT_RAN


@pytest.mark.slow
def test_recorded_inference_costs_the_same() -> None:
    """Gradients are turned off in any way."""
    net = Net().eval()
    x = torch.ones(BATCH, INPUTS)
    expected = profiler.profile(net, x)
    for mode in (torch.no_grad, torch.inference_mode, nullcontext):
        with mode():
            profile = recorded(lambda: net(x))
        assert profile.total == expected.total
        assert profile.mode == "inference"

        def inside(mode: Any = mode) -> None:
            with mode():
                net(x)

        assert recorded(inside).total == expected.total


def test_meta_tensors_stay_meta_tensors() -> None:
    """An operation that needs their data raises as it does without a recording, also beside real tensors."""
    net = nn.Linear(INPUTS, HIDDEN, device="meta")
    assert recorded(lambda: net(torch.empty(BATCH, INPUTS, device="meta"))).total.macs == BATCH * INPUTS * HIDDEN
    for wrong in (
        lambda: net(torch.ones(BATCH, INPUTS)),
        lambda: net(torch.empty(BATCH, INPUTS, device="meta")).sum().item(),
        lambda: torch.arange(3, device="meta").tolist(),
        lambda: bool(torch.zeros((), device="meta")),
    ):
        with pytest.raises((RuntimeError, NotImplementedError)) as plain:
            wrong()
        with pytest.raises((RuntimeError, NotImplementedError)) as caught, profiler.record():
            wrong()
        assert type(caught.value) is type(plain.value)
        assert str(caught.value) == str(plain.value)


def test_factories_make_the_requested_tensors() -> None:
    """The device is not changed, and no tensor is made twice."""
    with profiler.record():
        assert torch.ones(2, device="meta").is_meta
        assert not torch.ones(2).is_meta
        assert torch.tensor([1.0, 2.0], device="meta").is_meta
        assert torch.ones(2).to("meta").is_meta


def test_autocast_of_the_code_is_kept() -> None:
    """Results have its dtype, and the counts are the same."""
    net = nn.Linear(INPUTS, HIDDEN)

    def run() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            result: torch.Tensor = net(torch.ones(BATCH, INPUTS))
        return result

    plain = run()
    with profiler.record() as recording:
        result = run()
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, plain)
    assert recording.profile().total.macs == BATCH * INPUTS * HIDDEN
    assert recording.profile().parameters["kind"].tolist() == ["linear", "linear"]


def test_two_objects_of_a_class_have_two_names() -> None:
    """One object has one name, however often it is called."""
    first, second = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, HIDDEN)
    x = torch.ones(BATCH, INPUTS)
    profile = recorded(lambda: (second(first(first(x))), second(x)))
    assert profile.layers["layer"].tolist() == ["Linear", "Linear_2"]
    assert profile.layers["calls"].tolist() == [2, 2]
    assert profile.total.macs == 2 * BATCH * INPUTS * INPUTS + 2 * BATCH * INPUTS * HIDDEN


def test_the_parameters_of_a_part_called_alone_count_once() -> None:
    """It has the name by which it is called."""
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN))
    x = torch.ones(BATCH, INPUTS)
    profile = recorded(lambda: (net[0](x), net(x)))
    assert profile.parameters_total == INPUTS * HIDDEN + HIDDEN
    assert profile.layers["layer"].tolist() == ["Linear", "Sequential.0"]


def test_lazy_modules_get_shapes_in_a_recording() -> None:
    """They get them as without a recording."""
    net = nn.Sequential(nn.LazyLinear(HIDDEN), nn.ReLU())
    profile = recorded(lambda: net(torch.ones(BATCH, INPUTS)))
    assert profile.total.macs == BATCH * INPUTS * HIDDEN
    assert profile.parameters_total == INPUTS * HIDDEN + HIDDEN
    assert set(profile.parameters["kind"]) == {"linear"}


@pytest.mark.slow
@pytest.mark.parametrize("inside", [False, True])
def test_other_modes_count_the_same_in_a_recording(inside: bool) -> None:
    """FlopCounterMode is around the recording or inside of it; the recording counts the same too."""
    world = World()
    alone = FlopCounterMode(display=False)
    with alone:
        world.step()
    counter = FlopCounterMode(display=False)
    recording = profiler.record()
    contexts: list[Any] = [recording, counter] if inside else [counter, recording]
    with contexts[0], contexts[1]:
        world.step()
    assert counter.get_total_flops() == alone.get_total_flops() == 2 * (FORWARD + BACKWARD)
    assert recording.profile().total == profiler.profile(world.step).total


class Watches(TorchFunctionMode):
    """A mode that notes the called functions of torch, and doubles the result of softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func)
        result = func(*args, **(kwargs or {}))
        return result * 2 if func is F.cross_entropy else result


class Doubled(torch.Tensor):
    """A tensor whose cross entropy is doubled."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        return result * 2 if func is F.cross_entropy else result


@pytest.mark.parametrize("inside", [False, True])
def test_modes_and_classes_that_override_functions_keep_doing_so(inside: bool) -> None:
    """The recording does not decompose a function that another mode or class overrides."""
    x, y = torch.randn(BATCH, CLASSES), torch.zeros(BATCH, dtype=torch.int64)
    plain = F.cross_entropy(x, y)
    watches = Watches()
    recording = profiler.record()
    contexts: list[Any] = [recording, watches] if inside else [watches, recording]
    with contexts[0], contexts[1]:
        doubled = F.cross_entropy(x, y)
    assert torch.equal(doubled, plain * 2)
    assert watches.seen[0] is F.cross_entropy
    assert "loss" in set(recording.profile().shares["kind"])
    with profiler.record():
        assert torch.equal(F.cross_entropy(x.as_subclass(Doubled), y), plain * 2)


def test_a_recording_in_a_recording_counts_its_part() -> None:
    """Both record the code that runs in both."""
    net = nn.Linear(INPUTS, HIDDEN)
    x = torch.ones(BATCH, INPUTS)
    with profiler.record() as outer:
        net(x)
        with profiler.record() as inner:
            net(x)
    assert inner.profile().total.macs == BATCH * INPUTS * HIDDEN
    assert outer.profile().total.macs == 2 * BATCH * INPUTS * HIDDEN


def test_threads_are_recorded_if_the_code_starts_them() -> None:
    """Other threads are not recorded."""
    net, other = nn.Linear(INPUTS, HIDDEN), nn.Linear(INPUTS, HIDDEN)
    x = torch.ones(BATCH, INPUTS)
    entered, ended = threading.Event(), threading.Event()

    def elsewhere() -> None:
        entered.wait()
        other(x)
        ended.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with profiler.record() as recording:
        entered.set()
        ended.wait()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(net, x).result()
        own = threading.Thread(target=net, args=(x,))
        own.start()
        own.join()
    thread.join()
    profile = recording.profile()
    assert profile.total.macs == 2 * BATCH * INPUTS * HIDDEN
    assert profile.layers["layer"].tolist() == ["Linear"]


def test_an_error_in_a_thread_is_unchanged() -> None:
    """A thread that needs data of a meta tensor fails as it does without a recording."""
    caught: list[Any] = []
    before = threading.excepthook
    threading.excepthook = caught.append
    try:
        with profiler.record():
            thread = threading.Thread(target=lambda: torch.empty(1, device="meta").item())
            thread.start()
            thread.join()
    finally:
        threading.excepthook = before
    assert len(caught) == 1


def test_recompute_is_a_separate_phase() -> None:
    """Activation checkpointing runs a part of the forward pass again."""
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES))
    x = torch.ones(BATCH, INPUTS, requires_grad=True)
    profile = recorded(lambda: checkpoint(net, x, use_reentrant=True).sum().backward())
    total = profile.training.set_index("layer").loc["total"]
    assert total["forward_macs"] == total["recompute_macs"] == FORWARD


def test_reused_memory_is_not_confused() -> None:
    """The origin of a tensor is forgotten with it: a batch may lie where the copy of a parameter was."""
    net = nn.Linear(INPUTS, HIDDEN, bias=False)

    def run() -> None:
        for _ in range(20):
            derived = net.weight * 2
            del derived
            batch = torch.from_numpy(torch.ones(HIDDEN, INPUTS).numpy())
            batch @ net.weight.T

    profile = recorded(run)
    products = [call for call in profile.trace.calls if call.count.macs]
    assert len(products) == 20
    assert all(call.event.parameters == ("Linear.weight",) or not call.event.parameters for call in products)
    assert not any(call.inputs[0].parameter for call in products)


def test_inputs_are_not_kept_alive() -> None:
    """A recording of many batches does not hold them."""
    import weakref

    net = nn.Linear(INPUTS, HIDDEN)
    with profiler.record():
        x = torch.ones(BATCH, INPUTS)
        net(x)
        alive = weakref.ref(x.untyped_storage())
        del x
        assert alive() is None


def test_misuse_is_an_error_of_one_line() -> None:
    """It is entered twice, read too early, empty, or has an invalid name."""
    recording = profiler.record()
    with pytest.raises(ProfilerError, match="the code is still running"):
        recording.profile()
    with recording:
        with pytest.raises(ProfilerError, match="started before"), recording:
            pass
        with pytest.raises(ProfilerError, match="the code is still running"):
            recording.profile()
        torch.ones(2) * 2
    with pytest.raises(ProfilerError, match="started before"), recording:
        pass
    with pytest.raises(ProfilerError, match="name: found 'a/b'"):
        recording.profile(name="a/b")
    assert recording.profile(name="mine").name == "mine"
    with profiler.record() as empty:
        pass
    with pytest.raises(ProfilerError, match="ran no operation of torch"):
        empty.profile()


@pytest.mark.slow
def test_a_recording_is_saved_and_shown(tmp_path: Any) -> None:
    """This works as for any profile."""
    profile = recorded(World().step)
    profile.save(tmp_path / "p.json")
    assert profiler.load_profile(tmp_path / "p.json") == profile
    assert "Recorded while the code ran" in str(profile)


def test_values_read_outside_of_modules_are_not_unseen_work() -> None:
    """A printed loss, or a metric in NumPy, is no work that a network hides."""
    net = nn.Linear(INPUTS, HIDDEN)
    x = torch.ones(BATCH, INPUTS)

    def run() -> None:
        values = net(x).detach().numpy() * 2
        torch.tensor(values.tolist()).sum()

    assert recorded(run).complete


def test_a_recording_adds_no_warnings() -> None:
    """The hooks of a recording warn of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorded(World().step)
