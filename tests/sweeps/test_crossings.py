"""From which size on one kind of work does more multiplies than another: exactly, or between two points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiler.sweeps.asking import Asking
from profiler.sweeps.axes import parse_axis
from profiler.sweeps.crossings import CHECKED, Crossing, Line, crossings_of, lines_of, located, sentences
from profiler.sweeps.points import Grid
from profiler.sweeps.store import Row
from profiler.sweeps.sweeping import Sweep
from tests.sweeps.networks import config_of


def alexnet(size: int) -> dict[str, int]:
    """The multiplies of torchvision's AlexNet on a square image: five convolutions and three linear layers."""
    one = (size + 2 * 2 - 11) // 4 + 1
    two = (one - 3) // 2 + 1
    three = (two - 3) // 2 + 1
    conv = 64 * 3 * 11 * 11 * one**2 + 192 * 64 * 5 * 5 * two**2
    conv += (384 * 192 + 256 * 384 + 256 * 256) * 3 * 3 * three**2
    return {"conv": conv, "linear": 256 * 6 * 6 * 4096 + 4096 * 4096 + 4096 * 1000}


def line_of(work: Any, sizes: list[int], fixed: tuple[tuple[str, Any], ...] = ()) -> Line:
    """The points of a made-up network at these sizes."""
    return Line("net", ("H", "W"), fixed, tuple((size, work(size)) for size in sizes))


def test_the_exact_size_is_found_between_two_points() -> None:
    """It is the first size at which the convolutions do more: the size before it is not one."""
    (found,) = crossings_of(line_of(alexnet, [64, 128, 192]))
    assert (found.more, found.less, found.low, found.high, found.first) == ("conv", "linear", 64, 128, None)
    exact = located(found, alexnet)
    assert exact.first is not None
    assert alexnet(exact.first)["conv"] > alexnet(exact.first)["linear"]
    assert alexnet(exact.first - 1)["conv"] <= alexnet(exact.first - 1)["linear"]
    assert not exact.certain
    text = "net: from H = W = 79 on, convolutions do more multiplies than linear layers"
    note = " (by bisection between 64 and 128; not every size between them was looked at)."
    assert sentences([exact]) == [text + note]
    near = located(next(crossings_of(line_of(alexnet, [74, 82]))), alexnet)
    assert (near.first, near.certain) == (79, True)
    assert sentences([near]) == [f"{text}."]


def test_every_first_size_is_found() -> None:
    """Wherever the change is, and however far apart the points are."""
    for first in range(11, 60):

        def work(size: int, first: int = first) -> dict[str, int]:
            return {"conv": 9 if size >= first else 1, "linear": 5}

        (found,) = crossings_of(line_of(work, [10, 60]))
        assert located(found, work).first == first


def test_neighbors_need_no_profile() -> None:
    """The second of two neighboring sizes is the first one; nothing else is looked at."""

    def never(size: int) -> Mapping[str, int]:
        raise AssertionError(size)

    (found,) = crossings_of(line_of(alexnet, [78, 79]))
    assert (located(found, never).first, located(found, never).certain) == (79, True)


def test_kinds_that_change_places_several_times_have_no_first_size() -> None:
    """Sizes between the points contradict a single change; the sentence names the points only."""

    def back_and_forth(size: int) -> dict[str, int]:
        return {"conv": 10 if size % 4 >= 2 else 1, "linear": 5}

    (found,) = crossings_of(line_of(back_and_forth, [8, 19]))
    unclear = located(found, back_and_forth)
    assert unclear.first is None
    text = (
        "net: between H = W = 8 and 19, the order changes: at 19, convolutions do more multiplies than linear layers."
    )
    assert sentences([unclear]) == [text]


def test_a_size_that_cannot_be_profiled_leaves_the_points() -> None:
    """Such as a number of heads that does not divide the width."""
    (found,) = crossings_of(line_of(alexnet, [64, 128]))
    assert located(found, lambda size: None).first is None


def test_small_kinds_and_ties_are_not_compared() -> None:
    """A kind below 2 % on both sides is left out; a tie is no change of places."""
    tiny = line_of(lambda size: {"conv": 1000, "norm": size, "pool": 5}, [4, 6])
    assert list(crossings_of(tiny)) == []
    tie = line_of(lambda size: {"conv": max(size, 5), "linear": 5}, [4, 5, 6])
    assert [(found.low, found.high, found.more) for found in crossings_of(tie)] == [(5, 6, "conv")]


def test_the_same_size_for_other_values_is_one_sentence() -> None:
    """The values of what else varies are listed."""
    found = [
        Crossing(line_of(alexnet, [64, 128], (("B", batch), ("dtype", "float32"))), "conv", "linear", 64, 128, 79, True)
        for batch in (1, 2)
    ]
    assert sentences(found) == [
        "net, B = 1, 2; dtype = float32: from H = W = 79 on, convolutions do more multiplies than linear layers."
    ]


def row(values: list[Any], multiplies: int, status: str = "complete") -> Row:
    """A row with one kind of work."""
    figures = json.dumps({"totals": {}, "kinds": {"conv": {"multiplies": multiplies}}}) if status != "failed" else ""
    return Row(0, b"", "net", json.dumps(values), "", status, "", figures)


def test_lines_are_along_axes_of_whole_numbers() -> None:
    """Sizes rise; points that failed or are partial, and sizes that differ from each other, are left out."""
    rows = [
        row([1, 5, 5, "a"], 10),
        row([1, 3, 3, "a"], 11),
        row([2, 3, 3, "a"], 12),
        row([2, 9, 8, "a"], 13),
        row([1, 9, 9, "a"], 14, "partial"),
        row([2, 9, 9, "a"], 15, "failed"),
    ]
    lines = list(lines_of(rows, [("B",), ("H", "W"), ("act",)]))
    assert [(line.names, dict(line.fixed), line.points) for line in lines] == [
        (("H", "W"), {"B": 1, "act": "a"}, ((3, {"conv": 11}), (5, {"conv": 10}))),
        (("B",), {"H": 3, "W": 3, "act": "a"}, ((1, {"conv": 11}), (2, {"conv": 12}))),
    ]


@pytest.mark.slow
def test_a_real_network_is_profiled_between_its_points(tmp_path: Path) -> None:
    """Its convolution costs 9·H² and its linear layer 16·100: equal at no H, and more from H = 14 on."""
    first = next(size for size in range(1, 100) if 9 * size**2 > 16 * 100)
    both = config_of(tmp_path, "Both", sizes={"B": 1, "H": 8}, inputs=[{"shape": ["B", 1, "H", "H"]}])
    with Sweep(Grid([("both", both)], [parse_axis("B=1,3"), parse_axis("H=8,16")])) as sweep:
        sweep.run()
        text = f"both, B = 1, 3: from H = {first} on, convolutions do more multiplies than linear layers."
        assert sweep.crossovers() == [text]


@pytest.mark.slow
def test_a_closed_form_answers_for_sizes_of_inputs(tmp_path: Path) -> None:
    """It gives what a profile gives, and is not derived for kwargs, or for sizes that change the network."""
    kwargs = {"target": f"{tmp_path}/nets.py:Both", "kwargs": {"out": "n"}}
    inputs = [{"shape": ["B", 1, "H", "H"]}]
    plain = config_of(tmp_path, "Both", sizes={"B": 1, "H": 8}, inputs=inputs)
    named = config_of(tmp_path, "Both", sizes={"B": 1, "H": 8, "n": 5}, inputs=inputs, model=kwargs)
    asking = Asking({"net": plain, "named": named})
    line = Line("net", ("H",), (("B", 3), ("kwargs.out", 7)), ())
    formula = asking.formula(line)
    assert formula is not None
    assert asking.formula(line) is formula
    ask, checked = asking.about(line)
    assert checked > CHECKED
    assert ask(21) == {"conv": 3 * 9 * 21 * 21, "linear": 3 * 16 * 7}
    far = located(Crossing(line, "conv", "linear", 1, 20_000), ask, checked)
    assert (far.first, far.certain) == (next(size for size in range(99) if 9 * size**2 > 16 * 7), True)
    for other in (replace(line, names=("kwargs.out",)), Line("named", ("n",), (("B", 3), ("H", 8)), ())):
        assert asking.formula(other) is None
        ask, checked = asking.about(other)
        assert checked == CHECKED
    assert ask(9) == {"conv": 3 * 9 * 8 * 8, "linear": 3 * 16 * 9}


@pytest.mark.slow
def test_alexnet_changes_places_where_arithmetic_says(tmp_path: Path) -> None:
    """The formula above is what the profiler counts, and the two find the same size."""
    from profiler.config import quick_config

    config = quick_config("torchvision:alexnet", ["1x3xHxH"], {"H": 64})
    with Sweep(Grid([("alexnet", config)], [parse_axis("H=64,80,96")])) as sweep:
        sweep.run()
        for size, multiplies in zip((64, 80, 96), sweep.table()["conv_multiplies"], strict=True):
            assert multiplies == alexnet(size)["conv"]
        text = "alexnet: from H = 79 on, convolutions do more multiplies than linear layers."
        assert sweep.crossovers() == [text]
