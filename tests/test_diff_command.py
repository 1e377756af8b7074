"""``profiler diff``, as users type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from profiler import catalog
from profiler.cli import cli
from tests import sample_profiles
from tests.render.samples import revised


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, str]:
    """The files of two saved profiles."""
    paths = (tmp_path / "before.json", tmp_path / "after.json")
    sample_profiles.alexnet().save(paths[0])
    revised().save(paths[1])
    return str(paths[0]), str(paths[1])


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["diff", *arguments], prog_name="profiler")


def test_differences_are_no_failure_unless_they_are_made_one(saved: tuple[str, str]) -> None:
    """The exit code is 0; with --exit-code it is 1 if anything differs, and 0 if nothing does."""
    assert run(*saved).exit_code == 0
    assert run(*saved, "--exit-code", "--quiet").exit_code == 1
    same = run(saved[0], saved[0], "--exit-code")
    assert same.exit_code == 0
    assert "No difference: all " in same.stdout
    assert "Totals" not in same.stdout


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_what_changed_is_shown_at_every_width(
    saved: tuple[str, str], width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The column that says what changed stays, whatever else has no room."""
    monkeypatch.setenv("COLUMNS", width)
    result = CliRunner().invoke(cli, ["diff", *saved], prog_name="profiler")
    (line,) = (line for line in result.stdout.splitlines() if "~ features.conv2" in line)
    assert "shapes" in line
    assert line.rstrip()[-1].isdigit()


def test_marks_are_in_front_of_names(saved: tuple[str, str]) -> None:
    """Rows that are the same are folded; --all shows each of them."""
    lines = [line.split() for line in run(*saved).stdout.splitlines()]
    assert ["~", "features.conv1"] in [line[:2] for line in lines]
    assert ["=", "features.relu2"] not in [line[:2] for line in lines]
    every = [line.split()[:2] for line in run(*saved, "--all").stdout.splitlines()]
    assert ["=", "features.relu2"] in every


@pytest.mark.parametrize("name", catalog.formats())
def test_every_format_can_be_written(name: str, saved: tuple[str, str], tmp_path: Path) -> None:
    """JSON has all rows, which add up to the totals."""
    result = run(*saved, "--format", name, "--output", str(tmp_path / "out"), "--quiet")
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "out").iterdir())
    if name == "json":
        rows = json.loads((tmp_path / "out" / "diff.json").read_text(encoding="utf-8"))
        assert sum(row["parameters_before"] for row in rows) == 61_100_840


def test_a_missing_file_is_an_error_of_one_line(saved: tuple[str, str]) -> None:
    """Its exit code is 2, and not that of networks that differ."""
    result = run(saved[0], "none.json", "--exit-code")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_names_with_control_characters_are_escaped(saved: tuple[str, str]) -> None:
    """A direction mark in a module's name is shown as an escape."""
    shown = run(*saved, "--all").stdout
    assert "\\u202eodd" in shown
    assert "\u202e" not in shown
