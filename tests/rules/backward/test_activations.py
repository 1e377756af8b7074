"""The gradients of activations and softmax: the loops compute autograd's values, and the rules equal their tallies."""

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
from profiler.rules.backward.activations import PER_ELEMENT
from tests.rules.counting import Counting, Tally, assert_counted, erf, exp, log, sigmoid, spec, tanh, total
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import values

Gradient = Callable[[Counting, Counting], Any]
"""The gradient of the input, from the gradient of the result and the input."""


def pick(test: bool, yes: Any, no: Any) -> Any:
    """One of two branches; both were evaluated."""
    return yes if test else no


def inside(x: Counting, low: float, high: float) -> bool:
    """Whether x is within both bounds; both comparisons are always made."""
    above, below = x > low, x < high
    return above and below


def silu(g: Counting, x: Counting) -> Counting:
    s = sigmoid(x)
    return g * s * (1.0 + x * (1.0 - s))


def mish(g: Counting, x: Counting) -> Counting:
    t = tanh(log(1.0 + exp(x)))
    return g * (t + x * (1.0 - t * t) * sigmoid(x))


def gelu(g: Counting, x: Counting) -> Counting:
    cdf = 0.5 * (1.0 + erf(x * math.sqrt(0.5)))
    density = exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return g * (cdf + x * density)


def gelu_tanh(g: Counting, x: Counting) -> Counting:
    beta, kappa = math.sqrt(2 / math.pi), 0.044715
    square = x * x
    t = tanh(beta * (x + kappa * (square * x)))
    half = 0.5 * x
    right = half * (1.0 - t * t) * (beta * (1.0 + 3 * kappa * square))
    return g * (0.5 * (1.0 + t) + right)


def softplus(beta: float) -> Gradient:
    def gradient(g: Counting, x: Counting) -> Any:
        scaled = x if beta == 1 else beta * x
        z = exp(scaled)
        return pick(scaled > 20.0, g, g * z / (1.0 + z))

    return gradient


def elu(alpha: float, scale: float, input_scale: float) -> Gradient:
    def gradient(g: Counting, x: Counting) -> Any:
        constant = alpha * scale * input_scale
        left = g if constant == 1 else g * constant
        left = left * exp(x if input_scale == 1 else x * input_scale)
        return pick(x > 0, g if scale == 1 else g * scale, left)

    return gradient


SIMPLE: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], Gradient]] = {
    "threshold_backward": (torch.relu, lambda g, x: pick(x > 0, g, 0.0)),
    "hardtanh_backward": (F.hardtanh, lambda g, x: pick(inside(x, -1.0, 1.0), g, 0.0)),
    "hardshrink_backward": (F.hardshrink, lambda g, x: pick(inside(x, -0.5, 0.5), 0.0, g)),
    "softshrink_backward": (F.softshrink, lambda g, x: pick(inside(x, -0.5, 0.5), 0.0, g)),
    "leaky_relu_backward": (lambda x: F.leaky_relu(x, 0.1), lambda g, x: pick(x > 0, g, g * 0.1)),
    "silu_backward": (F.silu, silu),
    "log_sigmoid_backward": (F.logsigmoid, lambda g, x: g * sigmoid(-x)),
    "hardsigmoid_backward": (F.hardsigmoid, lambda g, x: pick(inside(x, -3.0, 3.0), g * (1 / 6), 0.0)),
    "hardswish_backward": (F.hardswish, lambda g, x: hardswish(g, x)),
    "mish_backward": (F.mish, mish),
}


def hardswish(g: Counting, x: Counting) -> Any:
    below, between = x < -3.0, x <= 3.0
    middle = g * (x / 3.0 + 0.5)
    return 0.0 if below else middle if between else g


PARAMETERIZED: dict[str, tuple[str, tuple[Any, ...], Callable[[torch.Tensor], torch.Tensor], Gradient]] = {
    "gelu": ("gelu_backward", (), F.gelu, gelu),
    "softplus": ("softplus_backward", (1, 20), F.softplus, softplus(1)),
    "softplus with β": ("softplus_backward", (2, 20), lambda x: F.softplus(x, 2), softplus(2)),
    "elu": ("elu_backward", (1, 1, 1, False), F.elu, elu(1, 1, 1)),
    "selu": (
        "elu_backward",
        (1.6732632423543772, 1.0507009873554805, 1, False),
        F.selu,
        elu(1.6732632423543772, 1.0507009873554805, 1),
    ),
    "celu": ("elu_backward", (2.0, 1, 0.5, False), lambda x: F.celu(x, 2.0), elu(2.0, 1, 0.5)),
    "logit": ("logit_backward", (), torch.logit, lambda g, x: g / (x * (1.0 - x))),
}


def assert_is_gradient(tally: Tally, function: Any, gradient: Gradient, low: float = -2) -> None:
    """Check that ``gradient``, for six numbers of ``tally``, has the values that autograd computes."""
    xs, gs = tally.array(6, low=low, high=0.9 if low > 0 else 4), tally.array(6, seed=1)
    found = [gradient(g, x) for g, x in zip(gs, xs, strict=True)]
    x = torch.tensor([x.value for x in xs], dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(function(x), torch.tensor([g.value for g in gs], dtype=torch.float64))
    values = [y.value if isinstance(y, Counting) else y for y in found]
    assert x.grad is not None
    assert torch.allclose(torch.tensor(values, dtype=torch.float64), x.grad)


@pytest.mark.parametrize("op", SIMPLE)
def test_gradient_from_the_input(op: str) -> None:
    """Each element's gradient equals autograd's, and costs what the rule says."""
    tally = Tally()
    assert_is_gradient(tally, *SIMPLE[op])
    assert_counted(terms_of(op, spec(6), spec(6), out=spec(6)), tally)


@pytest.mark.parametrize("name", PARAMETERIZED)
def test_gradient_with_parameters(name: str) -> None:
    """Factors of one cost nothing."""
    op, arguments, function, gradient = PARAMETERIZED[name]
    tally = Tally()
    assert_is_gradient(tally, function, gradient, low=0.1 if name == "logit" else -2)
    x = spec(6)
    operands = (x, *arguments, x) if op == "elu_backward" else (x, x, *arguments)
    assert_counted(terms_of(op, *operands, out=x), tally)


def test_gelu_tanh() -> None:
    """The derivative of the tanh form."""
    tally = Tally()
    assert_is_gradient(tally, lambda x: F.gelu(x, approximate="tanh"), gelu_tanh)
    assert_counted(terms_of("gelu_backward", spec(6), spec(6), approximate="tanh", out=spec(6)), tally)


def test_gradients_from_the_result() -> None:
    """sigmoid, tanh and in-place elu use the result of the forward pass."""
    from_result: dict[str, Gradient] = {
        "sigmoid_backward": lambda g, y: g * ((1.0 - y) * y),
        "tanh_backward": lambda g, y: g * (1.0 - y * y),
    }
    for op, gradient in from_result.items():
        tally = Tally()
        for g, y in tally.array(6, 2):
            gradient(g, y)
        assert_counted(terms_of(op, spec(6), spec(6), out=spec(6)), tally)
    tally = Tally()
    for g, y in tally.array(6, 2):
        pick(y > 0, g, g * (y + 1.0))
    assert_counted(terms_of("elu_backward", spec(6), 1, 1, 1, True, spec(6), out=spec(6)), tally)


def test_masks_slopes_and_halves() -> None:
    """Dropout, fake quantization, prelu, rrelu and glu."""
    x = spec(6)
    assert count_of("native_dropout_backward", x, x, 2.0, out=x) == OpCount(multiplies=12)
    assert count_of("fake_quantize_per_tensor_affine_cachemask_backward", x, x, out=x) == OpCount(multiplies=6)
    assert count_of("_prelu_kernel_backward", x, x, x, out=(x, x)) == OpCount(multiplies=12, comparisons=6)
    assert count_of("rrelu_with_noise_backward", x, x, x, 0.1, 0.3, True, False, out=x) == OpCount(multiplies=6)
    tally = Tally()
    for g, a, b in tally.array(6, 3):
        s = sigmoid(b)
        first = g * s
        first * a * (1.0 - s)
    assert_counted(terms_of("glu_backward", x, spec(12), 0, out=spec(12)), tally)


def test_every_simple_gradient_is_tested() -> None:
    """Each entry of the table has a test here."""
    elsewhere = {
        *("sigmoid_backward", "tanh_backward", "native_dropout_backward", "_prelu_kernel_backward"),
        *(f"fake_quantize_per_{what}_affine_cachemask_backward" for what in ("tensor", "channel")),
    }
    assert set(PER_ELEMENT) == set(SIMPLE) | elsewhere


@pytest.mark.slow
@given(st.integers(1, 3), st.integers(1, 4))
def test_softmax(rows: int, length: int) -> None:
    """y·(g − Σ g·y) for softmax, and g − exp(y)·Σ g for its logarithm."""
    plain, logarithm = Tally(), Tally()
    for row in plain.array(rows, length, 2):
        inner = total(g * y for g, y in row)
        for g, y in row:
            y * (g - inner)
    for row in logarithm.array(rows, length, 2):
        summed = total(g for g, _ in row)
        for g, y in row:
            g - exp(y) * summed
    x = spec(rows, length)
    assert_counted(terms_of("_softmax_backward_data", x, x, 1, None, out=x), plain)
    assert_counted(terms_of("_log_softmax_backward_data", x, x, 1, None, out=x), logarithm)


def halves(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """An input of 2·size values, its tangent, a gradient of size values, and its tangent."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(n, generator=generator, dtype=torch.double) for n in (2 * size, 2 * size, size, size))  # type: ignore[return-value]


@pytest.mark.slow
def test_tangent_of_glu() -> None:
    """da·s + (a·s)·(1 − s)·db, computed from the result."""
    x, dx, _, _ = halves(3)
    result, expected = torch.func.jvp(lambda x: F.glu(x, 0), (x,), (dx,))[:2]
    tally = Tally()
    found = []
    for b, da, db, y in zip(x[3:], dx[:3], dx[3:], result, strict=True):
        s = sigmoid(tally.number(float(b)))
        y_here, da_here = tally.number(float(y)), tally.number(float(da))
        found.append((da_here * s + y_here * (1.0 - s) * float(db)).value)
    assert found == pytest.approx(expected.tolist())
    assert_counted(terms_of("glu_jvp", spec(3), spec(6), spec(6), 0, out=spec(3)), tally)


@pytest.mark.slow
def test_tangent_of_the_gradient_of_glu() -> None:
    """The tangents of g·s and of (g·s·a)·(1 − s), for given g·s."""
    x, dx, g, dg = halves(3)
    arguments = ((g, x), (dg, dx))
    gradient, expected = torch.func.jvp(lambda g, x: torch.ops.aten.glu_backward(g, x, 0), *arguments)[:2]
    tally = Tally()
    first, second = [], []
    for column in zip(x[:3], x[3:], dx[:3], dx[3:], g, dg, gradient[:3], strict=True):
        a, b, da, db, gradient_here, dg_here, u = (tally.number(float(value)) for value in column)
        s = sigmoid(b)
        rest = 1.0 - s
        ds = s * rest * db
        du = dg_here * s + gradient_here * ds
        first.append(du.value)
        second.append(((du * a + u * da) * rest - u * a * ds).value)
    assert first + second == pytest.approx(expected.tolist())
    terms = terms_of("glu_backward_jvp", spec(6), spec(3), spec(6), spec(3), spec(6), 0, out=spec(6))
    assert_counted(terms, tally)


LOW, HIGH = -4, 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_fake_quantization_that_learns_its_scale(channels: int, factor: float) -> None:
    """The gradient of the input is clamped; those of the scale and the zero point sum over what they act on."""
    tally = Tally()
    xs, gs = tally.array(channels, 8, low=-3.0, high=3.0), tally.array(channels, 8, seed=1)
    x, scale, zero = values(xs, torch.float32).requires_grad_(), torch.linspace(0.3, 0.7, channels), 1.0
    scales = [tally.number(s) for s in scale.tolist()]
    scale.requires_grad_()
    zeros = torch.full((channels,), zero, requires_grad=True)
    if channels == 1:
        y = torch._fake_quantize_learnable_per_tensor_affine(x, scale, zeros, LOW, HIGH, factor)
    else:
        y = torch._fake_quantize_learnable_per_channel_affine(x, scale, zeros, 0, LOW, HIGH, factor)
    expected = torch.autograd.grad(y, (x, scale, zeros), values(gs, torch.float32))
    for_x, for_scale, for_zero = [], [], []
    for row, gradients, s in zip(xs, gs, scales, strict=True):
        slopes, outside_gradients, row_gradients = [], [], []
        for value, g in zip(row, gradients, strict=True):
            t = value / s
            assert isinstance(t.value, float)
            c = tally.number(float(round(t.value))) + zero
            above, below = c > HIGH, c < LOW
            inside = not above and not below
            held = (tally.number(HIGH) if above else tally.number(LOW) if below else c) - zero
            without_t, with_t = held, held - t
            slopes.append(g * (with_t if inside else without_t))
            outside_gradients.append(tally.number(0.0) if inside else g)
            row_gradients.append(g * float(inside))
        for_x.append(row_gradients)
        sum_of_slopes, sum_outside = total(slopes), s * -total(outside_gradients)
        for_scale.append(sum_of_slopes if factor == 1 else sum_of_slopes * factor)
        for_zero.append(sum_outside if factor == 1 else sum_outside * factor)
    for found, theirs in zip((for_x, for_scale, for_zero), expected, strict=True):
        assert torch.allclose(values(found, torch.float32), theirs, atol=1e-5)
    x_spec, c_spec = spec(channels, 8), spec(channels)
    axis = () if channels == 1 else (0,)
    op = f"_fake_quantize_learnable_per_{'tensor' if channels == 1 else 'channel'}_affine_backward"
    after = () if factor == 1 else (factor,)
    arguments = (x_spec, x_spec, c_spec, c_spec, *axis, LOW, HIGH, *after)
    assert_counted(terms_of(op, *arguments, out=(x_spec, c_spec, c_spec)), tally)
