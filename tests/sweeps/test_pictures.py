"""Pictures of a sweep: what the lines hold, where the axes are logarithmic, and words for those who do not see them."""

from __future__ import annotations

from typing import Any

import pytest

from profiler.sweeps.crossings import Line, crossings_of, located
from tests.sweeps.test_crossings import alexnet, line_of

pytest.importorskip("matplotlib")

from profiler.pictures._sweep import MOST, Curve, Mark, drawing, picture_bytes
from profiler.sweeps.picturing import pictures_of


def points_of(line: Any) -> list[tuple[float, float]]:
    """The points of a line that was drawn."""
    return list(zip(*line.get_data(), strict=True))


def test_a_line_has_the_points_of_its_curve() -> None:
    """A mark is a line at its size; axes over a wide range are logarithmic, others begin at 0."""
    curves = [
        Curve("conv", ((64, 10), (128, 40), (512, 1000)), "conv"),
        Curve("linear", ((64, 50), (512, 50)), "linear"),
    ]
    ax = drawing("net", "H", "multiplies", curves, [Mark(100, "From 100 on.")]).axes[0]
    lines = {line.get_gid(): line for line in ax.get_lines()}
    assert points_of(lines["conv"]) == [(64, 10), (128, 40), (512, 1000)]
    assert points_of(lines["linear"]) == [(64, 50), (512, 50)]
    assert {x for x, _ in points_of(lines["crossover"])} == {100}
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlim()[0] < 64 < 512 < ax.get_xlim()[1]
    flat = drawing("net", "B", "multiplies", [Curve("a", ((1, 30), (2, 60), (3, 90)))], []).axes[0]
    assert (flat.get_xscale(), flat.get_yscale(), flat.get_ylim()[0]) == ("linear", "linear", 0)


@pytest.mark.slow
def test_costs_of_zero_and_many_curves() -> None:
    """A zero has no place on a logarithmic axis; more curves than fit are counted in a note."""
    curves = [Curve(f"net{number}", ((1, 0), (2, 10 + number), (40, 1000))) for number in range(MOST + 3)]
    words, content = picture_bytes("net", "B", "multiplies", curves, [])
    assert b"3 more curves are not shown." in content
    assert words.startswith("multiplies against B: net0 from 0 at 1 to 1.000 k at 40; net1 from 0 at 1")
    assert drawing("net", "B", "multiplies", [Curve("a", ((1, 0), (2, 0)))], []).axes


@pytest.mark.slow
def test_equal_sweeps_have_equal_files_whatever_the_names() -> None:
    """Names that look like markup, formulas or controls are plain text."""
    curves = [Curve("<script>$x$\x1b[2J\n{a}", ((1, 5), (2, 7)))]
    words, content = picture_bytes("</svg> & $y$", "B", "multiplies", curves, [Mark(2, "<b>")])
    assert (words, content) == picture_bytes("</svg> & $y$", "B", "multiplies", curves, [Mark(2, "<b>")])
    assert b"<script>" not in content
    assert b"\x1b" not in content
    assert "\x1b" not in words


@pytest.mark.slow
def test_pictures_of_one_line_and_of_several() -> None:
    """One line has its kinds of work with the crossover; several have their costs, and the kinds of the first one."""
    line = line_of(alexnet, [64, 128, 192])
    crossings = [located(found, alexnet) for found in crossings_of(line)]
    (one,) = pictures_of([line], crossings)
    assert one.file == "sweep.svg"
    assert "from H = W = 79 on, convolutions do more multiplies than linear layers" in one.words
    assert b">79<" in one.content
    other = Line("other", line.names, (("B", 2),), line.points)
    assert [found.file for found in pictures_of([line, other], crossings)] == ["sweep.svg", "sweep-kinds.svg"]
    assert b"Cost of 2 networks" in pictures_of([line, other], crossings)[0].content
    assert pictures_of([], []) == ()
