"""The backward pass of recurrent networks costs the same fused and unfused, as much as what autograd runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.errors import UncountedError
from profiler.opcount import OpCount
from profiler.signatures import TensorSpec
from profiler.traces import trace, trace_for_real
from tests.rules.backward.test_attention import backward_of, drawn, fresh
from tests.rules.backward.test_contractions import Matrix, multiply, transposed
from tests.rules.counting import Counting, Tally, assert_counted, spec, total
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import specs, values

STEPS, BATCH, INPUTS, HIDDEN = 3, 2, 5, 4

RESULTS: dict[str, Callable[[Any], Any]] = {
    "all": lambda result: result,
    "results": lambda result: result[0],
    "hidden": lambda result: result[1][0],
    "cell": lambda result: result[1][1],
}
"""Which results of a network are used."""

MODES: dict[str, tuple[int, Any, dict[str, str]]] = {
    "rnn_relu": (0, nn.RNN, {"nonlinearity": "relu"}),
    "rnn_tanh": (1, nn.RNN, {}),
    "lstm": (2, nn.LSTM, {}),
    "gru": (3, nn.GRU, {}),
}


class Network(nn.Module):
    """A recurrent network that starts from given states and returns some of its results."""

    def __init__(self, network: nn.Module, used: str = "all") -> None:
        super().__init__()
        self.network = network
        self.used = used

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> Any:
        result, last = self.network(x, *([states] if len(states) == 2 else states))
        return RESULTS[self.used]((result, last if isinstance(last, tuple) else (last,)))


def inputs_of(network: nn.RNNBase) -> tuple[torch.Tensor, ...]:
    """An input and initial states, which all need gradients."""
    layers = network.num_layers * (2 if network.bidirectional else 1)
    shape = (BATCH, STEPS, INPUTS) if network.batch_first else (STEPS, BATCH, INPUTS)
    states = [drawn(layers, BATCH, network.proj_size or HIDDEN)]
    if isinstance(network, nn.LSTM):
        states.append(drawn(layers, BATCH, HIDDEN))
    return (drawn(*shape), *states)


def unfused(network: nn.RNNBase, used: str = "all", without: tuple[int, ...] = ()) -> OpCount:
    """What autograd runs on meta; the inputs numbered in ``without`` need no gradient."""
    inputs = fresh(inputs_of(network))
    for index in without:
        inputs[index].requires_grad_(False)
    return backward_of(trace(Network(network, used), inputs, "training"))


needs_onednn = pytest.mark.skipif(not torch._C._has_mkldnn, reason="this torch has no oneDNN")


@pytest.mark.slow
@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("used", RESULTS)
def test_onednn_and_unfused_cost_the_same(used: str, bias: bool) -> None:
    """The CPU runs a layer of an LSTM as one kernel; the counts are equal, kind by kind."""
    network = nn.LSTM(INPUTS, HIDDEN, bias=bias)
    inputs = fresh(inputs_of(network))
    on_cpu = trace_for_real(Network(network, used), inputs, "training", reason="test")
    assert "aten::mkldnn_rnn_layer_backward" in {call.op for call in on_cpu.calls}
    assert backward_of(on_cpu) == unfused(network, used)


@pytest.mark.slow
@pytest.mark.parametrize("without", [(0,), (1,), (2,), (0, 1, 2)])
def test_gradients_that_are_not_needed_are_not_counted(without: tuple[int, ...]) -> None:
    """The gradients of the input, or of the initial states, are not in the results then."""
    network = nn.LSTM(INPUTS, HIDDEN)
    x, h, c = specs(inputs_of(network))
    h, c = spec(*h.shape[1:]), spec(*c.shape[1:])
    weights = specs(list(network.parameters()))
    y = spec(STEPS, BATCH, HIDDEN)
    out: list[TensorSpec | None] = [x, *weights, h, c]
    for index in without:
        out[(0, 5, 6)[index]] = None
    arguments = (x, *weights, h, c, y, h, c, y, h, c, False, 2, HIDDEN, 1, True, True, False, [], False, y)
    assert count_of("mkldnn_rnn_layer_backward", *arguments, out=tuple(out)) == unfused(network, without=without)


def kernel_arguments(mode: str, network: nn.RNNBase, used: str, mask: list[bool], batch_sizes: list[int]) -> Any:
    """The arguments of cuDNN's operator, and its results."""
    x, h, *others = specs(inputs_of(network))
    c = others[0] if others else None
    weights = [spec(*weight.shape) for weight in network.parameters()]
    size = len(network.all_weights[0])
    y = spec(STEPS, BATCH, HIDDEN)
    gradients = (y if used in ("all", "results") else None, h if used in ("all", "hidden") else None)
    for_cell = c if used in ("all", "cell") else None
    arguments = (x, weights, size, None, h, c, y, *gradients, for_cell, MODES[mode][0], HIDDEN, network.proj_size)
    options = (network.num_layers, network.batch_first, network.dropout, True, network.bidirectional)
    return (*arguments, *options, batch_sizes, None, y, mask), (x, h, c, weights)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"num_layers": 2},
    {"bidirectional": True, "batch_first": True},
    {"num_layers": 3, "bidirectional": True, "dropout": 0.5},
]
SLOW_OPTIONS = [pytest.param(options, marks=pytest.mark.slow) for options in OPTIONS[2:]]


@pytest.mark.parametrize("options", [*OPTIONS[:2], *SLOW_OPTIONS], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_cudnn_and_unfused_cost_the_same(mode: str, options: dict[str, Any]) -> None:
    """All cells, with layers, directions and dropout; MIOpen's operator is equal, except that it has no projections."""
    _, module, nonlinearity = MODES[mode]
    network = module(INPUTS, HIDDEN, **nonlinearity, **options)
    arguments, out = kernel_arguments(mode, network, "all", [True] * 4, [])
    expected = unfused(network)
    assert count_of("_cudnn_rnn_backward", *arguments, out=out) == expected
    without_projection = (*arguments[:12], *arguments[13:])
    assert count_of("miopen_rnn_backward", *without_projection, out=out) == expected


@pytest.mark.slow
def test_a_projection_costs_a_product() -> None:
    """It maps the hidden state."""
    network = nn.LSTM(INPUTS, HIDDEN, num_layers=2, proj_size=3, bidirectional=True)
    arguments, out = kernel_arguments("lstm", network, "all", [True] * 4, [])
    assert count_of("_cudnn_rnn_backward", *arguments, out=out) == unfused(network)


@pytest.mark.slow
@pytest.mark.parametrize("used", RESULTS)
@pytest.mark.parametrize("mode", MODES)
def test_cudnn_with_unused_results(mode: str, used: str) -> None:
    """A result that is not used has no gradient to add."""
    if used == "cell" and mode != "lstm":
        return
    _, module, nonlinearity = MODES[mode]
    network = module(INPUTS, HIDDEN, num_layers=2, **nonlinearity)
    arguments, out = kernel_arguments(mode, network, used, [True] * 4, [])
    assert count_of("_cudnn_rnn_backward", *arguments, out=out) == unfused(network, used)


@pytest.mark.slow
def test_cudnn_with_an_output_mask() -> None:
    """The weights are frozen, or an input or states need no gradient."""
    network = nn.LSTM(INPUTS, HIDDEN, num_layers=2, bidirectional=True)
    for mask, without in (([False, True, True, True], (0,)), ([True, False, False, True], (1, 2))):
        arguments, out = kernel_arguments("lstm", network, "all", mask, [])
        assert count_of("_cudnn_rnn_backward", *arguments, out=out) == unfused(network, without=without)
    network.requires_grad_(False)
    arguments, out = kernel_arguments("lstm", network, "all", [True, True, True, False], [])
    assert count_of("_cudnn_rnn_backward", *arguments, out=out) == unfused(network)


def test_packed_sequences_are_uncounted() -> None:
    """Their lengths are not among the arguments that the rule reads."""
    arguments, out = kernel_arguments("lstm", nn.LSTM(INPUTS, HIDDEN), "all", [True] * 4, [2, 1, 1])
    with pytest.raises(UncountedError, match="packed"):
        terms_of("_cudnn_rnn_backward", *arguments, out=out)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [True, False])
def test_the_lstm_of_apple_devices_costs_the_same(bias: bool) -> None:
    """One operator computes all gradients."""
    network = nn.LSTM(INPUTS, HIDDEN, num_layers=2, bidirectional=True, bias=bias)
    x, h, c = specs(inputs_of(network))
    weights = specs(list(network.parameters()))
    y = spec(STEPS, BATCH, 2 * HIDDEN)
    arguments = (y, h, c, y, y, x, y, [h, c], weights, bias, 2, 0.0, True, True, False)
    assert count_of("lstm_mps_backward", *arguments, out=(x, [h, c], weights)) == unfused(network)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_fused_cells_cost_a_step_without_its_products(cell: str, bias: bool) -> None:
    """They cost what autograd runs for a cell, without the matrix products and the sum of the gradients of h."""
    module = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell](INPUTS, HIDDEN, bias=bias)
    states = [drawn(BATCH, HIDDEN) for _ in range(2 if cell == "lstm" else 1)]
    inputs = fresh((drawn(BATCH, INPUTS), *states))
    calls = trace(Cell(module), inputs, "training").calls
    elementwise = OpCount()
    for call in calls:
        if call.phase == "backward" and not call.count.macs:
            elementwise = elementwise + call.count
    h = spec(BATCH, HIDDEN)
    if cell == "lstm":
        gates = spec(BATCH, 4 * HIDDEN)
        found = count_of("_thnn_fused_lstm_cell_backward_impl", h, h, h, h, gates, bias, out=(gates, h, gates))
        assert found == elementwise
    else:
        gates, workspace = spec(BATCH, 3 * HIDDEN), spec(BATCH, 5 * HIDDEN)
        out = (gates, gates, h, gates, gates)
        found = count_of("_thnn_fused_gru_cell_backward", h, workspace, bias, out=out)
        assert found + OpCount(adds=BATCH * HIDDEN) == elementwise


def test_a_fused_lstm_cell_with_one_state_gradient() -> None:
    """Without a gradient of the hidden state, the output gate has none; without one of c, there is no sum."""
    h, gates = spec(BATCH, HIDDEN), spec(BATCH, 4 * HIDDEN)
    op, n = "_thnn_fused_lstm_cell_backward_impl", BATCH * HIDDEN
    both = count_of(op, h, h, h, h, gates, False, out=(gates, h, None))
    only_hidden = count_of(op, h, None, h, h, gates, False, out=(gates, h, None))
    only_cell = count_of(op, None, h, h, h, gates, False, out=(gates, h, None))
    assert both - only_hidden == OpCount(adds=n)
    assert both - only_cell == OpCount(multiplies=6 * n, adds=3 * n)


class Cell(nn.Module):
    """One step, from an input and one or two states."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> Any:
        return self.cell(x, states if len(states) == 2 else states[0])


# The backward pass of each step, by hand


def sigmoid_gradient(g: Any, y: Counting) -> Any:
    return g * (1.0 - y) * y


def tanh_gradient(g: Any, y: Counting) -> Any:
    return g * (1.0 - y * y)


def lstm_step(g: Any, g_cell: Any, state: dict[str, Counting]) -> tuple[list[Any], Any, Any]:
    """The gradients of the sums of the gates i, f, g, o, of h beside the gates (none), and of c."""
    i, f, n, o, c, tanh_c = (state[name] for name in ("i", "f", "n", "o", "c", "tanh_c"))
    for_o = sigmoid_gradient(g * tanh_c, o)
    through = tanh_gradient(g * o, tanh_c)
    g_cell = through if g_cell is None else through + g_cell
    gates = [sigmoid_gradient(g_cell * n, i), sigmoid_gradient(g_cell * c, f), tanh_gradient(g_cell * i, n), for_o]
    return gates, None, g_cell * f


def gru_step(g: Any, state: dict[str, Counting]) -> tuple[list[Any], list[Any], Any]:
    """The gradients of the sums of the input, of those of the hidden state, and of h beside the gates."""
    r, z, n, h_minus_n, hidden = (state[name] for name in ("r", "z", "n", "h_minus_n", "hidden"))
    for_z = sigmoid_gradient(g * h_minus_n, z)
    beside = g * z
    for_n = tanh_gradient(g - beside, n)
    for_r = sigmoid_gradient(for_n * hidden, r)
    return [for_r, for_z, for_n], [for_r, for_z, for_n * r], beside


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.sampled_from(["lstm", "gru", "rnn_tanh"]), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3))
def test_the_backward_pass_costs_its_definition(mode: str, steps: int, batch: int, units: int) -> None:
    """For one layer with gradients of all results, each gradient equals autograd's and each operation counts."""
    number, module, _ = MODES[mode]
    network = module(INPUTS, units).double()
    x = drawn(steps, batch, INPUTS).detach().double().requires_grad_()
    first = [drawn(1, batch, units).detach().double().requires_grad_() for _ in range(2 if mode == "lstm" else 1)]
    result, _ = network(x, (first[0], first[1]) if mode == "lstm" else first[0])
    gradient = drawn(steps, batch, units).detach().double()
    weights = list(network.parameters())
    expected = torch.autograd.grad(result, [x, *first, *weights], gradient)
    tally = Tally()
    found = backward_by_hand(mode, x.detach(), [state.detach()[0] for state in first], weights, gradient, tally)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(values(ours).reshape(theirs.shape), theirs, atol=1e-9)
    w = specs([weight.detach() for weight in weights])
    h, y = spec(1, batch, units), spec(steps, batch, units)
    c = h if mode == "lstm" else None
    arguments = (spec(steps, batch, INPUTS), w, 4, None, h, c, y, y, None, None, number, units, 0, 1, False, 0.0, True)
    terms = terms_of("_cudnn_rnn_backward", *arguments, False, [], None, y, [True] * 4, out=(y, h, c, w))
    assert_counted(terms, tally)


def states_of(
    mode: str, x: torch.Tensor, first: list[torch.Tensor], weights: list[Any]
) -> list[dict[str, torch.Tensor]]:
    """What the forward pass keeps of each step."""
    w_ih, w_hh, b_ih, b_hh = (weight.detach() for weight in weights)
    kept = []
    h, c = first[0], first[-1]
    for step in x:
        from_input, from_hidden = step @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if mode == "lstm":
            i, f, n, o = (from_input + from_hidden).chunk(4, 1)
            i, f, n, o = i.sigmoid(), f.sigmoid(), n.tanh(), o.sigmoid()
            after = f * c + i * n
            kept.append({"i": i, "f": f, "n": n, "o": o, "c": c, "tanh_c": after.tanh(), "before": h})
            h, c = o * after.tanh(), after
        elif mode == "gru":
            (r, z, n), (hr, hz, hidden) = from_input.chunk(3, 1), from_hidden.chunk(3, 1)
            r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
            n = (n + r * hidden).tanh()
            kept.append({"r": r, "z": z, "n": n, "h_minus_n": h - n, "hidden": hidden, "before": h})
            h = n + z * (h - n)
        else:
            kept.append({"y": (from_input + from_hidden).tanh(), "before": h})
            h = kept[-1]["y"]
    return kept


def backward_by_hand(
    mode: str, x: torch.Tensor, first: list[torch.Tensor], weights: list[Any], gradient: torch.Tensor, tally: Tally
) -> list[Any]:
    """Gradients of the input, the first states, and w_ih, w_hh, b_ih, b_hh."""
    w_ih, w_hh = (_numbers(weight, tally) for weight in weights[:2])
    for_x: list[Matrix] = []
    rows: dict[str, Matrix] = {"x": [], "h": [], "input": [], "hidden": []}
    g_hidden: Any = None
    g_cell: Any = None
    batch, units = first[0].shape
    for step, kept in reversed(list(enumerate(states_of(mode, x, first, weights)))):
        state = {name: _numbers(tensor, tally) for name, tensor in kept.items()}
        g = _numbers(gradient[step], tally)
        if g_hidden is not None:
            g = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(g, g_hidden, strict=True)]
        input_gates: Matrix = [[] for _ in range(batch)]
        hidden_gates: Matrix = [[] for _ in range(batch)]
        beside: Matrix = [[] for _ in range(batch)]
        for row in range(batch):
            of_units: list[Any] = []
            for unit in range(units):
                one = {name: state[name][row][unit] for name in state}
                if mode == "lstm":
                    before = None if g_cell is None else g_cell[row][unit]
                    gates, _, cell = lstm_step(g[row][unit], before, one)
                    of_units.append((gates, gates, cell))
                elif mode == "gru":
                    of_units.append(gru_step(g[row][unit], one))
                else:
                    gates = [tanh_gradient(g[row][unit], one["y"])]
                    of_units.append((gates, gates, None))
            for gate in range(len(of_units[0][0])):
                input_gates[row] += [unit[0][gate] for unit in of_units]
                hidden_gates[row] += [unit[1][gate] for unit in of_units]
            beside[row] = [unit[2] for unit in of_units]
        g_hidden = multiply(hidden_gates, w_hh)
        if mode == "gru":
            g_hidden = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(g_hidden, beside, strict=True)]
        g_cell = beside if mode == "lstm" else None
        for_x.insert(0, multiply(input_gates, w_ih))
        rows["x"] += _numbers(x[step], tally)
        rows["h"] += state["before"]
        rows["input"] += input_gates
        rows["hidden"] += hidden_gates
    for_states = [g_hidden, g_cell] if mode == "lstm" else [g_hidden]
    by_weight = [multiply(transposed(rows["input"]), rows["x"]), multiply(transposed(rows["hidden"]), rows["h"])]
    by_bias = [[total(column) for column in zip(*rows[name], strict=True)] for name in ("input", "hidden")]
    return [for_x, *for_states, *by_weight, *by_bias]


def _numbers(tensor: torch.Tensor, tally: Tally) -> Matrix:
    return [[tally.number(value) for value in row] for row in tensor.tolist()]
