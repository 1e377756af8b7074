"""The picture of the roofline: dots where the table has them, below the roofs, and labels that cover nothing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import nn

import profiler
from profiler.devices import Device
from profiler.measures import find_measure
from profiler.pictures import roofline

DEVICE = Device("slow", {"float32": 1e6}, {"float32": 1e5}, 1e4, 1e9, 1.0)
"""A device with ridge points of 100 FLOPs per byte for contractions and of 10 for other arithmetic."""


def network(repeats: int = 3) -> profiler.Profile:
    """Convolutions, norms and a linear layer, on the slope and at the roof."""
    blocks = [nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()) for _ in range(repeats)]
    whole = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), *blocks, nn.Flatten(), nn.Linear(64 * 64, 10), nn.Softmax(1))
    return profiler.profile(whole, torch.empty(2, 3, 8, 8, device="meta"), name="net").with_device(DEVICE)


def axes_of(found: profiler.Profile) -> Any:
    figure: Any = found.plot("roofline")
    (ax,) = figure.axes
    return ax


def test_each_layer_with_flops_is_a_dot() -> None:
    """A dot is at the intensity and the FLOP/s of its row, and its area grows with the share of the time."""
    found = network()
    rows = [row for row in found.tabulated("roofline").records()[:-1] if row["flops"]]
    shown = sorted(
        (float(x), float(y), float(size))
        for dots in axes_of(found).collections
        if dots.get_gid() == "layers"
        for x, y in dots.get_offsets()
        for size in dots.get_sizes()
    )
    wanted = sorted(
        (
            row["intensity"],
            row["flops"] * 1e12 / row["time_at_least"],
            round(roofline.AREA + roofline.LARGEST * row["share"], 1),
        )
        for row in rows
    )
    assert [pytest.approx(each) for each in wanted] == shown


def test_no_dot_is_above_a_roof() -> None:
    """Nothing is faster than memory and the highest peak; the ridge is where both meet."""
    found = network()
    (first, *_) = (line for line in axes_of(found).lines if line.get_gid() == "roof")
    _, (x, y), _ = zip(*first.get_data(), strict=True)
    assert (x, y) == (100.0, 1e6)
    for dot in roofline.dots([found]):
        assert dot.speed <= min(dot.intensity * 1e4, 1e6) * (1 + 1e-9)


def test_labels_cover_neither_dots_nor_each_other() -> None:
    """The slowest layers have names, layers like each other share one, and no text overlaps another or a dot."""
    found = network(4)
    ax = axes_of(found)
    canvas: Any = FigureCanvasAgg(ax.figure)
    renderer = canvas.get_renderer()
    texts = [text for text in ax.texts if text.get_gid() in ("name", "name of a roof")]
    assert any("and 3 like it" in text.get_text() for text in texts)
    boxes = [text.get_window_extent(renderer) for text in texts]
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))
    for dot in roofline.dots([found]):
        x, y = ax.transData.transform((dot.intensity, dot.speed))
        assert not any(box.contains(x, y) for box in boxes)


def test_what_is_not_shown_has_a_note() -> None:
    """Layers without FLOPs and those without a known time have no dot, and the picture says how many there are."""
    found = network(2)
    assert roofline.left_out([found]).startswith("Not shown: 2 layers without FLOPs, with ")
    half = found.with_device(Device("half", {}, {"float32": 1e5}, 1e4, 1e9, 1.0))
    assert roofline.left_out([half]).endswith("4 whose time is not known.")
    none = profiler.profile(nn.Linear(3, 4), torch.empty(2, 3, device="meta")).with_device("m4_max")
    assert "no layer has FLOPs and a known time" in {text.get_text() for text in axes_of(none).texts}


def test_a_profile_without_a_device_has_no_roofline() -> None:
    """The refusal says how to get one."""
    with pytest.raises(profiler.ProfilerError, match="--device h100"):
        profiler.profile(nn.Linear(3, 4), torch.empty(2, 3, device="meta")).plot("roofline")


def test_the_words_say_that_it_is_a_lower_bound() -> None:
    """They have the least time, what bounds it, and the slowest layers."""
    found = network(1)
    measure = find_measure("flops")
    text = roofline.words([found], measure)
    assert text.startswith("net on slow: at least ")
    assert "bound by" in text
    slowest = max(found.tabulated("roofline").records()[:-1], key=lambda row: row["share"])["layer"]
    assert f"most of it in {slowest} " in text
