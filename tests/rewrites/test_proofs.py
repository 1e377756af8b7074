"""The course's small network: folding changes its scores only by rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from profiler.models.zoo import SmallNet
from profiler.rewrites import check_equivalence, fold_batchnorm
from tests.rewrites.images import generated_images
from tests.rewrites.proofs import BATCH, ROUNDING_BOUNDS, TOLERANCE, rounding_table, trained_small_net


@pytest.mark.slow
def test_a_trained_small_net_is_a_hard_case() -> None:
    """Its batch norms are not identities, and its scores are as large as those of a trained network."""
    network = trained_small_net()
    for norm in network.modules():
        if isinstance(norm, _BatchNorm):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert norm.running_mean.abs().mean() > 0.05
            assert norm.running_var.min() < 0.5
            assert norm.weight.std() > 0.1
    with torch.inference_mode():
        assert 10 < network(generated_images(100)).max() < 40


@pytest.mark.parametrize(
    "batches", [pytest.param(5, marks=pytest.mark.slow), pytest.param(100, marks=pytest.mark.exhaustive)]
)
def test_folding_the_small_net_is_within_rounding(batches: int) -> None:
    """The largest squared difference of a batch of 100 images is below 1e-8 in float32."""
    network = trained_small_net()
    images = generated_images(batches * BATCH)
    found = check_equivalence(network, fold_batchnorm(network), images, TOLERANCE, batch=BATCH)
    assert found.passed, found
    assert found.batches == batches
    assert found.largest_squared > 0


@pytest.mark.slow
def test_a_missing_epsilon_is_seen() -> None:
    """ε = 1e-5 beside running variances of about 0.1 is far more than rounding."""
    network = trained_small_net(width=4, hidden=32)
    forgetful = trained_small_net(width=4, hidden=32)
    for norm in forgetful.modules():
        if isinstance(norm, _BatchNorm):
            norm.eps = 0.0
    found = check_equivalence(network, fold_batchnorm(forgetful), generated_images(100), TOLERANCE, batch=BATCH)
    assert not found.passed


@pytest.mark.slow
def test_sources_of_rounding_are_separated() -> None:
    """Folding alone is exact; rounding the weights costs less than the arithmetic of either network."""
    table = rounding_table(trained_small_net(width=4, hidden=64), generated_images(200))
    used, folding, weights, original, folded = table["largest_squared"].tolist()
    assert folding < 1e-20
    assert folding < weights < min(original, folded)
    assert used == pytest.approx(original + folded + weights, rel=0.8)
    assert used <= TOLERANCE


@pytest.mark.parametrize(
    "images", [pytest.param(100, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.exhaustive)]
)
def test_rounding_is_within_the_documented_bounds(images: int) -> None:
    """The measured differences of the full network are within the bounds that docs/rewrites.md states."""
    table = rounding_table(trained_small_net(), generated_images(images))
    measured = dict(zip(table["compared"], table["largest_squared"], strict=True))
    assert measured.keys() == ROUNDING_BOUNDS.keys()
    assert all(0 < measured[text] <= bound for text, bound in ROUNDING_BOUNDS.items()), measured


def test_the_small_net_is_that_of_the_course() -> None:
    """Its first linear layer has 16,384 inputs, and all layers except the last have a batch norm."""
    with torch.device("meta"):
        network = SmallNet()
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(16_384, 1024), (1024, 10)]
    assert len(fold_batchnorm(network.eval()).state_dict()) == 4 * 2
