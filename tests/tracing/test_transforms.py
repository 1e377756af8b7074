"""The transforms of ``torch.func`` change no cost: each sample costs what it costs alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

import profiler
from profiler.opcount import ZERO, OpCount
from profiler.profiles import Profile
from profiler.records import Mode, OpCall, Phase
from profiler.traces import trace_for_real

MODES = pytest.mark.parametrize("mode", ["inference", "training"])


class Runs(nn.Module):
    """A network whose forward is a function of its layer and the inputs."""

    def __init__(self, layer: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer = layer
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self.layer, *inputs)


class Ensemble(nn.Module):
    """Three linear layers 4 → 5 with stacked weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 5, 4))
        self.bias = nn.Parameter(torch.zeros(3, 5))

    def forward(self, x: torch.Tensor) -> Any:
        return vmap(F.linear, in_dims=(None, 0, 0))(x, self.weight, self.bias)


def requiring_grad(*shape: int) -> torch.Tensor:
    """An input that requires a gradient."""
    return torch.zeros(shape, requires_grad=True)


def calls(profile: Profile, *phases: Phase) -> list[OpCall]:
    return [call for call in profile.trace.calls if call.phase in phases and call.terms]


def counted(profile: Profile, *phases: Phase) -> OpCount:
    return sum((call.count for call in calls(profile, *phases)), ZERO)


def forward_macs(profile: Profile) -> int:
    return counted(profile, "forward").macs


def of(layer: nn.Module, function: Callable[..., Any], *inputs: torch.Tensor, mode: Mode = "inference") -> Profile:
    profile = profiler.profile(Runs(layer, function), inputs, mode=mode)
    assert profile.status == "complete"
    assert not profile.trace.real_run
    return profile


@MODES
def test_a_linear_layer_under_vmap_is_counted_for_every_sample(mode: Mode) -> None:
    """Three samples of seven rows; the bias is an add, and beta = 1 no multiply, also in the gradient."""
    profile = of(nn.Linear(4, 5), lambda layer, x: vmap(layer)(x), requiring_grad(3, 7, 4), mode=mode)
    one = 3 * 7 * 4 * 5
    assert counted(profile, "forward") == OpCount(multiplies=one, adds=one, macs=one)
    (linear,) = calls(profile, "forward")
    assert (linear.op, linear.kind, linear.inputs[0].shape) == ("aten::linear", "linear", (3, 7, 4))
    assert (linear.inputs[1].shape, linear.outputs[0].shape) == ((5, 4), (3, 7, 5))
    if mode == "training":
        assert (counted(profile, "backward").macs, counted(profile, "backward").multiplies) == (one + one, one + one)
        (row,) = profile.training[profile.training["layer"] == "layer"].to_dict("records")
        assert (row["input_gradient_macs"], row["weight_gradient_macs"]) == (one, one)


@MODES
def test_nested_vmap_is_counted_for_every_sample_of_every_sample(mode: Mode) -> None:
    """There are 2·3 samples; an operand that only one of the two levels maps over still counts for each pair."""
    layer = nn.Linear(4, 5)
    both = of(layer, lambda layer, x: vmap(vmap(layer))(x), torch.zeros(2, 3, 7, 4), mode=mode)
    assert forward_macs(both) == 2 * 3 * 7 * 4 * 5
    assert calls(both, "forward")[0].inputs[0].shape == (2, 3, 7, 4)

    def pairs(layer: nn.Module, x: torch.Tensor, weights: torch.Tensor) -> Any:
        return layer(vmap(lambda x: vmap(lambda weight: F.linear(x, weight))(weights))(x))

    crossed = of(nn.Linear(5, 1), pairs, torch.zeros(2, 7, 4), torch.zeros(3, 5, 4), mode=mode)
    assert forward_macs(crossed) == 2 * 3 * 7 * 4 * 5 + 2 * 3 * 7 * 5
    assert [spec.shape for spec in calls(crossed, "forward")[0].inputs] == [(2, 7, 4), (3, 5, 4)]


@MODES
@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_vmap_in_chunks_costs_the_same(mode: Mode, chunk: int) -> None:
    """The MACs of forward and backward are the same, whatever the size of the last chunk."""
    profile = of(
        nn.Linear(4, 5),
        lambda layer, x: vmap(layer, in_dims=1, chunk_size=chunk)(x),
        requiring_grad(7, 5, 4),
        mode=mode,
    )
    assert forward_macs(profile) == 5 * 7 * 4 * 5
    assert counted(profile, "backward").macs == (2 * 5 * 7 * 4 * 5 if mode == "training" else 0)


@MODES
def test_attention_under_vmap_keeps_its_kind_and_cost(mode: Mode) -> None:
    """Each of the three samples has both products and one multiply a score by the scale; the kind is attention."""

    def attention(layer: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Any:
        return vmap(F.scaled_dot_product_attention)(q, k, v)

    inputs = (requiring_grad(3, 2, 7, 4), requiring_grad(3, 2, 6, 4), requiring_grad(3, 2, 6, 5))
    profile = of(nn.Identity(), attention, *inputs, mode=mode)
    scores, macs = 3 * 2 * 7 * 6, 3 * 2 * 7 * 6 * 4 + 3 * 2 * 7 * 6 * 5
    forward = counted(profile, "forward")
    assert (forward.macs, forward.multiplies) == (macs, macs + scores)
    assert {call.kind for call in calls(profile, "forward", "backward")} == {"attention"}
    assert counted(profile, "backward").macs == (2 * macs if mode == "training" else 0)
    plain = profiler.profile(Runs(nn.Identity(), lambda _, *qkv: F.scaled_dot_product_attention(*qkv)), inputs)
    assert forward == plain.total


def test_a_causal_mask_under_vmap_hides_scores_of_every_sample() -> None:
    """The causal MACs are of all samples, like the dense count."""

    def attention(_: nn.Module, q: torch.Tensor) -> Any:
        return vmap(lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True))(q)

    profile = of(nn.Identity(), attention, torch.zeros(3, 2, 6, 4))
    plain = profiler.profile(
        Runs(nn.Identity(), lambda _, q: F.scaled_dot_product_attention(q, q, q, is_causal=True)),
        torch.zeros(3, 2, 6, 4),
    )
    hidden = 3 * 2 * (6 * 5 // 2) * (4 + 4)
    assert profile.causal_macs == plain.causal_macs == profile.total.macs - hidden


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@MODES
@pytest.mark.parametrize(("layer", "gates"), [(nn.GRUCell(4, 5), 3), (nn.RNNCell(4, 5), 1)])
def test_a_cell_under_vmap_is_counted_for_every_sample(mode: Mode, layer: nn.Module, gates: int) -> None:
    """Three samples of seven rows go through the gates of a recurrent cell, with (4 + 5)·5 products for each gate."""
    profile = of(
        layer, lambda layer, x, h: vmap(layer)(x, h), requiring_grad(3, 7, 4), requiring_grad(3, 7, 5), mode=mode
    )
    one = 3 * 7 * (4 + 5) * gates * 5
    assert forward_macs(profile) == one
    assert {call.kind for call in calls(profile, "forward")} == {"recurrent"}
    assert counted(profile, "backward").macs == (2 * one if mode == "training" else 0)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@MODES
def test_a_bilinear_layer_under_vmap_is_counted_for_every_sample(mode: Mode) -> None:
    """The weight meets the first input, and the result meets the second."""
    profile = of(
        nn.Bilinear(4, 5, 6),
        lambda layer, a, b: vmap(layer)(a, b),
        requiring_grad(3, 7, 4),
        requiring_grad(3, 7, 5),
        mode=mode,
    )
    assert forward_macs(profile) == 3 * 7 * 6 * 5 * 4 + 3 * 7 * 6 * 5
    assert {call.kind for call in calls(profile, "forward")} == {"linear"}


@MODES
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_dropout_under_vmap_is_counted_for_every_sample(mode: Mode, randomness: str) -> None:
    """There are two multiplies for each element of each sample, whether the samples share their mask or not."""

    def dropped(layer: nn.Module, x: torch.Tensor) -> Any:
        return layer(vmap(lambda x: F.dropout(F.dropout2d(x)), randomness=randomness)(x))

    profile = of(nn.Linear(4, 1, bias=False), dropped, torch.zeros(3, 2, 8, 7, 4), mode=mode)
    elements = 3 * 2 * 8 * 7 * 4
    assert counted(profile, "forward") - OpCount(multiplies=elements, adds=elements // 4 * 3, macs=elements) == OpCount(
        multiplies=2 * elements + elements + 3 * 2 * 8
    )


def test_random_results_of_an_unmapped_input_are_counted_for_every_sample() -> None:
    """Dropout of an input that is not mapped over draws a mask for each sample."""

    def dropped(_: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Any:
        return vmap(lambda _: F.dropout(x), randomness="different")(y)

    profile = of(nn.Identity(), dropped, torch.zeros(7, 4), torch.zeros(3))
    assert counted(profile, "forward") == OpCount(multiplies=2 * 3 * 7 * 4)


@MODES
def test_rms_norm_under_vmap_is_counted_for_every_sample(mode: Mode) -> None:
    """It costs the same as the norm of all rows."""
    under = of(nn.RMSNorm(4), lambda layer, x: vmap(layer)(x), requiring_grad(3, 7, 4), mode=mode)
    plain = of(nn.RMSNorm(4), lambda layer, x: layer(x), requiring_grad(3, 7, 4), mode=mode)
    assert counted(under, "forward") == counted(plain, "forward")
    assert {call.kind for call in calls(under, "forward")} == {"norm"}


def test_an_ensemble_of_stacked_weights_splits_its_gradients() -> None:
    """One product reads the weights: the gradient of the input. The other makes the gradient of the weights."""
    profile = profiler.profile(Ensemble(), requiring_grad(7, 4), mode="training")
    one = 3 * 7 * 4 * 5
    (row,) = profile.training[profile.training["layer"] == "(root)"].to_dict("records")
    assert [row[f"{part}_macs"] for part in ("forward", "input_gradient", "weight_gradient")] == [one, one, one]
    assert {call.kind for call in calls(profile, "forward", "backward")} == {"linear"}
    assert profile.parameters["kind"].tolist() == ["linear", "linear"]
    assert counted(profile, "forward") == OpCount(multiplies=one, adds=one, macs=one)
    assert counted(profile, "backward").multiplies == 2 * one


@MODES
def test_an_ensemble_of_networks_is_counted_for_each(mode: Mode) -> None:
    """The test uses ``stack_module_state`` and ``functional_call`` like torch's tutorial on ensembles."""

    class Networks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.members = nn.ModuleList(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6)) for _ in range(3))

        def forward(self, x: torch.Tensor) -> Any:
            parameters = {
                name: torch.stack([dict(member.named_parameters())[name] for member in self.members])
                for name, _ in self.members[0].named_parameters()
            }
            return vmap(lambda state: functional_call(self.members[0], state, x))(parameters)

    profile = profiler.profile(Networks(), requiring_grad(7, 4), mode=mode)
    one = 3 * 7 * (4 * 5 + 5 * 6)
    assert forward_macs(profile) == one
    if mode == "training":
        row = profile.training.to_dict("records")[-1]
        assert (row["input_gradient_macs"], row["weight_gradient_macs"]) == (one, one)


def test_stacked_module_state_that_the_network_holds_is_linear() -> None:
    """The network holds the parameters that ``stack_module_state`` makes."""

    class Stacked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.skeleton = [nn.Linear(4, 5)]
            state, _ = stack_module_state([nn.Linear(4, 5) for _ in range(3)])
            self.state = nn.ParameterDict({name: nn.Parameter(value) for name, value in state.items()})

        def forward(self, x: torch.Tensor) -> Any:
            return vmap(lambda state: functional_call(self.skeleton[0], state, x))(dict(self.state))

    profile = profiler.profile(Stacked(), torch.zeros(7, 4), mode="training")
    assert (forward_macs(profile), profile.training.to_dict("records")[-1]["weight_gradient_macs"]) == (420, 420)


@MODES
def test_a_forward_derivative_of_a_linear_layer_has_three_products(mode: Mode) -> None:
    """The products are x·W, (tangent of x)·W and x·(tangent of W), of 60 MACs each; torch runs the last one though it
    is zero.

    There is an add for the bias, and one of the tangent's two products; adding the zero tangent of the bias is no
    work. In training, each of the two results has a weight gradient; no gradient of the input is needed.
    """

    def both(layer: nn.Module, x: torch.Tensor) -> Any:
        return jvp(layer, (x,), (torch.ones_like(x),))

    profile = of(nn.Linear(4, 5), both, torch.zeros(3, 4), mode=mode)
    one = 3 * 4 * 5
    assert counted(profile, "forward") == OpCount(
        multiplies=3 * one, adds=(one - 15) + 15 + 2 * (one - 15) + 15, macs=3 * one
    )
    assert {call.kind for call in calls(profile, "forward")} == {"linear"}
    assert counted(profile, "backward").macs == (2 * one if mode == "training" else 0)
    if mode == "training":
        (row,) = profile.training[profile.training["layer"] == "layer"].to_dict("records")
        assert (row["input_gradient_macs"], row["weight_gradient_macs"]) == (0, 2 * one)


@MODES
def test_a_forward_derivative_of_a_convolution_has_three_convolutions(mode: Mode) -> None:
    """As for a linear layer, torch also convolves with the tangent of the weight, which is zero."""
    profile = of(
        nn.Conv2d(3, 4, 3), lambda layer, x: jvp(layer, (x,), (torch.ones_like(x),)), torch.zeros(2, 3, 8, 8), mode=mode
    )
    one = 3 * 3 * 3 * 2 * 4 * 6 * 6
    assert forward_macs(profile) == 3 * one
    assert counted(profile, "backward").macs == (2 * one if mode == "training" else 0)


@pytest.mark.slow
@MODES
def test_a_forward_derivative_of_attention_keeps_its_kind(mode: Mode) -> None:
    """There are two products of operands, and two more for each of their tangents; all have the kind attention."""

    def derivative(_: nn.Module, x: torch.Tensor) -> Any:
        return jvp(lambda x: F.scaled_dot_product_attention(x, x, x), (x,), (torch.ones_like(x),))

    profile = of(nn.Identity(), derivative, requiring_grad(2, 7, 4), mode=mode)
    assert forward_macs(profile) == (1 + 2) * 2 * (2 * 7 * 7 * 4)
    assert {call.kind for call in calls(profile, "forward")} == {"attention"}


@MODES
@pytest.mark.parametrize(
    ("layer", "gates"),
    [
        pytest.param(nn.LSTM(4, 5), 4, marks=pytest.mark.slow),
        pytest.param(nn.GRU(4, 5), 3, marks=pytest.mark.slow),
        (nn.RNN(4, 5), 1),
    ],
)
def test_a_forward_derivative_of_a_recurrent_layer_keeps_its_kind(mode: Mode, layer: nn.Module, gates: int) -> None:
    """The MACs are the same in both modes: 3 products with the input weights, fewer with the state's in step one."""
    profile = of(layer, lambda layer, x: jvp(lambda x: layer(x)[0], (x,), (torch.ones_like(x),)), torch.zeros(3, 7, 4))
    assert {call.kind for call in calls(profile, "forward")} == {"recurrent"}
    inputs, state = 3 * 7 * 4 * gates * 5, 7 * 5 * gates * 5
    assert forward_macs(profile) == 3 * inputs + 3 * 3 * state - 2 * state
    trained = of(
        layer, lambda layer, x: jvp(lambda x: layer(x)[0], (x,), (torch.ones_like(x),)), torch.zeros(3, 7, 4), mode=mode
    )
    assert counted(trained, "forward") == counted(profile, "forward")


@MODES
def test_an_operation_without_a_tangent_is_not_decomposed(mode: Mode) -> None:
    """This holds while the forward derivative of another tensor is computed."""

    def elsewhere(layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Any:
        return jvp(lambda y: (y * 2, layer(x)), (y,), (torch.ones_like(y),))[0][1]

    profile = of(nn.Linear(4, 5), elsewhere, torch.zeros(3, 4), torch.zeros(2), mode=mode)
    assert [call.op for call in calls(profile, "forward") if call.kind == "linear"] == ["aten::linear"]


DERIVATIVES: dict[str, tuple[Callable[..., Any], int]] = {
    # x is (3, 4). A product of a (4 → 5) layer costs 60, and 60·n with a basis of n tangents or cotangents.
    "grad": (lambda layer, x: grad(lambda x: layer(x).sum())(x), 60 + 60),
    "vjp": (lambda layer, x: vjp(layer, x)[1](torch.ones(3, 5, device=x.device)), 60 + 60),
    "jacrev": (lambda layer, x: jacrev(layer)(x), 60 + 15 * 60),
    "jacfwd": (lambda layer, x: jacfwd(layer)(x), 60 + 60 + 12 * 60),
    "per-sample gradients": (lambda layer, x: vmap(grad(lambda x: layer(x).sum()))(x), 60 + 60),
    "gradient of a functional call": (
        lambda layer, x: grad(lambda state: functional_call(layer, state, x).sum())(dict(layer.named_parameters())),
        60 + 60,
    ),
    "per-sample gradients of weights": (
        lambda layer, x: vmap(grad(lambda state, x: functional_call(layer, state, x).sum()), in_dims=(None, 0))(
            dict(layer.named_parameters()), x
        ),
        60 + 60,
    ),
}


@MODES
@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_within_a_forward_are_counted(mode: Mode, name: str) -> None:
    """The function counts once, and its gradients as they run, with the same result in both modes."""
    function, macs = DERIVATIVES[name]

    def squared(layer: nn.Module, x: torch.Tensor) -> Any:
        return layer(x), function(layer, x)

    assert forward_macs(of(nn.Linear(4, 5), squared, torch.zeros(3, 4), mode=mode)) == 60 + macs


@MODES
def test_the_whole_function_under_vmap_costs_the_same_for_real(mode: Mode) -> None:
    """A real run has the counts of a run on meta."""
    network = Runs(nn.Linear(4, 5), lambda layer, x: vmap(grad(lambda x: layer(x).square().sum()))(x))
    x = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
    real = trace_for_real(network, x, mode, reason="test")
    meta = profiler.profile(network, x, mode=mode).trace
    assert sum((call.count for call in real.calls), ZERO) == sum((call.count for call in meta.calls), ZERO)


@MODES
@pytest.mark.parametrize(
    ("function", "shapes", "macs"),
    [
        (torch.addmm, [(3, 7, 5), (3, 7, 4), (3, 4, 5)], 3 * 7 * 4 * 5),
        (torch.baddbmm, [(3, 2, 7, 5), (3, 2, 7, 4), (3, 2, 4, 5)], 3 * 2 * 7 * 4 * 5),
        (torch.addbmm, [(3, 7, 5), (3, 2, 7, 4), (3, 2, 4, 5)], 3 * 2 * 7 * 4 * 5),
        (torch.addmv, [(3, 7), (3, 7, 4), (3, 4)], 3 * 7 * 4),
    ],
)
def test_a_factor_of_one_is_no_multiply_under_vmap(
    mode: Mode, function: Callable[..., Any], shapes: list[tuple[int, ...]], macs: int
) -> None:
    """This holds for alpha and beta; only the products of the operands are counted."""
    profile = of(
        nn.Identity(), lambda _, *operands: vmap(function)(*operands), *(requiring_grad(*s) for s in shapes), mode=mode
    )
    assert counted(profile, "forward").multiplies == counted(profile, "forward").macs == macs
    backward = counted(profile, "backward")
    assert backward.multiplies == backward.macs == (2 * macs if mode == "training" else 0)


def test_other_factors_than_one_are_multiplies_under_vmap() -> None:
    """There is one multiply for each element that beta or alpha scales."""
    operands = (torch.zeros(3, 7, 5), torch.zeros(3, 7, 4), torch.zeros(3, 4, 5))
    profile = of(
        nn.Identity(), lambda _, *operands: vmap(lambda *o: torch.addmm(*o, beta=2, alpha=3))(*operands), *operands
    )
    assert profile.total.multiplies == 3 * 7 * 4 * 5 + 2 * 3 * 7 * 5


def test_a_product_without_sums_under_vmap_multiplies_once() -> None:
    """``addr`` costs the outer product; a factor of one costs nothing."""
    operands = (torch.zeros(3, 7, 5), torch.zeros(3, 7), torch.zeros(3, 5))
    profile = of(nn.Identity(), lambda _, *operands: vmap(torch.addr)(*operands), *operands)
    assert profile.total == OpCount(multiplies=3 * 7 * 5, adds=3 * 7 * 5)


@pytest.mark.slow
@MODES
def test_second_derivatives_are_complete(mode: Mode) -> None:
    """An operator that only needs the shape of a sum or product with zeros does not count as work."""
    layer = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 1))
    assert of(layer, lambda layer, x: (layer(x), hessian(lambda x: layer(x).sum())(x)), torch.zeros(3, 4), mode=mode)


def test_an_operator_of_prims_that_the_network_calls_is_counted() -> None:
    """It is uncounted without a rule, like any other operator."""
    prims: Any = torch.ops.prims

    def add(_: nn.Module, x: torch.Tensor) -> Any:
        tangent = jvp(nn.Linear(4, 4, device=x.device), (x,), (x,))[1]
        return prims.add(tangent, x)

    profile = profiler.profile(Runs(nn.Identity(), add), torch.zeros(3, 4))
    assert [call.op for call in profile.trace.calls if call.status == "uncounted"] == ["prims::add"]
