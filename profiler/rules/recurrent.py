"""Recurrent networks and their cells: RNN, LSTM and GRU, by every operator for them.

A step of a layer multiplies its input by one weight matrix and its hidden state by another, adds the two
(and both biases), and puts the sums through its gates.  An initial state of zeros is a state like any
other.  Source of the definitions: the documentation of ``torch.nn.LSTM``, ``GRU`` and ``RNN``; the GRU's
last line, h′ = (1 − z)·n + z·h, is taken as n + z·(h − n), which is how torch computes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

from profiler.opcount import OpCount, Term, contraction, each
from profiler.rules.costs import SIGMOID
from profiler.rules.registry import free, rule
from profiler.signatures import TensorSpec

free("aten::_cudnn_rnn_flatten_weight")

Cell = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
Sizes = tuple[int, ...]

GATES: dict[Cell, int] = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""How many sums of input and hidden state a hidden unit needs."""

TANH = OpCount(transcendentals=1)

UNIT: dict[Cell, OpCount] = {
    # i, f, o = sigmoid, g = tanh; c′ = f·c + i·g; h′ = o·tanh(c′)
    "lstm": SIGMOID * 3 + TANH * 2 + OpCount(multiplies=3, adds=1),
    # r, z = sigmoid; n = tanh(input + r·hidden); h′ = n + z·(h − n)
    "gru": SIGMOID * 2 + TANH + OpCount(multiplies=2, adds=2),
    "rnn_tanh": TANH,
    "rnn_relu": OpCount(comparisons=1),
}
"""What a hidden unit costs in one step once its sums are there, the GRU's r·hidden included."""


def step_terms(
    cell: Cell, steps: Sizes, w_ih: TensorSpec, w_hh: TensorSpec, biases: int, projection: TensorSpec | None = None
) -> Iterator[Term]:
    """``steps`` (batch and time) of one layer in one direction.

    w_ih (gates·H, in), w_hh (gates·H, H or its projection), the number of bias vectors, w_hr (projection, H).
    """
    sums = (*steps, w_ih.shape[0])
    yield contraction(sums, w_ih.shape[1:], "input gates")
    yield contraction(sums, w_hh.shape[1:], "hidden gates")
    yield from pointwise_terms(cell, steps, w_ih.shape[0], biases, without_input=w_ih.shape[1] == 0)
    if projection is not None:
        yield contraction((*steps, projection.shape[0]), projection.shape[1:], "projection")


def pointwise_terms(
    cell: Cell, steps: Sizes, gates: int, biases: int, *, without_input: bool = False
) -> Iterator[Term]:
    """What follows the two matrix products: the sums with ``biases`` bias vectors, and the gates.

    ``without_input`` says that the input has no features: its product is an empty sum, which nothing is added to.
    """
    yield each((*steps, gates), "sums of the gates", adds=biases if without_input else 1 + biases)
    yield Term("gates", (*steps, gates // GATES[cell]), UNIT[cell])


def network_terms(
    cell: Cell,
    steps: Sizes,
    layers: Sequence[Sequence[TensorSpec]],
    num_layers: int,
    has_biases: bool,
    dropout: float,
) -> Iterator[Term]:
    """All ``layers`` (each direction has its own): their weights w_ih, w_hh, then biases, then w_hr if any.

    ``dropout`` acts on what each layer but the last gives to the next.
    """
    biases = 2 if has_biases else 0
    for w_ih, w_hh, *others in layers:
        projection = others[biases] if len(others) > biases else None
        yield from step_terms(cell, steps, w_ih, w_hh, biases, projection)
    if dropout > 0 and num_layers > 1:
        width = layers[-1][0].shape[1]  # a later layer takes the result of the layer before it
        yield each((num_layers - 1, *steps, width), "dropout", multiplies=2)


def network(cell: Cell, input: TensorSpec, *args: Any, out: Any) -> Iterator[Term]:
    """``input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first``.

    Or ``data, batch_sizes, hx, params, …`` without ``batch_first``, for packed sequences.  The input is
    (L, N, in), (N, L, in), (L, in) or, packed, (all steps, in); the states are (layers, N, H).
    """
    packed = not isinstance(args[2], bool)
    params, has_biases, num_layers, dropout, train, bidirectional, *_ = args[2:] if packed else args[1:]
    size = len(params) // (num_layers * (2 if bidirectional else 1))
    layers = [params[start : start + size] for start in range(0, len(params), size)]
    return network_terms(cell, input.shape[:-1], layers, num_layers, has_biases, dropout if train else 0.0)


def single_step(
    cell: Cell,
    input: TensorSpec,
    hx: Any,
    w_ih: TensorSpec,
    w_hh: TensorSpec,
    b_ih: TensorSpec | None = None,
    b_hh: TensorSpec | None = None,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, in) or (in,), (gates·H, in), (gates·H, H), biases (gates·H,) → the new state(s) (N, H) or (H,)."""
    yield from step_terms(cell, input.shape[:-1], w_ih, w_hh, _present(b_ih, b_hh))


def fused_gates(
    cell: Cell,
    input_gates: TensorSpec,
    hidden_gates: TensorSpec,
    state: TensorSpec,
    input_bias: TensorSpec | None = None,
    hidden_bias: TensorSpec | None = None,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, gates·H) twice, (N, H) → the new state(s): a step without its two matrix products."""
    yield from pointwise_terms(cell, input_gates.shape[:-1], input_gates.shape[-1], _present(input_bias, hidden_bias))


def _present(*biases: TensorSpec | None) -> int:
    return sum(bias is not None for bias in biases)


for _cell in GATES:
    rule(f"aten::{_cell}", kind="recurrent")(partial(network, _cell))
    rule(f"aten::{_cell}_cell", kind="recurrent")(partial(single_step, _cell))
rule("aten::_lstm_mps", kind="recurrent")(partial(network, "lstm"))
rule("aten::_thnn_fused_lstm_cell", kind="recurrent")(partial(fused_gates, "lstm"))
rule("aten::_thnn_fused_gru_cell", kind="recurrent")(partial(fused_gates, "gru"))


KERNEL_MODES: tuple[Cell, ...] = ("rnn_relu", "rnn_tanh", "lstm", "gru")
"""The cells by the number that cuDNN, MIOpen and oneDNN give them."""


@rule("aten::_cudnn_rnn", kind="recurrent")
def cudnn_rnn(
    input: TensorSpec,
    weight: Sequence[TensorSpec],
    weight_stride0: int,
    weight_buf: TensorSpec | None,
    hx: TensorSpec,
    cx: TensorSpec | None,
    mode: int,
    hidden_size: int,
    proj_size: int,
    num_layers: int,
    batch_first: bool,
    dropout: float,
    train: bool,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """As :func:`network`; ``weight`` holds ``weight_stride0`` tensors for each layer and direction."""
    yield from _kernel(input, weight, weight_stride0, mode, num_layers, dropout if train else 0.0)


@rule("aten::miopen_rnn", kind="recurrent")
def miopen_rnn(
    input: TensorSpec,
    weight: Sequence[TensorSpec],
    weight_stride0: int,
    hx: TensorSpec,
    cx: TensorSpec | None,
    mode: int,
    hidden_size: int,
    num_layers: int,
    batch_first: bool,
    dropout: float,
    train: bool,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """As :func:`network`; ``weight`` holds ``weight_stride0`` tensors for each layer and direction."""
    yield from _kernel(input, weight, weight_stride0, mode, num_layers, dropout if train else 0.0)


def _kernel(
    input: TensorSpec, weight: Sequence[TensorSpec], size: int, mode: int, num_layers: int, dropout: float
) -> Iterator[Term]:
    layers = [weight[start : start + size] for start in range(0, len(weight), size)]
    yield from network_terms(KERNEL_MODES[mode], input.shape[:-1], layers, num_layers, size >= 4, dropout)


@rule("aten::mkldnn_rnn_layer", kind="recurrent")
def mkldnn_rnn_layer(
    input: TensorSpec,
    weight0: TensorSpec,
    weight1: TensorSpec,
    weight2: TensorSpec,
    weight3: TensorSpec,
    hx_: TensorSpec,
    cx_: TensorSpec,
    reverse: bool,
    batch_sizes: Sequence[int],
    mode: int,
    hidden_size: int,
    num_layers: int,
    has_biases: bool,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """One layer in one direction, (L, N, in) → (L, N, H)."""
    yield from step_terms(KERNEL_MODES[mode], input.shape[:-1], weight0, weight1, 2 if has_biases else 0)
