"""The page on linear layers is what the sweep and the formula give."""

from __future__ import annotations

import pytest

import profiler
from profiler.config import load_config, with_sizes
from profiler.deriving import counts_of
from profiler.formulas import FIGURES
from tests.sweeps import linear_layers_page as linear


@pytest.mark.slow
def test_the_page_on_linear_layers_is_up_to_date() -> None:
    """``python -m tests.sweeps.linear_layers_page`` would change nothing, and both ways find the same crossover."""
    found, formula = linear.swept(), linear.alexnet()
    assert linear.page(formula, found) == linear.PAGE.read_text(encoding="utf-8")
    assert found.picture == linear.PICTURE.read_bytes()
    assert f"from H = W = {linear.crossover(formula)} on" in found.sentence


@pytest.mark.slow
def test_the_crossover_is_that_of_profiles() -> None:
    """Profiles on both sides say the same as the formula."""
    first = linear.crossover(linear.alexnet())
    config = load_config(linear.ROOT / linear.CONFIG)
    for size in (first - 1, first):
        profile = profiler.profile_config(with_sizes(config, {"H": size, "W": size}), crosscheck=False)
        multiplies = {name: row[FIGURES.index("multiplies")] for (_, name), row in counts_of(profile).items()}
        assert (multiplies["conv"] > multiplies["linear"]) == (size == first)
