"""A trace says where each operation ran, and does not change the network."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import TraceError
from profiler.records import Mode, Trace
from profiler.traces import trace


def image(*shape: int) -> torch.Tensor:
    """A meta tensor of this shape."""
    return torch.empty(shape, device="meta")


def work(result: Trace) -> dict[tuple[str, str], int]:
    """MACs by module and kind, without zeros."""
    macs: dict[tuple[str, str], int] = {}
    for call in result.calls:
        if call.count.macs:
            key = (call.module, call.kind)
            macs[key] = macs.get(key, 0) + call.count.macs
    return macs


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 5))


def test_modules_are_named_by_their_path() -> None:
    """Each operation belongs to the innermost module that ran it."""
    result = trace(nn.Sequential(small()), image(2, 3, 9, 9))
    assert work(result) == {("0.0", "conv"): (3 * 3 * 3) * (2 * 8 * 7 * 7), ("0.4", "linear"): 8 * 49 * 2 * 5}


def test_functional_calls_belong_to_the_module_that_makes_them() -> None:
    """A function that a forward calls is counted in the module of that forward."""

    class Hand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(7, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.einsum("bi,oi->bo", x, self.weight) @ torch.ones(7, 2)

    assert work(trace(Hand(), image(4, 5))) == {("", "linear"): 4 * 5 * 7, ("", "matmul"): 4 * 7 * 2}


def test_a_weight_computed_from_parameters_counts_as_a_weight() -> None:
    """A normalized weight makes a linear layer; an activation in its place makes a matmul."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weight = self.weight / torch.linalg.vector_norm(self.weight)
            result: torch.Tensor = (x @ weight.t()) @ (x.t() @ x)
            return result

    assert work(trace(Scaled(), image(3, 5))) == {("", "linear"): 3 * 5 * 5, ("", "matmul"): 5 * 3 * 5 + 3 * 5 * 5}


def test_every_call_of_a_module_is_counted_and_its_parameters_once() -> None:
    """A layer that runs three times has the work of three calls and the parameters of one layer."""

    class Thrice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(self.layer(x)))  # type: ignore[no-any-return]

    result = trace(Thrice(), image(1, 6))
    assert work(result) == {("layer", "linear"): 3 * 36}
    assert [record.calls for record in result.modules if record.name == "layer"] == [3]
    assert sum(record.size for record in result.parameters) == 6 * 6 + 6


def test_a_shared_module_is_listed_below_the_parent_that_calls_it() -> None:
    """The work of a module with two parents is listed below each; the parameters belong to the first."""
    shared = nn.Linear(4, 4)
    result = trace(nn.Sequential(nn.Sequential(shared), nn.Sequential(shared)), image(1, 4))
    assert work(result) == {("0.0", "linear"): 16, ("1.0", "linear"): 16}
    assert [(record.names, record.module) for record in result.parameters if len(record.shape) == 2] == [
        (("0.0.weight", "1.0.weight"), "0.0")
    ]


def test_forward_called_directly_counts_as_a_call_of_the_module() -> None:
    """``layer.forward(x)`` skips the hooks; the work still belongs to the layer."""

    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer.forward(x)

    result = trace(Direct(), image(1, 3))
    assert work(result) == {("layer", "linear"): 6}
    assert [record.calls for record in result.modules] == [1, 1]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: (x,),
        lambda x: [x],
        lambda x: {"x": x},
    ],
    ids=["tuple", "list", "mapping"],
)
def test_inputs_may_be_positional_or_named(make: Callable[[torch.Tensor], Any]) -> None:
    """A tuple or list holds positional arguments, a mapping keyword arguments."""

    class Named(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x

    assert work(trace(Named(), make(torch.zeros(3, 3)))) == {("", "matmul"): 27}


@pytest.mark.slow
def test_constants_made_on_the_cpu_meet_meta_tensors() -> None:
    """Tensors that a forward makes without a device work; a device that it names becomes meta."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = [torch.ones(4, 4)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            steps = int(torch.tensor([2, 3]).sum())
            return (x.to("cpu") + torch.arange(4.0)) @ self.table[0] * steps

    assert work(trace(Mixed(), image(2, 4))) == {("", "matmul"): 2 * 4 * 4}


def snapshot(model: nn.Module) -> dict[str, Any]:
    """All that a trace might change: state, hooks, flags, gradients, plain attributes."""
    return {
        "state": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "modules": [
            (
                module.training,
                sorted(vars(module)),
                *(len(getattr(module, name)) for name in vars(module) if name.endswith("_hooks")),
            )
            for module in model.modules()
        ],
        "grads": [(parameter.requires_grad, parameter.grad) for parameter in model.parameters()],
        "random": (torch.get_rng_state(), random.getstate()),
    }


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The two snapshots are equal, values included."""
    assert before["state"].keys() == after["state"].keys()
    assert all(torch.equal(before["state"][name], after["state"][name]) for name in before["state"])
    assert before["modules"] == after["modules"]
    assert before["grads"] == after["grads"]
    assert torch.equal(before["random"][0], after["random"][0])
    assert before["random"][1] == after["random"][1]


class Meddler(nn.Module):
    """A forward that changes everything it can reach, and raises if ``fails`` is set."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.body = small()
        self.steps: torch.Tensor = nn.Buffer(torch.zeros(1))
        self.fails = fails
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(1)
        self.extra = 1
        self.steps += 1
        self.body[0].requires_grad_(False)
        torch.rand(3)
        random.random()
        x = self.body(x)
        if self.fails:
            raise ValueError("on purpose")
        return x


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_unchanged_after_a_trace(mode: Any, fails: bool) -> None:
    """State, hooks, flags, attributes and random numbers are unchanged, also if forward raises."""
    model = Meddler(fails=fails)
    model.body[1].eval()
    before = snapshot(model)
    if fails:
        with pytest.raises(TraceError, match="on purpose"):
            trace(model, torch.zeros(2, 3, 9, 9), mode)
    else:
        trace(model, torch.zeros(2, 3, 9, 9), mode)
    assert model.seen == []
    assert_same(before, snapshot(model))


def test_the_snapshot_sees_a_change() -> None:
    """The check above fails after a change."""
    model = small()
    before = snapshot(model)
    model[0].register_forward_hook(lambda *_: None)
    with pytest.raises(AssertionError):
        assert_same(before, snapshot(model))


def test_two_traces_have_the_same_records() -> None:
    """The second trace sees nothing of the first."""
    model = small()
    assert trace(model, image(2, 3, 9, 9)) == trace(model, image(2, 3, 9, 9))


def test_a_copy_has_the_same_records() -> None:
    """Real, meta and copied networks have the same records."""
    model = small()
    assert trace(model, torch.zeros(2, 3, 9, 9)) == trace(copy.deepcopy(model).to("meta"), image(2, 3, 9, 9))


def test_a_refused_shape_names_the_module_and_the_shapes() -> None:
    """The message names the module, its type, the shapes and the operation."""
    with pytest.raises(
        TraceError, match=r"module 0 \(Conv2d\) on 2×4×9×9 raised \w+ in aten::conv2d of 2×4×9×9, 8×3×3×3"
    ):
        trace(small(), image(2, 4, 9, 9))


def test_an_error_outside_of_operations_names_the_module() -> None:
    """The message names the innermost module of an exception that the forward raises itself."""

    class Inner(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("nothing here")

    with pytest.raises(TraceError, match=r"module 0\.0 \(Inner\) on 1×2 raised KeyError"):
        trace(nn.Sequential(nn.Sequential(Inner())), image(1, 2))


def test_an_empty_network_is_refused() -> None:
    """A network that runs no operation has nothing to count; an error says so in place of zeros."""
    with pytest.raises(TraceError, match="ran no operation"):
        trace(nn.Sequential(), image(1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_lazy_parameters_get_their_shapes_from_the_inputs(mode: Mode) -> None:
    """The traced copy has the shapes as if it had always had them; the user's network stays lazy."""
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3))
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    found, expected = (trace(network, image(2, 2, 8, 8), mode) for network in (lazy, plain))
    assert (found.calls, found.parameters) == (expected.calls, expected.parameters)
    assert isinstance(lazy[0], nn.LazyConv2d)
    assert all(nn.parameter.is_lazy(parameter) for parameter in lazy.parameters())


def test_lazy_parameters_without_a_shape_are_explained() -> None:
    """If the first run fails, the error contains its message."""
    with pytest.raises(TraceError, match=r"Sequential has lazy parameters, and the run .* raised RuntimeError"):
        trace(nn.Sequential(nn.LazyLinear(3), nn.Linear(4, 2)), image(1, 2))


def test_an_operation_without_a_rule_is_recorded_as_uncounted() -> None:
    """The operation is neither left out nor counted as zero."""

    @torch.library.custom_op("profiler_tests::double", mutates_args=())
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @double.register_fake
    def _(x: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(x)

    class Custom(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return double(x)  # type: ignore[no-any-return]

    (call,) = trace(Custom(), image(2, 3)).calls
    assert (call.op, call.status, call.kind, call.terms) == ("profiler_tests::double", "uncounted", "uncounted", ())


def test_training_records_the_backward_pass_by_module() -> None:
    """The gradients of each layer belong to that layer; the first layer needs none for its input."""
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    result = trace(model, image(2, 4), "training")
    backward = [call for call in result.calls if call.phase == "backward"]
    macs = {name: sum(call.count.macs for call in backward if call.module == name) for name in ("0", "2")}
    assert macs == {"0": 2 * 4 * 5, "2": 2 * (2 * 5 * 3)}


def test_frozen_layers_cost_no_weight_gradient() -> None:
    """A frozen layer passes gradients on if an earlier layer needs them, and computes none for its weights."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    model[1].requires_grad_(False)
    backward = [call for call in trace(model, image(2, 4), "training").calls if call.phase == "backward"]
    macs = {name: sum(call.count.macs for call in backward if call.module == name) for name in ("0", "1")}
    assert macs == {"0": 2 * 4 * 5, "1": 2 * 5 * 3}


def test_users_hooks_run_on_the_copy_only() -> None:
    """A user's hook runs as part of the network, in the module that it is registered on."""
    model = nn.Sequential(nn.Linear(3, 3))
    model[0].register_forward_hook(lambda module, args, output: output @ output.t())
    assert work(trace(model, image(2, 3))) == {("0", "linear"): 2 * 9, ("0", "matmul"): 2 * 3 * 2}
    assert len(model[0]._forward_hooks) == 1
