"""The gradients of losses: the loops compute autograd's values, the rules count the loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, exp, maximum, spec
from tests.rules.registered import count_of, terms_of

NONE, MEAN, SUM = 0, 1, 2


def smooth_l1(g: Counting, x: Counting, y: Counting) -> Any:
    d = x - y
    near = g * d / 0.7
    below, above = d <= -0.7, d >= 0.7
    return -g if below else g if above else near


def huber(g: Counting, x: Counting, y: Counting) -> Any:
    d = x - y
    near, far = g * d, g * 0.7
    below, above = d <= -0.7, d >= 0.7
    return -far if below else far if above else near


def cross_entropy(g: Counting, x: Counting, y: Counting) -> Counting:
    return g * (x - y) / maximum(x * (1.0 - x), 1e-12)


def soft_margin(g: Counting, x: Counting, y: Counting) -> Counting:
    z = exp(-y * x)
    return -y * g * z / (1.0 + z)


DEFINITIONS: dict[str, tuple[Any, Callable[[Counting, Counting, Counting], Any], tuple[Any, ...], tuple[Any, ...]]] = {
    # the loss, its gradient, the arguments before the reduction and those after it
    "mse_loss": (F.mse_loss, lambda g, x, y: g * 2.0 * (x - y), (), ()),
    "smooth_l1_loss": (partial(F.smooth_l1_loss, beta=0.7), smooth_l1, (), (0.7,)),
    "huber_loss": (partial(F.huber_loss, delta=0.7), huber, (), (0.7,)),
    "soft_margin_loss": (F.soft_margin_loss, soft_margin, (), ()),
    "binary_cross_entropy": (F.binary_cross_entropy, cross_entropy, (None,), ()),
}


@pytest.mark.parametrize("op", DEFINITIONS)
@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
def test_gradient_of_a_loss(op: str, reduction: int) -> None:
    """Each element's gradient is autograd's; a mean divides once."""
    loss, gradient, before, after = DEFINITIONS[op]
    tally = Tally()
    n = 6
    low = 0.1 if op == "binary_cross_entropy" else -1.0
    xs, ys = tally.array(n, low=low, high=0.9), tally.array(n, low=low, high=0.9, seed=1)
    one = tally.number(1.0)
    g = one / float(n) if reduction == MEAN else one
    found = [gradient(g, x, y).value for x, y in zip(xs, ys, strict=True)]
    x = torch.tensor([x.value for x in xs], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([y.value for y in ys], dtype=torch.float64)
    torch.autograd.backward(loss(x, y, reduction=["none", "mean", "sum"][reduction]).sum())
    assert x.grad is not None
    assert torch.allclose(torch.tensor(found, dtype=torch.float64), x.grad)
    grad = spec(n) if reduction == NONE else spec()
    arguments = (grad, spec(n), spec(n), *before, reduction, *after)
    assert_counted(terms_of(f"{op}_backward", *arguments, out=spec(n)), tally)


def test_likelihood_and_margins() -> None:
    """The weights of the targets; each other class, its margin and the sum for the target."""
    x, y, w = spec(4, 5), spec(4, dtype="int64"), spec(5)
    assert count_of("nll_loss_backward", spec(), x, y, None, MEAN, -100, spec(), out=x) == OpCount(divides=1)
    weighted = count_of("nll_loss_backward", spec(), x, y, w, SUM, -100, spec(), out=x)
    assert weighted == OpCount(multiplies=4)
    margins = count_of("multi_margin_loss_backward", spec(), x, y, 1, 1, None, SUM, out=x)
    assert margins == OpCount(divides=4, adds=4 * 4 * 3, comparisons=4 * 4)
