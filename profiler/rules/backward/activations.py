"""Gradients of activations and dropout, as autograd runs them; g is the gradient of the result.

As forward, a piecewise derivative is counted dense: every element pays for the test and for each branch.
"""

from __future__ import annotations

from collections.abc import Iterator

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import SIGMOID
from profiler.rules.elementwise import per_element
from profiler.rules.registry import gradient, rule
from profiler.signatures import TensorSpec

PER_ELEMENT = {
    "threshold_backward": OpCount(comparisons=1),  # g where x > threshold, else 0
    "hardtanh_backward": OpCount(comparisons=2),
    "hardshrink_backward": OpCount(comparisons=2),
    "softshrink_backward": OpCount(comparisons=2),
    "leaky_relu_backward": OpCount(comparisons=1, multiplies=1),
    "_prelu_kernel_backward": OpCount(comparisons=1, multiplies=2),  # g·slope for x, g·x for the slope
    "sigmoid_backward": OpCount(multiplies=2, adds=1),  # g·(1 − y)·y
    "tanh_backward": OpCount(multiplies=2, adds=1),  # g·(1 − y²)
    "silu_backward": SIGMOID + OpCount(multiplies=3, adds=2),  # with s = sigmoid(x): g·s·(1 + x·(1 − s))
    "log_sigmoid_backward": SIGMOID + OpCount(multiplies=1),  # g·sigmoid(−x)
    "hardsigmoid_backward": OpCount(comparisons=2, multiplies=1),  # g·⅙ inside
    "hardswish_backward": OpCount(comparisons=2, multiplies=1, adds=1, divides=1),  # g·(x/3 + ½) between
    # with t = tanh(log(1 + eˣ)): g·(t + x·(1 − t²)·sigmoid(x))
    "mish_backward": SIGMOID + OpCount(multiplies=4, adds=3, transcendentals=3),
    "native_dropout_backward": OpCount(multiplies=2),  # g·mask·scale
    "fake_quantize_per_tensor_affine_cachemask_backward": OpCount(multiplies=1),  # g·mask
    "fake_quantize_per_channel_affine_cachemask_backward": OpCount(multiplies=1),
}
"""What one element of the gradient costs."""

for _op, _one in PER_ELEMENT.items():
    _kind = "elementwise" if "dropout" in _op or "quantize" in _op else "activation"
    gradient(f"aten::{_op}", kind=_kind)(per_element(_op, _one))


@gradient("aten::gelu_backward", kind="activation")
def gelu_backward(grad: TensorSpec, input: TensorSpec, *, approximate: str = "none", out: TensorSpec) -> Iterator[Term]:
    """g·(Φ(x) + x·φ(x)) with Φ = ½·(1 + erf(x/√2)) and φ = exp(−½·x²)/√(2π); or the derivative of the tanh form.

    That is, with u = β·(x + κ·x³) and t = tanh u: g·(½·(1 + t) + ½·x·(1 − t²)·β·(1 + 3κ·x²)).
    """
    if approximate == "tanh":
        yield each(out.shape, "gelu (tanh)", multiplies=12, adds=5, transcendentals=1)
    else:
        yield each(out.shape, "gelu", multiplies=7, adds=2, transcendentals=2)


@gradient("aten::elu_backward", kind="activation")
def elu_backward(
    grad: TensorSpec,
    alpha: float,
    scale: float,
    input_scale: float,
    is_result: bool,
    input_or_result: TensorSpec,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """g·scale where x > 0, else g·c·exp(i·x) with c = i·α·scale; from the result y, else g·i·(y + α·scale)."""
    multiplies = 1 + (scale != 1) + (input_scale != 1)
    if is_result:
        yield each(out.shape, "elu", multiplies=multiplies, adds=1, comparisons=1)
    else:
        constant = int(input_scale * alpha * scale != 1)
        yield each(out.shape, "elu", multiplies=multiplies + constant, comparisons=1, transcendentals=1)


@gradient("aten::softplus_backward", kind="activation")
def softplus_backward(
    grad: TensorSpec, input: TensorSpec, beta: float, threshold: float, *, out: TensorSpec
) -> Iterator[Term]:
    """g where β·x > threshold, else g·z/(1 + z) with z = exp(β·x)."""
    yield each(out.shape, "softplus", multiplies=1 + (beta != 1), adds=1, divides=1, comparisons=1, transcendentals=1)


@gradient("aten::rrelu_with_noise_backward", kind="activation")
def rrelu_backward(
    grad: TensorSpec,
    input: TensorSpec,
    noise: TensorSpec,
    lower: float,
    upper: float,
    training: bool,
    self_is_result: bool,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """g·noise in training, where the noise holds the slopes; else as leaky_relu."""
    yield each(out.shape, "slopes", multiplies=1, comparisons=0 if training else 1)


@gradient("aten::glu_backward", kind="activation")
def glu_backward(grad: TensorSpec, input: TensorSpec, dim: int, *, out: TensorSpec) -> Iterator[Term]:
    """For halves a and b, with s = sigmoid(b): g·s for a, and (g·s)·a·(1 − s) for b."""
    yield Term("halves", grad.shape, SIGMOID + OpCount(multiplies=3, adds=1))


@rule("aten::glu_jvp", kind="activation")
def glu_jvp(glu: TensorSpec, x: TensorSpec, dx: TensorSpec, dim: int, *, out: TensorSpec) -> Iterator[Term]:
    """The tangent of a·s: da·s + (a·s)·(1 − s)·db, with a·s given."""
    yield Term("halves", glu.shape, SIGMOID + OpCount(multiplies=3, adds=2))


@rule("aten::glu_backward_jvp", kind="activation")
def glu_backward_jvp(
    grad_x: TensorSpec,
    grad_glu: TensorSpec,
    x: TensorSpec,
    dgrad_glu: TensorSpec,
    dx: TensorSpec,
    dim: int,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """The tangents of the gradients u = g·s, which is given, and v = (u·a)·(1 − s).

    With ds = s·(1 − s)·db they are du = dg·s + g·ds and dv = (du·a + u·da)·(1 − s) − (u·a)·ds.
    """
    yield Term("halves", grad_glu.shape, SIGMOID + OpCount(multiplies=9, adds=4))


@gradient("aten::logit_backward", kind="elementwise")
def logit_backward(grad: TensorSpec, input: TensorSpec, eps: float | None = None, *, out: TensorSpec) -> Iterator[Term]:
    """g/(x·(1 − x)), where eps is given only for x between eps and 1 − eps."""
    yield each(out.shape, "logit", multiplies=1, adds=1, divides=1, comparisons=0 if eps is None else 2)
