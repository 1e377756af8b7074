"""The multiply–accumulates of an operation call, computed a second time from the shapes alone.

The figures of other counters are compared with these and with our rules, so that an error in a rule is found even if
the counter reports nothing of the operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from profiler.records import OpCall
from profiler.signatures import TensorSpec

CONVOLUTIONS = tuple(f"aten::conv{n}d" for n in (1, 2, 3))
TRANSPOSED = tuple(f"aten::conv_transpose{n}d" for n in (1, 2, 3))
SEQUENCES = ("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu")
CELLS = ("aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell")
ATTENTION = "aten::scaled_dot_product_attention"

COMPLEX = 4
"""Real multiply–accumulates in a complex one."""


def products(call: OpCall) -> int:
    """Real multiply–accumulates from the shapes, or the rule's macs if the shapes do not determine them."""
    formula = FORMULAS.get(call.op)
    if formula is None:
        return call.count.macs
    return formula(call) * (COMPLEX if call.outputs[0].is_complex else 1)


def first(call: OpCall) -> TensorSpec:
    """The first operand."""
    return call.inputs[0]


def result(call: OpCall) -> TensorSpec:
    """The first result."""
    return call.outputs[0]


@dataclass(frozen=True, slots=True)
class Recurrent:
    """The shapes of a recurrent operation: ``weights`` are those of each layer and direction in turn."""

    positions: int
    batch: int
    hidden: int
    gates: int
    weights: tuple[tuple[tuple[int, ...], ...], ...]
    bias: bool
    directions: int

    @property
    def sizes(self) -> list[int]:
        """The elements of the weights of each layer and direction."""
        return [sum(prod(shape) for shape in shapes) for shapes in self.weights]


def recurrent(call: OpCall) -> Recurrent:
    """The shapes of an LSTM, GRU or RNN, or of one of their cells."""
    matrices = [spec.shape for spec in call.inputs if spec.parameter and len(spec.shape) == 2]
    bias = any(spec.parameter and len(spec.shape) == 1 for spec in call.inputs)
    gates = {"aten::lstm": 4, "aten::lstm_cell": 4, "aten::gru": 3, "aten::gru_cell": 3}.get(call.op, 1)
    hidden = matrices[0][0] // gates
    if call.op in CELLS:
        rows = prod(first(call).shape[:-1])
        return Recurrent(rows, rows, hidden, gates, (tuple(matrices),), bias, 1)
    state = call.outputs[1].shape  # (layers · directions, batch, size)
    each = len(matrices) // state[0]
    weights = tuple(tuple(matrices[i : i + each]) for i in range(0, len(matrices), each))
    features = result(call).shape[-1]
    return Recurrent(
        prod(first(call).shape[:-1]), state[-2], hidden, gates, weights, bias, max(1, features // state[-1])
    )


def _convolution(call: OpCall) -> int:
    return result(call).size * prod(call.inputs[1].shape[1:])


def _transposed(call: OpCall) -> int:
    return first(call).size * prod(call.inputs[1].shape[1:])


def _product(call: OpCall) -> int:
    return result(call).size * first(call).shape[-1]


def _added_product(call: OpCall) -> int:
    return result(call).size * call.inputs[1].shape[-1]


def _linear(call: OpCall) -> int:
    return result(call).size * call.inputs[1].shape[-1]


def _attention(call: OpCall) -> int:
    query, key, value = (spec.shape for spec in call.inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _bilinear(call: OpCall) -> int:
    _, a, b = call.inputs[2].shape
    return result(call).size * (a * b + b)


def _recurrent(call: OpCall) -> int:
    shapes = recurrent(call)
    return shapes.positions * sum(shapes.sizes)


FORMULAS: dict[str, Callable[[OpCall], int]] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(TRANSPOSED, _transposed),
    **dict.fromkeys(("aten::matmul", "aten::mm", "aten::bmm", "aten::mv", "aten::dot"), _product),
    **dict.fromkeys(("aten::addmm", "aten::baddbmm", "aten::addmv"), _added_product),
    **dict.fromkeys((*SEQUENCES, *CELLS), _recurrent),
    "aten::linear": _linear,
    ATTENTION: _attention,
    "aten::bilinear": _bilinear,
    "torchvision::deform_conv2d": _convolution,
}
"""The operations whose shapes determine the products, each with its formula in real products."""
