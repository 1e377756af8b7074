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
    """The forward of a training trace in eval mode: operations arrive taken apart."""
    wanted = tuple(x.clone().requires_grad_() if x.is_floating_point() or x.is_complex() else x for x in inputs)
    return trace_for_real(AlwaysEval(model), wanted, "training", reason="test")


EXHIBITS = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in MUSEUM]

pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]


@pytest.mark.parametrize("name", MUSEUM)
def test_meta_and_cpu_give_the_same(name: str) -> None:
    """All five kinds and the MACs; on the CPU fused kernels run that meta does not have."""
    model, inputs = MUSEUM[name]()
    on_cpu = trace_for_real(model, inputs, reason="test")
    assert forward_count(trace(model, inputs)) == forward_count(on_cpu)


def test_kinds_stay_apart_where_a_fused_kernel_could_run() -> None:
    """On the CPU an encoder layer could be one kernel; it is not taken, so that rows have one kind each."""
    model, inputs = MUSEUM["encoder layer"]()
    kinds = {call.kind for call in trace_for_real(model, inputs, reason="test").calls}
    assert {"linear", "attention", "norm", "activation"} <= kinds


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_attention_is_attention(mode: Mode, weights: bool) -> None:
    """Whether its weights are asked for or not, its two products are of that kind, its projections are linear."""
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
    """The counts are the same and of the same kinds, though with gradients operators arrive decomposed."""
    model, inputs = MUSEUM[name]()
    decomposed, whole = with_gradients(model, inputs), trace(model, inputs)
    assert forward_by_kind(decomposed) == forward_by_kind(whole)
    assert forward_count(decomposed) == forward_count(whole)


def test_sums_of_gradients_are_no_part_of_a_product() -> None:
    """A tensor that a layer and a residual read has two gradients; their sum belongs to neither."""

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
def test_recurrent_networks_are_recurrent_in_training(name: str) -> None:
    """Forward and backward."""
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


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("name", EXHIBITS)
def test_meta_and_cpu_give_the_same_backward(name: str, wanted: bool) -> None:
    """Whether the inputs need gradients or not; a fused kernel computes also those that nobody asked for."""
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
def test_attention_with_frozen_operands(without: tuple[int, ...]) -> None:
    """Queries, keys or values that need no gradient, fused and unfused."""
    counts = []
    for run in (trace, partial(trace_for_real, reason="test")):
        inputs = tuple(torch.ones(2, 4, 5, 8, requires_grad=index not in without) for index in range(3))
        counts.append(backward_count(run(Attention(), inputs, "training")))
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_a_frozen_lstm() -> None:
    """An LSTM whose weights are not trained, below one that is."""
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


def test_functions_may_be_called_by_keyword() -> None:
    """Those that are recorded whole in training as well."""

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
