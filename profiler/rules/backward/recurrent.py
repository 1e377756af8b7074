"""Gradients of recurrent networks and their fused cells, as autograd runs them unfused.

Back through the steps, the gradient of a state is what its result is given plus what comes from the step after it.
The gates pass it on to the weights, the biases, the input and the state before.  The gradients of weights and biases
are sums over all steps.  An initial state has a gradient only if it is requested; otherwise the first step is spared
its product with the hidden weights.

A gradient that is not in the results (None) was not requested, and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, contraction, each
from profiler.rules.backward.activations import PER_ELEMENT
from profiler.rules.costs import sum_of
from profiler.rules.recurrent import GATES, KERNEL_MODES, Cell
from profiler.rules.registry import gradient
from profiler.signatures import TensorSpec

SIGMOID, TANH, RELU = (PER_ELEMENT[f"{name}_backward"] for name in ("sigmoid", "tanh", "threshold"))

# c′ = f·c + i·g, h′ = o·tanh(c′)
LSTM_OUTPUT = OpCount(multiplies=2) + SIGMOID + TANH
"""From h′ to o and to c′."""
LSTM_CELL = OpCount(multiplies=3) + SIGMOID * 2 + TANH
"""From c′ to i, f and g; c itself is one multiply more."""

GRU_OUTPUT = OpCount(multiplies=2, adds=1) + TANH + OpCount(multiplies=2) + SIGMOID * 2
"""h′ = n + z·(h − n) and n = tanh(input + r·hidden): from h′ to z, h and n, from n to r and hidden, to r and z."""

OUTPUT: dict[Cell, OpCount] = {"lstm": LSTM_OUTPUT, "gru": GRU_OUTPUT, "rnn_tanh": TANH, "rnn_relu": RELU}
"""What the gradient of a hidden unit costs on its way to the sums of the gates, for an LSTM to c′."""


@dataclass(frozen=True, slots=True)
class States:
    """Of which states there is a gradient: the results of all steps, the last hidden state, the last cell state."""

    results: bool = True
    hidden: bool = False
    cell: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which gradients are requested: of the input, the first states, the weights, and of how many bias vectors."""

    input: bool
    hidden: bool
    cell: bool
    w_ih: bool
    w_hh: bool
    biases: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer in one direction: its cell and weights, (gates·H, in), (gates·H, R) and (R, H) where h is projected."""

    cell: Cell
    w_ih: TensorSpec
    w_hh: TensorSpec
    projection: TensorSpec | None = None


def layer_gradients(layer: Layer, steps: int, batch: int, given: States, wanted: Wanted) -> Iterator[Term]:
    """``steps`` steps of ``batch`` sequences."""
    gates, hidden = layer.w_hh.shape
    units = gates // GATES[layer.cell]
    from_last = given.results or given.hidden
    with_output = steps if from_last else steps - 1
    joined = (steps - 1 if given.results else 0) + (given.results and given.hidden)
    yield each((joined, batch, hidden), "sums for hidden states", adds=1)
    if layer.projection is not None:
        yield contraction((with_output, batch, units), (hidden,), "gradient of what is projected")
        if wanted.w_hh:
            yield contraction(layer.projection.shape, (with_output, batch), "projection gradient")
    yield Term("gates", (with_output, batch, units), OUTPUT[layer.cell])
    if layer.cell == "lstm":
        yield Term("gates", (steps, batch, units), LSTM_CELL)
        yield each((steps - 1 + wanted.cell, batch, units), "cell states", multiplies=1)
        yield each((steps - 1 + (given.cell and from_last), batch, units), "sums for cell states", adds=1)
    before = steps - 1 + wanted.hidden
    yield contraction((before, batch, hidden), (gates,), "hidden gradient")
    if layer.cell == "gru":
        yield each((before, batch, hidden), "sums for z·h and the gates", adds=1)
    if wanted.w_ih:
        yield contraction(layer.w_ih.shape, (steps, batch), "input weight gradient")
    if wanted.w_hh:
        yield contraction(layer.w_hh.shape, (steps, batch), "hidden weight gradient")
    if wanted.biases:
        yield Term("bias gradients", (wanted.biases, gates), sum_of(steps * batch))
    if wanted.input:
        yield contraction((steps, batch, layer.w_ih.shape[1]), (gates,), "input gradient", "input gradient")


def network_gradients(
    layers: Sequence[Sequence[Layer]], steps: int, batch: int, dropout: float, given: States, wanted: Wanted
) -> Iterator[Term]:
    """``layers`` with one direction or two each; ``dropout`` acts on what each but the last gives to the next."""
    for number, directions in enumerate(layers):
        last = number == len(layers) - 1
        results = States(given.results if last else True, given.hidden, given.cell)
        here = replace(wanted, input=number > 0 or wanted.input)
        for layer in directions:
            yield from layer_gradients(layer, steps, batch, results, here)
        inputs = (steps, batch, directions[0].w_ih.shape[1])
        if here.input:
            yield each((len(directions) - 1, *inputs), "sums over directions", adds=1)
        if number > 0 and dropout > 0:
            yield each(inputs, "dropout", multiplies=1)


def _layers(
    cell: Cell, weights: Sequence[TensorSpec], size: int, num_layers: int, projected: bool
) -> list[list[Layer]]:
    """``size`` tensors for each layer and direction: w_ih, w_hh, biases, and w_hr where h is projected."""
    flat = [
        Layer(cell, group[0], group[1], group[-1] if projected else None)
        for group in (weights[start : start + size] for start in range(0, len(weights), size))
    ]
    directions = len(flat) // num_layers
    return [flat[start : start + directions] for start in range(0, len(flat), directions)]


def _steps_and_batch(input: TensorSpec, batch_first: bool) -> tuple[int, int]:
    first, second = input.shape[:2]
    return (second, first) if batch_first else (first, second)


@gradient("aten::_cudnn_rnn_backward", kind="recurrent")
def cudnn_rnn_backward(
    input: TensorSpec,
    weight: Sequence[TensorSpec],
    weight_stride0: int,
    weight_buf: TensorSpec | None,
    hx: TensorSpec,
    cx: TensorSpec | None,
    output: TensorSpec,
    grad_output: TensorSpec | None,
    grad_hy: TensorSpec | None,
    grad_cy: TensorSpec | None,
    mode: int,
    hidden_size: int,
    proj_size: int,
    num_layers: int,
    batch_first: bool,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_sizes: Sequence[int],
    dropout_state: TensorSpec | None,
    reserve: TensorSpec,
    output_mask: Sequence[bool],
    *,
    out: Any,
) -> Iterator[Term]:
    """(L, N, in) or (N, L, in) → gradients of input, states and weights.

    Raises UncountedError for packed sequences: how often autograd adds zeros there depends on the device.
    """
    if batch_sizes:
        raise UncountedError("aten::_cudnn_rnn_backward has no rule for packed sequences")
    layers = _layers(KERNEL_MODES[mode], weight, weight_stride0, num_layers, proj_size > 0)
    given = States(grad_output is not None, grad_hy is not None, grad_cy is not None)
    for_input, hidden, cell, trained = output_mask
    biases = weight_stride0 - 2 - (proj_size > 0)
    wanted = Wanted(for_input, hidden, cell, trained, trained, biases if trained else 0)
    steps, batch = _steps_and_batch(input, batch_first)
    return network_gradients(layers, steps, batch, dropout if train else 0.0, given, wanted)


@gradient("aten::miopen_rnn_backward", kind="recurrent")
def miopen_rnn_backward(*args: Any, out: Any) -> Iterator[Term]:
    """As :func:`cudnn_rnn_backward`, without ``proj_size``."""
    unprojected: tuple[Any, ...] = (*args[:12], 0, *args[12:])
    return cudnn_rnn_backward(*unprojected, out=out)


@gradient("aten::mkldnn_rnn_layer_backward", kind="recurrent")
def mkldnn_rnn_layer_backward(
    input: TensorSpec,
    weight1: TensorSpec,
    weight2: TensorSpec,
    weight3: TensorSpec,
    weight4: TensorSpec,
    hx_: TensorSpec,
    cx_tmp: TensorSpec,
    output: TensorSpec,
    hy_: TensorSpec,
    cy_: TensorSpec,
    grad_output: TensorSpec | None,
    grad_hy: TensorSpec | None,
    grad_cy: TensorSpec | None,
    reverse: bool,
    mode: int,
    hidden_size: int,
    num_layers: int,
    has_biases: bool,
    *_: Any,
    out: Sequence[TensorSpec | None],
) -> Iterator[Term]:
    """One layer in one direction, (L, N, in) → gradients of input, weights, biases, hidden and cell state."""
    layer = Layer(KERNEL_MODES[mode], weight1, weight2)
    given = States(grad_output is not None, grad_hy is not None, grad_cy is not None)
    for_input, w_ih, w_hh, b_ih, b_hh, hidden, cell = (gradient is not None for gradient in out)
    wanted = Wanted(for_input, hidden, cell, w_ih, w_hh, b_ih + b_hh if has_biases else 0)
    steps, batch = input.shape[:2]
    return layer_gradients(layer, steps, batch, given, wanted)


@gradient("aten::lstm_mps_backward", kind="recurrent")
def lstm_mps_backward(
    grad_y: TensorSpec | None,
    grad_hy: TensorSpec | None,
    grad_cy: TensorSpec | None,
    z_state: TensorSpec,
    cell_state_fwd: TensorSpec,
    input: TensorSpec,
    layers_outputs: TensorSpec,
    hx: Sequence[TensorSpec],
    params: Sequence[TensorSpec],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    *,
    out: Any,
) -> Iterator[Term]:
    """(L, N, in) or (N, L, in) → gradients of input, states and weights, of all of them."""
    layers = _layers("lstm", params, 4 if has_biases else 2, num_layers, False)
    given = States(grad_y is not None, grad_hy is not None, grad_cy is not None)
    steps, batch = _steps_and_batch(input, batch_first)
    wanted = Wanted(True, True, True, True, True, 2 if has_biases else 0)
    return network_gradients(layers, steps, batch, dropout if train else 0.0, given, wanted)


@gradient("aten::_thnn_fused_lstm_cell_backward_impl", kind="recurrent")
def fused_lstm_cell_backward(
    grad_hy: TensorSpec | None,
    grad_cy: TensorSpec | None,
    cx: TensorSpec,
    cy: TensorSpec,
    workspace: TensorSpec,
    has_bias: bool,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, H) and gates (N, 4·H) → gradients of the gates, of c, and of the bias, which each of two biases adds up."""
    if grad_hy is not None:
        yield Term("gates", cx.shape, LSTM_OUTPUT)
    if grad_hy is not None and grad_cy is not None:
        yield each(cx.shape, "sums for cell states", adds=1)
    yield Term("gates", cx.shape, LSTM_CELL)
    yield each(cx.shape, "cell states", multiplies=1)
    yield from _bias_gradients(workspace.shape[-1], cx, has_bias)


@gradient("aten::_thnn_fused_gru_cell_backward", kind="recurrent")
def fused_gru_cell_backward(grad_hy: TensorSpec, workspace: TensorSpec, has_bias: bool, *, out: Any) -> Iterator[Term]:
    """(N, H) and a workspace (N, 5·H) → gradients of both sums of the gates, of h, and of both biases."""
    yield Term("gates", grad_hy.shape, GRU_OUTPUT)
    yield from _bias_gradients(GATES["gru"] * grad_hy.shape[-1], grad_hy, has_bias)


def _bias_gradients(gates: int, state: TensorSpec, has_bias: bool) -> Iterator[Term]:
    if has_bias:
        yield Term("bias gradients", (2, gates), sum_of(state.size // state.shape[-1] if state.size else 0))
