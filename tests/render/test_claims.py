"""Claims of the terminal's output about a table, recomputed from the data at every width from 40 to 200."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from profiler.columns import Column
from profiler.formatting import format_table
from profiler.opcount import COUNT_COLUMNS, each
from profiler.profiles import Profile
from profiler.render import Report, comparison_report, profile_report
from profiler.render.bars import has_bars, with_bars
from profiler.render.fitting import by_importance, fit_busy_rows, idle_rows
from profiler.render.terminal import as_tree, render_terminal
from profiler.schema import Table
from tests import sample_profiles as nets
from tests.config_profiles import of_config

WIDTHS = range(40, 201)
EVERY_WIDTH = ("transformer_training", "branched")
"""The samples that are tested at all widths; the others are tested at every third."""


def branched() -> Profile:
    """Layers with long figures: some have comparisons only, some divides only, some adds only."""
    net = nets.Network("branched", (8, 3, 227, 227)).conv("stem.convolution", 64, 11, (55, 55)).relu("stem.activation")
    net.max_pool("stem.pool", 3, (27, 27)).conv("body.conv", 192, 5, (27, 27)).relu("body.activation")
    shape = net.shape
    net.layer("body.sum", "Sum", "aten::add", "elementwise", shape, (each(shape, "results", adds=1),))
    net.layer("body.mean", "Mean", "aten::div", "elementwise", shape, (each(shape, "results", divides=1),))
    return net.linear("head", 10).profile()


SAMPLES: dict[str, Any] = {
    "resnet18": lambda: of_config("resnet18"),
    "vgg16": lambda: of_config("vgg16"),
    "transformer_training": lambda: of_config("transformer_training"),
    "resnet18 by fvcore": lambda: of_config("resnet18").with_convention("fvcore"),
    "alexnet by macs": lambda: nets.alexnet().with_convention("macs"),
    "alexnet": nets.alexnet,
    "partial": nets.partial,
    "nothing": nets.nothing,
    "branched": branched,
    "many": lambda: nets.many(60),
}


@cache
def report(sample: str, depth: int | None = None) -> Report:
    """The report of a sample, as the terminal shows it."""
    profile = SAMPLES[sample]()
    whole = profile_report(profile, ["shares", "layers" if depth is None else "modules"], depth)
    return replace(whole, notes=())


@cache
def layers_alone(sample: str) -> Report:
    """The report with only its layers, which prints quickly at many widths."""
    whole = report(sample)
    return replace(whole, facts=(), tables=tuple(table for table in whole.tables if table.name == "layers"))


def view(of: Report, width: int) -> str:
    """The report as a terminal of that width shows it."""
    return render_terminal(of, Console(width=width, color_system=None))


@dataclass(frozen=True)
class Shown:
    """A table as it was printed: its title, headings, the units that these name, cells and notes; without its bars."""

    title: str
    headings: list[str]
    units: list[str]
    rows: list[list[str]]
    notes: list[str]


def printed_table(text: str, start: str) -> Shown:
    """The table whose title starts with ``start``, read back from the printed text."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(start))
    title = " ".join(_until(lines[first:], lambda line: line.startswith("  ")))
    rest = lines[first + len(list(_until(lines[first:], lambda line: line.startswith("  ")))) :]
    rule = next(number for number, line in enumerate(rest) if "──" in line)
    end = next((number for number, line in enumerate(rest) if line and not line.startswith("  ")), len(rest))
    body = rest[rule + 1 : end]
    length = len(rest[rule])
    last = max(number for number, line in enumerate(body) if line.startswith(("  whole network", "  total", "  └─")))
    grid = [line.ljust(length)[2:] for line in [*rest[:rule], *(line for line in body[: last + 1] if line)]]
    blank = [all(line[place] == " " for line in grid) for place in range(length - 2)]
    spans, start_at = [], 0
    for gap in re.finditer("(11+)", "".join("1" if empty else "0" for empty in blank)):
        spans.append((start_at, gap.start()))
        start_at = gap.end()
    spans.append((start_at, length - 2))
    cells = [[line[a:b].strip() for a, b in spans] for line in grid]
    whole = [" ".join(filter(None, column)) for column in zip(*cells[:rule], strict=True)]
    cells = [[cell for cell, heading in zip(row, whole, strict=True) if heading] for row in cells]
    parts = [re.fullmatch(r"(.*?)(?: \((\w+)\))?", heading) for heading in whole if heading]
    headings, units = [[part[place] or "" for part in parts if part] for place in (1, 2)]
    notes = " ".join(line.strip() for line in body[last + 1 :])
    return Shown(title, headings, units, cells[rule:], re.split(r"(?<=\.) (?=[A-Z])", notes) if notes else [])


def _until(lines: Sequence[str], stop: Any) -> Iterator[str]:
    for line in lines:
        if stop(line):
            return
        yield line


Rows = list[dict[str, str]]


def written(table: Table) -> Rows:
    """The rows as text, with exact figures."""
    texts = format_table(table)
    return [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]


def check_figures(shown: Shown, table: Table, data: Rows) -> list[str]:
    """Check that each printed cell equals the data's, exact or in the unit of its column; return the shown columns.

    The middle of a name and the end of a formula may be missing.
    """
    names = []
    columns = iter(table.columns)
    for title in shown.headings:
        names.append(next(column.name for column in columns if column.heading == title))
    for row in shown.rows:
        rows = [[known[name] for name in names] for known in data if is_short(row[0], known[names[0]])]
        assert any(all(map(is_shown, known, row, names, shown.units)) for known in rows), row
    return names


def is_short(cell: str, name: str) -> bool:
    """Whether a cell shows this name; other parts than its beginning may be missing where the cell has a mark."""
    pattern = ".*".join(map(re.escape, cell.split("…")))
    return cell == name or ("…" in cell and not name.startswith("…") and re.fullmatch(pattern, name) is not None)


def is_shown(known: str, cell: str, name: str, unit: str) -> bool:
    """Whether a cell shows a known value; the end of a formula may be cut off, down to 24 cells."""
    if name in ("layer", "module"):
        return is_short(cell, known)
    if name == "formula" and cell.endswith("…"):
        return len(cell) >= 20 and known.startswith(cell.removesuffix("…").rstrip())
    if not unit or not re.fullmatch(r"≥?[0-9,]+", known):
        return known == cell
    factor = Decimal(1000 ** " kMGTPE".index(unit))
    number, least = Decimal(known.replace(",", "").lstrip("≥")), known.startswith("≥")
    if cell == "0":
        return number == 0
    if cell == "≥0":
        return least and number < factor
    shown = Decimal(cell.replace(",", "").lstrip("≥<"))
    if cell.startswith("<"):
        return 0 < number <= factor * shown / 2 and not least
    step = Decimal(1).scaleb(int(shown.as_tuple().exponent))
    return abs(shown * factor - number) <= step * factor / 2 and cell.startswith("≥") == least


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_claim_about_layers_is_true(sample: str, step: int) -> None:
    """Rows called 0 are 0 in the shown columns, columns called missing are missing, and all figures are the data's."""
    of = layers_alone(sample)
    (table,) = of.tables
    assert table.shown is not None
    frame = table.shown
    ways = written(frame)
    for width in WIDTHS[::step] if sample in EVERY_WIDTH else WIDTHS[:: 3 * step]:
        text = view(of, width)
        assert max(map(cell_len, text.splitlines())) <= width
        shown = printed_table(text, "Layers")
        names = check_figures(shown, frame, ways)
        zero = idle_rows(frame, names)
        missing = len(frame) - len(shown.rows)
        claims = [re.match(r"Left out at this width: (\d+) of the layers", note) for note in shown.notes]
        assert [int(claim[1]) for claim in claims if claim] == ([missing] if missing else []), width
        if missing:
            assert missing <= sum(zero), width
            kept = iter(shown.rows)
            for number, name in enumerate(frame["layer"]):
                if not zero[number]:  # every row that is not 0 is shown, in its order
                    assert any(is_short(row[0], name) for row in kept), (width, name)
        check_titles(shown, names, frame)
        check_left_out(shown, names, frame)
        assert by_importance(frame)[1][0].name == SAMPLES_HEADLINES.get(sample, "flops")


SAMPLES_HEADLINES = {"resnet18 by fvcore": "by_fvcore", "alexnet by macs": "macs"}


def check_titles(shown: Shown, names: Sequence[str], table: Table) -> None:
    """Check that the title lists the shown figures."""
    listed = re.split(", | and ", shown.title.partition(": ")[2]) if ":" in shown.title else []
    headings = {name: table.column(name).heading for name in names}
    counts = ("parameters", *COUNT_COLUMNS)
    figures = [heading for name, heading in headings.items() if name in counts or re.fullmatch("by_[a-z]+", name)]
    assert sorted(listed) == sorted(figures)


def spoken_names(columns: Sequence[str], table: Table) -> list[str]:
    """The names of columns in a sentence: a share has the name of its figure, once if both are missing."""
    names: dict[str, None] = {}
    for column in columns:
        figure, _, ending = column.rpartition("_")
        name = table.column(figure if ending == "share" else column).heading
        names[name if ending != "share" or figure in columns else f"share of {name}"] = None
    return list(names)


def check_left_out(shown: Shown, names: Sequence[str], table: Table) -> None:
    """Check that every column is shown or named as left out, and that the headline is the last to go."""
    claims = [note for note in shown.notes if note.startswith("No room for ")]
    assert len(claims) <= 1
    named = re.split(", | and ", claims[0].removeprefix("No room for ").partition(";")[0]) if claims else []
    every = by_importance(with_bars(table, ()))
    groups = [[column.name for column in group] for group in every if not has_bars(group[0])]
    assert named == spoken_names([name for group in groups for name in group if name not in names], table)
    assert set(groups[1]) <= set(names)


@pytest.mark.parametrize(
    "sample",
    [
        name if name in ("alexnet", "alexnet by macs") else pytest.param(name, marks=pytest.mark.slow)
        for name in SAMPLES
    ],
)
@pytest.mark.parametrize("width", [40, *(pytest.param(width, marks=pytest.mark.slow) for width in (57, 61, 80))])
def test_the_headline_is_shown_at_any_width(sample: str, width: int) -> None:
    """FLOPs, or the figure of the chosen convention, is the last column to go, in every table."""
    wanted = {"flops": "FLOPs", "macs": "MACs", "by_fvcore": "by fvcore"}[SAMPLES_HEADLINES.get(sample, "flops")]
    text = view(report(sample), width)
    assert wanted in printed_table(text, "Layers").headings
    assert wanted in printed_table(text, "Shares").headings
    tree = report(sample, 2)
    assert wanted.removesuffix(", total") in printed_table(view(tree, width), "Modules").headings


@pytest.mark.slow
def test_a_comparison_keeps_its_headline_at_any_width() -> None:
    """The headline is FLOPs without a convention, and the convention's figure with one."""
    profiles = [nets.alexnet(), nets.small(), nets.partial()]
    for width in (40, 60, 80):
        assert "FLOPs" in view(comparison_report(profiles), width).partition("──")[0]
        by_paper = comparison_report([profile.with_convention("paper") for profile in profiles])
        assert "by paper" in view(by_paper, width).partition("──")[0].partition("\n  network")[0]


def shares_behind(shown: Shown, column: Column, table: Table) -> bool:
    """Whether the heading after that of the figure is that of its share."""
    figure = table.column(column.of).heading
    pairs = list(zip(shown.headings, list(shown.headings)[1:], strict=False))
    return (figure, "share") in pairs


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 3])
def test_the_tree_names_the_columns_left_out(depth: int) -> None:
    """Its figures are the data's."""
    of = report("resnet18", depth)
    table = next(table for table in of.tables if table.name == "modules")
    assert table.shown is not None
    for width in (40, 60, 80, 120, 200):
        shown = printed_table(view(of, width), "Modules")
        frame = as_tree(table.shown)
        names: list[str] = []
        for column in frame.columns:  # a share follows its figure
            there = column.heading in shown.headings
            if there and (column.heading != "share" or shares_behind(shown, column, frame)):
                names.append(column.name)
        check_left_out(shown, names, frame)


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_layer_with_adds_is_shown_beside_adds(step: int) -> None:
    """The space of rows left out is not used for a column in which one of them is not 0."""
    of = report("branched")
    frame = next(table.shown for table in of.tables if table.name == "layers")
    assert frame is not None
    for width in range(20, 200, step):
        fitted, idle = fit_busy_rows(frame, width)
        gone = set(frame["layer"]) - set(fitted.table["layer"])
        assert len(gone) == idle
        figures = [name for name in fitted.names if name in ("parameters", *COUNT_COLUMNS)]
        rows = frame.where([name in gone for name in frame["layer"]]).frame
        assert not rows[figures].to_numpy().any(), width


@pytest.mark.slow
def test_a_false_claim_is_seen() -> None:
    """The checks above fail for a wrong figure, a wrong number of rows and a missing name."""
    of = report("alexnet")
    table = next(table for table in of.tables if table.name == "layers")
    assert table.shown is not None
    text, data = view(of, 80), written(table.shown)
    with pytest.raises(AssertionError):
        check_figures(printed_table(text.replace("224,280,576", "224,280,577"), "Layers"), table.shown, data)
    shown = printed_table(text.replace("No room for multiplies,", "No room for"), "Layers")
    with pytest.raises(AssertionError):
        check_left_out(shown, check_figures(shown, table.shown, data), table.shown)
