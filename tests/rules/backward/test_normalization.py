"""The gradients of normalizations: the loops compute autograd's values, and the rules equal their tallies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from profiler.opcount import OpCount, Term
from tests.rules.counting import Counting, Tally, assert_counted, spec, sqrt, total
from tests.rules.registered import count_of, terms_of

Values = list[Counting]
EPSILON = 1e-5


def mean(xs: Values) -> Any:
    return total(xs) / float(len(xs))


def uncounted_statistics(xs: Values) -> tuple[Counting, Counting]:
    """The mean and the inverse deviation, which the forward pass has saved."""
    values = torch.tensor([x.value for x in xs], dtype=torch.float64)
    inverse = (values.var(correction=0) + EPSILON) ** -0.5
    return xs[0].tally.number(float(values.mean())), xs[0].tally.number(float(inverse))


def batch_norm(g: Values, x: Values, weight: Counting | None, mask: tuple[bool, bool, bool]) -> dict[str, Any]:
    center, inverse = uncounted_statistics(x)
    found: dict[str, Any] = {}
    if mask[2] or mask[0]:
        found["bias"] = total(g)
    if mask[1] or mask[0]:
        inner = total(gi * (xi - center) for gi, xi in zip(g, x, strict=True))
    if mask[1]:
        found["weight"] = inner * inverse
    if mask[0]:
        m = float(len(x))
        scale = inverse * weight if weight is not None else inverse
        slope = inner * (inverse * inverse) / m
        shift = found["bias"] / m
        found["input"] = [(gi - shift - (xi - center) * slope) * scale for gi, xi in zip(g, x, strict=True)]
    return found


def assert_close(found: Any, expected: torch.Tensor) -> None:
    values = [y.value for y in found] if isinstance(found, list) else [found.value]
    assert torch.allclose(torch.tensor(values, dtype=torch.float64), expected.flatten())


@pytest.mark.parametrize("mask", [(True, True, True), (False, True, True), (True, False, False), (False, False, True)])
@pytest.mark.parametrize("weighted", [True, False])
def test_batch_norm_in_training(mask: tuple[bool, bool, bool], weighted: bool) -> None:
    """Only the gradients in the mask are computed; the values equal those of autograd."""
    mask = (mask[0], mask[1] and weighted, mask[2])
    m = 6
    tally = Tally()
    for channel in range(3):
        xs, gs = tally.array(m, seed=channel), tally.array(m, seed=channel + 10)
        found = batch_norm(gs, xs, tally.number(0.5) if weighted else None, mask)
        x = torch.tensor([x.value for x in xs], dtype=torch.float64).view(m, 1).requires_grad_()
        w = torch.full((1,), 0.5 if weighted else 1.0, dtype=torch.float64, requires_grad=True)
        b = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        g = torch.tensor([g.value for g in gs], dtype=torch.float64).view(m, 1)
        torch.autograd.backward(F.batch_norm(x, None, None, w, b, True, eps=EPSILON), g)
        for name, tensor in (("input", x), ("weight", w), ("bias", b)):
            if name in found and tensor.grad is not None:
                assert_close(found[name], tensor.grad)
    x_spec, c = spec(2, 3, 3), spec(3)
    w_spec = c if weighted else None
    saved = (None, None, c, c, True, EPSILON)
    terms = terms_of("native_batch_norm_backward", x_spec, x_spec, w_spec, *saved, mask, out=(x_spec, c, c))
    assert_counted(terms, tally)


def test_other_operators_of_batch_norm() -> None:
    """cuDNN's operator costs what training with all gradients costs."""
    x, c = spec(2, 3, 3), spec(3)
    all_of_them = (True, True, True)
    native = count_of("native_batch_norm_backward", x, x, c, None, None, c, c, True, 1e-5, all_of_them, out=(x, c, c))
    assert count_of("cudnn_batch_norm_backward", x, x, c, None, None, c, c, 1e-5, x, out=(x, c, c)) == native
    assert (
        count_of("batch_norm_backward", x, x, c, None, None, c, c, True, 1e-5, all_of_them, x, out=(x, c, c)) == native
    )


def test_batch_norm_in_eval() -> None:
    """The running statistics are constants: the input's gradient is scaled; the inverse deviation is recomputed."""
    m = 6
    tally = Tally()
    for channel in range(3):
        inverse = 1.0 / sqrt(tally.number(0.5) + EPSILON)
        gs, xs = tally.array(m, seed=channel), tally.array(m, seed=channel + 10)
        total(gs)
        total(g * (x - 0.1) for g, x in zip(gs, xs, strict=True)) * inverse
        scale = inverse * 0.5
        for g in gs:
            g * scale
    x, c = spec(2, 3, 3), spec(3)
    arguments = (x, x, c, c, c, None, None, False, EPSILON, (True, True, True))
    assert_counted(terms_of("native_batch_norm_backward", *arguments, out=(x, c, c)), tally)


def group_gradient(g: Values, x: Values, w: Values | None, centered: bool, inverse: Counting) -> tuple[Values, Values]:
    """The gradient of the input, and the normalized input."""
    center = uncounted_statistics(x)[0] if centered else None
    normal = [((xi - center) if center is not None else xi) * inverse for xi in x]
    if w is not None:
        g = [gi * wi for gi, wi in zip(g, w, strict=True)]
    sideways = mean([gi * ni for gi, ni in zip(g, normal, strict=True)])
    if centered:
        shift = mean(g)
        return [(gi - shift - ni * sideways) * inverse for gi, ni in zip(g, normal, strict=True)], normal
    return [(gi - ni * sideways) * inverse for gi, ni in zip(g, normal, strict=True)], normal


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("op", ["layer", "rms"])
def test_layer_and_rms_norm(op: str, weighted: bool) -> None:
    """There are four groups of five values; weight and bias sum over the groups."""
    tally = Tally()
    weight = tally.array(5, seed=99) if weighted else None
    xs, gs = tally.array(4, 5), tally.array(4, 5, seed=1)
    x = torch.tensor([[v.value for v in row] for row in xs], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([v.value for v in weight] if weight else [1.0] * 5, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    y = F.layer_norm(x, (5,), w, b, EPSILON) if op == "layer" else F.rms_norm(x, (5,), w, EPSILON)
    torch.autograd.backward(y, torch.tensor([[v.value for v in row] for row in gs], dtype=torch.float64))
    gradients, normals = [], []
    for row, g in zip(xs, gs, strict=True):
        if op == "layer":
            inverse = uncounted_statistics(row)[1]
        else:
            inverse = tally.number((sum(v.value**2 for v in row) / 5 + EPSILON) ** -0.5)
        gradient, normal = group_gradient(g, row, weight, op == "layer", inverse)
        gradients += gradient
        normals.append(normal)
    assert x.grad is not None
    assert_close(gradients, x.grad)
    if weighted:
        columns = [total(g[i] * n[i] for g, n in zip(gs, normals, strict=True)) for i in range(5)]
        assert w.grad is not None
        assert_close(columns, w.grad)
        if op == "layer":
            for i in range(5):
                total(g[i] for g in gs)
    s, r, w_spec = spec(4, 5), spec(4, 1), spec(5) if weighted else None
    if op == "layer":
        arguments = (s, s, [5], r, r, w_spec, w_spec, (True, weighted, weighted))
        assert_counted(terms_of("native_layer_norm_backward", *arguments, out=(s, w_spec, w_spec)), tally)
    else:
        terms = terms_of("_fused_rms_norm_backward", s, s, [5], r, w_spec, (True, weighted), out=(s, w_spec))
        assert_counted(terms, tally)


def test_group_norm() -> None:
    """Two samples have two groups of two channels of three values."""
    tally = Tally()
    normals: dict[tuple[int, int], Values] = {}
    for sample in range(2):
        for group in range(2):
            xs, gs = tally.array(6, seed=10 * sample + group), tally.array(6, seed=99)
            weights = tally.array(2, seed=5)
            inverse = uncounted_statistics(xs)[1]
            _, normal = group_gradient(gs, xs, [weights[i // 3] for i in range(6)], True, inverse)
            for channel in range(2):
                normals[sample, 2 * group + channel] = normal[3 * channel : 3 * channel + 3]
    for channel in range(4):
        values = normals[0, channel] + normals[1, channel]
        gs = tally.array(6, seed=7)
        total(g * n for g, n in zip(gs, values, strict=True))
        total(gs)
    x, r, c = spec(2, 4, 3), spec(2, 2), spec(4)
    arguments = (x, x, r, r, c, 2, 4, 3, 2, (True, True, True))
    assert_counted(terms_of("native_group_norm_backward", *arguments, out=(x, c, c)), tally)


def test_weight_norm() -> None:
    """Three rows of four have gradients of their gains and of their directions."""
    tally = Tally()
    for row in tally.array(3, 4, 2):
        gain, norm = tally.number(2.0), tally.number(3.0)
        inner = total(g * v for g, v in row)
        inner / norm
        factor, slope = gain / norm, inner / (norm * norm)
        for g, v in row:
            factor * (g - v * slope)
    v, g = spec(3, 4), spec(3, 1)
    assert_counted(terms_of("_weight_norm_interface_backward", v, v, g, g, 0, out=(v, g)), tally)


SHARDS = [2, 3, 1]
"""The number of values that each process has of a channel."""


def shards() -> tuple[Tally, list[Values], list[Values]]:
    """The values and gradients of each process, for one channel."""
    tally = Tally()
    xs = [tally.array(m, seed=i) for i, m in enumerate(SHARDS)]
    return tally, xs, [tally.array(m, seed=i + 10) for i, m in enumerate(SHARDS)]


def joined(lists: list[Values]) -> torch.Tensor:
    return torch.tensor([[v.value] for each in lists for v in each], dtype=torch.float64)


@pytest.mark.parametrize("running", [True, False])
def test_statistics_of_several_processes(running: bool) -> None:
    """The statistics of each process combine to those of all values, and update the running ones."""
    tally, xs, _ = shards()
    statistics = [uncounted_statistics(each) for each in xs]
    means, inverses = ([tally.number(pair[i].value) for pair in statistics] for i in (0, 1))
    counts, n = [float(m) for m in SHARDS], float(sum(SHARDS))
    mean = total(m * mu for m, mu in zip(counts, means, strict=True)) / n
    spreads = [1.0 / (r * r) - EPSILON + (mu - mean) ** 2 for mu, r in zip(means, inverses, strict=True)]
    variance = total(m * spread for m, spread in zip(counts, spreads, strict=True)) / n
    inverse = 1.0 / sqrt(variance + EPSILON)
    everything = joined(xs)
    assert_close(mean, everything.mean(0))
    assert_close(inverse, (everything.var(0, correction=0) + EPSILON) ** -0.5)
    old = torch.ones(1, dtype=torch.float64)
    if running:
        F.batch_norm(everything, running_mean := old.clone(), running_var := old.clone(), training=True, momentum=0.1)
        assert_close(tally.number(1.0) * 0.9 + mean * 0.1, running_mean)
        # n is a constant: the unbiased variance costs one more divide
        assert_close(tally.number(1.0) * 0.9 + variance / ((n - 1) / n) * 0.1, running_var)
    x, several, kept = spec(sum(SHARDS), 1), spec(len(SHARDS), 1), spec(1) if running else None
    for op, number in (("batch_norm_gather_stats", 2), ("batch_norm_gather_stats_with_counts", spec(len(SHARDS)))):
        arguments = (x, several, several, kept, kept, 0.1, EPSILON, number)
        assert_counted(terms_of(op, *arguments, out=(spec(1), spec(1))), tally)


@pytest.mark.parametrize("weighted", [True, False])
def test_batch_norm_of_several_processes(weighted: bool) -> None:
    """Each process reduces its own values; the sums over all processes give the gradient of its input."""
    tally, xs, gs = shards()
    weight = tally.number(0.5) if weighted else None
    x = joined(xs).requires_grad_()
    w = torch.full((1,), 0.5 if weighted else 1.0, dtype=torch.float64, requires_grad=True)
    F.batch_norm(x, None, None, w, None, True, eps=EPSILON).backward(joined(gs))  # type: ignore[no-untyped-call]
    center, inverse = uncounted_statistics([v for each in xs for v in each])
    terms: list[Term] = []
    sums: list[tuple[Any, Any]] = []
    for values, gradients in zip(xs, gs, strict=True):
        inner = total(gi * (xi - center) for gi, xi in zip(gradients, values, strict=True))
        sums.append((total(gradients), inner))
        if weighted:
            inner * inverse
        s, c = spec(len(values), 1), spec(1)
        mask = (True, weighted, True)
        terms += terms_of("batch_norm_backward_reduce", s, s, c, c, c, *mask, out=(c, c, c, c))
    assert_counted(terms, tally)
    # The sums over all processes are communication, and not counted.
    sum_of_g, sum_of_inner = (tally.number(sum(pair[i].value for pair in sums)) for i in (0, 1))
    after = Tally()
    n = float(sum(SHARDS))
    gradient: list[Any] = []
    terms = []
    for values, gradients in zip(xs, gs, strict=True):
        r, all_g, all_inner = (after.number(v.value) for v in (inverse, sum_of_g, sum_of_inner))
        scale = r * weight.value if weight is not None else r
        shift, slope = all_g / n, all_inner * (r * r) / n
        for xi, gi in zip(values, gradients, strict=True):
            xi, gi = after.number(xi.value), after.number(gi.value)
            gradient.append((gi - shift - (xi - center.value) * slope) * scale)
        s, c = spec(len(values), 1), spec(1)
        terms += terms_of("batch_norm_backward_elemt", s, s, c, c, c if weighted else None, c, c, c, out=s)
    assert x.grad is not None
    assert_close(gradient, x.grad)
    assert_counted(terms, after)


def test_one_process_alone_costs_as_much_as_batch_norm() -> None:
    """Forward and backward cost the same, except for gathering the statistics of one process."""
    x, c = spec(2, 3, 3), spec(3)
    stats = count_of("batch_norm_stats", x, EPSILON, out=(c, c))
    result = count_of("batch_norm_elemt", x, c, c, c, c, EPSILON, out=x)
    whole = count_of("native_batch_norm", x, c, c, None, None, True, 0.1, EPSILON, out=(x, c, c))
    assert stats + result == whole
    every = (True, True, True)
    reduced = count_of("batch_norm_backward_reduce", x, x, c, c, c, *every, out=(c, c, c, c))
    elements = count_of("batch_norm_backward_elemt", x, x, c, c, c, c, c, c, out=x)
    arguments = (x, x, c, None, None, c, c, True, EPSILON, every)
    assert reduced + elements == count_of("native_batch_norm_backward", *arguments, out=(x, c, c))


def test_no_gradient_needed_costs_nothing() -> None:
    """An empty mask has no gradients to count."""
    x, c = spec(2, 3, 3), spec(3)
    nothing = (False, False, False)
    arguments = (x, x, c, None, None, c, c, True, 1e-5, nothing)
    assert count_of("native_batch_norm_backward", *arguments, out=(None, None, None)) == OpCount()
