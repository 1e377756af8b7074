"""Activations cost what their definitions cost, with every branch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import OpCount
from profiler.rules.activations import PER_ELEMENT
from tests.rules.counting import (
    Counting,
    Tally,
    assert_counted,
    erf,
    exp,
    log,
    maximum,
    minimum,
    sigmoid,
    spec,
    tanh,
)
from tests.rules.registered import assert_same_when_decomposed, count_of, kind_of, terms_of

SLOPE, LAMBDA, ALPHA = 0.1, 0.5, 1.7


def one_of(*branches: tuple[bool, Any], otherwise: Any) -> Any:
    """The first branch whose condition holds; all conditions and branches are evaluated."""
    return next((value for test, value in branches if test), otherwise)


def leaky(x: Counting) -> Any:
    return one_of((x > 0, x), otherwise=x * SLOPE)


def relu6(x: Counting) -> Counting:
    return minimum(maximum(x, 0.0), 6.0)


def log_sigmoid(x: Counting) -> Counting:
    return log(1.0 / (1.0 + exp(-x)))


DEFINITIONS: dict[str, Callable[[Counting], Any]] = {
    "relu": lambda x: maximum(x, 0.0),
    "relu6": relu6,
    "hardtanh": lambda x: maximum(minimum(x, 1.0), -1.0),
    "threshold": lambda x: one_of((x > 0.3, x), otherwise=20.0),
    "leaky_relu": leaky,
    "prelu": leaky,
    "_prelu_kernel": leaky,
    "rrelu": leaky,
    "rrelu_with_noise": leaky,
    "rrelu_with_noise_functional": leaky,
    "hardshrink": lambda x: one_of((x > LAMBDA, x), (x < -LAMBDA, x), otherwise=0.0),
    "softshrink": lambda x: one_of((x > LAMBDA, x - LAMBDA), (x < -LAMBDA, x + LAMBDA), otherwise=0.0),
    "sigmoid": sigmoid,
    "special_expit": sigmoid,
    "log_sigmoid": log_sigmoid,
    "log_sigmoid_forward": log_sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "glu": lambda x: x * sigmoid(x),
    "tanh": tanh,
    "hardsigmoid": lambda x: relu6(x + 3.0) / 6.0,
    "hardswish": lambda x: x * relu6(x + 3.0) / 6.0,
    "mish": lambda x: x * tanh(log(1.0 + exp(x))),
}


def test_every_simple_activation_has_a_definition() -> None:
    """The table of the package and ``DEFINITIONS`` have the same operators."""
    assert set(DEFINITIONS) == set(PER_ELEMENT)


@pytest.mark.parametrize("op", DEFINITIONS)
def test_simple_activation(op: str) -> None:
    """One element of the result costs what the definition costs."""
    tally = Tally()
    for x in tally.array(7, low=-4, high=4):
        DEFINITIONS[op](x)
    assert_counted(terms_of(op, spec(7), out=spec(7)), tally)
    assert kind_of(op, spec(7), out=spec(7)) == "activation"


def test_gelu() -> None:
    """The exact form and the tanh form each have their own definition."""
    exact, approximate = Tally(), Tally()
    for x in exact.array(5):
        x * 0.5 * (1.0 + erf(x * math.sqrt(0.5)))
    for x in approximate.array(5):
        0.5 * x * (1.0 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    assert_counted(terms_of("gelu", spec(5), out=spec(5)), exact)
    assert_counted(terms_of("gelu", spec(5), approximate="tanh", out=spec(5)), approximate)


def test_elu_family() -> None:
    """α, and the scales of selu and celu, cost a multiply only if they are not one."""
    tallies = {name: Tally() for name in ("elu", "elu with alpha", "selu", "celu")}
    for x in tallies["elu"].array(3):
        one_of((x > 0, x), otherwise=exp(x) - 1.0)
    for x in tallies["elu with alpha"].array(3):
        one_of((x > 0, x), otherwise=ALPHA * (exp(x) - 1.0))
    for x in tallies["selu"].array(3):
        1.05 * one_of((x > 0, x), otherwise=ALPHA * (exp(x) - 1.0))
    for x in tallies["celu"].array(3):
        one_of((x > 0, x), otherwise=ALPHA * (exp(x * (1 / ALPHA)) - 1.0))
    x = spec(3)
    assert_counted(terms_of("elu", x, 1.0, out=x), tallies["elu"])
    assert_counted(terms_of("elu", x, ALPHA, out=x), tallies["elu with alpha"])
    assert_counted(terms_of("selu", x, out=x), tallies["selu"])
    assert_counted(terms_of("celu", x, ALPHA, out=x), tallies["celu"])
    assert_counted(terms_of("celu", x, out=x), tallies["elu"])


def test_softplus() -> None:
    """β costs a multiply and a divide only if it is not one."""
    plain, scaled = Tally(), Tally()
    for x in plain.array(3):
        one_of((x > 20.0, x), otherwise=log(1.0 + exp(x)))
    for x in scaled.array(3):
        z = 2.0 * x
        one_of((z > 20.0, x), otherwise=log(1.0 + exp(z)) / 2.0)
    assert_counted(terms_of("softplus", spec(3), 1, 20, out=spec(3)), plain)
    assert_counted(terms_of("softplus", spec(3), 2, 20, out=spec(3)), scaled)


def test_in_place_activations_cost_the_same() -> None:
    """The rule of ``relu`` counts ``relu_`` too."""
    assert count_of("relu_", spec(2, 3), out=spec(2, 3)) == OpCount(comparisons=2 * 3)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_dropout(n: int, c: int, length: int) -> None:
    """There is a multiply by the mask and by the scale for every element; eval mode and p = 0 are free."""
    x = spec(n, c, length)
    size = n * c * length
    assert count_of("dropout", x, 0.5, True, out=x) == OpCount(multiplies=size + size)
    assert count_of("native_dropout", x, 0.5, True, out=(x, x)) == OpCount(multiplies=size + size)
    assert count_of("feature_dropout", x, 0.5, True, out=x) == OpCount(multiplies=size + n * c)
    for op in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
        assert count_of(op, x, 0.5, False, out=x) == OpCount()
        assert count_of(op, x, 0.0, True, out=x) == OpCount()
        assert count_of(op, x, 1.0, True, out=x) == OpCount(multiplies=size)


X = (2, 4, 3, 3)


@pytest.mark.parametrize(
    "run",
    [
        F.relu6,
        lambda x: F.prelu(x, x.detach()[0, :, 0, 0]),
        F.rrelu,
        F.selu,
        lambda x: F.celu(x, 2.0),
        F.logsigmoid,
        F.softsign,
        F.tanhshrink,
        lambda x: F.alpha_dropout(x, 0.3, True),
        lambda x: F.feature_alpha_dropout(x, 0.3, True),
        lambda x: torch.native_dropout(x, 0.3, True),
    ],
)
def test_decomposed_operators_cost_the_same(run: Any) -> None:
    """Operators cost the same whole and decomposed."""
    assert_same_when_decomposed(run, X)
