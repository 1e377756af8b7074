"""The backward pass of products and of attention costs its definition, as much as what autograd runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.opcount import ZERO, OpCount
from profiler.traces import trace, trace_for_real
from tests.rules.counting import Tally, exp, mac, maximum, spec, total
from tests.rules.registered import count_of
from tests.rules.tensors import values

Matrix = list[list[Any]]


def backward_count(model: nn.Module, *inputs: torch.Tensor) -> OpCount:
    """The counts of the backward pass of a trace."""
    calls = trace(model, tuple(x.clone().requires_grad_() for x in inputs), "training").calls
    count = ZERO
    for call in calls:
        assert call.status != "uncounted"
        if call.phase == "backward":
            count = count + call.count
    return count


def multiply(a: Matrix, b: Matrix) -> Matrix:
    """(n, k) · (k, m) → (n, m), by its definition."""
    return [[total(mac(x, row[j]) for x, row in zip(left, b, strict=True)) for j in range(len(b[0]))] for left in a]


def transposed(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def gradients(function: Callable[..., torch.Tensor], gradient: Matrix, *inputs: Any) -> tuple[torch.Tensor, ...]:
    """What autograd computes in float64."""
    tensors = [values(x).double().requires_grad_() for x in inputs]
    return torch.autograd.grad(function(*tensors), tensors, values(gradient).double())


def assert_same(found: list[Any], expected: tuple[torch.Tensor, ...]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(values(ours).double(), theirs, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_linear(n: int, inputs: int, outputs: int) -> None:
    """g·w for the input, gᵀ·x for the weight, and the sum of g for the bias."""
    draw, tally = Tally(), Tally()
    x, w, b = draw.array(n, inputs), draw.array(outputs, inputs), draw.array(outputs)
    g = draw.array(n, outputs, seed=1)
    x, w, g = (into(each, tally) for each in (x, w, g))
    found = [multiply(g, w), multiply(transposed(g), x), [total(column) for column in zip(*g, strict=True)]]
    assert_same(found, gradients(lambda x, w, b: x @ w.T + b, g, x, w, b))
    assert backward_count(nn.Linear(inputs, outputs), torch.zeros(n, inputs)) == tally.count


class Attention(nn.Module):
    """softmax(q·kᵀ)·v."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.softmax(q @ k.transpose(-2, -1), -1) @ v


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_attention(queries: int, keys: int, size: int, channels: int) -> None:
    """Both products count twice, and the gradient of softmax is p∘(dp − Σ p∘dp) row by row."""
    forward, tally = Tally(), Tally()
    q, k, v = forward.array(queries, size), forward.array(keys, size, seed=1), forward.array(keys, channels, seed=2)
    g = forward.array(queries, channels, seed=3)
    probabilities = []
    for row in multiply(q, transposed(k)):
        largest = maximum(*row) if len(row) > 1 else row[0]
        weights = [exp(score - largest) for score in row]
        probabilities.append([weight / total(weights) for weight in weights])
    q, k, v, g, p = (into(each, tally) for each in (q, k, v, g, probabilities))
    for_scores = []
    for row, gradient in zip(p, multiply(g, transposed(v)), strict=True):
        products = [a * b for a, b in zip(row, gradient, strict=True)]
        whole = total(products)
        for_scores.append([each - a * whole for each, a in zip(products, row, strict=True)])
    found = [multiply(for_scores, k), multiply(transposed(for_scores), q), multiply(transposed(p), g)]
    assert_same(found, gradients(Attention(), g, q, k, v))
    assert backward_count(Attention(), *(values(each).float() for each in (q, k, v))) == tally.count


def into(numbers: Any, tally: Tally) -> Any:
    """The same values, as numbers that count into another tally."""
    return [into(each, tally) for each in numbers] if isinstance(numbers, list) else tally.number(numbers.value)


def test_other_operators_of_linear() -> None:
    """One operator has all gradients; or there is one for the input, and one for weight and bias."""
    x, g, w, b = spec(2, 3, 5), spec(2, 3, 4), spec(4, 5), spec(4)
    counted = backward_count(nn.Linear(5, 4), torch.zeros(2, 3, 5))
    assert counted.macs == 2 * (2 * 3 * 4 * 5)
    for op in ("linear_backward", "mkldnn_linear_backward"):
        assert count_of(op, x, g, w, (True, True, True), out=(x, w, b)) == counted
        assert count_of(op, x, g, w, (False, False, True), out=(None, None, b)) == OpCount(adds=4 * (2 * 3 - 1))
    for_input = count_of("mkldnn_linear_backward_input", [2, 3, 5], g, w, out=x)
    assert for_input == OpCount(multiplies=30 * 4, adds=30 * 3, macs=30 * 4)
    for_weights = count_of("mkldnn_linear_backward_weights", g, x, w, True, out=(w, b))
    assert for_input + for_weights == counted
    without_bias = count_of("mkldnn_linear_backward_weights", g, x, w, False, out=(w, None))
    assert without_bias == OpCount(multiplies=20 * 6, adds=20 * 5, macs=20 * 6)


class OfRows(nn.Module):
    """A function of nested tensors."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


def nested(*tensors: torch.Tensor) -> torch.Tensor:
    return torch.nested.nested_tensor(list(tensors), requires_grad=True)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_products_of_nested_tensors() -> None:
    """Matrices of two and three rows, each with its own factor, cost the sum over the matrices."""
    rows = nested(torch.zeros(2, 5), torch.zeros(3, 5))
    factors = nested(torch.zeros(5, 4), torch.zeros(5, 4))
    calls = trace_for_real(OfRows(torch.matmul), (rows, factors), "training", reason="test").calls
    (found,) = (call.count for call in calls if call.op == "aten::matmul_backward")
    products = 2 * (2 + 3) * 5 * 4
    for_rows, for_factors = (2 + 3) * 5 * (4 - 1), 5 * 4 * (2 - 1) + 5 * 4 * (3 - 1)
    assert found == OpCount(multiplies=products, adds=for_rows + for_factors, macs=products)
    linear = trace_for_real(nn.Linear(5, 4), rows.detach().requires_grad_(), "training", reason="test").calls
    (found,) = (call.count for call in linear if call.op == "aten::linear_backward")
    assert found == backward_count(nn.Linear(5, 4), torch.zeros(2 + 3, 5))


def test_a_sparse_product_with_one_gradient() -> None:
    """Of a dense pair, that of the first factor alone."""
    g, a, b = spec(2, 3, 4), spec(2, 3, 5), spec(2, 5, 4)
    found = count_of("matmul_backward", g, a, b, (True, False), out=(a, None))
    assert found == OpCount(multiplies=30 * 4, adds=30 * 3, macs=30 * 4)


def test_other_operators_of_convolutions() -> None:
    """Their arguments have another order, and they cost what the gradients of a convolution cost."""
    x, w, g, every = spec(2, 4, 7, 7), spec(6, 4, 3, 3), spec(2, 6, 4, 4), (True, True, True)
    how = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    plain = count_of("convolution_backward", g, x, w, [6], *how, every, out=(x, w, spec(6)))
    slow = count_of("_slow_conv2d_backward", g, x, w, [3, 3], [2, 2], [1, 1], every, out=(x, w, spec(6)))
    apple = count_of("mps_convolution_backward", x, g, w, [1, 1], [2, 2], [1, 1], 1, every, out=(x, w, spec(6)))
    assert slow == apple == plain
    assert plain.macs == 2 * (2 * 6 * 4 * 4 * 4 * 9)
    transposed_how = ([2, 2], [1, 1], [1, 1], True, [0, 0], 1)
    mask = (True, True, False)
    expected = count_of("convolution_backward", x, g, w, None, *transposed_how, mask, out=(g, w, None))
    found = count_of(
        "mps_convolution_transpose_backward", g, x, w, [1, 1], [0, 0], [2, 2], [1, 1], 1, mask[:2], out=(g, w)
    )
    assert found == expected
    assert found.macs == 2 * (2 * 6 * 4 * 4 * 4 * 9)


@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this torch has no oneDNN")
def test_a_linear_layer_of_onednn_costs_the_same() -> None:
    """Its layout is special, and it costs what the plain layer costs."""

    class Layer(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = nn.functional.linear(input.to_mkldnn(), self.weight, self.bias).to_dense()
            return result

    calls = trace_for_real(Layer(5, 4), torch.zeros(3, 5, requires_grad=True), "training", reason="test").calls
    (found,) = (call.count for call in calls if call.op == "aten::mkldnn_linear_backward")
    assert found == backward_count(nn.Linear(5, 4), torch.zeros(3, 5))
