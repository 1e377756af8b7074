"""Operations on lists cost the sum over their tensors; fused updates cost what their definition costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from profiler.opcount import OpCount, total
from tests.rules.counting import Counting, Tally, assert_counted, maximum, spec, sqrt
from tests.rules.registered import count_of, kind_of, terms_of

LIST = [spec(2, 3), spec(4)]
N = 2 * 3 + 4


@pytest.mark.parametrize(
    ("op", "arguments", "options", "expected"),
    [
        ("add", (LIST,), {}, OpCount(adds=N)),
        ("add", (LIST,), {"alpha": 2}, OpCount(adds=N, multiplies=N)),
        ("add", (1.5,), {}, OpCount(adds=N)),
        ("mul", ([2.0, 3.0],), {}, OpCount(multiplies=N)),
        ("mul", (spec(),), {}, OpCount(multiplies=N)),
        ("div", (LIST,), {}, OpCount(divides=N)),
        ("sqrt", (), {}, OpCount(transcendentals=N)),
        ("sigmoid", (), {}, OpCount(transcendentals=N, adds=N, divides=N)),
        ("pow", (3,), {}, OpCount(multiplies=2 * N)),
        ("pow", ([2, 4],), {}, OpCount(multiplies=6 * 1 + 4 * 3)),
        ("addcmul", (LIST, LIST, 0.5), {}, OpCount(multiplies=2 * N, adds=N)),
        ("addcdiv", (LIST, LIST, [1, 0.5]), {}, OpCount(divides=N, adds=N, multiplies=4)),
        ("lerp", (LIST, 0.1), {}, OpCount(multiplies=N, adds=2 * N)),
        ("maximum", (LIST,), {}, OpCount(comparisons=N)),
        ("reciprocal", (), {}, OpCount(divides=N)),
        ("abs", (), {}, OpCount()),
        ("neg", (), {}, OpCount()),
        ("norm", (2,), {}, OpCount(multiplies=N, adds=5 + 3, transcendentals=2)),
        ("powsum", (2,), {}, OpCount(multiplies=N, adds=5 + 3)),
        ("max", (), {}, OpCount(comparisons=5 + 3)),
    ],
)
def test_operation_on_lists(op: str, arguments: tuple[Any, ...], options: dict[str, Any], expected: OpCount) -> None:
    """The lists have tensors of 2·3 and of 4 elements; the other operands are lists, numbers and lists of numbers."""
    assert count_of(f"_foreach_{op}", LIST, *arguments, out=LIST, **options) == expected
    assert count_of(f"_foreach_{op}_", LIST, *arguments, out=(), **options) == expected


def test_tensors_of_equal_cost_share_a_term() -> None:
    """A hundred parameters are one term."""
    terms = terms_of("_foreach_add", [spec(3)] * 100, 1.0, out=[spec(3)] * 100)
    assert [term.formula for term in terms] == ["300 adds"]
    assert kind_of("_foreach_norm", LIST, out=LIST) == "reduction"


def sgd(p: Counting, g: Counting, v: Counting, decay: float, dampening: float, nesterov: bool) -> Counting:
    if decay:
        g = g + decay * p
    v = 0.9 * v + ((1 - dampening) * g if dampening else g)
    step = g + 0.9 * v if nesterov else v
    return p - 0.1 * step


@pytest.mark.parametrize(("decay", "dampening", "nesterov"), [(0.0, 0.0, False), (0.1, 0.5, False), (0.1, 0.0, True)])
def test_fused_sgd(decay: float, dampening: float, nesterov: bool) -> None:
    """Decay, momentum and look-ahead count if they are enabled."""
    tally = Tally()
    for p, g, v in tally.array(N, 3):
        sgd(p, g, v, decay, dampening, nesterov)
    options = {"weight_decay": decay, "momentum": 0.9, "lr": 0.1, "dampening": dampening, "nesterov": nesterov}
    terms = terms_of("_fused_sgd_", LIST, LIST, LIST, **options, maximize=False, is_first_step=False, out=())
    assert_counted(terms, tally)


def bias_corrections(tally: Tally) -> None:
    first, second = tally.number(0.9), tally.number(0.999)
    0.1 / (1.0 - first**1.5)
    sqrt(1.0 - second**1.5)


def adam(p: Counting, g: Counting, m: Counting, v: Counting, amsgrad: bool) -> Counting:
    m = m + 0.1 * (g - m)
    v = 0.999 * v + 0.001 * g * g
    if amsgrad:
        v = maximum(v, p.tally.number(0.0))
    return p - 0.1 * m / (sqrt(v) / 0.5 + 1e-8)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("op", ["_fused_adam_", "_fused_adamw_"])
def test_fused_adam(op: str, decay: float, amsgrad: bool) -> None:
    """Both averages, their corrections once for each tensor, and the step; AdamW decays the parameter itself."""
    tally = Tally()
    for p, g, m, v in tally.array(N, 4, low=0.1):
        if decay and op == "_fused_adamw_":
            p, g = p * 0.9, g
        elif decay:
            g = g + decay * p
        adam(p, g, m, v, amsgrad)
    for _ in LIST:
        bias_corrections(tally)
    options = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "weight_decay": decay, "eps": 1e-8, "amsgrad": amsgrad}
    terms = terms_of(op, LIST, LIST, LIST, LIST, [], [spec(), spec()], **options, maximize=False, out=())
    assert_counted(terms, tally)


def adagrad(p: Counting, g: Counting, s: Counting) -> Counting:
    return p - 0.1 * g / (sqrt(s + g * g) + 1e-8)


def each_element(update: Callable[..., Any], states: int) -> Tally:
    tally = Tally()
    for numbers in tally.array(N, states, low=0.1):
        update(*numbers)
    return tally


def test_fused_adagrad_and_loss_scaling() -> None:
    """Adagrad has a sum of squares and a step; a gradient scaler divides, or multiplies by the inverse."""
    options = {"lr": 0.1, "lr_decay": 0.0, "weight_decay": 0.0, "eps": 1e-8, "maximize": False}
    terms = terms_of("_fused_adagrad_", LIST, LIST, LIST, [spec(), spec()], **options, out=())
    assert_counted(terms, each_element(adagrad, 3))
    scaled = terms_of("_fused_adagrad_", LIST, LIST, LIST, [], **options, grad_scale=spec(1), out=())
    assert total(scaled) - total(terms) == OpCount(divides=N)
    unscaled = count_of("_amp_foreach_non_finite_check_and_unscale_", LIST, spec(1), spec(1), out=())
    assert unscaled == OpCount(multiplies=N)
