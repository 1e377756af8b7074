"""The tables of a difference: totals, all rows, and the rows of a summary."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

import profiler
from profiler.analysis.diff_tables import ROWS_SHOWN, _both_names, diff_table, shown_table, totals_table
from profiler.analysis.diffing import diff
from profiler.formatting import change_text, format_table
from profiler.profiles import Profile
from profiler.render import diff_report, render_files
from profiler.schema import Table
from tests import sample_profiles
from tests.analysis.networks import profiles, retyped
from tests.render.samples import revised
from tests.sample_profiles import Network


def sums(table: Table, name: str, *, last: int) -> int:
    """The sum of a column without its last rows; missing figures are of work that no total has."""
    values = table[name]
    return sum(value or 0 for value in values[: len(values) - last])


@pytest.mark.slow
@given(profiles(), profiles())
def test_both_tables_add_up_to_both_totals(one: Profile, other: Profile) -> None:
    """Whether rows are folded or not, nothing is lost and nothing is counted twice."""
    found = diff(one, other)
    excluded = found.excluded is not None
    for table, last in (
        (diff_table(found), excluded),
        (shown_table(found), 1 + excluded),
        (shown_table(found, every=True), 1 + excluded),
    ):
        for name in [measure.name for measure in found.measures if f"{measure.name}_before" in table]:
            totals = [one.figure(name), other.figure(name)]
            assert [sums(table, f"{name}_{side}", last=last) for side in ("before", "after")] == totals
    assert totals_table(found)["before"][0] == one.parameters_total


def test_what_is_added_as_a_whole_has_one_row() -> None:
    """A new block and a removed one; a module in a block that stays is a row of its own."""
    one = Network("net", (1, 4)).linear("a.x", 4).linear("old.x", 4).linear("old.y.z", 4).profile()
    other = Network("net", (1, 4)).linear("a.x", 4).relu("a.new").relu("block.x").relu("block.y").profile()
    other = retyped(other, block="Block")
    table = shown_table(diff(one, other))
    assert table["module"] == ["+ a.new", "- old", "+ block", "= 3 modules", "total"]
    assert table["details"] == ["", "with 3 modules below it", "with 2 modules below it", "", ""]
    assert table["parameters_difference"] == [0, -2 * (4 * 4 + 4), 0, 0, -2 * (4 * 4 + 4)]
    every = shown_table(diff(one, other), every=True)["module"]
    assert every == [
        *("= (root)", "= a", "= a.x", "+ a.new", "- old", "- old.x", "- old.y", "- old.y.z"),
        *("+ block", "+ block.x", "+ block.y", "total"),
    ]


def test_of_many_rows_the_largest_are_shown() -> None:
    """The others are added up in one row."""
    one = Network("net", (1, 2))
    other = Network("net", (1, 2))
    for number in range(ROWS_SHOWN + 20):
        one.linear(f"l{number}", 2)
        other.linear(f"l{number}", 2 + number)
    table = shown_table(diff(one.profile(), other.profile()))
    assert len(table) == ROWS_SHOWN + 3
    assert table["module"][-3:] == ["… 20 more modules that differ", "= 1 module", "total"]
    assert "~ l119" in table["module"]
    assert sums(table, "flops_difference", last=1) == table["flops_difference"][-1]


def test_marks_and_details() -> None:
    """A row says in words what changed, and of a renamed module both names."""
    one = Network("net", (1, 4)).linear("first", 4).relu("act").profile()
    other = Network("net", (2, 4)).linear("renamed", 8).relu("act").profile()
    table = shown_table(diff(one, other))
    assert table["module"] == ["~ (root)", "~ first → renamed", "~ act", "total"]
    assert table["status"] == ["changed"] * 3 + [""]
    assert table["details"] == [
        "input 1×4 → 2×4; output 1×4 → 2×8",
        "input 1×4 → 2×4; output 1×4 → 2×8; weight 4×4 → 8×4; bias 4 → 8",
        "comparisons +12; input 1×4 → 2×8; output 1×4 → 2×8",
        "",
    ]
    assert diff_table(diff(one, other))["before"] == ["", "first", ""]


def test_totals_have_exact_differences() -> None:
    """The difference as a part of the figure before is a fraction of one; of nothing there is no part."""
    table = totals_table(diff(sample_profiles.small(), sample_profiles.alexnet()))
    rows = {row["figure"]: row for row in table.records()}
    assert rows["parameters"]["difference"] == 61_100_840 - 1_562
    assert rows["MACs"]["change"] == (714_188_480 - 5_328) / 5_328
    back = {
        row["figure"]: row for row in totals_table(diff(sample_profiles.nothing(), sample_profiles.small())).records()
    }
    assert back["MACs"]["change"] is None


def test_bounds_are_those_of_each_side() -> None:
    """Only the counts of the partial network are marked as lower bounds, and work that is not counted is unknown."""
    found = diff(sample_profiles.small(), sample_profiles.partial())
    texts = format_table(totals_table(found))
    assert texts["before"] == ["1,562", "5,328", "5,328", "5,328", "10,656"]
    assert texts["after"] == ["1,611", "≥5,328", "≥5,328", "≥5,328", "≥10,656"]
    rows = {row["module"]: row for row in diff_table(found).records()}
    assert (rows["odd"]["macs_before"], rows["odd"]["macs_after"], rows["odd"]["macs_difference"]) == (0, None, None)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (0, "0 %"),
        (0.12345, "+12.35 %"),
        (1e-9, "<+0.01 %"),
        (-1e-9, ">-0.01 %"),
        (-1, "-100 %"),
        (-1 + 1e-9, ">-100 %"),
        (1.0, "+100.00 %"),
        (12.5, "+1,250.00 %"),
        (12345.5, "+1,234,550 %"),
        (None, "unknown"),
    ],
)
def test_a_change_in_percent(change: float | None, text: str) -> None:
    """It has a sign, and is never rounded to 0 % or -100 %."""
    assert change_text(change) == text


def test_the_text_and_the_frame_of_a_difference() -> None:
    """``str`` is the terminal report, ``table`` has every row."""
    found = profiler.diff(sample_profiles.small(), sample_profiles.partial())
    assert "+ odd" in str(found)
    assert str(found).startswith("small → partial\n")
    assert found.table["module"].tolist() == ["(root)", "conv", "odd", "fc", "aux"]
    assert found.totals["figure"].tolist()[0] == "parameters"
    assert repr(found) == "<Diff small → partial: 3 same, 0 changed, 0 removed, 2 added>"


def test_files_have_every_row() -> None:
    """JSON has the rows that a summary folds; the sums of both sides are those of the profiles."""
    report = diff_report(sample_profiles.alexnet(), revised())
    rows = json.loads(render_files(report, ["json"])["diff.json"])
    assert {row["status"] for row in rows} == {"same", "changed", "removed", "added"}
    assert sum(row["parameters_before"] for row in rows) == 61_100_840
    assert sum(row["parameters_after"] for row in rows) == revised().parameters_total


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("layer1.conv", "layer1.stem", "layer1.{conv → stem}"),
        ("a.fc", "b.c.fc", "{a → b.c}.fc"),
        ("a.b.c", "a.x.b.c", "a.{ → x}.b.c"),
        ("a.a", "a", "a.{a → }"),
        ("fc", "head", "fc → head"),
        ("", "model", "(root) → model"),
    ],
)
def test_what_two_names_share_is_written_once(before: str, after: str, text: str) -> None:
    """As git writes renamed files."""
    assert _both_names(before, after) == text
