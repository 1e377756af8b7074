"""Reports in a terminal are readable at any width, and no figure is cut."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
from rich.cells import cell_len
from rich.console import Console

from profiler.columns import Column
from profiler.opcount import each
from profiler.render import profile_report
from profiler.render.screen import on_screen
from profiler.render.terminal import as_tree, render_terminal
from profiler.schema import Table
from tests import sample_profiles as nets
from tests.config_profiles import of_config
from tests.render.samples import REPORTS


@cache
def shown(name: str, width: int) -> str:
    """The report in a terminal of this width without colors."""
    return render_terminal(REPORTS[name], Console(width=width, color_system=None))


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("width", [80, 120])
def test_the_view_equals_its_golden_file(name: str, width: int, golden: Callable[[str, str], None]) -> None:
    """The golden file holds the whole view."""
    golden(f"render/{name}/terminal-{width}.txt", shown(name, width))


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(
    "width", [60, 80, 120, *(pytest.param(width, marks=pytest.mark.slow) for width in (72, 100, 160, 240))]
)
def test_fits_and_cuts_nothing(name: str, width: int) -> None:
    """No line is longer than the terminal, no cell is cut, and no line ends in blanks."""
    for line in shown(name, width).splitlines():
        assert cell_len(line) <= width
        assert line == line.rstrip()
        assert "…" not in line


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
def test_long_names_are_shortened_in_the_middle(width: int) -> None:
    """A long name keeps its beginning and its end, and the figures stay whole."""
    net = nets.Network("deep", (1, 4)).linear("model.encoder.layers.17.self_attention.output_projection.dense", 4096)
    text = render_terminal(profile_report(net.profile()), Console(width=width, color_system=None))
    (line,) = [line for line in text.splitlines() if "…" in line]
    assert re.match(r"  model\.…\S*dense  ", line)
    assert re.search(r" linear +20,480 .*32,768 ", line)


@pytest.mark.slow
def test_no_percent_sign_begins_a_line_and_no_remark_is_cut() -> None:
    """A remark on a figure breaks behind the dash of a word that is wider than its column."""
    net = nets.Network("two kinds", (1, 3, 227, 227)).conv("first", 64, 11, (55, 55)).linear("second", 1000)
    report = profile_report(net.profile(), ["shares"])
    broken = False
    for width in range(44, 64):
        text = render_terminal(report, Console(width=width, color_system=None))
        lines = [line.strip() for line in text.splitlines()]
        assert not any(line.startswith("%") for line in lines), width
        assert "…" not in text
        assert all(cell_len(line) <= width for line in text.splitlines())
        broken |= any(line.endswith("  multiply–") for line in lines)
    assert broken


@pytest.mark.slow
def test_figures_are_exact_if_they_fit() -> None:
    """They have two decimals in the unit of their column if there is no space."""
    net = nets.Network("long", (1, 3, 227, 227)).conv("features.first.block.conv", 64, 11, (55, 55))
    report = profile_report(net.profile(), ["layers"])
    exact, short = (render_terminal(report, Console(width=width, color_system=None)) for width in (120, 60))
    row = "block.conv"
    assert "140,553,600" in next(line for line in exact.splitlines() if row in line)
    assert next(line for line in short.splitlines() if row in line).endswith(" 140.55")
    assert "(M)" in short


@pytest.mark.slow
def test_the_least_important_columns_are_left_out_first() -> None:
    """Every column of a narrower view is in the wider one, and all views have the layer, its kind and its cost.

    Only multiplies and adds make room for the formula, as soon as it fits.
    """

    def columns(width: int) -> set[str]:
        lines = shown("alexnet", width).splitlines()
        start = next(number for number, line in enumerate(lines) if line.startswith("Layers"))
        rule = next(number for number, line in enumerate(lines[start:], start) if "──" in line)
        return {name for line in lines[start + 1 : rule] for name in re.split(r"\s{2,}", line.strip())} - {"(M)"}

    widths = (60, 80, 100, 120, 160)
    for narrow, wide in pairwise(widths):
        assert columns(narrow) - {"multiplies", "adds"} <= columns(wide)
    assert {"layer", "kind", "parameters", "multiplies", "FLOPs"} <= columns(60)


@pytest.mark.slow
def test_the_formula_is_shown() -> None:
    """It is what users look for: it is shown whole at 80 columns for AlexNet, at 100 for ResNet-50."""
    assert "(3·11·11)·(64·55·55)" in shown("alexnet", 80)
    resnet = profile_report(of_config("resnet50"))
    text = render_terminal(resnet, Console(width=100, color_system=None))
    assert re.search(r"231,185,920 +\(512·3·3\)·\(512·7·7\)", text)
    assert re.findall(".*….*", text) == [re.findall(".*more layers.*", text)[0]]


@pytest.mark.slow
def test_a_long_formula_is_cut_at_its_end() -> None:
    """It is cut if there is no space, and never to less than 24 cells."""
    net = nets.Network("long", (1, 3, 8, 8))
    net.layer("add", "Add", "aten::add", "elementwise", (9,), [each((size,), "x", adds=1) for size in range(2, 8)])
    whole = net.profile().layers["formula"][0]
    report = profile_report(net.profile(), ["layers"])
    for width in range(40, 200, 2):
        text = render_terminal(report, Console(width=width, color_system=None))
        (line,) = [line for line in text.splitlines() if line.startswith("  add ")]
        cell = line.rpartition("  ")[2]
        if "adds" in cell:
            assert cell == whole or (cell.endswith("…") and whole.startswith(cell[:-1].rstrip()) and len(cell) >= 20)
        else:
            assert width < 80


@pytest.mark.slow
def test_conv_against_linear_comes_first() -> None:
    """The sentence and the shares of conv and linear are above all other tables."""
    text = shown("alexnet", 80)
    assert text.index("Linear layers hold 95.96 %") < text.index("Shares by kind") < text.index("Layers:")
    lines = text[text.index("Shares by kind") :].splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["conv", "linear"]


@pytest.mark.slow
def test_no_bars_without_both_kinds_of_layers() -> None:
    """A network without convolutions has no bars that compare the two."""
    assert "▒" not in render_terminal(profile_report(nets.many(2)), Console(width=80, color_system=None))


@pytest.mark.slow
@pytest.mark.parametrize("features", [1, 100_000])
def test_bars_show_small_shares(features: int) -> None:
    """A share that is not zero has at least one cell, and a bar has the same length in every line."""
    net = nets.Network("skewed", (1, 3, 224, 224)).conv("conv", 64, 7, (112, 112)).max_pool("pool", 112, (1, 1))
    text = render_terminal(profile_report(net.linear("fc", features).profile()), Console(width=80, color_system=None))
    bars = [re.search("[█▒·]{8,}", line) for line in text.splitlines() if "▒" in line]
    found = [bar.group() for bar in bars if bar is not None]
    assert len(found) == 2
    assert all("█" in bar and "▒" in bar for bar in found)
    assert len({len(bar) for bar in found}) == 1


@pytest.mark.slow
def test_the_console_decides_about_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """A color terminal gets colors and the same text; ``NO_COLOR`` leaves them out."""
    plain = shown("alexnet", 80)
    monkeypatch.delenv("NO_COLOR", raising=False)
    color = render_terminal(REPORTS["alexnet"], Console(width=80, color_system="standard", force_terminal=True))
    assert "\x1b[36m" in color
    stripped = re.sub(r"\x1b\[[\d;]*m", "", color)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()
    monkeypatch.setenv("NO_COLOR", "1")
    quiet = render_terminal(REPORTS["alexnet"], Console(width=80, color_system="standard", force_terminal=True))
    assert not re.search(r"\x1b\[(\d+;)*3\d", quiet)


@pytest.mark.slow
def test_markup_in_names_is_text() -> None:
    """A name in brackets is shown unchanged."""
    net = nets.Network("[bold]net[/bold]", (1, 4)).linear("[red]fc", 2)
    text = render_terminal(profile_report(net.profile()), Console(width=80, color_system=None))
    assert "[bold]net[/bold]" in text
    assert "[red]fc" in text


def test_the_tree_shows_parents_and_branches() -> None:
    """Names are below their parents, and the last name of a level closes its branch."""
    net = nets.Network("tree", (1, 4)).linear("a.b.c", 4).linear("a.b.d", 4).linear("a.e", 4).linear("f", 4)
    assert as_tree(net.profile().tabulated("modules"))["module"] == [
        "(root)",
        "├─ a",
        "│  ├─ b",
        "│  │  ├─ c",
        "│  │  └─ d",
        "│  └─ e",
        "└─ f",
    ]


def test_a_large_tree_takes_little_time() -> None:
    """The lines of a tree are made in one pass: 20,000 siblings take less than a second."""
    columns = [Column("module", "name"), Column("depth", "depth")]
    rows = [("(root)", 0), *((f"a.{number}", 1 + number % 2) for number in range(20_000))]
    start = time.process_time()
    names = as_tree(Table.of("modules", "Modules", columns, rows))["module"]
    assert time.process_time() - start < 1
    assert names[1:4] == ["├─ 0", "│  └─ 1", "├─ 2"]
    assert names[-2:] == ["└─ 19998", "   └─ 19999"]


def test_names_in_a_tree_are_shortened_behind_their_lines() -> None:
    """The lines, which show the parents, stay whole."""
    net = nets.Network("deep", (1, 4)).linear("a.b.a_name_that_is_far_too_long_for_a_narrow_terminal", 4)
    text = render_terminal(profile_report(net.profile(), depth=3), Console(width=60, color_system=None))
    assert re.search(r"^        └─ a_n\S*…\S*erminal  ", text, re.MULTILINE)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_tree_has_bars_for_shares(width: int) -> None:
    """The bar of a module is beside its share; in ASCII it is made of other characters."""
    lines = shown("alexnet-tree", width).splitlines()
    assert re.search(r"100 %  █{10}$", next(line for line in lines if "(root)" in line))
    assert re.search(r"8.21 %  ▉$", next(line for line in lines if "└─ classifier" in line))
    assert re.search(r"<0.01 %  ▏$", next(line for line in lines if "├─ avgpool" in line))
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as stream:
        text = render_terminal(REPORTS["alexnet-tree"], Console(file=stream, width=width, color_system=None))
    assert re.search(r"91.79 %  #{9}$", text, re.MULTILINE)
    assert text.isascii()


@pytest.mark.parametrize("convention", ["exact", "macs", "paper"])
@pytest.mark.parametrize("top", [1, 3, 20, 99])
def test_the_top_layers_and_the_others_add_up(convention: str, top: int) -> None:
    """The costliest by the headline come first, all others share a row, and the rows add up to the network."""
    report = profile_report(nets.alexnet().with_convention(convention), ["layers"], top=top)
    table = report.tables[0].shown
    assert table is not None
    rows = table.records()
    *layers, whole = rows
    assert len(layers) == min(top, 19) + (top < 19)
    headline = next(column for column in table.columns if column.priority == 1).name
    if top < 19:
        assert layers.pop()["layer"] == ("… 18 more layers" if top == 1 else "… 16 more layers")
    costs = [row[headline] for row in layers]
    assert costs == sorted(costs, reverse=True)
    for column in table.columns:
        if column.unit == "count" and column.name != "calls":
            assert sum(row[column.name] for row in rows[:-1]) == whole[column.name], column.name
        if column.unit == "share":
            assert sum(row[column.name] for row in rows[:-1]) == pytest.approx(1)


def test_unknown_costs_stay_unknown_among_other_layers() -> None:
    """A layer without a rule comes first; if several share a row, their figures are unknown or lower bounds."""
    net = nets.Network("odd", (1, 3, 8, 8)).uncounted("a", "my::a").uncounted("b", "my::b").linear("fc", 10)
    table = profile_report(net.profile(), ["layers"], top=1).tables[0].shown
    assert table is not None
    first, others, _ = table.records()
    assert (first["layer"], first["flops"]) == ("a", None)
    assert (others["layer"], others["status"]) == ("… 2 more layers", "partial")
    text = render_terminal(profile_report(net.profile(), ["layers"], top=1), Console(width=120, color_system=None))
    assert re.search("… 2 more layers .*≥3,840", text)


COLORS = [
    ({}, True, True),
    ({}, False, False),
    ({"NO_COLOR": "1"}, True, False),
    ({"NO_COLOR": ""}, True, True),
    ({"FORCE_COLOR": "1"}, False, True),
    ({"FORCE_COLOR": "0"}, False, False),
    ({"FORCE_COLOR": "3", "NO_COLOR": "1"}, False, False),
    ({"CLICOLOR_FORCE": "1"}, False, True),
    ({"CLICOLOR_FORCE": "0"}, False, False),
    ({"CLICOLOR": "0"}, True, False),
    ({"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True, True),
    ({"TERM": "dumb"}, True, False),
    ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
]


@pytest.mark.parametrize(("variables", "is_terminal", "colored"), COLORS)
def test_the_environment_decides_about_colors(
    variables: dict[str, str], is_terminal: bool, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe has none, a terminal has some, and the usual variables change that; the text is always the same."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    text = on_screen(REPORTS["alexnet-tree"], stream, 80)
    assert bool(re.search(r"\x1b\[(\d+;)*3\d", text)) == colored
    if (not is_terminal and not colored) or (variables.get("TERM") == "dumb" and not colored):
        assert "\x1b" not in text
    plain = re.sub(r" +$", "", re.sub(r"\x1b\[[\d;]*m", "", text), flags=re.MULTILINE)
    assert plain == shown("alexnet-tree", 80)
