"""Gradients of normalizations; g is the gradient of the result and x̂ the normalized input.

A group of m values has the gradient r·(g·w − mean(g·w) − x̂·mean(g·w·x̂)), r its inverse deviation and w the
weight.  The gradient of the weight sums g·x̂, that of the bias sums g.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import Sizes, mean_of, sum_of, weighted_sum_of
from profiler.rules.normalization import INVERSE_DEVIATION, MOVING_AVERAGE
from profiler.rules.registry import gradient, rule
from profiler.signatures import TensorSpec

Mask = Sequence[bool]
"""Which gradients are requested: of the input, the weight and the bias."""


def _batch_norm_backward(
    input: TensorSpec, weight: TensorSpec | None, train: bool, mask: Mask = (True, True, True)
) -> Iterator[Term]:
    """(N, C, *) with m = N·∏* values a channel, written so that no x̂ is stored.

    With c = Σ g·(x − μ): the weight has c·r, the input (g − Σg/m − (x − μ)·(c·r²/m))·(r·w) in training and
    g·(r·w) in eval, where r is recomputed from the running variance.
    """
    channels, m = _channels(input)
    wants_input, wants_weight, wants_bias = mask
    if not train:
        yield Term("inverse deviation", channels, INVERSE_DEVIATION)
    if wants_bias or (train and wants_input):
        yield Term("sums of g", channels, sum_of(m))
    if wants_weight or (train and wants_input):
        yield Term("sums of g·(x − mean)", channels, OpCount(adds=m) + weighted_sum_of(m))
    if wants_weight:
        yield each(channels, "weight", multiplies=1)
    if wants_input:
        yield from _batch_norm_input_gradient(input, weight, train)


def _channels(input: TensorSpec) -> tuple[Sizes, int]:
    """(N, C, *) → the channels, and how many values each of them has."""
    channels = input.shape[1:2]
    return channels, prod(input.shape) // prod(channels) if prod(channels) else 0


def _batch_norm_input_gradient(input: TensorSpec, weight: TensorSpec | None, train: bool) -> Iterator[Term]:
    """The gradient of the input from the sums of its channels."""
    channels = input.shape[1:2]
    if weight is not None:
        yield each(channels, "scale", multiplies=1)
    if train:
        yield each(channels, "means", multiplies=2, divides=2)
        yield each(input.shape, "input", multiplies=2, adds=3)
    else:
        yield each(input.shape, "input", multiplies=1)


@gradient("aten::native_batch_norm_backward", kind="norm")
def native_batch_norm_backward(
    grad: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec | None,
    running_mean: Any,
    running_var: Any,
    save_mean: Any,
    save_invstd: Any,
    train: bool,
    eps: float,
    output_mask: Mask,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *) → gradients of input, weight and bias."""
    return _batch_norm_backward(input, weight, train, output_mask)


@gradient("aten::batch_norm_backward", kind="norm")
def batch_norm_backward(
    grad: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec,
    running_mean: Any,
    running_var: Any,
    save_mean: Any,
    save_var: Any,
    update: bool,
    eps: float,
    output_mask: Mask,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *) → gradients of input, weight and bias."""
    return _batch_norm_backward(input, weight, update, output_mask)


@gradient("aten::cudnn_batch_norm_backward", "aten::miopen_batch_norm_backward", kind="norm")
def cudnn_batch_norm_backward(
    input: TensorSpec, grad: TensorSpec, weight: TensorSpec, *_: Any, out: Any
) -> Iterator[Term]:
    """(N, C, *) → gradients of input, weight and bias, in training."""
    return _batch_norm_backward(input, weight, True)


@gradient("aten::batch_norm_backward_reduce", kind="norm")
def batch_norm_backward_reduce(
    grad: TensorSpec,
    input: TensorSpec,
    mean: TensorSpec,
    invstd: TensorSpec,
    weight: TensorSpec | None,
    input_g: bool,
    weight_g: bool,
    bias_g: bool,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *) → one process's sums of g and of g·(x − mean), and its gradients of weight and bias."""
    channels, m = _channels(input)
    if input_g or bias_g:
        yield Term("sums of g", channels, sum_of(m))
    if input_g or weight_g:
        yield Term("sums of g·(x − mean)", channels, OpCount(adds=m) + weighted_sum_of(m))
    if weight_g:
        yield each(channels, "weight", multiplies=1)


@gradient("aten::batch_norm_backward_elemt", kind="norm")
def batch_norm_backward_elemt(
    grad: TensorSpec,
    input: TensorSpec,
    mean: TensorSpec,
    invstd: TensorSpec,
    weight: TensorSpec | None,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C, *) and the sums over all processes → the gradient of the input."""
    return _batch_norm_input_gradient(input, weight, True)


@rule("aten::batch_norm_gather_stats", "aten::batch_norm_gather_stats_with_counts", kind="norm")
def batch_norm_gather_stats(
    input: TensorSpec, mean: TensorSpec, invstd: TensorSpec, running_mean: TensorSpec | None, *_: Any, out: Any
) -> Iterator[Term]:
    """Means μ and inverse deviations r of P processes, (P, C) each → those over all of their values, (C,).

    The mean is Σ n·μ/Σ n, n the number of a process's values; the variance Σ n·(1/r² − ε + (μ − mean)²)/Σ n.
    """
    processes, *channels = mean.shape
    yield Term("means", tuple(channels), weighted_sum_of(processes) + OpCount(divides=1))
    yield each(mean.shape, "variances", multiplies=2, divides=1, adds=3)
    yield Term("variance", tuple(channels), weighted_sum_of(processes) + OpCount(divides=1))
    yield Term("inverse deviation", tuple(channels), INVERSE_DEVIATION)
    if running_mean is not None:
        yield Term("running mean", tuple(channels), MOVING_AVERAGE)
        yield Term("running variance", tuple(channels), MOVING_AVERAGE + OpCount(divides=1))


def _group_gradient(groups: Sequence[int], m: int, weight: TensorSpec | None, centered: bool) -> Iterator[Term]:
    """The gradient of the input over ``groups`` of m values, x̂ recomputed; ``centered`` if a mean is subtracted."""
    sizes = (*groups, m)
    yield each(sizes, "normalize", multiplies=1, adds=int(centered))
    if weight is not None:
        yield each(sizes, "weight", multiplies=1)
    if centered:
        yield Term("means of g", tuple(groups), mean_of(m))
    yield Term("means of g·x̂", tuple(groups), OpCount(multiplies=m) + mean_of(m))
    yield each(sizes, "input", multiplies=2, adds=1 + centered)


def _parameter_gradients(parameters: Sizes, k: int, wants_weight: bool, wants_bias: bool) -> Iterator[Term]:
    """Sums over k values for each of ``parameters``: of g·x̂ for the weight, of g for the bias."""
    if wants_weight:
        yield Term("weight", parameters, weighted_sum_of(k))
    if wants_bias:
        yield Term("bias", parameters, sum_of(k))


@gradient("aten::native_layer_norm_backward", kind="norm")
def native_layer_norm_backward(
    grad: TensorSpec,
    input: TensorSpec,
    normalized_shape: Sequence[int],
    mean: Any,
    rstd: Any,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    output_mask: Mask,
    *,
    out: Any,
) -> Iterator[Term]:
    """(*, D₁, …, D_k) → gradients of input, weight and bias."""
    groups = input.shape[: len(input.shape) - len(normalized_shape)]
    yield from _group_gradient(groups, prod(normalized_shape), weight, centered=True)
    yield from _parameter_gradients(
        tuple(normalized_shape),
        prod(groups),
        output_mask[1] and weight is not None,
        output_mask[2] and bias is not None,
    )


@gradient("aten::native_group_norm_backward", kind="norm")
def native_group_norm_backward(
    grad: TensorSpec,
    input: TensorSpec,
    mean: Any,
    rstd: Any,
    weight: TensorSpec | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    output_mask: Mask,
    *,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *) → gradients of input, weight and bias."""
    yield from _group_gradient((N, group), C // group * HxW, weight, centered=True)
    yield from _parameter_gradients((C,), N * HxW, output_mask[1], output_mask[2])


@gradient("aten::_fused_rms_norm_backward", kind="norm")
def rms_norm_backward(
    grad: TensorSpec,
    input: TensorSpec,
    normalized_shape: Sequence[int],
    rstd: Any,
    weight: TensorSpec | None,
    output_mask: Mask,
    *,
    out: Any,
) -> Iterator[Term]:
    """(*, D₁, …, D_k) → gradients of input and weight: r·(g·w − x̂·mean(g·w·x̂)) with x̂ = x·r."""
    groups = input.shape[: len(input.shape) - len(normalized_shape)]
    yield from _group_gradient(groups, prod(normalized_shape), weight, centered=False)
    yield from _parameter_gradients(tuple(normalized_shape), prod(groups), output_mask[1] and weight is not None, False)


@gradient("aten::_weight_norm_interface_backward", kind="norm")
def weight_norm_backward(
    grad: TensorSpec, v: TensorSpec, g: TensorSpec, norms: TensorSpec, dim: int, *, out: Any
) -> Iterator[Term]:
    """With c = Σ gradient·v of each row: c/‖v‖ for g, and (g/‖v‖)·(gradient − v·(c/‖v‖²)) for v."""
    m = v.size // g.size if g.size else 0
    yield Term("rows", g.shape, weighted_sum_of(m) + OpCount(multiplies=1, divides=3))
    yield each(v.shape, "elements", multiplies=2, adds=1)
