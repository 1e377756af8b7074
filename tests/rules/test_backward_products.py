"""The backward pass of a linear layer and of attention costs what its definition does, and is what autograd has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.opcount import ZERO, OpCount
from profiler.tracing import trace
from tests.rules.counting import Tally, exp, maximum, total
from tests.rules.tensors import values

Matrix = list[list[Any]]


def backward_count(model: nn.Module, *inputs: torch.Tensor) -> OpCount:
    """What the trace counts of the backward pass, without the macs, of which a tally knows nothing."""
    calls = trace(model, tuple(x.clone().requires_grad_() for x in inputs), "training").calls
    count = ZERO
    for call in calls:
        assert call.status != "uncounted"
        if call.phase == "backward":
            count = count + call.count
    return count - OpCount(macs=count.macs)


def multiply(a: Matrix, b: Matrix) -> Matrix:
    """(n, k) · (k, m) → (n, m), by the definition."""
    return [[total(x * row[j] for x, row in zip(left, b, strict=True)) for j in range(len(b[0]))] for left in a]


def transposed(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def gradients(function: Callable[..., torch.Tensor], gradient: Matrix, *inputs: Any) -> tuple[torch.Tensor, ...]:
    """What autograd computes in float64."""
    tensors = [values(x).double().requires_grad_() for x in inputs]
    return torch.autograd.grad(function(*tensors), tensors, values(gradient).double())


def assert_same(found: list[Any], expected: tuple[torch.Tensor, ...]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(values(ours).double(), theirs, atol=1e-5)


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_linear(n: int, inputs: int, outputs: int) -> None:
    """For the input g·w, for the weight gᵀ·x, for the bias the sum of g."""
    draw, tally = Tally(), Tally()
    x, w, b = draw.array(n, inputs), draw.array(outputs, inputs), draw.array(outputs)
    g = draw.array(n, outputs, seed=1)
    x, w, g = (_into(each, tally) for each in (x, w, g))
    found = [multiply(g, w), multiply(transposed(g), x), [total(column) for column in zip(*g, strict=True)]]
    assert_same(found, gradients(lambda x, w, b: x @ w.T + b, g, x, w, b))
    assert backward_count(nn.Linear(inputs, outputs), torch.zeros(n, inputs)) == tally.count


class Attention(nn.Module):
    """softmax(q·kᵀ)·v."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.softmax(q @ k.transpose(-2, -1), -1) @ v


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_attention(queries: int, keys: int, size: int, channels: int) -> None:
    """Both products twice, and the softmax's gradient p∘(dp − Σ p∘dp) row by row."""
    forward, tally = Tally(), Tally()
    q, k, v = forward.array(queries, size), forward.array(keys, size, seed=1), forward.array(keys, channels, seed=2)
    g = forward.array(queries, channels, seed=3)
    probabilities = []
    for row in multiply(q, transposed(k)):
        largest = maximum(*row) if len(row) > 1 else row[0]
        weights = [exp(score - largest) for score in row]
        probabilities.append([weight / total(weights) for weight in weights])
    q, k, v, g, p = (_into(each, tally) for each in (q, k, v, g, probabilities))
    for_scores = []
    for row, gradient in zip(p, multiply(g, transposed(v)), strict=True):
        products = [a * b for a, b in zip(row, gradient, strict=True)]
        whole = total(products)
        for_scores.append([each - a * whole for each, a in zip(products, row, strict=True)])
    found = [multiply(for_scores, k), multiply(transposed(for_scores), q), multiply(transposed(p), g)]
    assert_same(found, gradients(Attention(), g, q, k, v))
    assert backward_count(Attention(), *(values(each).float() for each in (q, k, v))) == tally.count


def _into(numbers: Any, tally: Tally) -> Any:
    """The same values, as numbers that count into another tally."""
    return [_into(each, tally) for each in numbers] if isinstance(numbers, list) else tally.number(numbers.value)
