"""Gradients of losses for their input; g is the gradient of the result, one number or one for each element.

The gradient of a mean is g/n: one divide.  As forward, every branch and every target counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import logsumexp_of
from profiler.rules.losses import MEAN
from profiler.rules.registry import CostRule, gradient
from profiler.signatures import TensorSpec

PER_ELEMENT = {
    "mse_loss_backward": OpCount(adds=1, multiplies=2),  # g·2·(x − y)
    "smooth_l1_loss_backward": OpCount(adds=1, multiplies=1, divides=1, comparisons=2),  # d = x − y: g·d/β or ±g
    "huber_loss_backward": OpCount(adds=1, multiplies=2, comparisons=2),  # d = x − y: g·d or ±g·δ
    # with z = exp(−y·x): −y·g·z/(1 + z)
    "soft_margin_loss_backward": OpCount(multiplies=3, adds=1, divides=1, transcendentals=1),
}
"""What one element of the gradient costs; the fourth argument is the reduction."""


def mean_divide(reduction: int) -> Iterator[Term]:
    """g/n, once, where the loss is a mean."""
    if reduction == MEAN:
        yield each((), "mean", divides=1)


def _elementwise(op: str, one: OpCount) -> CostRule:
    def cost(grad: TensorSpec, input: TensorSpec, target: TensorSpec, reduction: int, *_: Any, out: Any) -> Any:
        yield from mean_divide(reduction)
        yield Term(op, out.shape, one)

    return cost


for _op, _one in PER_ELEMENT.items():
    gradient(f"aten::{_op}", kind="loss")(_elementwise(_op, _one))


@gradient("aten::binary_cross_entropy_backward", kind="loss")
def binary_cross_entropy_backward(
    grad: TensorSpec,
    input: TensorSpec,
    target: TensorSpec,
    weight: TensorSpec | None = None,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """g·(x − y)/max(x·(1 − x), ε), times the weight."""
    yield from mean_divide(reduction)
    weighted = weight is not None
    yield each(out.shape, "cross-entropies", multiplies=2 + weighted, adds=2, divides=1, comparisons=1)


@gradient("aten::nll_loss_backward", "aten::nll_loss2d_backward", kind="loss")
def nll_loss_backward(
    grad: TensorSpec,
    input: TensorSpec,
    target: TensorSpec,
    weight: TensorSpec | None,
    reduction: int,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """−g·w[y] at each target, zero elsewhere; a mean divides g by the sum of the weights."""
    yield from mean_divide(reduction)
    if weight is not None:
        yield each(target.shape, "weights", multiplies=1)


@gradient("aten::multi_margin_loss_backward", kind="loss")
def multi_margin_loss_backward(
    grad: TensorSpec,
    input: TensorSpec,
    target: TensorSpec,
    p: int,
    margin: float,
    weight: TensorSpec | None = None,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """For each other class, with z = margin − x[y] + x[i] > 0: g·w/C, or 2·z·g·w/C, added to −gradient of x[y].

    1/C and the weight of the target are taken into g once for each sample.
    """
    yield from mean_divide(reduction)
    samples, classes = input.shape[:-1], input.shape[-1]
    yield each(samples, "samples", multiplies=int(weight is not None), divides=1)
    one = OpCount(adds=2 + 1, comparisons=1, multiplies=2 if p == 2 else 0)
    yield Term("margins", (*samples, classes - 1), one)


@gradient("aten::multilabel_margin_loss_backward", kind="loss", reads=("target", "is_target"))
def multilabel_margin_loss_backward(
    grad: TensorSpec, input: TensorSpec, target: TensorSpec, reduction: int, is_target: TensorSpec, *, out: Any
) -> Iterator[Term]:
    """For each label y and each other class i with z = 1 − x[y] + x[i] > 0: g/C added to i, subtracted from y.

    The labels of a sample end at its first −1: their number is data, known in a real run.
    """
    labels = _rows(target.values, len(target.shape))
    targets = _rows(is_target.values, len(is_target.shape))
    pairs = 0
    for row, marks in zip(labels, targets, strict=True):
        given = row.index(-1) if -1 in row else len(row)
        pairs += given * sum(1 for mark in marks if not mark)
    yield from mean_divide(reduction)
    yield each(input.shape[:-1], "samples", divides=1)
    yield each((pairs,), "margins", adds=4, comparisons=1)


def _rows(values: Any, dims: int) -> list[list[Any]]:
    """The values of a tensor of two dimensions, or fewer, as rows."""
    return [[values]] if dims == 0 else [values] if dims == 1 else list(values)


@gradient("aten::_ctc_loss_backward", kind="loss", reads=("input_lengths", "target_lengths"))
def ctc_loss_backward(
    grad: TensorSpec,
    log_probs: TensorSpec,
    targets: TensorSpec,
    input_lengths: Sequence[int] | TensorSpec,
    target_lengths: Sequence[int] | TensorSpec,
    *_: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(T, N, C) → the same: the backward recursion over 2·U + 1 states of a target of length U, then the gradient.

    Each state of each step before the last is the log-sum-exp of three, plus a log probability; it is added to that of
    the forward recursion, and by a log-sum-exp of two to the class of the state.  The last step starts from the log
    probabilities of the last blank and the last label, alone in their classes.  Then for each class of each step
    g·(exp p − exp(s − p + loss)), with p its log probability and s what its states came to.
    """
    steps_of, labels_of = map(_numbers, (input_lengths, target_lengths))
    inner = last = 0
    for steps, labels in zip(steps_of, labels_of, strict=True):
        if steps > 0:
            inner += (steps - 1) * (2 * labels + 1)
            last += 2 if labels > 0 else 1
    yield Term("states", (inner,), logsumexp_of(3) + OpCount(adds=2) + logsumexp_of(2))
    yield each((last,), "states of the last step", adds=1)
    yield each((sum(steps_of), log_probs.shape[-1]), "classes", transcendentals=2, adds=3, multiplies=1)


def _numbers(lengths: Sequence[int] | TensorSpec) -> Sequence[int]:
    """Lengths as numbers; those of a tensor are data, known in a real run."""
    values = lengths.values if isinstance(lengths, TensorSpec) else lengths
    return [values] if isinstance(values, int) else values
