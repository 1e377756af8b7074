"""Reports as files: CSV, Markdown, JSON."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from profiler import catalog
from profiler.columns import Column
from profiler.errors import ProfilerError
from profiler.formatting import format_table
from profiler.profiles import Profile, load_profile
from profiler.render import comparison_report, find_format, profile_report, render_texts
from profiler.render.formats import is_binary
from profiler.render.formats.csv import csv_text
from profiler.render.formats.markdown import escape, markdown_table
from profiler.render.report import ReportTable
from profiler.schema import Table
from tests import sample_profiles as nets
from tests.render.samples import REPORTS, checked, doubtful


def split(line: str) -> list[str]:
    """The cells of one line of a pipe table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("format", catalog.formats())
def test_every_format_renders_every_report(name: str, format: str) -> None:
    """Each file has content, and a second rendering is equal; a text ends in a newline and has no carriage returns."""
    files = find_format(format)(REPORTS[name])
    assert files
    for content in files.values():
        assert isinstance(content, bytes) == is_binary(format)
        assert content
        if isinstance(content, str):
            assert content.endswith("\n")
            assert "\r" not in content
    assert files == find_format(format)(REPORTS[name])


OF_OTHERS = (
    *("training", "memory", "peak", "energy", "generation", "training_run", "utilization"),
    *("roofline", "roofline_kinds", "roofline_operations"),
)
"""Tables that only profiles of training have, or with memory, a device, a model of energy, or the like."""


@pytest.mark.slow
def test_file_names() -> None:
    """There is one file for each table in CSV and Markdown, the summary, and the profile."""
    files = render_texts(REPORTS["alexnet"], ["csv", "markdown", "json"])
    tables = [f"{name}.{end}" for end in ("csv", "md") for name in catalog.tables() if name not in OF_OTHERS]
    assert sorted(files) == sorted([*tables, "summary.md", "profile.json"])


def test_an_unknown_format_is_refused() -> None:
    """The error lists the formats."""
    with pytest.raises(ProfilerError, match=r"'xml'.*csv, "):
        render_texts(REPORTS["alexnet"], ["xml"])


@pytest.mark.slow
@pytest.mark.parametrize("profile", [checked(nets.alexnet()), doubtful(), nets.wide(2**70), nets.nothing()])
def test_csv_reads_back(profile: Profile) -> None:
    """Every cell equals the table's: exact integers, shares to the last bit, nothing if unknown."""
    for table in profile_report(profile).tables:
        back = pd.read_csv(io.StringIO(csv_text(table.table)), dtype="object", keep_default_na=False)
        assert list(back.columns) == list(table.frame.columns)
        for name in table.frame.columns:
            for text, value in zip(back[name], table.frame[name].tolist(), strict=True):
                kind = type(value)
                assert (value is None and text == "") or (str(value) if kind is bool else value) == (
                    text if kind is bool else kind(text)
                )


def test_csv_is_plain() -> None:
    """Integers are plain digits, and shares are fractions with every digit."""
    lines = render_texts(REPORTS["alexnet"], ["csv"])["shares.csv"].splitlines()
    assert lines[1].startswith("conv,5,2469696,0.04042000077249347,655566528,0.9179180935542394,")
    assert lines[-1] == "total,21,61100840,1.0,714188480,1.0,714188480,1.0,714188480,1.0,1428386176,1.0,,,,"


def test_an_unknown_value_is_an_empty_csv_cell() -> None:
    """The counts of an operation without a rule are empty, not 0."""
    line = next(line for line in csv_text(nets.partial().tabulated("layers")).splitlines() if line.startswith("odd,"))
    assert line == "odd,Odd,uncounted,1,1×4×6×6,1×4×6×6,0,0.0,,,,,,,,,,,,,,,,partial"


@pytest.mark.parametrize("table", REPORTS["alexnet"].tables + REPORTS["partial"].tables, ids=lambda table: table.name)
def test_markdown_has_the_cells_of_the_table(table: ReportTable) -> None:
    """Each row of the pipe table holds the formatted row, whether cells are escaped or set as code."""
    lines = markdown_table(table.table).splitlines()
    rows = [[re.sub(r"\\(.)", r"\1", cell.strip("`")) for cell in split(line)] for line in lines[2:]]
    assert rows == [list(row) for row in zip(*format_table(table.table).values(), strict=True)]


def test_markdown_aligns_figures_to_the_right() -> None:
    """Names are aligned to the left."""
    marks = split(markdown_table(nets.small().tabulated("shares")).splitlines()[1])
    unknown = 4  # the columns of bytes, which the records of this network do not have
    assert [mark[0] == ":" for mark in marks] == [True] + [False] * 11 + [True] * unknown
    assert [mark[-1] == ":" for mark in marks] == [False] + [True] * 11 + [False] * unknown


def test_markdown_escapes_names() -> None:
    """A pipe in a name or shape does not end its cell, and a name is not markup or a number."""
    columns = (Column("layer", "name"), Column("input_shape", "shape"))
    table = Table.of("layers", "Layers", columns, [("a|b", "2×3 | 4×5"), ("1e5", "*_x_* <b>")])
    lines = markdown_table(table).splitlines()
    assert split(lines[2]) == ["`a\\|b`", "2×3 \\| 4×5"]
    assert split(lines[3]) == ["`1e5`", "\\*\\_x\\_\\* \\<b>"]
    assert escape("in_features <0.01 %\nnext") == "in_features <0.01 % next"


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_macs_are_never_called_flops(name: str) -> None:
    """No heading or sentence uses the two words for one figure."""
    text = "\n".join(render_texts(REPORTS[name], ["markdown"]).values())
    assert not re.search(r"MACs? ?\(FLOPs|FLOPs? ?\(MACs|MACs/FLOPs|FLOPs/MACs", text)


@pytest.mark.parametrize("name", REPORTS)
def test_summary_equals_its_golden_file(name: str, golden: Callable[[str, str], None]) -> None:
    """The golden file holds the whole summary."""
    golden(f"render/{name}/summary.md", render_texts(REPORTS[name], ["markdown"])["summary.md"])


@pytest.mark.parametrize("format", [name for name in catalog.formats() if not is_binary(name) and name != "html"])
def test_files_of_a_partial_profile_equal_their_golden_files(format: str, golden: Callable[[str, str], None]) -> None:
    """The profile is small and has everything: unknown values, differences, unused modules."""
    for file, text in render_texts(REPORTS["partial"], [format]).items():
        golden(f"render/partial/{file}", text)


@pytest.mark.slow
def test_json_is_the_saved_profile(tmp_path: Path) -> None:
    """The loaded profile.json gives equal tables."""
    profile = doubtful()
    path = tmp_path / "profile.json"
    path.write_text(render_texts(profile_report(profile), ["json"])["profile.json"], encoding="utf-8")
    back = load_profile(path)
    for name in catalog.tables():
        pd.testing.assert_frame_equal(back.table(name), profile.table(name))


def test_json_of_a_comparison() -> None:
    """A comparison is a list of rows; a missing value is null."""
    (text,) = find_format("json")(comparison_report([nets.nothing(), nets.small()])).values()
    rows = json.loads(text)
    assert [row["network"] for row in rows] == ["nothing", "small"]
    assert rows[1]["macs"] == 5_328
    assert rows[1]["macs_ratio"] is None
