"""Work outside of torch's operations is noticed where it shows: the profile is partial and names the module."""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from profiler import load_profile, profile
from profiler.api import check_complete
from profiler.errors import TraceError, UncountedError
from profiler.excluding import leave_out
from profiler.profiles import Profile
from profiler.records import FILLED_OUTSIDE
from profiler.render.formats import render_texts
from profiler.render.report import profile_report
from profiler.tracing import unseen
from profiler.tracing.objects import tensors_in
from tests.tracing.test_running import image

ROWS, SIZE = 3, 4
ONE = ROWS * SIZE * SIZE

Body = Callable[[torch.Tensor], Any]


class Outside(nn.Module):
    """A module whose forward is a given function."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> Any:
        return self.body(x)


class Net(nn.Module):
    """A linear layer, another module, and a linear layer."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(SIZE, SIZE), middle, nn.Linear(SIZE, SIZE)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.middle(self.first(x)))


class NumpyTanh(torch.autograd.Function):
    """An autograd function that works in NumPy."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.tanh(x.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0]


def by_function(x: torch.Tensor) -> Any:
    apply: Any = NumpyTanh.apply
    return apply(x)


def by_numpy(x: torch.Tensor) -> Any:
    return torch.as_tensor(np.sin(x.detach().numpy()))


def by_array(x: torch.Tensor) -> Any:
    return torch.as_tensor(np.sin(np.asarray(x.detach())))


def by_dlpack(x: torch.Tensor) -> Any:
    return torch.from_numpy(np.sin(np.from_dlpack(x.detach())))


def by_lists(x: torch.Tensor) -> Any:
    return torch.tensor([[number * number for number in row] for row in x.tolist()])


def by_numbers(x: torch.Tensor) -> Any:
    return torch.tensor([float(number) * 2 for number in x[0].detach()]).expand_as(x)


def by_items(x: torch.Tensor) -> Any:
    numbers = [number.item() for number in x[:2, 0]]
    return x * torch.as_tensor([sum(numbers), max(numbers)])[:1]


def by_complex_numbers(x: torch.Tensor) -> Any:
    return torch.tensor([complex(number) * 2 for number in x[0].detach()]).real.expand_as(x)


def by_address(x: torch.Tensor) -> Any:
    """A kernel that takes addresses; on meta there is no memory behind them."""
    result = torch.empty_like(x)
    source, target = x.data_ptr(), result.data_ptr()
    if source:
        ctypes.memmove(target, source, x.numel() * x.element_size())
    return result


def by_address_of_the_result(x: torch.Tensor) -> Any:
    """Only the memory that is filled shows that a kernel ran."""
    result = x.new_empty(x.shape)
    result.untyped_storage().data_ptr()
    return result


OUTSIDE = {
    "an autograd function": (by_function, "Tensor.numpy"),
    "numpy": (by_numpy, "Tensor.numpy"),
    "an array": (by_array, "Tensor.__array__"),
    "dlpack": (by_dlpack, "Tensor.__dlpack__"),
    "lists": (by_lists, unseen.RETURNED),
    "numbers": (by_numbers, unseen.RETURNED),
    "items": (by_items, unseen.RETURNED),
    "complex numbers": (by_complex_numbers, unseen.RETURNED),
    "an address": (by_address, "Tensor.data_ptr"),
    "filled memory": (by_address_of_the_result, FILLED_OUTSIDE),
}


def reasons(found: Profile) -> list[str]:
    """The reasons why work may be missing in the middle module, and in no other."""
    assert {item.module for item in found.trace.unseen} <= {"middle"}
    return [item.reason for item in found.trace.unseen]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_work_outside_of_torch_makes_a_profile_partial(name: str, mode: Any) -> None:
    """The module is named in which values leave torch or something else fills memory."""
    body, reason = OUTSIDE[name]
    found = profile(Net(Outside(body)), torch.rand(ROWS, SIZE), mode=mode)
    assert found.status == "partial"
    assert any(reason in text for text in reasons(found)), reasons(found)
    assert found.total.macs >= 2 * ONE


@pytest.fixture
def served() -> Iterator[Body]:
    """A function whose work an existing thread does, fed by a queue; no module is called in it."""
    requests: queue.Queue[Any] = queue.Queue()

    def serve() -> None:
        while (request := requests.get()) is not None:
            x, answers = request
            answers.put(x @ x.t())

    def through_the_queue(x: torch.Tensor) -> Any:
        answers: queue.Queue[Any] = queue.Queue()
        requests.put((x, answers))
        return answers.get()[:, :1] + torch.zeros_like(x)

    thread = threading.Thread(target=serve)
    thread.start()
    yield through_the_queue
    requests.put(None)
    thread.join()


@pytest.mark.slow
def test_a_tensor_that_no_operation_made_is_noticed(served: Body) -> None:
    """What an unknown thread computes is noticed where its result is used."""
    found = profile(Net(Outside(served)), image(ROWS, SIZE))
    assert reasons(found) == [unseen.MADE_OUTSIDE]
    assert found.status == "partial"


def nothing() -> None:
    """The function that another process runs."""


def only_a_process(x: torch.Tensor) -> Any:
    process = get_context("fork").Process(target=nothing)
    process.start()
    process.join()
    return x


def by_process(x: torch.Tensor) -> Any:
    return 2 * only_a_process(x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_a_forward_starts_is_noticed() -> None:
    """The work of another process cannot be seen."""
    assert reasons(profile(Net(Outside(by_process)), image(ROWS, SIZE))) == [unseen.OTHER_PROCESS]


def test_a_thread_that_outlives_the_forward_is_noticed() -> None:
    """Work that is not finished when the forward returns is not in the count."""
    release = threading.Event()
    threads: list[threading.Thread] = []

    def start(x: torch.Tensor) -> Any:
        threads.append(threading.Thread(target=release.wait))
        threads[-1].start()
        return 2 * x

    found = profile(Net(Outside(start)), image(ROWS, SIZE))
    release.set()
    for thread in threads:
        thread.join()
    assert reasons(found) == [unseen.GOES_ON]


def scaled(x: torch.Tensor) -> Any:
    """A straight-through autograd function, whose operations are free."""

    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return gradients[0]

    apply: Any = Same.apply
    return apply(x)


def written(x: torch.Tensor) -> Any:
    result = torch.empty_like(x)
    result[:, :2] = x[:, :2]
    result[:, 2:].copy_(x[:, 2:])
    return result * 2 + torch.empty_like(x).uniform_()


def out_of_place(x: torch.Tensor) -> Any:
    x = x.detach()
    return torch.mul(x, 2, out=torch.empty_like(x)) + torch.zeros_like(torch.empty(x.shape))


TABLE = torch.rand(SIZE)


def with_constants(x: torch.Tensor) -> Any:
    return x * TABLE + torch.tensor([0.1, 0.2, 0.3, 0.4]) + torch.as_tensor(np.arange(4.0), dtype=x.dtype)


def shapes_and_lists(x: torch.Tensor) -> Any:
    sizes = torch.tensor([2, 3]).tolist()
    return x * sizes[0] + torch.arange(4).numpy().sum()


def single_numbers(x: torch.Tensor) -> Any:
    """A length, a limit and a factor, beside a constant with more numbers than were read."""
    length = min(int(x.abs().max().item()) + 1, SIZE)
    limit, factor = float(x.detach().min()), torch.tensor(x.detach().sum().item())
    longer = torch.tensor([0.1, 0.2, 0.3, 0.4]) + torch.full((SIZE,), limit)
    return x.clamp(min=limit) * factor + longer + x[:, :length].sum()


def numbers_that_are_no_work(x: torch.Tensor) -> Any:
    """Lengths and token ids are integers, and tensors of integers may be made from them."""
    lengths = [int(number.item()) for number in torch.argsort(x[0])]
    return x * torch.tensor([float(length > 1) for length in lengths])


class Table(nn.Module):
    """Returns its parameter, which its parent uses."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(ROWS, SIZE))

    def forward(self) -> torch.Tensor:
        return self.weight


class Holds(nn.Module):
    """Tensors in every kind of place; a child returns one of them unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.table = {"scale": [torch.rand(SIZE)]}
        self.shift: torch.Tensor = nn.Buffer(torch.rand(SIZE))
        self.given = Table()

    def forward(self, x: torch.Tensor) -> Any:
        return x * self.table["scale"][0] + self.shift + self.given()


HARMLESS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "dropout": nn.Dropout,
    "straight through": lambda: Outside(scaled),
    "written": lambda: Outside(written),
    "out": lambda: Outside(out_of_place),
    "constants": lambda: Outside(with_constants),
    "sizes": lambda: Outside(shapes_and_lists),
    "held": Holds,
    "parametrized": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(SIZE, SIZE)),
    "spectral": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(SIZE, SIZE)),
    "script": lambda: torch.jit.script(nn.Sequential(nn.Linear(SIZE, SIZE), nn.ReLU())),
    "lstm": lambda: nn.Sequential(nn.LSTM(SIZE, SIZE), Outside(lambda pair: pair[0])),
    "vmap": lambda: Outside(torch.vmap(lambda row: torch.outer(row, row).sum(0))),
    "jvp": lambda: Outside(lambda x: torch.func.jvp(torch.sin, (x,), (torch.ones_like(x),))[1]),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("real", [False, True])
def test_seen_work_gives_no_warning(name: str, mode: Any, real: bool) -> None:
    """Constants, sizes, parameters and memory that operations fill are no signs of other work."""
    reads = Outside(lambda x: x if not real or x.sum().item() > -1e9 else 2 * x)
    found = profile(Net(nn.Sequential(HARMLESS[name](), reads)), torch.rand(ROWS, SIZE), mode=mode)
    assert bool(found.trace.real_run) == real
    assert (found.trace.unseen, found.status) == ((), "complete")


@pytest.mark.parametrize("body", [single_numbers, numbers_that_are_no_work])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_numbers_that_are_read_give_no_warning(body: Callable[[torch.Tensor], Any], mode: Any) -> None:
    """Lengths, limits and factors are read, and no tensor is made of them."""
    found = profile(Net(Outside(body)), torch.rand(ROWS, SIZE), mode=mode)
    assert found.trace.real_run
    assert (found.trace.unseen, found.status) == ((), "complete")


@pytest.mark.slow
def test_an_optimizer_gives_no_warning() -> None:
    """Its state is made in a step that is not recorded."""
    assert profile(Net(nn.ReLU()), image(ROWS, SIZE), mode="training", optimizer="adam").status == "complete"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_without_any_seen_work_is_refused_with_the_reason() -> None:
    """The error says what was noticed."""
    with pytest.raises(TraceError, match=r"ran no operation.*another process"):
        profile(Outside(only_a_process), image(ROWS, SIZE))


@pytest.mark.slow
def test_the_reason_is_saved_shown_and_strict(tmp_path: Path) -> None:
    """A saved profile keeps the reason, tables and reports show it, and strict mode refuses the profile."""
    found = profile(Net(Outside(by_address_of_the_result)), image(ROWS, SIZE), name="net")
    path = tmp_path / "profile.json"
    found.save(path)
    assert load_profile(path).trace.unseen == found.trace.unseen
    modules = found.modules.set_index("module")
    assert (modules["status"]["middle"], modules["status"]["(root)"]) == ("partial", "partial")
    assert modules["status"]["first"] == "complete"
    text = "".join(render_texts(profile_report(found, ["shares", "uncounted"]), ["markdown"]).values())
    assert f"middle: {FILLED_OUTSIDE}" in text
    with pytest.raises(UncountedError, match="strict mode: middle: its forward reads memory"):
        check_complete(found)


def test_excluding_a_module_removes_its_reasons() -> None:
    """The rest is complete if the module with unseen work is excluded."""
    found = profile(Net(Outside(by_address_of_the_result)), image(ROWS, SIZE))
    assert leave_out(found.trace, ["middle"]).unseen == ()
    assert leave_out(found.trace, ["last"]).unseen == found.trace.unseen


def test_profiles_without_it_can_be_read(tmp_path: Path) -> None:
    """A profile without unseen work is saved as before."""
    found = profile(Net(nn.ReLU()), image(ROWS, SIZE), name="net")
    assert '"unseen":' not in found.to_json()
    found.save(tmp_path / "profile.json")
    assert load_profile(tmp_path / "profile.json").trace.unseen == ()


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_network_holds_nothing_of_the_profiler(mode: Any) -> None:
    """A search of a running module finds its own tensors, and none that belong to the hooks on it."""
    found: list[list[torch.Tensor]] = []

    class Searched(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            found.append(list(tensors_in(vars(self))))
            assert {id(tensor) for tensor in found[-1]} == {id(self.weight), id(self.bias)}
            return y

    profile(Searched(SIZE, SIZE), torch.ones(ROWS, SIZE), mode=mode)
    assert found
