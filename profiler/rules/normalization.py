"""Normalizations: batch, layer, group, instance, root-mean-square and weight norm.

Statistics are counted by their definitions: the mean of a group of m values is m − 1 adds and a divide, its
variance m subtractions, m squares, m − 1 adds and a divide.  Normalizing costs an add (ε), a square root and
a divide for each group, a subtract and a multiply for each element, and a multiply and an add more where
there is a weight and a bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import Sizes, first, mean_of, variance_of
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec

INVERSE_DEVIATION = OpCount(adds=1, divides=1, transcendentals=1)
"""1 / √(variance + ε)."""

MOVING_AVERAGE = OpCount(multiplies=2, adds=1)
"""(1 − momentum)·old + momentum·new; 1 − momentum is a constant."""


def normalized(
    shape: Sequence[int], groups: Sequence[int], weight: TensorSpec | None, bias: TensorSpec | None
) -> Iterator[Term]:
    """Elements of ``shape`` normalized by the statistics of ``groups`` (a product of sizes), then scaled."""
    yield Term("inverse deviation", tuple(groups), INVERSE_DEVIATION)
    yield from scaled(shape, weight, bias)


def scaled(shape: Sequence[int], weight: TensorSpec | None, bias: TensorSpec | None) -> Iterator[Term]:
    """(x − mean)·inverse deviation, ·weight + bias where there are such."""
    yield each(shape, "normalize", multiplies=1, adds=1)
    if weight is not None:
        yield each(shape, "weight", multiplies=1)
    if bias is not None:
        yield Term("bias", tuple(shape), OpCount(adds=1), role="bias")


def statistics(groups: Sequence[int], m: int) -> Term:
    """Mean and variance of ``groups`` (a product of sizes) of m values each."""
    return Term("mean and variance", tuple(groups), mean_of(m) + variance_of_centered(m))


def variance_of_centered(m: int) -> OpCount:
    """The variance of m values whose mean is known already."""
    return variance_of(m) - mean_of(m)


def batch_statistics(shape: Sequence[int], channels: Sizes, running: TensorSpec | None) -> Iterator[Term]:
    """Statistics of each channel over everything else, and the update of the running ones where they are kept.

    The running variance takes the unbiased variance, which is one divide more by m − 1.
    """
    yield statistics(channels, prod(shape) // prod(channels) if prod(channels) else 0)
    if running is not None:
        yield Term("running mean", channels, MOVING_AVERAGE)
        yield Term("running variance", channels, MOVING_AVERAGE + OpCount(divides=1))


@rule(
    "aten::batch_norm",
    "aten::native_batch_norm",
    "aten::_batch_norm_impl_index",
    "aten::_native_batch_norm_legit",
    "aten::_native_batch_norm_legit_functional",
    "aten::cudnn_batch_norm",
    "aten::miopen_batch_norm",
    kind="norm",
)
def batch_norm(
    input: TensorSpec,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool = False,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *) → (N, C, *); in training each channel's statistics are those of the batch."""
    if isinstance(running_mean, bool):  # the overload without running statistics passes `training` here
        running_mean, training = None, running_mean
    channels = input.shape[1:2]
    if training:
        yield from batch_statistics(input.shape, channels, running_mean)
    yield from normalized(input.shape, channels, weight, bias)


@rule("aten::_native_batch_norm_legit_no_training", "aten::_batch_norm_no_update", kind="norm")
def batch_norm_inference(
    input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None, *_: Any, out: Any
) -> Iterator[Term]:
    """(N, C, *) → (N, C, *) with the running statistics."""
    yield from normalized(input.shape, input.shape[1:2], weight, bias)


@rule("aten::_batch_norm_with_update", "aten::_batch_norm_with_update_functional", kind="norm")
def batch_norm_training(
    input: TensorSpec,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    running_mean: TensorSpec | None,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *) → (N, C, *) with the statistics of the batch."""
    yield from batch_statistics(input.shape, input.shape[1:2], running_mean)
    yield from normalized(input.shape, input.shape[1:2], weight, bias)


@rule("aten::quantized_batch_norm", kind="norm")
def quantized_batch_norm(
    input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None, *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """As batch norm in inference."""
    return batch_norm_inference(input, weight, bias, out=out)


@rule("aten::batch_norm_stats", kind="norm")
def batch_norm_stats(input: TensorSpec, eps: float, *, out: Any) -> Iterator[Term]:
    """(N, C, *) → mean and inverse deviation of each channel, as one process of a synchronized batch norm does."""
    channels = input.shape[1:2]
    yield statistics(channels, prod(input.shape) // prod(channels) if prod(channels) else 0)
    yield Term("inverse deviation", channels, INVERSE_DEVIATION)


@rule("aten::batch_norm_update_stats", kind="norm")
def batch_norm_update_stats(input: TensorSpec, running_mean: TensorSpec | None, *_: Any, out: Any) -> Iterator[Term]:
    """(N, C, *) → mean and variance of each channel, and the update of the running ones."""
    return batch_statistics(input.shape, input.shape[1:2], running_mean)


@rule("aten::batch_norm_elemt", kind="norm")
def batch_norm_elemt(
    input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None, *_: Any, out: TensorSpec
) -> Iterator[Term]:
    """(N, C, *) → the same, by a mean and an inverse deviation that are given."""
    return scaled(input.shape, weight, bias)


@rule("aten::layer_norm", "aten::native_layer_norm", kind="norm")
def layer_norm(
    input: TensorSpec,
    normalized_shape: Sequence[int],
    weight: TensorSpec | None = None,
    bias: TensorSpec | None = None,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(*, D₁, …, D_k) → the same; every leading index is a group of D₁·…·D_k values."""
    groups = input.shape[: len(input.shape) - len(normalized_shape)]
    yield statistics(groups, prod(normalized_shape))
    yield from normalized(input.shape, groups, weight, bias)


@rule("aten::group_norm", kind="norm")
def group_norm(
    input: TensorSpec,
    num_groups: int,
    weight: TensorSpec | None = None,
    bias: TensorSpec | None = None,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C, *) → the same; C/num_groups channels of one sample are a group."""
    groups = (input.shape[0], num_groups)
    yield statistics(groups, prod(input.shape[1:]) // num_groups)
    yield from normalized(input.shape, groups, weight, bias)


@rule("aten::native_group_norm", kind="norm")
def native_group_norm(
    input: TensorSpec,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *) → the same; C/group channels of one sample are a group."""
    return group_norm(input, group, weight, bias, out=first(out))


@rule("aten::instance_norm", kind="norm")
def instance_norm(
    input: TensorSpec,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    running_mean: TensorSpec | None,
    running_var: TensorSpec | None,
    use_input_stats: bool,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C, *) → the same; defined as a batch norm over N·C channels of one sample.

    The running statistics are updated for each of the N·C and then averaged over N.
    """
    channels = input.shape[:2]
    if use_input_stats:
        yield from batch_statistics(input.shape, channels, running_mean)
        if running_mean is not None:
            yield Term("average of running statistics", channels[1:], mean_of(input.shape[0]) * 2)
    yield from normalized(input.shape, channels, weight, bias)


@rule("aten::rms_norm", "aten::_fused_rms_norm", kind="norm")
def rms_norm(
    input: TensorSpec, normalized_shape: Sequence[int], weight: TensorSpec | None = None, *_: Any, out: Any
) -> Iterator[Term]:
    """(*, D₁, …, D_k) → the same: x · rsqrt(mean(x²) + ε) · weight."""
    groups = input.shape[: len(input.shape) - len(normalized_shape)]
    m = prod(normalized_shape)
    yield Term("mean square", groups, OpCount(multiplies=m) + mean_of(m))
    yield each(groups, "inverse root", adds=1, transcendentals=1)
    yield each(input.shape, "normalize", multiplies=1)
    if weight is not None:
        yield each(input.shape, "weight", multiplies=1)


@rule("aten::_weight_norm", "aten::_weight_norm_interface", kind="norm")
def weight_norm(v: TensorSpec, g: TensorSpec, dim: int = 0, *, out: Any) -> Iterator[Term]:
    """v · (g / ‖v‖), one norm for each element of g."""
    m = v.size // g.size if g.size else 0
    yield Term("norm", g.shape, OpCount(multiplies=m, adds=m - 1, divides=1, transcendentals=1))
    yield each(v.shape, "scale", multiplies=1)
