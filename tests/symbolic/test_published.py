"""The page of published formulas: every difference is the sum of its named parts, and our formulas are derived."""

from __future__ import annotations

import json
import random

import pytest
import sympy

import profiler
from profiler.config import load_config, with_sizes
from profiler.symbolic.expressions import value_of
from tests.symbolic import page
from tests.symbolic.published import (
    CLAIMS,
    GPT2,
    LLAMA,
    SHAPES,
    Claim,
    L,
    Shape,
    V,
    d,
    f,
    h,
    narayanan,
    non_embedding,
    s,
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_named_parts_are_the_difference(claim: Claim, shape: Shape) -> None:
    """The parts add up to theirs − ours, in symbols and for the sizes of the tables."""
    parts = claim.named(shape)
    assert sympy.expand(sum(parts.values(), sympy.Integer(0)) - claim.difference(shape)) == 0
    numbers = sum(shape.value(part) for part in parts.values())
    assert numbers == shape.value(claim.theirs(shape)) - shape.value(claim.ours(shape))


def test_ours_is_the_textbook() -> None:
    """Matrices of GPT-2 and Llama and both products of attention, written as arithmetic."""
    gpt2 = 12 * h**2 * L + 2 * s * h * L + h * V
    assert sympy.expand(GPT2.per_token("macs") - gpt2) == 0
    block = h * (32 + 2 * 8) * d + 32 * d * h + 3 * h * f + 2 * s * 32 * d
    assert sympy.expand(LLAMA.per_token("macs") - L * block - h * V) == 0
    assert GPT2.value(non_embedding(GPT2)) == 12 * 12 * 768**2


def test_the_fractions_of_narayanan() -> None:
    """16 goes with 96 and 12 with 24 and 72: four forward passes of the blocks and three of the logits."""
    forward = narayanan(24, 12)(GPT2)
    blocks = forward - 2 * h * V
    assert sympy.expand(narayanan(72, 12)(GPT2) - 3 * forward) == 0
    assert sympy.expand(narayanan(96, 16)(GPT2) - (4 * blocks + 3 * 2 * h * V)) == 0
    assert sympy.expand(narayanan(72, 16)(GPT2) - 3 * forward) != 0


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    """``python -m tests.symbolic.page`` would change nothing."""
    assert page.page() == page.PAGE.read_text(encoding="utf-8")


POINTS = {
    "gpt2": {"B": (1, 3), "s": (1, 40), "h": (64, 192, 64), "L": (1, 3), "V": (1, 90)},
    "llama3_8b": {
        "B": (1, 3),
        "s": (2, 40),
        "h": (32, 96, 32),
        "L": (1, 3),
        "d": (2, 16, 2),
        "f": (1, 50),
        "V": (1, 90),
    },
}
"""The least and the largest value of each size for random profiles, and its step."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_training_is_three_times_the_forward_pass(shape: Shape) -> None:
    """Profiles of training at random sizes have three times the derived MACs."""
    draw = random.Random(5)
    for _ in range(3):
        point = {name: draw.randrange(low, high + 1, *step) for name, (low, high, *step) in POINTS[shape.name].items()}
        config = with_sizes(load_config(shape.config), point).model_copy(update={"mode": "training"})
        macs = profiler.profile_config(config, crosscheck=False).total.macs
        assert macs == 3 * value_of(shape.figure("macs"), point), point


@pytest.mark.exhaustive
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_stored_formulas_are_what_is_derived(shape: Shape) -> None:
    """``python -m tests.symbolic.page --derive`` would change nothing."""
    assert page.derived(shape) == json.loads(shape.stored.read_text(encoding="utf-8"))
