"""Gradients of fake quantization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import sum_of
from profiler.rules.registry import gradient
from profiler.signatures import TensorSpec


@gradient(
    "aten::_fake_quantize_learnable_per_tensor_affine_backward",
    "aten::_fake_quantize_learnable_per_channel_affine_backward",
    kind="elementwise",
)
def learnable_fake_quantize_backward(
    grad: TensorSpec, input: TensorSpec, scale: TensorSpec, *args: Any, out: Any
) -> Iterator[Term]:
    """Gradients of the input, and of scales s and zero points z, one for each channel or one for all.

    With t = x/s and c = round(t) + z held between the bounds, the input has g inside of them.  A scale has
    Σ g·(c − z − t), without t outside of the bounds, and a zero point −s·Σ g there; both are multiplied by a factor.
    """
    grad_factor = args[-1] if isinstance(args[-1], float) else 1.0
    one = OpCount(divides=1, adds=1, comparisons=2) + OpCount(multiplies=1)
    yield Term("input", input.shape, one)
    channels, m = scale.shape, input.size // scale.size if scale.size else 0
    yield Term("scales", input.shape, OpCount(adds=2, multiplies=1))
    yield Term("sums", channels, sum_of(m) * 2 + OpCount(multiplies=1))
    if grad_factor != 1:
        yield each(channels, "factor", multiplies=2)
