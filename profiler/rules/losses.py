"""Loss functions, each by the definition in PyTorch's documentation, then reduced.

``reduction`` is 0 (none), 1 (mean: n − 1 adds and a divide) or 2 (sum: n − 1 adds).  Targets that are ignored,
and margins that are not reached, are counted as if they were not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import (
    LOG_SIGMOID,
    Sizes,
    addition,
    broadcast,
    log_softmax_of,
    logsumexp_of,
    mean_of,
    norm_of,
    size_of,
    sum_of,
)
from profiler.rules.registry import rule
from profiler.signatures import TensorSpec

NONE, MEAN, SUM = 0, 1, 2
"""The values of the ``reduction`` argument."""


def reduced(sizes: Sequence[int], reduction: int) -> Iterator[Term]:
    """Values of ``sizes`` reduced to one, or unchanged."""
    if reduction != NONE:
        n = size_of(sizes)
        yield Term("reduction", (), mean_of(n) if reduction == MEAN else sum_of(n))


def elementwise_loss(what: str, sizes: Sequence[int], one: OpCount, reduction: int) -> Iterator[Term]:
    """``one`` for each element, then the reduction."""
    yield Term(what, tuple(sizes), one)
    yield from reduced(sizes, reduction)


def tests_of(target: TensorSpec, number: int) -> int:
    """Comparisons of a target with ``number`` constants, which are free where targets are integers."""
    return number if target.is_arithmetic else 0


@rule("aten::mse_loss", kind="loss")
def mse_loss(input: TensorSpec, target: TensorSpec, reduction: int = MEAN, *, out: TensorSpec) -> Iterator[Term]:
    """(x − y)²."""
    sizes = broadcast(input.shape, target.shape)
    return elementwise_loss("squared differences", sizes, OpCount(adds=1, multiplies=1), reduction)


@rule("aten::l1_loss", kind="loss")
def l1_loss(input: TensorSpec, target: TensorSpec, reduction: int = MEAN, *, out: TensorSpec) -> Iterator[Term]:
    """|x − y|; of complex numbers √(re² + im²) of the difference."""
    sizes = broadcast(input.shape, target.shape)
    one = addition(input, target)
    if input.is_complex or target.is_complex:
        one = one + OpCount(multiplies=2, adds=1, transcendentals=1)
    return elementwise_loss("absolute differences", sizes, one, reduction)


@rule("aten::smooth_l1_loss", kind="loss")
def smooth_l1_loss(
    input: TensorSpec, target: TensorSpec, reduction: int = MEAN, beta: float = 1.0, *, out: TensorSpec
) -> Iterator[Term]:
    """With d = |x − y|: ½·d²/β where d < β, else d − ½·β."""
    if beta == 0:
        return l1_loss(input, target, reduction, out=out)
    one = OpCount(adds=2, multiplies=2, divides=1, comparisons=1)
    return elementwise_loss("smooth differences", broadcast(input.shape, target.shape), one, reduction)


@rule("aten::huber_loss", kind="loss")
def huber_loss(
    input: TensorSpec, target: TensorSpec, reduction: int = MEAN, delta: float = 1.0, *, out: TensorSpec
) -> Iterator[Term]:
    """With d = |x − y|: ½·d² where d < δ, else δ·(d − ½·δ)."""
    one = OpCount(adds=2, multiplies=3, comparisons=1)
    return elementwise_loss("huber differences", broadcast(input.shape, target.shape), one, reduction)


@rule("aten::binary_cross_entropy", kind="loss")
def binary_cross_entropy(
    input: TensorSpec,
    target: TensorSpec,
    weight: TensorSpec | None = None,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """−w·(y·log x + (1 − y)·log(1 − x)), the logarithms clamped to at least −100."""
    one = OpCount(transcendentals=2, comparisons=2, multiplies=2 + (weight is not None), adds=3)
    return elementwise_loss("cross-entropies", input.shape, one, reduction)


@rule("aten::binary_cross_entropy_with_logits", kind="loss")
def binary_cross_entropy_with_logits(
    input: TensorSpec,
    target: TensorSpec,
    weight: TensorSpec | None = None,
    pos_weight: TensorSpec | None = None,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """w·((1 − y)·x − (1 + (p − 1)·y)·log sigmoid(x)), with p = pos_weight."""
    one = LOG_SIGMOID + OpCount(adds=2, multiplies=1 + (weight is not None))
    if pos_weight is not None:
        yield each(pos_weight.shape, "pos_weight − 1", adds=1)
        one = one + OpCount(multiplies=2, adds=1)
    yield from elementwise_loss("cross-entropies", input.shape, one, reduction)


@rule("aten::soft_margin_loss", kind="loss")
def soft_margin_loss(
    input: TensorSpec, target: TensorSpec, reduction: int = MEAN, *, out: TensorSpec
) -> Iterator[Term]:
    """log(1 + exp(−y·x))."""
    one = OpCount(multiplies=1, adds=1, transcendentals=2)
    return elementwise_loss("soft margins", input.shape, one, reduction)


@rule("aten::kl_div", kind="loss")
def kl_div(
    input: TensorSpec, target: TensorSpec, reduction: int = MEAN, *, log_target: bool = False, out: TensorSpec
) -> Iterator[Term]:
    """y·log y − y·x, or exp(t)·(t − x) for a target t = log y."""
    one = OpCount(adds=1, multiplies=1 if log_target else 2, transcendentals=1)
    return elementwise_loss("divergences", broadcast(input.shape, target.shape), one, reduction)


@rule("aten::poisson_nll_loss", kind="loss")
def poisson_nll_loss(
    input: TensorSpec,
    target: TensorSpec,
    log_input: bool,
    full: bool,
    eps: float,
    reduction: int,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """exp(x) − y·x, or x − y·log(x + ε); full adds y·log y − y + ½·log(2π·y) where y > 1 (Stirling's formula)."""
    sizes = broadcast(input.shape, target.shape)
    yield each(sizes, "likelihoods", multiplies=1, adds=1 if log_input else 2, transcendentals=1)
    if full:
        yield each(target.shape, "Stirling's formula", multiplies=3, adds=2, transcendentals=2, comparisons=1)
        yield each(sizes, "sums", adds=1)
    yield from reduced(sizes, reduction)


@rule("aten::margin_ranking_loss", kind="loss")
def margin_ranking_loss(
    input1: TensorSpec,
    input2: TensorSpec,
    target: TensorSpec,
    margin: float = 0.0,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """max(0, −y·(x₁ − x₂) + margin)."""
    pairs = broadcast(input1.shape, input2.shape)
    yield each(pairs, "differences", adds=1)
    one = OpCount(multiplies=1, adds=1, comparisons=1)
    yield from elementwise_loss("margins", broadcast(pairs, target.shape), one, reduction)


@rule("aten::hinge_embedding_loss", kind="loss")
def hinge_embedding_loss(
    input: TensorSpec, target: TensorSpec, margin: float = 1.0, reduction: int = MEAN, *, out: TensorSpec
) -> Iterator[Term]:
    """(x where y ≠ −1) + (max(0, margin − x) where y ≠ 1)."""
    yield each(input.shape, "hinges", adds=1, comparisons=1)
    yield each(target.shape, "targets", comparisons=tests_of(target, 2))
    sizes = broadcast(input.shape, target.shape)
    yield from elementwise_loss("sums", sizes, OpCount(adds=1), reduction)


@rule("aten::cosine_embedding_loss", kind="loss")
def cosine_embedding_loss(
    input1: TensorSpec,
    input2: TensorSpec,
    target: TensorSpec,
    margin: float = 0.0,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(*, D), (*, D) → (*): with c = cos(x₁, x₂), (1 − c where y = 1) + (max(0, c − margin) where y = −1).

    The cosine is the product of the two divided by √((|x₁|² + ε)·(|x₂|² + ε)).
    """
    shape = broadcast(input1.shape, input2.shape)
    pairs, d = target.shape, shape[-1]
    for what, sizes in (("products", shape), ("squares of the first", input1.shape), ("of the second", input2.shape)):
        yield Term(what, sizes[:-1], OpCount(multiplies=d) + sum_of(d))
    yield each(input1.shape[:-1], "ε", adds=1)
    yield each(input2.shape[:-1], "ε", adds=1)
    yield each(shape[:-1], "cosines", multiplies=1, transcendentals=1, divides=1)
    yield each(shape[:-1], "margins", adds=2, comparisons=1)
    yield each(pairs, "targets", comparisons=tests_of(target, 2))
    yield from elementwise_loss("sums", pairs, OpCount(adds=1), reduction)


@rule("aten::triplet_margin_loss", kind="loss")
def triplet_margin_loss(
    anchor: TensorSpec,
    positive: TensorSpec,
    negative: TensorSpec,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(*, D) each → (*): max(0, d(a, p) − d(a, n) + margin) with d(x, y) = ‖x − y + ε‖; swap also takes d(p, n)."""
    shape = broadcast(broadcast(anchor.shape, positive.shape), negative.shape)
    triplets, d = shape[:-1], shape[-1]
    distances = 3 if swap else 2
    yield each((distances, *shape), "differences", adds=2)
    yield Term("distances", (distances, *triplets), norm_of(d, p, anchor))
    one = OpCount(adds=2, comparisons=2 if swap else 1)
    yield from elementwise_loss("margins", triplets, one, reduction)


@rule("aten::multi_margin_loss", kind="loss")
def multi_margin_loss(
    input: TensorSpec,
    target: TensorSpec,
    p: int = 1,
    margin: float = 1,
    weight: TensorSpec | None = None,
    reduction: int = MEAN,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C), (N) → (N): Σ over the other classes of w·max(0, margin − x[y] + x[i])ᵖ, divided by C."""
    samples, classes = input.shape[:-1], input.shape[-1]
    others = classes - 1
    one = OpCount(adds=2, comparisons=1, multiplies=p - 1 + (weight is not None))
    yield Term("margins", (*samples, others), one)
    yield from elementwise_loss("sums", samples, sum_of(others) + OpCount(divides=1), reduction)


@rule(
    "aten::nll_loss",
    "aten::nll_loss2d",
    "aten::nll_loss_nd",
    "aten::nll_loss_forward",
    "aten::nll_loss2d_forward",
    kind="loss",
)
def nll_loss(
    input: TensorSpec,
    target: TensorSpec,
    weight: TensorSpec | None = None,
    reduction: int = MEAN,
    *_: Any,
    out: Any,
) -> Iterator[Term]:
    """(N, C, *), (N, *) → (N, *): −w[y]·x[y]; with weights the mean divides by the sum of the weights."""
    if weight is not None:
        yield each(target.shape, "weights", multiplies=1)
        if reduction == MEAN:
            yield Term("sum of weights", (), sum_of(target.size))
    yield from reduced(target.shape, reduction)


@rule("aten::cross_entropy_loss", kind="loss")
def cross_entropy_loss(
    input: TensorSpec,
    target: TensorSpec,
    weight: TensorSpec | None = None,
    reduction: int = MEAN,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    *,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C, *), (N, *) class indices or (N, C, *) probabilities → (N, *): log-softmax, then the likelihood."""
    dim = 0 if len(input.shape) == 1 else 1
    classes = input.shape[dim]
    places = (*input.shape[:dim], *input.shape[dim + 1 :])
    yield Term("log-softmax rows", places, log_softmax_of(classes))
    if len(target.shape) == len(input.shape):  # class indices have a dimension less
        yield from _expected_likelihood(places, classes, weight is not None, reduction, label_smoothing)
        return
    yield from nll_loss(input, target, weight, reduction, out=out)
    if label_smoothing > 0:
        yield from _smoothing(places, classes, weight is not None, reduction)


def _expected_likelihood(
    places: Sizes, classes: int, weighted: bool, reduction: int, label_smoothing: float
) -> Iterator[Term]:
    """−Σ x·y·w over the classes, for probabilities y; a mean divides by the number of places."""
    if label_smoothing > 0:
        yield each((*places, classes), "smoothed targets", multiplies=1, adds=1)
    yield each((*places, classes), "products", multiplies=1 + weighted)
    yield Term("sums", places, sum_of(classes))
    yield from reduced(places, reduction)


def _smoothing(places: Sizes, classes: int, weighted: bool, reduction: int) -> Iterator[Term]:
    """s/C·(−Σ w·x) over the classes, added to (1 − s) of the loss; with weights a mean divides by their sum."""
    if weighted:
        yield each((*places, classes), "weights", multiplies=1)
        if reduction == MEAN:
            yield Term("sum of weights", (), sum_of(size_of(places)))
    yield Term("sums over classes", places, sum_of(classes))
    yield from reduced(places, reduction)
    yield each(places if reduction == NONE else (), "smoothing", multiplies=2, adds=1)


@rule("aten::multilabel_margin_loss_forward", kind="loss", reads=("target",))
def multilabel_margin_loss(input: TensorSpec, target: TensorSpec, reduction: int, *, out: Any) -> Iterator[Term]:
    """(N, C) or (C), targets of that shape → (N) or (): Σ max(0, 1 − x[t] + x[i]), divided by C.

    The sum is over a sample's targets t, which end before the first −1, and all other classes i.
    """
    *samples, classes = input.shape or (1,)
    rows = target.values if samples else [target.values if input.shape else [target.values]]
    pairs = [_label_pairs(row, classes) for row in rows]
    yield each((sum(pairs),), "margins", adds=2, comparisons=1)
    yield each((sum(max(number - 1, 0) for number in pairs),), "sums", adds=1)
    yield from elementwise_loss("means over classes", samples, OpCount(divides=1), reduction)


def _label_pairs(row: Sequence[int], classes: int) -> int:
    """How many pairs of a label and another class there are, for labels that end before the first −1."""
    labels = row[: row.index(-1)] if -1 in row else row
    return len(labels) * (classes - len(set(labels)))


@rule("aten::_ctc_loss", kind="loss", reads=("input_lengths", "target_lengths"))
def ctc_loss(
    log_probs: TensorSpec, targets: TensorSpec, input_lengths: Any, target_lengths: Any, *_: Any, out: Any
) -> Iterator[Term]:
    """(T, N, C) → (N): the forward recursion over 2·U + 1 states of a target of length U.

    Each state of each step after the first is the log-sum-exp of three, plus a log probability; the result is
    the log-sum-exp of the last two.  Lengths that are given as tensors are data, known in a real run.
    """
    input_lengths, target_lengths = map(_numbers, (input_lengths, target_lengths))
    states = 0
    for steps, labels in zip(input_lengths, target_lengths, strict=True):
        states += (steps - 1 if steps > 0 else 0) * (2 * labels + 1)
    yield Term("states", (states,), logsumexp_of(3) + OpCount(adds=1))
    yield Term("results", (len(input_lengths),), logsumexp_of(2))


def _numbers(lengths: Any) -> list[int]:
    """Lengths as numbers: those of a tensor, one of which may stand alone, or of a list."""
    values = lengths.values if isinstance(lengths, TensorSpec) else lengths
    return list(values) if isinstance(values, list | tuple) else [values]
