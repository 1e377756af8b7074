"""What is drawn is what the tables hold: lengths, heights and places are read back from the artists."""

from __future__ import annotations

import random
from itertools import combinations, pairwise
from typing import Any

import pytest

import profiler
from profiler.measures import find_measure
from profiler.opcount import contraction
from profiler.pictures import depth, icicle, rewriting, shares
from profiler.profiles import Profile
from profiler.render import scatter
from profiler.render.placing import Box, needs_line, place_labels
from tests import sample_profiles as nets

MACS, PARAMETERS, MULTIPLIES = (find_measure(name) for name in ("macs", "parameters", "multiplies"))


def axes_of(figure: Any) -> Any:
    (ax,) = figure.axes
    return ax


def training_step() -> Profile:
    """A linear layer with a forward pass, and gradients that cost three times as much together."""
    net = nets.Network("step", (2, 3), mode="training").linear("fc", 4)
    return net.profile()


def test_bars_of_shares_are_as_long_as_the_table_says() -> None:
    """The first bars are the parameters, the second the multiplies, kind by kind."""
    profile = nets.alexnet()
    rows = [row for row in profile.tabulated("shares").records() if row["kind"] in ("conv", "linear")]
    held, done = axes_of(profile.plot("shares")).containers
    assert [bar.get_width() for bar in held] == [row["parameters_share"] for row in rows]
    assert [bar.get_width() for bar in done] == [row["multiplies_share"] for row in rows]
    convolutions = 64 * (3 * 11 * 11 + 1) + 192 * (64 * 25 + 1) + 384 * (192 * 9 + 1) + 256 * (384 + 256) * 9 + 2 * 256
    assert held[0].get_width() == convolutions / profile.parameters_total


def test_small_kinds_are_summed_up_as_other() -> None:
    """Conv and linear keep their bars; the sum of all shares stays one."""
    net = nets.Network("kinds", (1, 3, 8, 8)).conv("conv", 4, 3, (6, 6))
    for number, kind in enumerate(("norm", "matmul", "attention", "recurrent", "softmax"), 2):
        net.layer(kind, kind, f"mylib::{kind}", kind, (1, number), [contraction((1, number), (5,))])
    found = shares.pairs([net.linear("fc", 2).profile()], MULTIPLIES)
    assert [kind for kind, _, _ in found][:2] == ["conv", "linear"]
    assert found[-1][0] == "other"
    assert sum(done or 0 for _, _, done in found) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("layers", [3, pytest.param(500, marks=pytest.mark.slow)])
def test_bars_along_the_depth_sum_to_the_whole(layers: int) -> None:
    """Upwards is the work, downwards the parameters; layers that share a bar are added up."""
    profile = nets.many(layers)
    ax = axes_of(profile.plot("depth"))
    heights = [bar.get_height() for container in ax.containers for bar in container]
    assert sum(height for height in heights if height > 0) == pytest.approx(1, abs=1e-9)
    assert sum(height for height in heights if height < 0) == pytest.approx(-1, abs=1e-9)
    assert len(heights) == 2 * min(layers, depth.MOST_BARS)
    if layers == 3:
        work = [4 * 4, 4 * 5, 5 * 6]
        assert heights[:3] == [part / sum(work) for part in work]


@pytest.mark.parametrize("profile", [nets.alexnet(), nets.many(700)], ids=["alexnet", "many"])
@pytest.mark.parametrize("measure", [MACS, PARAMETERS], ids=["macs", "parameters"])
def test_blocks_of_an_icicle_tile_their_parents(profile: Profile, measure: Any) -> None:
    """On each level blocks do not overlap, and each is as high as its modules' share."""
    table = {row["module"]: row for row in profile.tabulated("modules").records()}
    whole = profile.figure(measure.name)
    found = icicle.blocks(icicle.tree([profile], measure), 200)
    for level in {block.level for block in found}:
        row = [block for block in found if block.level == level]
        for block, after in pairwise(row):
            assert block.bottom <= after.top + 1e-9
    for block in found[1:]:
        if not block.names[0].endswith(icicle.OWN):
            share = sum(table[name][f"{measure.name}_total"] for name in block.names) / whole
            assert block.share == pytest.approx(share, abs=1e-12)
            assert block.bottom - block.top == pytest.approx(share, abs=1e-9)
    leaves = [block for block in found if block.leaf]
    assert sum(block.share for block in leaves) == pytest.approx(1, abs=1e-9)


def test_own_work_of_a_module_with_parts_has_a_block() -> None:
    """It fills what its parts leave."""
    net = nets.Network("own", (1, 3)).linear("block", 4).linear("block.inner", 5)
    found = icicle.blocks(icicle.tree([net.profile()], MACS), 200)
    (own,) = (block for block in found if block.names[0].endswith(icicle.OWN))
    assert own.share == 3 * 4 / (3 * 4 + 4 * 5)


@pytest.mark.slow
def test_bars_of_a_rewriting_have_both_networks() -> None:
    """The larger one of a pair has the length one; the text says the change."""
    before, after = nets.small(), nets.Network("small", (1, 3, 8, 8)).conv("conv", 4, 3, (6, 6)).profile()
    ax = axes_of(profiler.plot("rewriting", [before, after]))
    bars = {bar.get_gid(): bar for bar in ax.patches if bar.get_gid()}
    conv, linear = 4 * 6 * 6 * 3 * 3 * 3, 10 * 144
    assert bars["multiplies conv 0"].get_width() == bars["multiplies conv 1"].get_width() == conv / (conv + linear)
    assert bars["multiplies linear 0"].get_width() == linear / (conv + linear)
    assert "multiplies linear 1" not in bars
    change = f"−{linear / (conv + linear):.2%}".replace("%", " %")
    assert any(text.get_text().endswith(change) for text in ax.texts)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [(5, 5, "unchanged"), (10**6, 10**6 - 1, "−<0.01 %"), (10**6, 1, "−>99.99 %"), (0, 3, "new"), (4, 5, "+25.00 %")],
)
def test_a_change_never_rounds_to_none_or_all(old: int, new: int, text: str) -> None:
    """Only equal figures are unchanged."""
    assert rewriting.change_text(old, new) == text


@pytest.mark.slow
def test_points_of_a_landscape_are_the_figures() -> None:
    """MACs go to the right and parameters upwards; those of the front are drawn apart from the others."""
    profiles = [nets.alexnet(), nets.small(), nets.Network("tall", (1, 9000)).linear("fc", 1).profile()]
    ax = axes_of(profiler.plot("landscape", profiles))
    points = {tuple(map(int, point)) for part in ax.collections for point in part.get_offsets()}
    assert points == {(profile.total.macs, profile.parameters_total) for profile in profiles}
    (front,) = (part for part in ax.collections if part.get_gid() == "on the front" and len(part.get_offsets()))
    assert [int(x) for x, _ in front.get_offsets()] == [4 * 36 * 27 + 10 * 144]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


@pytest.mark.parametrize(
    ("points", "places"),
    [
        ([(1, 1)], [0]),
        ([(1, 3), (2, 2), (3, 1), (3, 3)], [0, 1, 2]),
        ([(2, 2), (2, 1)], [1]),
        ([(1, 2), (2, 2)], [0]),
        ([(1, 1), (1, 1)], [0, 1]),
    ],
)
def test_the_front_has_what_nothing_beats(points: list[tuple[int, int]], places: list[int]) -> None:
    """A point is beaten by one that is as small in both figures and smaller in one."""
    assert scatter.front(points) == places


def overlapping(boxes: list[Any]) -> list[tuple[Any, Any]]:
    """The pairs of boxes that cover each other by more than a hundredth of a point."""
    return [
        (a, b)
        for a, b in combinations(boxes, 2)
        if min(a.right, b.right) - max(a.left, b.left) > 0.01 and min(a.top, b.top) - max(a.bottom, b.bottom) > 0.01
    ]


@pytest.mark.parametrize("number", [1, 12, 120])
def test_labels_do_not_overlap(number: int) -> None:
    """Neither each other nor a point, for points at random places; at least a dozen have a place."""
    chance = random.Random(number)
    points = [(chance.uniform(0, 400), chance.uniform(0, 250)) for _ in range(number)]
    sizes = [(chance.uniform(10, 80), 7.0) for _ in points]
    area = Box(0, 0, 400, 250)
    boxes = place_labels(points, sizes, area, range(number))
    found = [box for box in boxes if box is not None]
    assert len(found) >= min(number, 12)
    assert overlapping(found) == []
    assert all(box.inside(area) for box in found)
    assert not any(box.left < x < box.right and box.bottom < y < box.top for box in found for x, y in points)
    assert boxes == place_labels(points, sizes, area, range(number))


def test_an_overlap_is_seen_and_far_labels_have_lines() -> None:
    """The check above is able to fail."""
    assert overlapping([Box(0, 0, 2, 2), Box(1, 1, 3, 3), Box(2, 0, 4, 1)]) == [(Box(0, 0, 2, 2), Box(1, 1, 3, 3))]
    assert needs_line((0, 0), Box(4, -2, 20, 2)) is None
    assert needs_line((0, 0), Box(10, -2, 20, 2)) == (10, 0)


@pytest.mark.slow
def test_drawn_names_of_a_landscape_do_not_overlap() -> None:
    """The texts' own extents are compared, also for names that share a place."""
    profiles = [
        nets.Network(f"network number {n}", (1, 10 + n % 7)).linear("fc", 20 + n % 5).profile() for n in range(20)
    ]
    figure: Any = profiler.plot("landscape", profiles)
    ax = axes_of(figure)
    figure.draw_without_rendering()
    texts = [text.get_window_extent() for text in ax.texts if text.get_gid() == "name"]
    assert len(texts) > 5
    assert overlapping([Box(box.x0, box.y0 + 1, box.x1, box.y1 - 1) for box in texts]) == []
