"""Pictures of profiles: their names and files, hostile names, determinism, the user's settings, and refusals."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from decimal import Decimal
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from click.testing import CliRunner, Result
from matplotlib.figure import Figure

import profiler
from profiler import ProfilerError, catalog
from profiler.cli import cli
from profiler.pictures import Picture, Wanted, find_picture, parse_stem, picture_file, report_pictures
from profiler.pictures._drawing import FILLS, OTHER, SIZE, SMALL, safe, shortened, width_of
from profiler.pictures.published import REASONS, Comparison, _data, comparisons
from profiler.pictures.published import _lines as published_lines
from profiler.profiles import Profile
from tests import pictures_page
from tests import sample_profiles as nets
from tests.config_profiles import of_config

ROOT = Path(__file__).parents[2]
OF_ONE = ("shares", "depth", "icicle")
HOSTILE = (
    "a<b>&\"'",
    "$x_1$ $\\frac{",
    "two\nlines",
    "\u202eevil",
    "网络",
    "x" * 300,
    "\x1b[31m",
    "\ud800",
    "_hidden",
    "{0}%s",
)


def hostile(name: str) -> Profile:
    """A network whose own name and the names of its layers are this one."""
    part = name.replace(".", "_")
    return nets.Network(name, (1, 3, 8, 8)).conv(part, 4, 3, (6, 6)).linear(f"{part}.{part}", 10).profile()


def svg(stem: str, *profiles: Profile) -> str:
    wanted = parse_stem(stem)
    assert wanted is not None
    return picture_file(wanted, profiles).content.decode()


@pytest.mark.parametrize(
    ("stem", "wanted"),
    [
        ("shares", Wanted("shares")),
        ("alexnet-shares", Wanted("shares")),
        ("res_net_50_icicle", Wanted("icicle")),
        ("a-icicle-parameters", Wanted("icicle", "parameters")),
        ("icicle_macs_on_padding", Wanted("icicle", "macs_on_padding")),
        ("myshares", None),
        ("shares2", None),
        ("", None),
    ],
)
def test_the_end_of_a_name_chooses_the_picture(stem: str, wanted: Wanted | None) -> None:
    """It is the whole name or follows a dash or an underscore; a figure may follow it."""
    assert parse_stem(stem) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text(name: str) -> None:
    """Every picture of them is XML without markup of theirs, and no name is read as a formula."""
    profile = hostile(name)
    for text in (
        *(svg(stem, profile) for stem in OF_ONE),
        svg("landscape", profile, nets.small()),
    ):
        root = ElementTree.fromstring(text.partition("\n")[2].partition("\n")[2].partition("\n")[2])
        texts = "\n".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
        assert not {"\x1b", "\u202e"}.intersection(text)
        if "$" in name:
            assert "$x_1$" in texts
        if "<" in name:
            assert "a<b>&" in texts


def test_names_are_shortened_in_the_middle() -> None:
    """They are as wide as allowed at most, and keep their beginning and their end."""
    text = shortened("features.block.conv1.weight.of.the.network", 80)
    assert width_of(text, SIZE) <= 80
    assert text.startswith("features")
    assert text.endswith("network")
    assert "…" in text
    assert shortened("short", 80) == "short"


def test_a_character_without_a_glyph_is_an_escape() -> None:
    """What the font has stays: accents, Greek, Arabic."""
    assert safe("网 é λ") == "\\u7f51 é λ"


@pytest.mark.slow
@pytest.mark.parametrize("stem", [*OF_ONE, "icicle-parameters", "depth-parameters"])
@pytest.mark.parametrize("profile", [nets.nothing(), nets.wide(3), nets.partial()], ids=lambda profile: profile.name)
def test_small_and_empty_networks_have_a_picture(stem: str, profile: Profile) -> None:
    """No parameters, no work, one layer, a part without a rule."""
    text = svg(stem, profile)
    assert profile.name in text
    assert ("partial: some work has no rule" in text) == (not profile.complete)


@pytest.mark.slow
def test_counts_of_partial_networks_are_lower_bounds() -> None:
    """They are marked in the line below the title and in a landscape, and the picture says why."""
    assert f"≥{(4 * 36 * 27 + 10 * 144) / 1000} k multiplies" in svg("shares", nets.partial())
    text = svg("landscape", nets.partial(), nets.alexnet())
    assert "≥partial" in text
    assert "Triangles (≥) are lower bounds" in text


@pytest.mark.parametrize(
    ("name", "profiles", "figure", "message"),
    [
        ("share", [nets.small()], None, "picture 'share' is not known, expected one of shares,.*did you mean 'shares'"),
        ("landscape", [nets.small()], None, "found 1 network, expected at least 2 networks; see: profiler compare"),
        ("shares", [nets.small()] * 2, None, "found 2 networks, expected one network; see: profiler profile"),
        ("rewriting", [nets.small()], None, "expected two networks; see: profiler diff and profiler rewrite"),
        ("training", [nets.small()], None, "found the mode inference, expected a profile of a training step"),
        ("published", [nets.small()], None, "no published figure is known for small"),
        ("icicle", [nets.small()], "causal_macs", "found the figure 'causal_macs', expected one of macs, "),
        ("terminal", [nets.small()], None, "matplotlib does not draw it; see: profiler profile --picture"),
    ],
)
def test_a_picture_that_does_not_apply_says_why(
    name: str, profiles: list[Profile], figure: str | None, message: str
) -> None:
    """The error is one line that names the next step."""
    with pytest.raises(ProfilerError, match=message) as caught:
        profiler.plot(name, profiles, figure=figure)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_axes_and_settings_of_the_user() -> None:
    """The picture is drawn on the given axes; other settings of matplotlib change neither it nor themselves."""
    expected = svg("shares", nets.alexnet())
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "text.parse_math": True, "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        assert svg("shares", nets.alexnet()) == expected
        assert dict(mpl.rcParams) == before
    figure = Figure(figsize=(6, 4))
    left, right = figure.subplots(1, 2)
    for ax, name in ((left, "shares"), (right, "icicle")):
        assert nets.alexnet().plot(name, ax=ax) is figure
        assert ax.patches
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.slow
def test_many_threads_may_draw() -> None:
    """Each draws what a single thread draws, and the settings are the user's again."""
    before = dict(mpl.rcParams)
    expected, found = svg("shares", nets.small()), []
    threads = [threading.Thread(target=lambda: found.append(svg("shares", nets.small()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    assert dict(mpl.rcParams) == before


PROGRAM = """
import hashlib, sys
from profiler.pictures import Wanted, picture_file
from tests import sample_profiles as nets

for suffix in ("svg", "png", "pdf"):
    for name, profiles in (("shares", [nets.alexnet()]), ("landscape", [nets.alexnet(), nets.small()])):
        print(name, suffix, hashlib.sha256(picture_file(Wanted(name), profiles, suffix).content).hexdigest())
"""


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds of hashes and a matplotlibrc in the current folder have no effect; neither pyplot nor torch is imported."""
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nlines.linewidth: 9\n", encoding="utf-8")
    exec(PROGRAM, {})
    here = capsys.readouterr().out
    assert len(here.splitlines()) == 6
    environment = {**os.environ, "PYTHONHASHSEED": "2", "PYTHONPATH": str(ROOT)}
    check = 'assert not {"matplotlib.pyplot", "torch"} & {*sys.modules}'
    command = [sys.executable, "-c", PROGRAM + check]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert result.stdout == here


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_files_hold_text_and_no_date(suffix: str) -> None:
    """Text in SVG is text, with words that describe the picture; a PDF has TrueType fonts."""
    content = picture_file(Wanted("shares"), [nets.alexnet()], suffix).content
    assert content.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[suffix])
    assert b"Date" not in content
    assert b"matplotlib" not in content.replace(b"matplotlib.axis", b"")
    if suffix == "svg":
        assert b">95.96 %</text>" in content
        assert b"linear layers: 95.96 % of the parameters, 8.21 % of the multiplies" in content
    if suffix == "pdf":
        assert b"/CIDFontType2" in content
        assert b"/Type3" not in content


@cache
def huge() -> Profile:
    """A network of 5,000 layers."""
    return nets.many(5000)


@pytest.mark.slow
@pytest.mark.parametrize("stem", OF_ONE)
def test_huge_networks_stay_legible(stem: str) -> None:
    """5,000 layers are drawn as some hundreds of shapes, and no text is added for each."""
    figure: Any = huge().plot(stem)
    (ax,) = figure.axes
    assert len(ax.patches) < 500
    assert len(ax.texts) < 150


def lightness(color: str) -> float:
    """The relative luminance of a color, as the lightness that people see (CIE L*, from 0 to 100)."""
    red, green, blue = ((int(color[place : place + 2], 16) / 255) ** 2.2 for place in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return float(116 * luminance ** (1 / 3) - 16)


def test_fills_differ_without_color() -> None:
    """Any two kinds differ in their hatch, or by 15 steps of lightness."""
    fills = {**FILLS, "other": OTHER}
    alike = [
        (a, b)
        for a, b in combinations(fills, 2)
        if fills[a].hatch == fills[b].hatch and abs(lightness(fills[a].color) - lightness(fills[b].color)) < 15
    ]
    assert alike == []


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def saved(tmp_path: Path) -> list[str]:
    """The files of two saved profiles."""
    paths = [tmp_path / f"{profile.name}.json" for profile in (nets.alexnet(), nets.small())]
    for path, profile in zip(paths, (nets.alexnet(), nets.small()), strict=True):
        profile.save(path)
    return list(map(str, paths))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_command_writes_its_pictures(saved: list[str], tmp_path: Path, suffix: str) -> None:
    """Several at once; the picture of the terminal is one of them."""
    paths = [tmp_path / "new" / f"x-shares.{suffix}", tmp_path / "depth-parameters.SVG", tmp_path / "terminal.svg"]
    options = [word for path in paths for word in ("--picture", str(path))]
    result = run("profile", saved[0], "-q", *options)
    assert (result.exit_code, result.output) == (0, "")
    assert paths[0].read_bytes() == picture_file(Wanted("shares"), [nets.alexnet()], suffix).content
    assert paths[1].read_bytes() == picture_file(Wanted("depth", "parameters"), [nets.alexnet()]).content
    assert "profiler alexnet" in paths[2].read_text(encoding="utf-8").replace("&#160;", " ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number", "name", "message"),
    [
        ("profile", 1, "landscape.svg", "picture landscape: found 1 network, expected at least 2 networks"),
        ("compare", 2, "shares.svg", "picture shares: found 2 networks, expected one network"),
        ("profile", 1, "training.pdf", "picture training: found the mode inference"),
        (
            "profile",
            1,
            "x.svg",
            "x.svg: --picture: found 'x', expected the name of a picture or a name that ends in",
        ),
        ("profile", 1, "terminal.png", "the picture of the terminal is written as .svg only"),
        ("profile", 1, "shares.gif", "shares.gif: --picture: expected a name that ends in .svg, .png, .pdf"),
    ],
)
def test_a_refused_picture_is_an_error_of_one_line(
    saved: list[str], tmp_path: Path, command: str, number: int, name: str, message: str
) -> None:
    """The exit code is 2, and nothing is written."""
    result = run(command, *saved[:number], "-q", "--picture", str(tmp_path / name))
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / name).exists()


@pytest.mark.slow
def test_a_comparison_has_a_landscape(saved: list[str], tmp_path: Path) -> None:
    """It equals that of Python."""
    assert run("compare", *saved, "-q", "--picture", str(tmp_path / "landscape.svg")).exit_code == 0
    assert (tmp_path / "landscape.svg").read_text(encoding="utf-8") == svg("landscape", nets.alexnet(), nets.small())


@pytest.mark.slow
def test_a_config_names_the_pictures_of_its_report(tmp_path: Path) -> None:
    """They are in the network's folder and in its summary, and those of several networks in the comparison."""
    for name in ("one", "two"):
        text = "model: {target: 'torch.nn:ReLU'}\ninputs: [{shape: [2, 3]}]\n"
        wanted = "report: {pictures: [shares, icicle-flops, landscape]}\n" if name == "one" else ""
        (tmp_path / f"{name}.yaml").write_text(text + wanted, encoding="utf-8")
    configs = [str(tmp_path / f"{name}.yaml") for name in ("one", "two")]
    assert run("report", *configs, "-q", "--output", str(tmp_path / "out")).exit_code == 0
    assert run("profile", configs[0], "-q", "--output", str(tmp_path / "alone")).exit_code == 0
    for folder in ("out", "alone"):
        assert sorted(path.name for path in (tmp_path / folder / "one").glob("*.svg")) == [
            "icicle-flops.svg",
            "shares.svg",
        ]
        summary = (tmp_path / folder / "one" / "summary.md").read_text(encoding="utf-8")
        assert "![one has no parameters and no counted multiplies.](shares.svg)" in summary
    assert not list((tmp_path / "out" / "two").glob("*.svg"))
    assert "](landscape.svg)" in (tmp_path / "out" / "comparison" / "summary.md").read_text(encoding="utf-8")
    assert run("report", *configs, "-q", "--output", str(tmp_path / "out"), "--check").exit_code == 0


@pytest.mark.slow
def test_words_describe_each_picture() -> None:
    """They are one sentence or two that name the network, without a line break."""
    pictures = report_pictures(OF_ONE, [nets.alexnet()])
    assert [picture.file for picture in pictures] == ["shares.svg", "depth.svg", "icicle.svg"]
    for picture in pictures:
        assert picture.words.startswith("alexnet: ")
        assert picture.words.endswith(".")
        assert "\n" not in picture.words


def test_the_page_has_every_picture() -> None:
    """Each has a section in docs/pictures.md, and a row with its figures."""
    page = pictures_page.PAGE.read_text(encoding="utf-8")
    for name in catalog.pictures():
        assert f"\n## {name}\n" in page
        picture = find_picture(name)
        figures = ", ".join(picture.figures) if isinstance(picture, Picture) else ""
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.split("|")[4].strip() == figures


@pytest.mark.slow
@pytest.mark.parametrize("command", pictures_page.commands(), ids=lambda command: Path(command[-1]).stem)
def test_pictures_of_the_page_are_up_to_date(command: list[str], tmp_path: Path) -> None:
    """The command of the page draws each byte for byte."""
    assert pictures_page.draw(command, tmp_path).read_bytes() == (ROOT / command[-1]).read_bytes()


def test_reasons_of_published_figures_are_whole() -> None:
    """They are written in lines, and none is cut."""
    for rows in _data().values():
        for row in rows:
            one = Comparison("net", row.what, 2, Decimal(1), Decimal(0), Decimal(1), row.reason or "?")
            lines = published_lines(one)
            assert " ".join(lines).endswith(row.reason if row.reason not in ("", "?") else "the reason is not known")
            assert all(width_of(line, SMALL) <= REASONS for line in lines)


@pytest.mark.slow
def test_published_figures_are_compared_by_what_prints() -> None:
    """ResNet-50's MACs print as torchvision publishes them, and not as the paper does, for a known reason."""
    found = comparisons([of_config("resnet50")])
    macs = {one.name: one for one in found if one.what == "macs"}
    assert macs["resnet50 (torchvision)"].agrees
    paper = macs["resnet50 (literature)"]
    assert not paper.agrees
    assert paper.difference == pytest.approx(4_089_184_256 / 3_800_000_000 - 1)
    assert "stride" in paper.reason
    assert all(one.agrees for one in found if one.what == "parameters")


@pytest.mark.slow
def test_the_parts_of_a_training_step_are_as_long_as_in_the_table() -> None:
    """Each bar is the sum of its layers, and the sums are those of the table's total."""
    profile = of_config("transformer_training")
    total = next(row for row in profile.tabulated("training").records() if row["layer"] == "total")
    (ax,) = profile.plot("training").axes
    parts = ("forward", "input_gradient", "weight_gradient", "optimizer")
    sums = [sum(container[place].get_width() for container in ax.containers) for place in range(len(parts))]
    assert sums == [total[f"{part}_flops"] for part in parts]
