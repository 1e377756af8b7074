"""A network costs the same on meta and on the CPU, fused or not, with gradients or without."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from profiler.opcount import ZERO, OpCount
from profiler.records import KINDS, Mode, Trace
from profiler.traces import trace, trace_for_real
from tests.museum import LARGE, MUSEUM


def forward_count(result: Trace) -> OpCount:
    count = ZERO
    for call in result.calls:
        if call.phase == "forward":
            assert call.status != "uncounted", call.op
            count = count + call.count
    return count


class AlwaysEval(nn.Module):
    """A network that stays in eval mode, also when it is traced for training."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def train(self, mode: bool = True) -> AlwaysEval:
        return super().train(False)

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs)


def with_gradients(model: nn.Module, inputs: tuple[Any, ...]) -> Trace:
    """The forward of a training trace in eval mode, whose operations arrive decomposed."""
    wanted = tuple(x.clone().requires_grad_() if x.is_floating_point() or x.is_complex() else x for x in inputs)
    return trace_for_real(AlwaysEval(model), wanted, "training", reason="test")


EXHIBITS = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in MUSEUM]

pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]


@pytest.mark.parametrize("name", MUSEUM)
def test_meta_and_cpu_have_the_same_counts(name: str) -> None:
    """All counts and the MACs agree; the CPU runs fused kernels that meta does not have."""
    model, inputs = MUSEUM[name]()
    on_cpu = trace_for_real(model, inputs, reason="test")
    assert forward_count(trace(model, inputs)) == forward_count(on_cpu)


def test_a_fused_kernel_is_not_used_so_that_kinds_stay_separate() -> None:
    """The CPU could run an encoder layer as one kernel; the trace keeps its operations, so each row has one kind."""
    model, inputs = MUSEUM["encoder layer"]()
    kinds = {call.kind for call in trace_for_real(model, inputs, reason="test").calls}
    assert {"linear", "attention", "norm", "activation"} <= kinds


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_attention_with_and_without_weights_has_the_same_kinds(mode: Mode, weights: bool) -> None:
    """The two products are attention and the projections are linear, whether the weights are returned or not."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.zeros(2, 5, 8)
    calls = trace(attention, {"query": x, "key": x, "value": x, "need_weights": weights}, mode).calls
    macs = {kind: sum(call.count.macs for call in calls if call.kind == kind) for kind in KINDS}
    products, projections = 2 * (2 * 2 * 5 * 5 * 4), 4 * (2 * 5 * 8 * 8)
    forward_and_backward = 3 if mode == "training" else 1
    assert macs["attention"] == products * forward_and_backward
    assert macs["linear"] > 0
    assert macs["matmul"] == 0
    if mode == "inference":
        assert macs["linear"] == projections


def forward_by_kind(result: Trace) -> dict[str, OpCount]:
    counts: dict[str, OpCount] = {}
    for call in result.calls:
        if call.phase == "forward" and call.terms:
            counts[call.kind] = counts.get(call.kind, ZERO) + call.count
    return counts


@pytest.mark.parametrize("name", EXHIBITS)
def test_gradients_make_no_difference(name: str) -> None:
    """The counts and kinds are the same, though operations arrive decomposed with gradients."""
    model, inputs = MUSEUM[name]()
    decomposed, whole = with_gradients(model, inputs), trace(model, inputs)
    assert forward_by_kind(decomposed) == forward_by_kind(whole)
    assert forward_count(decomposed) == forward_count(whole)


def test_a_sum_of_gradients_belongs_to_no_product() -> None:
    """A tensor that a layer and a residual connection read has two gradients; their sum belongs to neither."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = x + self.layer(x)
            return result

    calls = trace(Residual(), torch.zeros(3, 4, 8, requires_grad=True), "training").calls
    backward = [call for call in calls if call.phase == "backward" and call.terms]
    assert [call.kind for call in backward if call.op == "aten::add"] == ["elementwise"]
    linear = [call.count for call in backward if call.kind == "linear"]
    assert sum(count.macs for count in linear) == 2 * 12 * 8 * 8
    assert sum(count.adds for count in linear) == 12 * 8 * (8 - 1) + 8 * 8 * (12 - 1) + 8 * (12 - 1)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "lstm cell"])
def test_recurrent_networks_have_their_kind_in_training(name: str) -> None:
    """The forward and the backward pass have the kind ``recurrent``."""
    model, inputs = MUSEUM[name]()
    calls = trace(model, inputs, "training").calls
    assert {call.kind for call in calls if call.terms} == {"recurrent"}


def backward_count(result: Trace) -> OpCount:
    count = ZERO
    for call in result.calls:
        if call.phase == "backward":
            assert call.status != "uncounted", call.op
            count = count + call.count
    return count


@pytest.mark.parametrize("wanted", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", EXHIBITS)
def test_meta_and_cpu_have_the_same_backward_counts(name: str, wanted: bool) -> None:
    """The inputs need gradients or not; a fused kernel also computes gradients that are not needed."""
    model, inputs = MUSEUM[name]()
    if not wanted and not list(model.parameters()):
        pytest.skip("there is nothing to train")
    counts = []
    for run in (trace, partial(trace_for_real, reason="test")):
        fresh = tuple(
            x.clone().requires_grad_(wanted) if x.is_floating_point() or x.is_complex() else x for x in inputs
        )
        counts.append(backward_count(run(model, fresh, "training")))
    assert counts[0] == counts[1]


class Attention(nn.Module):
    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("without", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_attention_with_frozen_operands_costs_the_same_everywhere(without: tuple[int, ...]) -> None:
    """Queries, keys or values need no gradient, in fused and unfused attention."""
    counts = []
    for run in (trace, partial(trace_for_real, reason="test")):
        inputs = tuple(torch.ones(2, 4, 5, 8, requires_grad=index not in without) for index in range(3))
        counts.append(backward_count(run(Attention(), inputs, "training")))
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_a_frozen_lstm_below_a_trained_one() -> None:
    """The gradient passes through an LSTM whose weights are not trained."""
    network = nn.Sequential(nn.LSTM(5, 4), Last())
    network[0].requires_grad_(False)
    network[0].weight_hh_l0.requires_grad_(True)
    counts = [
        backward_count(run(network, torch.ones(3, 2, 5), "training"))
        for run in (trace, partial(trace_for_real, reason="test"))
    ]
    assert counts[0] == counts[1]


class Last(nn.Module):
    def forward(self, states: Any) -> Any:
        return states[0]


def test_functions_accept_keyword_arguments() -> None:
    """Functions that training records as one operation accept keyword arguments as well."""

    class Keywords(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.pairs = nn.Linear(8, 8), nn.Bilinear(8, 8, 3)

        def forward(self, x: torch.Tensor) -> Any:
            y = nn.functional.linear(input=x, weight=self.layer.weight, bias=self.layer.bias)
            z = nn.functional.scaled_dot_product_attention(query=y, key=y, value=y, is_causal=True, scale=0.5)
            return nn.functional.bilinear(z, input2=z, weight=self.pairs.weight, bias=self.pairs.bias)

    x = torch.ones(1, 2, 4, 8)
    assert forward_by_kind(with_gradients(Keywords(), (x,))) == forward_by_kind(trace(Keywords(), x))
