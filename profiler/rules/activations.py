"""Activation functions, element by element.

A piecewise function is counted dense: every element pays for the test and for each of the branches.  A factor
that is 1 costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import LOG_SIGMOID, SIGMOID, first
from profiler.rules.elementwise import per_element
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec

PER_ELEMENT = {
    "relu": OpCount(comparisons=1),
    "relu6": OpCount(comparisons=2),
    "hardtanh": OpCount(comparisons=2),
    "threshold": OpCount(comparisons=1),
    "leaky_relu": OpCount(comparisons=1, multiplies=1),
    "prelu": OpCount(comparisons=1, multiplies=1),
    "_prelu_kernel": OpCount(comparisons=1, multiplies=1),
    "rrelu": OpCount(comparisons=1, multiplies=1),  # the random slopes are drawn for free
    "rrelu_with_noise": OpCount(comparisons=1, multiplies=1),
    "rrelu_with_noise_functional": OpCount(comparisons=1, multiplies=1),
    "hardshrink": OpCount(comparisons=2),  # x where x > λ or x < −λ, else 0
    "softshrink": OpCount(comparisons=2, adds=2),  # x − λ where x > λ, x + λ where x < −λ, else 0
    "sigmoid": SIGMOID,
    "special_expit": SIGMOID,
    "log_sigmoid": LOG_SIGMOID,
    "log_sigmoid_forward": LOG_SIGMOID,
    "silu": SIGMOID + OpCount(multiplies=1),
    "glu": SIGMOID + OpCount(multiplies=1),  # the first half · sigmoid(the second half)
    "tanh": OpCount(transcendentals=1),
    "hardsigmoid": OpCount(adds=1, comparisons=2, divides=1),  # relu6(x + 3) / 6
    "hardswish": OpCount(adds=1, comparisons=2, multiplies=1, divides=1),  # x · relu6(x + 3) / 6
    "mish": OpCount(multiplies=1, adds=1, transcendentals=3),  # x · tanh(log(1 + eˣ))
}
"""What one element of the result costs."""

for _op, _one in PER_ELEMENT.items():
    rule(f"aten::{_op}", kind="activation")(per_element(_op, _one))


@rule("aten::gelu", kind="activation")
def gelu(input: TensorSpec, *, approximate: str = "none", out: TensorSpec) -> Iterator[Term]:
    """x·½·(1 + erf(x/√2)), or ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    if approximate == "tanh":
        yield each(out.shape, "gelu (tanh)", multiplies=6, adds=2, transcendentals=1)
    else:
        yield each(out.shape, "gelu", multiplies=3, adds=1, transcendentals=1)


@rule("aten::elu", kind="activation")
def elu(
    input: TensorSpec, alpha: float = 1, scale: float = 1, input_scale: float = 1, *, out: TensorSpec
) -> Iterator[Term]:
    """scale·x where x > 0, else scale·α·(exp(input_scale·x) − 1); scale is applied once, to either branch."""
    factors = sum(factor != 1 for factor in (alpha, scale, input_scale))
    yield each(out.shape, "elu", multiplies=factors, adds=1, comparisons=1, transcendentals=1)


@rule("aten::selu", kind="activation")
def selu(input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """elu with α = 1.6733 and scale = 1.0507."""
    return elu(input, 1.6733, 1.0507, out=out)


@rule("aten::celu", kind="activation")
def celu(input: TensorSpec, alpha: float = 1, *, out: TensorSpec) -> Iterator[Term]:
    """elu of x/α, with 1/α a constant factor: x where x > 0, else α·(exp(x·(1/α)) − 1)."""
    return elu(input, alpha, 1, 1 / alpha, out=out)


@rule("aten::softplus", kind="activation")
def softplus(input: TensorSpec, beta: float = 1, threshold: float = 20, *, out: TensorSpec) -> Iterator[Term]:
    """x where β·x > threshold, else log(1 + exp(β·x)) / β."""
    scaled = int(beta != 1)
    yield each(out.shape, "softplus", multiplies=scaled, adds=1, divides=scaled, comparisons=1, transcendentals=2)


@rule("aten::dropout", "aten::native_dropout", "aten::_fused_dropout", kind="elementwise")
def dropout(input: TensorSpec, p: float, train: bool | None = True, *_: Any, out: Any) -> Iterator[Term]:
    """In training a multiply by the mask and one by the scale; free in eval.  Drawing the mask is free."""
    if train is False or p == 0:
        return
    yield each(first(out).shape, "mask", multiplies=1)
    if p != 1:
        yield each(first(out).shape, "scale", multiplies=1)


@rule("aten::feature_dropout", kind="elementwise")
def feature_dropout(input: TensorSpec, p: float, train: bool, *, out: TensorSpec) -> Iterator[Term]:
    """(N, C, *): dropout with one draw a channel; the scale is applied to the N·C draws."""
    if not train or p == 0:
        return
    yield each(out.shape, "mask", multiplies=1)
    if p != 1:
        yield each(out.shape[:2], "scale", multiplies=1)


@rule("aten::alpha_dropout", kind="elementwise")
def alpha_dropout(input: TensorSpec, p: float, train: bool, *, out: TensorSpec) -> Iterator[Term]:
    """x·(a·d) + ((d − 1)·αa + αap) for draws d of 0 or 1, with constants a and α."""
    return _alpha_dropout(out, p, train, out.shape)


@rule("aten::feature_alpha_dropout", kind="elementwise")
def feature_alpha_dropout(input: TensorSpec, p: float, train: bool, *, out: TensorSpec) -> Iterator[Term]:
    """(N, C, *): alpha dropout with one draw a channel."""
    return _alpha_dropout(out, p, train, out.shape[:2])


def _alpha_dropout(out: TensorSpec, p: float, train: bool, draws: tuple[int, ...]) -> Iterator[Term]:
    if not train or p == 0:
        return
    yield each(out.shape, "mask", multiplies=1)
    if p != 1:
        yield each(draws, "scale and shift", multiplies=2, adds=2)
        yield each(out.shape, "shift", adds=1)
