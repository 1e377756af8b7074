"""Recurrent networks and cells: hand-computed cases, fused kernels, and proofs by the counting number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, mac, maximum, sigmoid, spec, tanh
from tests.rules.counting import total as summed
from tests.rules.registered import count_of, count_whole_and_decomposed, kind_of, terms_of
from tests.rules.tensors import specs, values

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
CELLS = st.sampled_from(list(GATES))


def times(w: Any, x: Any, b: Any) -> list[Counting]:
    """W·x, plus a bias if there is one."""
    sums = [summed(mac(a, c) for a, c in zip(row, x, strict=True)) for row in w]
    return sums if b is None else [s + c for s, c in zip(sums, b, strict=True)]


def step(cell: str, x: Any, h: Any, c: Any, weights: Any) -> tuple[Any, Any]:
    """One step of one cell for one item of the batch, by its definition; returns the new h and c."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    from_input, from_hidden = times(w_ih, x, b_ih), times(w_hh, h, b_hh)
    size = len(w_ih) // GATES[cell]
    ready = 2 if cell == "gru" else GATES[cell]
    sums = [a + b for a, b in zip(from_input[: ready * size], from_hidden[: ready * size], strict=True)]
    gates = [sums[g * size : (g + 1) * size] for g in range(ready)]
    if cell == "rnn_tanh":
        return [tanh(s) for s in sums], None
    if cell == "rnn_relu":
        return [maximum(s, 0.0) for s in sums], None
    if cell == "gru":
        r, z = ([sigmoid(s) for s in gate] for gate in gates)
        n = [tanh(a + p * b) for a, p, b in zip(from_input[2 * size :], r, from_hidden[2 * size :], strict=True)]
        return [b + p * (a - b) for a, b, p in zip(h, n, z, strict=True)], None
    i, f, o = ([sigmoid(s) for s in gates[g]] for g in (0, 1, 3))
    g = [tanh(s) for s in gates[2]]
    c = [a * b + p * q for a, b, p, q in zip(f, c, i, g, strict=True)]
    h = [a * tanh(b) for a, b in zip(o, c, strict=True)]
    return (h if w_hr is None else times(w_hr, h, None)), c


def draw_weights(tally: Tally, cell: str, size: int, hidden: int, projection: int, biases: bool, seed: int) -> Any:
    """w_ih, w_hh, b_ih, b_hh, w_hr of one layer in one direction."""
    rows, state = GATES[cell] * hidden, projection or hidden
    return (
        tally.array(rows, size, seed=seed),
        tally.array(rows, state, seed=seed + 1),
        tally.array(rows, seed=seed + 2) if biases else None,
        tally.array(rows, seed=seed + 3) if biases else None,
        tally.array(projection, hidden, seed=seed + 4) if projection else None,
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(cell=CELLS, batch=st.integers(1, 2), size=st.integers(0, 3), hidden=st.integers(1, 3), biases=st.booleans())
def test_cells_cost_what_their_loops_cost(cell: str, batch: int, size: int, hidden: int, biases: bool) -> None:
    """The rule equals the tally of the definition, whose results equal those of torch."""
    tally = Tally()
    weights = draw_weights(tally, cell, size, hidden, 0, biases, 0)
    x, h, c = tally.array(batch, size), tally.array(batch, hidden), tally.array(batch, hidden, seed=1)
    found = [step(cell, *items, weights)[0] for items in zip(x, h, c, strict=True)]
    state = [values(h), values(c)] if cell == "lstm" else values(h)
    tensors = [values(x), state, *(None if w is None else values(w) for w in weights[:4])]
    result = getattr(torch._VF, f"{cell}_cell")(*tensors)
    assert torch.allclose(values(found), result[0] if cell == "lstm" else result)
    assert_counted(terms_of(f"{cell}_cell", *specs(tensors), out=specs(result)), tally)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    cell=CELLS,
    batch=st.integers(1, 2),
    length=st.integers(1, 3),
    size=st.integers(1, 2),
    hidden=st.integers(2, 3),
    projected=st.booleans(),
    biases=st.booleans(),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
)
def test_networks_cost_what_their_loops_cost(
    cell: str,
    batch: int,
    length: int,
    size: int,
    hidden: int,
    projected: bool,
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> None:
    """The loops run every layer, direction, step and item of the batch; their results equal those of torch."""
    tally = Tally()
    projection = 1 if projected and cell == "lstm" else 0
    directions, state = 1 + bidirectional, projection or hidden
    x = tally.array(length, batch, size)
    h0 = tally.array(layers * directions, batch, state)
    c0 = tally.array(layers * directions, batch, hidden, seed=1)
    params: list[Any] = []
    given_to_layer: Any = x
    for layer in range(layers):
        results: list[Any] = []
        for direction in range(directions):
            place = layer * directions + direction
            weights = draw_weights(tally, cell, len(given_to_layer[0][0]), hidden, projection, biases, 10 * place)
            params += [w for w in weights if w is not None]
            h, c = list(h0[place]), list(c0[place])
            outputs: Any = [None] * length
            for t in reversed(range(length)) if direction else range(length):
                for n in range(batch):
                    h[n], c[n] = step(cell, given_to_layer[t][n], h[n], c[n], weights)
                outputs[t] = list(h)
            results.append(outputs)
        given_to_layer = [
            [[y for result in results for y in result[t][n]] for n in range(batch)] for t in range(length)
        ]
    inputs = values(x).transpose(0, 1) if batch_first else values(x)
    states = [values(h0), values(c0)] if cell == "lstm" else values(h0)
    arguments = [inputs, states, [values(w) for w in params]]
    options = (biases, layers, 0.5, False, bidirectional, batch_first)
    expected = getattr(torch._VF, cell)(*arguments, *options)
    found = values(given_to_layer)
    assert torch.allclose(found.transpose(0, 1) if batch_first else found, expected[0])
    assert_counted(terms_of(cell, *specs(arguments), *options, out=specs(expected)), tally)


def lstm_by_hand(steps: int, size: int, hidden: int, *, biases: bool = True) -> OpCount:
    """One layer in one direction: two products, their sums, three sigmoids, two tanhs, and the cell."""
    products = steps * 4 * hidden * (size + hidden)
    units = steps * hidden
    return OpCount(
        multiplies=products + 3 * units,
        adds=products - 2 * (4 * units) + (1 + 2 * biases) * 4 * units + 3 * units + units,
        divides=3 * units,
        transcendentals=3 * units + 2 * units,
        macs=products,
    )


def run_on_meta(module: nn.Module, *shape: int) -> OpCount:
    """The cost of a module for an input of this shape, without decomposition."""
    x = torch.empty(shape, device="meta")
    return count_whole_and_decomposed(lambda: module(x))[0]


@pytest.mark.slow
def test_lstm_by_hand() -> None:
    """nn.LSTM(20, 30, 2) runs 7 steps of a batch of 3; the second layer takes the result of the first."""
    two_layers = lstm_by_hand(21, 20, 30) + lstm_by_hand(21, 30, 30)
    assert run_on_meta(nn.LSTM(20, 30, 2, device="meta"), 7, 3, 20) == two_layers
    assert run_on_meta(nn.LSTM(20, 30, 2, device="meta", batch_first=True), 3, 7, 20) == two_layers
    assert two_layers.macs == 21 * 120 * (20 + 30 + 30 + 30)
    assert run_on_meta(nn.LSTM(20, 30, device="meta", bias=False), 7, 3, 20) == lstm_by_hand(21, 20, 30, biases=False)
    assert run_on_meta(nn.LSTM(20, 30, device="meta"), 7, 20) == lstm_by_hand(7, 20, 30)


@pytest.mark.slow
def test_both_directions_by_hand() -> None:
    """Each direction costs a layer; the next layer takes both results."""
    network = nn.LSTM(20, 30, 2, bidirectional=True, device="meta")
    assert run_on_meta(network, 7, 3, 20) == lstm_by_hand(21, 20, 30) * 2 + lstm_by_hand(21, 60, 30) * 2


@pytest.mark.slow
def test_projection_by_hand() -> None:
    """A projected state costs one more product, and makes fewer columns for the next step and layer."""
    cost = run_on_meta(nn.LSTM(20, 30, proj_size=5, device="meta"), 7, 3, 20)
    assert cost.macs == 21 * (120 * (20 + 5) + 5 * 30)


@pytest.mark.slow
def test_gru_and_rnn_by_hand() -> None:
    """nn.GRU and nn.RNN of 20 → 30 on 7 steps of a batch of 3."""
    units = 21 * 30
    products = 3 * units * (20 + 30)
    assert run_on_meta(nn.GRU(20, 30, device="meta"), 7, 3, 20) == OpCount(
        multiplies=products + 2 * units,
        adds=products - 2 * 3 * units + 3 * 3 * units + 2 * units + 2 * units,
        divides=2 * units,
        transcendentals=3 * units,
        macs=products,
    )
    products = units * (20 + 30)
    sums = OpCount(multiplies=products, adds=products - 2 * units + 3 * units, macs=products)
    assert run_on_meta(nn.RNN(20, 30, device="meta"), 7, 3, 20) == sums + OpCount(transcendentals=units)
    relu = nn.RNN(20, 30, nonlinearity="relu", device="meta")
    assert run_on_meta(relu, 7, 3, 20) == sums + OpCount(comparisons=units)


@pytest.mark.slow
def test_dropout_acts_between_layers_in_training() -> None:
    """There are two multiplies for each result of all layers except the last; eval mode and one layer have none."""
    network = nn.LSTM(20, 30, 3, dropout=0.5, bidirectional=True, device="meta")
    evaluated = run_on_meta(network.eval(), 7, 3, 20)
    assert run_on_meta(network.train(), 7, 3, 20) == evaluated + OpCount(multiplies=2 * 2 * (21 * 60))
    data = (spec(21, 20), [spec(1, 3, 30)] * 2, [spec(120, 20), spec(120, 30)])
    assert count_of("lstm", *data, False, 1, 0.5, True, False, False, out=()) == count_of(
        "lstm", *data, False, 1, 0.0, True, False, False, out=()
    )


def pack(lengths: Sequence[int], size: int) -> Any:
    """A packed batch of sequences of these lengths."""
    return nn.utils.rnn.pack_sequence([torch.zeros(length, size) for length in lengths])


@pytest.mark.slow
@pytest.mark.parametrize("network", [nn.LSTM, nn.GRU, nn.RNN])
def test_packed_sequences_cost_their_own_steps(network: Callable[..., nn.Module]) -> None:
    """Lengths 5, 3 and 1 take nine steps, not fifteen; both overloads have one rule."""
    module = network(4, 6, 2, bidirectional=True)
    packed = count_whole_and_decomposed(lambda: module(pack([5, 3, 1], 4)))[0]
    one_step = count_whole_and_decomposed(lambda: module(torch.zeros(1, 1, 4)))[0]
    assert packed == one_step * 9


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(4, 6, 2, bidirectional=True, proj_size=3, device="meta"),
        nn.GRU(4, 6, 2, bias=False, device="meta"),
        nn.RNN(4, 6, 2, nonlinearity="relu", bidirectional=True, device="meta"),
        nn.LSTMCell(4, 6, device="meta"),
        nn.GRUCell(4, 6, device="meta"),
        nn.RNNCell(4, 6, bias=False, device="meta"),
    ],
)
def test_decomposed_networks_cost_the_same(module: nn.Module) -> None:
    """The cost is the same whole and decomposed into products and gates."""
    x = torch.empty((3, 4) if isinstance(module, nn.RNNCellBase) else (5, 3, 4), device="meta")
    whole, decomposed = count_whole_and_decomposed(lambda: module(x))
    assert whole == decomposed
    assert whole.macs


def test_fused_gates_cost_a_cell_without_its_products() -> None:
    """The operands of _thnn_fused_*_cell are the finished products."""
    for cell, gates in (("lstm", 4), ("gru", 3)):
        x, h, w_ih, w_hh, b = spec(5, 4), spec(5, 6), spec(gates * 6, 4), spec(gates * 6, 6), spec(gates * 6)
        state = [h, h] if cell == "lstm" else h
        product = spec(5, gates * 6)
        products = count_of("linear", x, w_ih, out=product) + count_of("linear", h, w_hh, out=product)
        for biases in ((b, b), ()):
            fused = count_of(f"_thnn_fused_{cell}_cell", product, product, h, *biases, out=(h, h, h))
            assert products + fused == count_of(f"{cell}_cell", x, state, w_ih, w_hh, *biases, out=(h, h))


@pytest.mark.parametrize(("mode", "cell"), list(enumerate(["rnn_relu", "rnn_tanh", "lstm", "gru"])))
@pytest.mark.parametrize("biases", [False, True])
def test_fused_networks_cost_their_definition(mode: int, cell: str, biases: bool) -> None:
    """cuDNN, MIOpen and oneDNN cost what the operator costs that calls them."""
    rows = GATES[cell] * 6
    layers: list[Any] = []
    for size in (4, 12):
        layers += [[spec(rows, size), spec(rows, 6), *([spec(rows)] * 2 if biases else [])]] * 2
    params = [weight for layer in layers for weight in layer]
    x, h = spec(7, 3, 4), spec(4, 3, 6)
    state = [h, h] if cell == "lstm" else h
    stride = len(layers[0])
    for train in (True, False):
        expected = count_of(cell, x, state, params, biases, 2, 0.5, train, True, False, out=())
        cudnn: Any = (x, params, stride, None, h, h, mode, 6, 0, 2, False, 0.5, train, True, [], None)
        assert count_of("_cudnn_rnn", *cudnn, out=()) == expected
        miopen: Any = (x, params, stride, h, h, mode, 6, 2, False, 0.5, train, True, [], None)
        assert count_of("miopen_rnn", *miopen, out=()) == expected
    one = count_of(cell, x, state, layers[0], biases, 1, 0.0, False, False, False, out=())
    weights = (*layers[0][:2], *([spec(rows)] * 2))
    mkldnn = (x, *weights, h, h, False, [], mode, 6, 1, biases, False, False, False)
    assert count_of("mkldnn_rnn_layer", *mkldnn, out=()) == one


def test_kind_is_recurrent() -> None:
    """Gates have the kind recurrent, whatever operations they consist of."""
    params = [spec(4, 1), spec(4, 1)]
    assert kind_of("lstm", spec(1, 1, 1), [], params, False, 1, 0.0, False, False, False, out=()) == "recurrent"
    assert kind_of("gru_cell", spec(1, 1), spec(1, 1), spec(3, 1), spec(3, 1), out=spec(1, 1)) == "recurrent"
