"""What a rewrite changes layer by layer, and what sliding saves, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import ProfilerError
from profiler.models.zoo import Net1, Net2
from profiler.profiles import Profile
from profiler.rewrites import fold_batchnorm
from tests import sample_profiles
from tests.rewrites.sliding import changed_layers, sliding_sizes, sliding_table, window_count


def profiled(model: nn.Module, *shape: int) -> Profile:
    """The profile of one call on meta."""
    return profiler.profile(model, torch.empty(shape, device="meta"))


def layers(table: Any) -> dict[str, dict[str, Any]]:
    """The rows of a table by layer."""
    return {row["layer"]: row for row in table.astype(object).to_dict("records")}


@pytest.mark.slow
def test_folding_changes_these_figures() -> None:
    """A norm of 8 channels on 6×6 had 16 parameters and 2 multiplies an element; a bias of 8 has 8·36 adds."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()).eval()
    rows = layers(changed_layers(profiled(model, 1, 3, 8, 8), profiled(fold_batchnorm(model), 1, 3, 8, 8)))
    assert {name: (row["type_before"], row["type_after"]) for name, row in rows.items()} == {
        "0": ("Conv2d", "Conv2d"),
        "1": ("BatchNorm2d", "Identity"),
    }
    assert (rows["0"]["parameters_saved"], rows["0"]["adds_saved"], rows["0"]["macs_saved"]) == (-8, -8 * 36, 0)
    assert (rows["1"]["parameters_saved"], rows["1"]["multiplies_saved"]) == (8 + 8, 2 * 8 * 36)
    assert (rows["1"]["multiplies_before"], rows["1"]["multiplies_after"]) == (2 * 8 * 36, 0)


def test_an_equal_network_has_no_changed_layers() -> None:
    """This holds also if a part is uncounted."""
    for profile in (sample_profiles.alexnet(), sample_profiles.partial()):
        assert changed_layers(profile, profile).empty


@pytest.mark.slow
def test_sliding_saves_these_figures() -> None:
    """Net1 on the 35 windows of 36×38 is compared with one pass of Net2, for the first convolution and in all."""
    with torch.device("meta"):
        net1, net2 = Net1().eval(), Net2().eval()
    window, image = profiled(net1, 1, 3, 32, 32), profiled(net2, 1, 3, 36, 38)
    assert window_count(window, image) == 5 * 7
    rows = layers(sliding_table(window, image))
    first = (3 * 49) * 64
    assert rows["features.0"]["multiplies_window"] == first * 26 * 26
    assert rows["features.0"]["multiplies_windows"] == 35 * first * 26 * 26
    assert rows["features.0"]["multiplies_pass"] == first * 30 * 32
    assert rows["features.0"]["multiplies_ratio"] == 35 * 26 * 26 / (30 * 32)
    assert rows["classifier.0"]["multiplies_ratio"] == 1
    assert (rows["classifier.0"]["type_before"], rows["classifier.0"]["type_after"]) == ("Linear", "Conv2d")
    assert rows["features.1"]["multiplies_ratio"] is None
    conv = 147 * 64 * 26**2 + 576 * 192 * 24**2 + 1728 * 384 * 22**2 + 3456 * 256 * 20**2 + 2304 * 256 * 18**2
    linear = 82_944 * 4096 + 4096 * 4096 + 4096 * 10
    assert rows["total"]["multiplies_windows"] == 35 * (conv + linear)
    assert list(rows)[-1] == "total"


@pytest.mark.slow
def test_larger_images() -> None:
    """There are (512 − 31)² windows; the ratio is that of the exact counts, and nothing overflows."""
    with torch.device("meta"):
        net1, net2 = Net1().eval(), Net2().eval()
    window = profiled(net1, 1, 3, 32, 32)
    images = [profiled(net2, 1, 3, *size) for size in ((32, 32), (512, 512))]
    table = sliding_sizes(window, images)
    assert table["image"].tolist() == ["1×3×32×32", "1×3×512×512"]
    assert table["windows"].tolist() == [1, 481**2]
    assert table["multiplies_windows"].tolist() == [n * window.total.multiplies for n in (1, 481**2)]
    assert table["flops_pass"].tolist() == [image.total.flops for image in images]
    ratios = table["multiplies_ratio"].tolist()
    assert ratios == [1.0, 481**2 * window.total.multiplies / images[1].total.multiplies]


def test_outputs_that_are_no_scores_are_refused() -> None:
    """The message has their shapes."""
    profile = profiled(nn.Sequential(nn.Conv2d(3, 4, 3)), 1, 3, 8, 8)
    with pytest.raises(ProfilerError, match=r"1×4×6×6 for a window .* expected scores and a map of scores"):
        window_count(profile, profile)
