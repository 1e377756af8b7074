"""Losses cost what their definitions cost, reduced or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import DataDependentError
from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, exp, log, maximum, spec, sqrt, total
from tests.rules.real_tensors import real, recorded
from tests.rules.recorded import calls_of
from tests.rules.registered import count_of, count_whole_and_decomposed, kind_of, terms_of

NONE, MEAN, SUM = 0, 1, 2
SIZES = st.integers(1, 3)


def reduce(values: list[Any], reduction: int) -> None:
    if reduction == MEAN:
        total(values) / float(len(values))
    elif reduction == SUM:
        total(values)


def smooth_l1(x: Counting, y: Counting) -> Counting:
    d = abs(x - y)
    near, far = 0.5 * (d * d) / 0.7, d - 0.5 * 0.7
    return near if d < 0.7 else far


def huber(x: Counting, y: Counting) -> Counting:
    d = abs(x - y)
    near, far = 0.5 * (d * d), 0.7 * (d - 0.5 * 0.7)
    return near if d < 0.7 else far


def clamped_log(x: Counting) -> Counting:
    return maximum(log(x), -100.0)


def log_sigmoid(x: Counting) -> Counting:
    return log(1.0 / (1.0 + exp(-x)))


DEFINITIONS: dict[str, tuple[Callable[[Counting, Counting], Any], tuple[Any, ...], tuple[Any, ...]]] = {
    # the loss of one element, the arguments before the reduction, and those after it
    "mse_loss": (lambda x, y: (x - y) ** 2, (), ()),
    "l1_loss": (lambda x, y: abs(x - y), (), ()),
    "smooth_l1_loss": (smooth_l1, (), (0.7,)),
    "huber_loss": (huber, (), (0.7,)),
    "binary_cross_entropy": (
        lambda x, y: -(y * clamped_log(x) + (1.0 - y) * clamped_log(1.0 - x)),
        (None,),
        (),
    ),
    "binary_cross_entropy_with_logits": (lambda x, y: (1.0 - y) * x - log_sigmoid(x), (None, None), ()),
    "soft_margin_loss": (lambda x, y: log(1.0 + exp(-y * x)), (), ()),
    "kl_div": (lambda x, y: y * log(y) - y * x, (), ()),
}


@pytest.mark.parametrize("op", DEFINITIONS)
@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
@given(rows=SIZES, columns=SIZES)
def test_elementwise_loss(op: str, reduction: int, rows: int, columns: int) -> None:
    """Each element costs what the definition costs; then comes the reduction."""
    definition, before, after = DEFINITIONS[op]
    tally = Tally()
    n = rows * columns
    xs, ys = tally.array(n, low=0.1, high=0.9), tally.array(n, low=0.1, high=0.9, seed=1)
    reduce([definition(x, y) for x, y in zip(xs, ys, strict=True)], reduction)
    x = spec(rows, columns)
    out = x if reduction == NONE else spec()
    assert_counted(terms_of(op, x, x, *before, reduction, *after, out=out), tally)
    assert kind_of(op, x, x, out=out) == "loss"


def test_smooth_l1_without_a_bend_is_l1() -> None:
    """β = 0 leaves the absolute difference."""
    x = spec(4)
    assert count_of("smooth_l1_loss", x, x, MEAN, 0.0, out=spec()) == count_of("l1_loss", x, x, MEAN, out=spec())


def test_mean_squared_error_by_hand() -> None:
    """10 subtractions, 10 squares, 9 adds and a divide."""
    expected = OpCount(multiplies=10, adds=10 + 9, divides=1)
    assert count_of("mse_loss", spec(10), spec(10), out=spec()) == expected


def test_weights_of_binary_cross_entropy() -> None:
    """A weight multiplies each loss; pos_weight multiplies the positive part, as 1 + (p − 1)·y."""
    x, p = spec(2, 3), spec(3)
    plain = count_of("binary_cross_entropy_with_logits", x, x, None, None, NONE, out=x)
    weighted = count_of("binary_cross_entropy_with_logits", x, x, p, None, NONE, out=x)
    positive = count_of("binary_cross_entropy_with_logits", x, x, None, p, NONE, out=x)
    assert weighted - plain == OpCount(multiplies=6)
    assert positive - plain == OpCount(adds=3 + 6, multiplies=6 * 2)
    unweighted = count_of("binary_cross_entropy", x, x, out=spec())
    assert count_of("binary_cross_entropy", x, x, p, out=spec()) - unweighted == OpCount(multiplies=6)


def likelihood(rows: list[list[Counting]], weighted: bool, reduction: int) -> None:
    picked = [-row[0] for row in rows]
    weights = [row[0].tally.number(0.5) for row in rows]
    if weighted:
        picked = [x * w for x, w in zip(picked, weights, strict=True)]
    if reduction == MEAN and weighted:
        total(picked) / total(weights)
    else:
        reduce(picked, reduction)


def log_softmax(xs: list[Counting]) -> list[Counting]:
    largest = maximum(*xs)
    shifted = [x - largest for x in xs]
    logarithm = log(total(exp(x) for x in shifted))
    return [x - logarithm for x in shifted]


@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
@given(samples=SIZES, classes=SIZES, places=SIZES, weighted=st.booleans())
def test_negative_likelihood_and_cross_entropy(
    reduction: int, samples: int, classes: int, places: int, weighted: bool
) -> None:
    """The likelihood looks up, weighs and reduces; cross-entropy takes the log-softmax first."""
    alone, after_softmax = Tally(), Tally()
    likelihood(alone.array(samples * places, classes), weighted, reduction)
    likelihood([log_softmax(row) for row in after_softmax.array(samples * places, classes)], weighted, reduction)
    x, y = spec(samples, classes, places), spec(samples, places, dtype="int64")
    w = spec(classes) if weighted else None
    out = spec() if reduction else y
    for op in ("nll_loss_nd", "nll_loss2d", "nll_loss_forward"):
        assert_counted(terms_of(op, x, y, w, reduction, -100, out=(out, spec())), alone)
    assert_counted(terms_of("cross_entropy_loss", x, y, w, reduction, out=out), after_softmax)


def test_cross_entropy_by_hand() -> None:
    """One image of 1000 classes takes a log-softmax and a mean of one."""
    expected = OpCount(comparisons=999, adds=1000 + 999 + 1000, transcendentals=1001, divides=1)
    assert count_of("cross_entropy_loss", spec(1, 1000), spec(1, dtype="int64"), out=spec()) == expected


def test_label_smoothing() -> None:
    """The sum over the classes is added with factor s/C to (1 − s) of the loss, both reduced."""
    x, y = spec(4, 5), spec(4, dtype="int64")
    plain = count_of("cross_entropy_loss", x, y, out=spec())
    smooth = count_of("cross_entropy_loss", x, y, None, MEAN, -100, 0.1, out=spec())
    assert smooth - plain == OpCount(adds=4 * (5 - 1) + (4 - 1) + 1, divides=1, multiplies=2)


def test_margins() -> None:
    """Ranking and multi-class margins by hand, for a few values."""
    ranking, classes = Tally(), Tally()
    margins = [
        maximum(-y * (a - b) + 0.1, 0.0)
        for a, b, y in zip(ranking.array(4), ranking.array(4, seed=1), ranking.array(4, seed=2), strict=True)
    ]
    reduce(margins, MEAN)
    assert_counted(terms_of("margin_ranking_loss", spec(4), spec(4), spec(4), 0.1, out=spec()), ranking)
    losses = [total(maximum(1.0 - row[0] + x, 0.0) ** 2 for x in row[1:]) / 5.0 for row in classes.array(3, 5)]
    reduce(losses, SUM)
    y = spec(3, dtype="int64")
    assert_counted(terms_of("multi_margin_loss", spec(3, 5), y, 2, 1, None, SUM, out=spec()), classes)


def ctc(log_probs: list[list[Counting]], labels: list[int]) -> Counting:
    """Graves et al. 2006: the forward variables over the target with blanks between its labels."""
    target = [0, *(symbol for label in labels for symbol in (label, 0))]
    tally = log_probs[0][0].tally
    never = tally.number(-1e9)
    alpha = [log_probs[0][symbol] if s < 2 else never for s, symbol in enumerate(target)]
    for step in log_probs[1:]:
        previous = alpha
        alpha = []
        for s, symbol in enumerate(target):
            ways = [previous[s]]
            ways.append(previous[s - 1] if s > 0 else never)
            ways.append(previous[s - 2] if s > 1 and symbol not in (0, target[s - 2]) else never)
            alpha.append(logsumexp(ways) + step[symbol])
    return -logsumexp([alpha[-1], alpha[-2]] if len(alpha) > 1 else [alpha[-1], never])


def logsumexp(xs: list[Counting]) -> Counting:
    largest = maximum(*xs)
    return largest + log(total(exp(x - largest) for x in xs))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), min_size=1, max_size=3))
def test_ctc(lengths: list[tuple[int, int]]) -> None:
    """Each step of each sample takes the three ways into each of its 2·U + 1 states."""
    tally = Tally()
    for sample, (steps, labels) in enumerate(lengths):
        ctc(tally.array(steps, 4, low=-3, high=-1, seed=sample), list(range(1, labels + 1)))
    x, y = spec(4, len(lengths), 4), spec(len(lengths), 2, dtype="int64")
    steps_of, labels_of = [steps for steps, _ in lengths], [labels for _, labels in lengths]
    assert_counted(terms_of("_ctc_loss", x, y, steps_of, labels_of, out=(x, x)), tally)


def test_ctc_reference_is_the_loss() -> None:
    """The loop that proves the rule agrees with torch."""
    rows = Tally().array(4, 4, low=-3, high=-1)
    expected = F.ctc_loss(
        torch.tensor([[[x.value for x in row]] for row in rows], dtype=torch.float64),
        torch.tensor([[1, 2]]),
        torch.tensor([4]),
        torch.tensor([2]),
        reduction="sum",
    )
    assert math.isclose(float(ctc(rows, [1, 2]).value.real), float(expected), rel_tol=1e-6)


def test_ctc_lengths_may_be_data() -> None:
    """Lengths in tensors are not known from shapes; if their values are known, they count like numbers."""
    n, x, y = spec(2, dtype="int64"), spec(4, 2, 4), spec(2, 2)
    with pytest.raises(DataDependentError):
        terms_of("_ctc_loss", x, y, n, n, out=(spec(2), spec(2)))
    numbers = count_of("_ctc_loss", x, y, [4, 3], [2, 1], out=(spec(2), spec(2)))
    assert count_of("_ctc_loss", x, y, real([4, 3]), real([2, 1]), out=(spec(2), spec(2))) == numbers
    alone = count_of("_ctc_loss", spec(4, 4), spec(2), real(4), real(2), out=(spec(1), spec(1)))
    assert alone == count_of("_ctc_loss", spec(4, 1, 4), spec(1, 2), [4], [2], out=(spec(1), spec(1)))


def multilabel_margin(xs: list[Counting], labels: list[int]) -> Counting:
    """Σ max(0, 1 − x[t] + x[i]) / C over labels t, up to the first −1, and classes i that are not labels."""
    targets = labels[: labels.index(-1)] if -1 in labels else labels
    others = [x for i, x in enumerate(xs) if i not in targets]
    margins = [maximum(1.0 - xs[t] + x, 0.0) for t in targets for x in others]
    nothing = xs[0].tally.number(0.0)
    return (total(margins) if margins else nothing) / float(len(xs))


@pytest.mark.slow
@given(
    st.lists(st.lists(st.integers(-1, 3), min_size=4, max_size=4), min_size=1, max_size=3),
    st.sampled_from([NONE, MEAN, SUM]),
)
def test_multilabel_margins(labels: list[list[int]], reduction: int) -> None:
    """Each label meets each class that is not a label; the values tell which. The loop computes torch's loss."""
    tally = Tally()
    rows = tally.array(len(labels), 4)
    losses = [multilabel_margin(row, own) for row, own in zip(rows, labels, strict=True)]
    x = torch.tensor([[value.value for value in row] for row in rows])
    y = torch.tensor(labels)
    expected = F.multilabel_margin_loss(x, y, reduction="none")
    assert torch.allclose(torch.tensor([loss.value for loss in losses], dtype=x.dtype), expected)
    reduce(losses, reduction)
    _, terms = recorded(lambda x, y: F.multilabel_margin_loss(x, y, reduction=("none", "mean", "sum")[reduction]), x, y)
    assert_counted(terms, tally)


def test_multilabel_margins_of_one_sample() -> None:
    """Two labels of three classes have 2·1 pairs, an add between them, and the divide by 3."""
    y = real([2, 0, -1])
    found = count_of("multilabel_margin_loss_forward", spec(3), y, SUM, out=(spec(), spec(3)))
    assert found == OpCount(adds=2 * 2 + 1, comparisons=2, divides=1)
    with pytest.raises(DataDependentError):
        terms_of("multilabel_margin_loss_forward", spec(3), spec(3), SUM, out=(spec(), spec(3)))


def distance(xs: list[Counting], ys: list[Counting]) -> Counting:
    return sqrt(total((x - y + 1e-6) ** 2 for x, y in zip(xs, ys, strict=True)))


@pytest.mark.parametrize("swap", [False, True])
def test_triplet_margin(swap: bool) -> None:
    """The loss has two distances, or three, a comparison with the margin, and a mean."""
    tally = Tally()
    margins = []
    for a, p, n in tally.array(4, 3, 5):
        near, far = distance(a, p), distance(a, n)
        if swap:
            other = distance(p, n)
            far = other if other < far else far
        margins.append(maximum(1.0 + near - far, 0.0))
    reduce(margins, MEAN)
    x = spec(4, 5)
    assert_counted(terms_of("triplet_margin_loss", x, x, x, 1.0, 2.0, 1e-6, swap, MEAN, out=spec()), tally)


X, LABELS = (4, 5), torch.zeros(4, dtype=torch.long, device="meta")
FIELD_LABELS = torch.zeros(2, 3, 3, dtype=torch.long, device="meta")
SIGNS = torch.ones(4, dtype=torch.long, device="meta")


def kl_div(x: torch.Tensor, y: torch.Tensor, reduction: str, log_target: bool = False) -> torch.Tensor:
    """``F.kl_div`` warns of its mean."""
    return torch.kl_div(x, y, ["none", "mean", "sum"].index(reduction), log_target=log_target)


def weighted_cross_entropy_with_logits(
    x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, reduction: str
) -> torch.Tensor:
    w = w.detach()
    return F.binary_cross_entropy_with_logits(x, y, w, pos_weight=w, reduction=reduction)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    ("run", "shapes"),
    [
        (lambda x, **r: F.cross_entropy(x, LABELS, **r), [X]),
        (lambda x, w, **r: F.cross_entropy(x, LABELS, w.detach(), **r), [X, (5,)]),
        (lambda x, y, **r: F.cross_entropy(x, y, label_smoothing=0.1, **r), [X, X]),
        (lambda x, y, w, **r: F.cross_entropy(x, y, w, **r), [X, X, (5,)]),
        (lambda x, **r: F.nll_loss(x, FIELD_LABELS, **r), [(2, 5, 3, 3)]),
        (lambda x, w, **r: F.nll_loss(x, FIELD_LABELS, w.detach(), **r), [(2, 5, 3, 3), (5,)]),
        (lambda x, **r: F.nll_loss(x, torch.zeros((), dtype=torch.long, device="meta"), **r), [(5,)]),
        (F.l1_loss, [X, X]),
        (kl_div, [X, X]),
        (lambda x, y, **r: kl_div(x, y, log_target=True, **r), [X, X]),
        (weighted_cross_entropy_with_logits, [X, X, (5,)]),
        (F.poisson_nll_loss, [X, X]),
        (lambda x, y, **r: F.poisson_nll_loss(x, y, log_input=False, full=True, **r), [X, X]),
        (F.margin_ranking_loss, [X, X, X]),
        (F.hinge_embedding_loss, [X, X]),
        (lambda x, y, **r: F.cosine_embedding_loss(x, y, SIGNS, **r), [X, X]),
        (F.cosine_embedding_loss, [X, X, (4,)]),
        (F.triplet_margin_loss, [X, X, X]),
        (lambda a, p, n, **r: F.triplet_margin_loss(a, p, n, p=3, swap=True, **r), [X, X, X]),
    ],
)
def test_decomposed_operators_cost_the_same(run: Any, shapes: list[tuple[int, ...]], reduction: str) -> None:
    """Operators cost the same whole and decomposed."""
    whole, decomposed = count_whole_and_decomposed(lambda *inputs: run(*inputs, reduction=reduction), *shapes)
    assert whole == decomposed


@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
def test_absolute_differences_of_complex_numbers(reduction: int) -> None:
    """|x − y| is the modulus of a complex number, also if autograd decomposes the loss."""
    tally = Tally()
    x, y = (tally.array(3, dtype="complex64", seed=seed) for seed in (0, 1))
    reduce([abs(a - b) for a, b in zip(x, y, strict=True)], reduction)
    operands = (spec(3, dtype="complex64"),) * 2
    assert_counted(terms_of("l1_loss", *operands, reduction, out=spec()), tally)
    inputs = [torch.zeros(3, dtype=torch.complex64, requires_grad=True) for _ in range(2)]
    decomposed = recorded_with_gradients(F.l1_loss, *inputs, reduction=("none", "mean", "sum")[reduction])
    assert_counted(decomposed, tally)


def recorded_with_gradients(run: Callable[..., Any], *inputs: Any, **options: Any) -> list[Any]:
    """The terms of the operations that autograd decomposes ``run`` into."""
    _, calls = calls_of(lambda: run(*inputs, **options))
    return [term for call in calls for term in call.terms]
