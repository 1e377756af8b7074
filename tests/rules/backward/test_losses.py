"""The gradients of losses: the loops compute autograd's values, and the rules equal their tallies."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from profiler.errors import DataDependentError
from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, exp, maximum, spec, total, transcendental
from tests.rules.real_tensors import real
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import values

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
    """Each element's gradient equals autograd's; a mean divides once."""
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
    """The targets have weights; a margin counts for each other class, and a sum for the target."""
    x, y, w = spec(4, 5), spec(4, dtype="int64"), spec(5)
    assert count_of("nll_loss_backward", spec(), x, y, None, MEAN, -100, spec(), out=x) == OpCount(divides=1)
    weighted = count_of("nll_loss_backward", spec(), x, y, w, SUM, -100, spec(), out=x)
    assert weighted == OpCount(multiplies=4)
    margins = count_of("multi_margin_loss_backward", spec(), x, y, 1, 1, None, SUM, out=x)
    assert margins == OpCount(divides=4, adds=4 * 4 * 3, comparisons=4 * 4)


LABELS = [[3, 0, -1, 1], [1, -1, -1, -1], [0, 1, 2, 3], [-1, 0, 0, 0]]


@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
def test_multilabel_margin_loss(reduction: int) -> None:
    """Each label meets each class that is not a label; labels end at the first −1."""
    tally = Tally()
    xs = tally.array(len(LABELS), 4)
    x = torch.tensor([[v.value for v in row] for row in xs], dtype=torch.float64, requires_grad=True)
    target = torch.tensor(LABELS)
    name = ("none", "mean", "sum")[reduction]
    loss = F.multilabel_margin_loss(x, target, reduction=name)
    gradient = torch.full_like(loss, 0.3)
    (expected,) = torch.autograd.grad(loss, x, gradient)
    g = tally.number(0.3)
    if reduction == MEAN:
        g = g / float(len(LABELS))
    for row, labels, theirs in zip(xs, LABELS, expected.tolist(), strict=True):
        labels = labels[: labels.index(-1)] if -1 in labels else labels
        step = g / 4.0
        found = [tally.number(0.0) for _ in row]
        for label in labels:
            for other in set(range(4)) - set(labels):
                z = 1.0 - row[label] + row[other]
                reached = z > 0
                added, subtracted = found[other] + step, found[label] - step
                if reached:
                    found[other], found[label] = added, subtracted
        assert [v.value for v in found] == pytest.approx(theirs)
    is_target = torch.ops.aten.multilabel_margin_loss_forward(x.detach(), target, reduction)[1]
    arguments = (spec(*gradient.shape), spec(4, 4), real(target), reduction, real(is_target))
    assert_counted(terms_of("multilabel_margin_loss_backward", *arguments, out=spec(4, 4)), tally)


def test_multilabel_margin_loss_of_one_sample() -> None:
    """It has two labels and two other classes."""
    x, target, marks = spec(4), real([3, 0, -1, 1]), real([1.0, 0.0, 0.0, 1.0])
    found = count_of("multilabel_margin_loss_backward", spec(), x, target, SUM, marks, out=x)
    assert found == OpCount(divides=1, adds=4 * 4, comparisons=4)


def test_labels_without_values_are_uncounted() -> None:
    """The number of labels is not known on meta."""
    x = spec(2, 4)
    with pytest.raises(DataDependentError):
        terms_of("multilabel_margin_loss_backward", spec(), x, spec(2, 4, dtype="int64"), MEAN, x, out=x)


def log_sum(*terms: Counting) -> Counting:
    """log Σ exp, shifted by the largest value; if all are minus infinity, the result is too."""
    largest = maximum(*terms)
    shift = largest if largest.value != -math.inf else largest.tally.number(0.0)
    whole = total(exp(term - shift) for term in terms)
    return transcendental(lambda value: math.log(value) if value else -math.inf, whole) + shift


def ctc_gradient(
    g: Counting, log_probs: list[list[Counting]], labels: list[int], forward: list[list[Counting]], loss: Counting
) -> list[list[Any]]:
    """Steps × classes: the backward recursion over blank, label, blank, …, and the gradient of each class."""
    states = [0]
    for label in labels:
        states += [label, 0]
    tally = g.tally
    never = tally.number(-math.inf)
    came_to = [[never for _ in row] for row in log_probs]
    after: list[Counting] = []
    for step in range(len(log_probs) - 1, -1, -1):
        row = log_probs[step]
        if step == len(log_probs) - 1:
            after = [never] * len(states)
            for state in range(max(len(states) - 2, 0), len(states)):
                after[state] = row[states[state]]
                came_to[step][states[state]] = forward[step][state] + after[state]
            continue
        before = []
        for state, label in enumerate(states):
            skips = state + 2 < len(states) and states[state + 2] != label
            stay, go_on = after[state], after[state + 1] if state + 1 < len(states) else never
            jump = after[state + 2] if skips else never
            before.append(log_sum(stay, go_on, jump) + row[label])
            came_to[step][label] = log_sum(came_to[step][label], forward[step][state] + before[-1])
        after = before
    return [
        [g * (exp(p) - exp(s - p + loss)) for p, s in zip(row, sums, strict=True)]
        for row, sums in zip(log_probs, came_to, strict=True)
    ]


TARGETS = [[1, 2, 2], [3], [], [2, 1]]
STEPS = [6, 4, 3, 2]


def test_ctc_loss() -> None:
    """The targets have three, one, no and two labels, two of them equal, and one has fewer steps."""
    tally = Tally()
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(6, 4, 4, generator=generator, dtype=torch.float64).log_softmax(-1).requires_grad_()
    padded = torch.tensor([target + [0] * (3 - len(target)) for target in TARGETS])
    lengths = [len(target) for target in TARGETS]
    losses, alpha = torch.ops.aten._ctc_loss(log_probs.detach(), padded, STEPS, lengths)
    gradient = torch.tensor([0.3, -0.5, 1.0, 0.7], dtype=torch.float64)
    arguments = (gradient, log_probs.detach(), padded, STEPS, lengths, losses, alpha, 0)
    expected = torch.ops.aten._ctc_loss_backward(*arguments)
    for sample, (target, steps) in enumerate(zip(TARGETS, STEPS, strict=True)):
        rows = [[tally.number(v) for v in row] for row in log_probs[:steps, sample].tolist()]
        states = [[tally.number(v) for v in row] for row in alpha[sample, :steps, : 2 * len(target) + 1].tolist()]
        g, loss = (tally.number(float(tensor[sample])) for tensor in (gradient, losses))
        found = ctc_gradient(g, rows, target, states, loss)
        theirs = expected[:steps, sample]
        assert torch.allclose(values(found), theirs)
    p, n = spec(6, 4, 4), spec(4)
    rest = (n, spec(4, 6, 7), 0, False)
    terms = terms_of("_ctc_loss_backward", n, p, spec(4, 3, dtype="int64"), STEPS, lengths, *rest, out=p)
    assert_counted(terms, tally)
    as_tensors = (real(STEPS), real(lengths))
    assert terms_of("_ctc_loss_backward", n, p, spec(4, 3, dtype="int64"), *as_tensors, *rest, out=p) == terms


def test_ctc_loss_of_one_sample() -> None:
    """Its lengths may be scalars: one step and one label with two states, which are added; five classes."""
    n, p = spec(), spec(1, 5)
    found = count_of("_ctc_loss_backward", n, p, spec(1, dtype="int64"), real(1), real(1), n, p, 0, out=p)
    assert found == OpCount(adds=2 + 3 * 5, transcendentals=2 * 5, multiplies=5)


def test_ctc_loss_without_values_is_uncounted() -> None:
    """Lengths in tensors are not known on meta."""
    n, p, lengths = spec(4), spec(6, 4, 4), spec(4, dtype="int64")
    with pytest.raises(DataDependentError):
        terms_of("_ctc_loss_backward", n, p, spec(4, 3, dtype="int64"), lengths, lengths, n, p, 0, out=p)
