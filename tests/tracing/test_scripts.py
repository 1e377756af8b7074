"""Scripted, traced, frozen and loaded modules are counted by submodule, and do not change."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import TraceError
from profiler.records import Mode

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

JIT: Any = torch.jit  # its functions have no types
IMAGES = torch.zeros(2, 3, 8, 8)
CONV = 2 * (8 * 6 * 6) * (3 * 3 * 3)
HEAD = 2 * 10 * (8 * 6 * 6)
LAST = 2 * 4 * 10


def network() -> nn.Sequential:
    """A convolution, a norm, an activation, and two linear layers in a container."""
    head = nn.Sequential(nn.Linear(8 * 6 * 6, 10), nn.Linear(10, 4))
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), head)


def scripted(model: nn.Module) -> nn.Module:
    """The model compiled from its source."""
    module: nn.Module = JIT.script(model)
    return module


def traced(model: nn.Module) -> nn.Module:
    """The model compiled from one run of it."""
    module: nn.Module = JIT.trace(model, IMAGES, check_trace=False)
    return module


def loaded(model: nn.Module) -> nn.Module:
    """The model compiled, saved and loaded again."""
    file = io.BytesIO()
    JIT.save(JIT.script(model), file)
    file.seek(0)
    module: nn.Module = JIT.load(file)
    return module


class Within(nn.Module):
    """An ordinary network with a compiled part."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.last = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.part(x))
        return result


def macs(profile: profiler.Profile) -> dict[str, int]:
    """MACs by layer, without the layers that have none."""
    layers = profile.layers
    return {name: value for name, value in zip(layers["layer"], layers["macs"], strict=True) if value}


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [scripted, traced, loaded])
@pytest.mark.parametrize(("mode", "times"), [("inference", (1, 1)), ("training", (2, 3))])
def test_a_compiled_root_has_the_rows_of_its_submodules(
    compiled: Callable[[nn.Module], nn.Module], mode: Mode, times: tuple[int, int]
) -> None:
    """Each layer has its name, class, used parameters, and the work of the network that was compiled."""
    plain = profiler.profile(network(), IMAGES, mode=mode)
    profile = profiler.profile(compiled(network().train(mode == "training")), IMAGES, mode=mode)
    first, rest = times
    assert macs(profile) == {"0": first * CONV, "4.0": rest * HEAD, "4.1": rest * LAST}
    assert profile.parameters_total == (3 * 9 * 8 + 8) + 2 * 8 + (288 * 10 + 10) + (10 * 4 + 4)
    assert profile.layers["type"].tolist() == plain.layers["type"].tolist()
    assert profile.layers["layer"].tolist() == plain.layers["layer"].tolist()
    assert profile.parameters["kind"].tolist() == plain.parameters["kind"].tolist()
    assert profile.never_ran == ()
    assert profile.total == plain.total


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [scripted, traced, loaded])
def test_a_compiled_part_has_the_rows_of_its_submodules(compiled: Callable[[nn.Module], nn.Module]) -> None:
    """The rows have the name of the part in the network."""
    profile = profiler.profile(Within(compiled(network())), IMAGES)
    assert macs(profile) == {"part.0": CONV, "part.4.0": HEAD, "part.4.1": LAST, "last": 2 * 5 * 4}
    assert "unused" not in set(profile.parameters["kind"])


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [scripted, traced])
def test_a_frozen_script_has_its_constants_as_parameters(compiled: Callable[[nn.Module], nn.Module]) -> None:
    """Freezing folds the norm and leaves one module; comparisons between its constants are not counted."""
    profile = profiler.profile(JIT.freeze(compiled(network().eval())), IMAGES)
    assert macs(profile) == {"(root)": CONV + HEAD + LAST}
    assert profile.parameters_total == (3 * 9 * 8 + 8) + (288 * 10 + 10) + (10 * 4 + 4)
    assert "aten::equal" not in set(profile.operations["op"])
    assert profile.total.comparisons == 2 * 8 * 6 * 6
    assert "unused" not in set(profile.parameters["kind"])


def test_a_comparison_outside_of_a_frozen_script_is_counted() -> None:
    """Only comparisons between constants of the script are left out."""

    class Compares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = JIT.freeze(JIT.script(nn.Linear(4, 4).eval()))
            self.other = nn.Parameter(torch.zeros(4))

        def forward(self, x: torch.Tensor) -> Any:
            return self.part(x) if torch.equal(self.other, x[0]) else self.part(self.part(x))

    profile = profiler.profile(Compares(), torch.ones(2, 4))
    assert profile.operations["op"].tolist().count("aten::equal") == 1


def test_a_script_with_compiled_kernels_is_refused() -> None:
    """``optimize_for_inference`` makes kernels whose work cannot be seen; zero would be wrong for them."""
    script = JIT.optimize_for_inference(JIT.script(network().eval()))
    with pytest.raises(TraceError, match="profile the module that it was made from"):
        profiler.profile(script, IMAGES)


class Recurring(nn.Module):
    """One layer that is called three times, between an embedding and a head that share their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        y = self.embedding(tokens)
        for _ in range(3):
            y = self.layer(y)
        result: torch.Tensor = self.head(y)
        return result


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "times"), [("inference", 1), ("training", 3)])
def test_ties_and_repeated_calls_of_a_script_are_kept(mode: Mode, times: int) -> None:
    """A shared weight is one parameter, and each call of a loop is counted."""
    profile = profiler.profile(JIT.script(Recurring()), torch.zeros(2, 3, dtype=torch.long), mode=mode)
    assert macs(profile) == {"layer": times * 3 * (2 * 3 * 4 * 4), "head": times * 2 * 3 * 4 * 7}
    assert profile.parameters_total == 7 * 4 + (4 * 4 + 4)
    calls = {record.name: record.calls for record in profile.trace.modules}
    assert calls == {"": 1, "embedding": 1, "layer": 3, "head": 1}


class Branches(nn.Module):
    """Takes a branch if the sum of its result is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        if bool(y.abs().sum() >= 0):
            y = self.second(y)
        result: torch.Tensor = y
        return result


@pytest.mark.slow
def test_a_script_that_needs_data_gets_a_real_run() -> None:
    """It runs for real like any other network; the marks in its graph are added once."""
    profile = profiler.profile(JIT.script(Branches()), torch.zeros(2, 4))
    assert profile.trace.real_run
    assert macs(profile) == {"first": 2 * 4 * 4, "second": 2 * 4 * 4}


@pytest.mark.slow
def test_a_script_is_unchanged() -> None:
    """Its graph, its tensors and its results are the same as before."""
    script = JIT.script(network().eval())
    images = torch.rand(2, 3, 8, 8)
    graph, before = str(script.graph), script(images)
    profiler.profile(script, images)
    assert str(script.graph) == graph
    assert "static_flop_profiler" not in str(script.inlined_graph)
    assert all(parameter.device.type == "cpu" for parameter in script.parameters())
    assert torch.equal(script(images), before)


@pytest.mark.slow
def test_an_error_in_a_script_names_the_submodule() -> None:
    """The error says which submodule was running."""
    with pytest.raises(TraceError, match=r"module 4.0 \(Linear\) on 2×392 raised RuntimeError in aten::linear"):
        profiler.profile(JIT.script(network()), torch.zeros(2, 3, 9, 9))
    with pytest.raises(TraceError, match=r"module part.4.0 \(Linear\) on 2×392 raised"):
        profiler.profile(Within(JIT.script(network())), torch.zeros(2, 3, 9, 9))


@pytest.mark.slow
def test_a_compiled_or_parallel_network_costs_what_the_network_inside_costs() -> None:
    """``torch.compile`` and ``DataParallel`` change no count, and a graph module does not either."""
    compiled: Any = torch.compile
    plain = profiler.profile(network(), IMAGES).total
    assert profiler.profile(compiled(network()), IMAGES).total == plain
    assert profiler.profile(nn.DataParallel(network()), IMAGES).total == plain
    assert profiler.profile(torch.fx.symbolic_trace(network()), IMAGES).total == plain
    assert profiler.profile(Within(compiled(network())), IMAGES).total.macs == plain.macs + 2 * 5 * 4


class Inverse(nn.Module):
    """1 / x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 / x


class Quotients(nn.Module):
    """Divides numbers in a submodule, in a branch and in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.inverse = Inverse()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(0) > 1:
            x = 2.5 / self.inverse(x)
        for _ in range(2):
            x = x.size(0) / x
        return x


class Written(nn.Module):
    """Calls reciprocal in the source; a product and other operations read the result."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inverse = torch.reciprocal(x)
        return inverse * 2 + inverse + (-x).reciprocal() * 3


def frozen(model: nn.Module) -> nn.Module:
    """The model compiled and frozen."""
    module: nn.Module = JIT.freeze(JIT.script(model.eval()))
    return module


@pytest.mark.parametrize("compiled", [lambda model: model, scripted, traced, loaded, frozen])
@pytest.mark.parametrize(
    ("model", "divides", "multiplies", "adds"), [(Inverse, 1, 0, 0), (Quotients, 4, 0, 0), (Written, 2, 2, 2)]
)
def test_a_number_divided_by_a_tensor_is_a_divide(
    compiled: Callable[[nn.Module], nn.Module], model: type[nn.Module], divides: int, multiplies: int, adds: int
) -> None:
    """TorchScript makes a reciprocal and a product of it; the count is that of Python. Written ones count as well."""
    total = profiler.profile(compiled(model()), IMAGES).total
    n = 2 * 3 * 8 * 8
    assert (total.divides, total.multiplies, total.adds) == (n * divides, n * multiplies, n * adds)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [scripted, loaded])
def test_the_gradient_of_a_scripted_divide_keeps_its_operations(compiled: Callable[[nn.Module], nn.Module]) -> None:
    """The backward pass differentiates the reciprocal and the product; only the forward count is changed."""
    x = torch.ones(2, 3, requires_grad=True)
    assert profiler.profile(compiled(Quotients()), x, mode="training").total == (
        profiler.profile(Quotients(), x, mode="training").total
    )


fork, wait = JIT.fork, JIT.wait


class Branch(nn.Module):
    """A module with a linear layer, which is forked."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        return y


class Forks(nn.Module):
    """Starts two branches in other threads, works in between, and continues after each wait."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = Branch()
        self.leaf = nn.Linear(4, 5)
        self.meanwhile = nn.Linear(4, 5)
        self.after = nn.Linear(5, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = fork(self.branch, x)
        second = fork(self.leaf, x)
        y: torch.Tensor = self.meanwhile(x)
        y = self.after(y + wait(second) + wait(first))
        return y + 0


class ForksBelow(nn.Module):
    """Holds modules that fork; one of them is forked itself."""

    def __init__(self) -> None:
        super().__init__()
        self.one = Forks()
        self.two = Forks()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        two = fork(self.two, x)
        y: torch.Tensor = self.one(x) + wait(two)
        return y


FORKED = {"branch.layer": 3 * 4 * 5, "leaf": 3 * 4 * 5, "meanwhile": 3 * 4 * 5, "after": 3 * 5 * 6}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("below", ["", "one.", "two."])
def test_forked_work_is_counted_in_its_module(mode: Any, below: str) -> None:
    """The work is counted as if the module were called directly, also inside of a forked module."""
    network = ForksBelow() if below else Forks()
    x = torch.zeros(3, 4, requires_grad=True)
    for script in (scripted(network), loaded(network)):
        profile = profiler.profile(script, x, mode=mode)
        macs = dict(zip(profile.layers["layer"], profile.layers["macs"], strict=True))
        times = 3 if mode == "training" else 1
        assert {name: macs[f"{below}{name}"] for name in FORKED} == {name: times * n for name, n in FORKED.items()}
        assert profile.total.macs == times * sum(FORKED.values()) * (2 if below else 1)
        assert profile.status == "complete"
