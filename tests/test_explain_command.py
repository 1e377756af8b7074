"""``profiler explain``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from profiler.cli import cli
from tests import sample_profiles
from tests.test_lazy_imports import imported_by_command


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A saved profile."""
    path = tmp_path / "alexnet.json"
    sample_profiles.alexnet().save(path)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *arguments], prog_name="profiler", env={"COLUMNS": "80"})


def test_a_layer_of_a_saved_profile(saved: str) -> None:
    """The text is that of the profile's explanation."""
    result = run(saved, "conv1")
    assert result.exit_code == 0
    assert result.output == sample_profiles.alexnet().explain("features.conv1").text


@pytest.mark.parametrize(("format", "start"), [("markdown", "# Why `alexnet`"), ("latex", "\\documentclass{article}")])
def test_other_formats(saved: str, format: str, start: str) -> None:
    """A whole network as Markdown and LaTeX."""
    result = run(saved, "--format", format)
    assert result.exit_code == 0
    assert result.output.startswith(start)


def test_a_wrong_name_is_bad_input(saved: str) -> None:
    """One line on standard error with near matches, and exit code 2."""
    result = run(saved, "features.conv9")
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "did you mean" in result.output


def test_an_unknown_format_is_bad_input(saved: str) -> None:
    """The error offers the nearest."""
    assert "did you mean 'markdown'?" in run(saved, "--format", "markdwn").output


@pytest.mark.slow
def test_saved_profiles_are_explained_without_torch(saved: str) -> None:
    """Nor pandas nor pydantic."""
    assert imported_by_command("explain", saved, "conv1") == []
    assert imported_by_command("explain", saved, "--format", "latex") == []


def test_output_writes_every_format(saved: str, tmp_path: Path) -> None:
    """A folder with the network's name gets the explanation as text, Markdown and LaTeX; a layer's has its name."""
    out = tmp_path / "out"
    assert run(saved, "--output", str(out), "--quiet").output == ""
    assert run(saved, "conv1", "--output", str(out), "--format", "markdown", "-q").exit_code == 0
    profile = sample_profiles.alexnet()
    explanation = profile.explain()
    assert {path.name: path.read_text(encoding="utf-8") for path in (out / "alexnet").iterdir()} == {
        "explanation.txt": explanation.text,
        "explanation.md": explanation.markdown,
        "explanation.tex": explanation.latex,
        "explanation-conv1.md": profile.explain("features.conv1").markdown,
    }


def test_a_hostile_name_stays_in_the_folder(saved: str, tmp_path: Path) -> None:
    """The name of the file is made from the pattern without separators."""
    out = tmp_path / "out"
    assert run(saved, "features/../conv*", "-o", str(out)).exit_code == 2
    assert run(saved, "[f]eatures.*", "-o", str(out), "-q").exit_code == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"]


@pytest.mark.parametrize("width", [60, 80])
def test_columns_without_room_are_named(saved: str, width: int) -> None:
    """No column is left out silently: the sentence below a table names those that are."""
    text = sample_profiles.alexnet().explain().written("text", width)
    tables = [block.split("\n") for block in text.split("\n\n") if "──" in block]
    assert len(tables) == 2
    for lines in tables:
        assert ("FLOPs" in lines[0].split("share of")[0]) or any(line.startswith("No room for ") for line in lines)


def test_strict_refuses_uncounted_work(saved: str, tmp_path: Path) -> None:
    """A complete profile is explained, a partial one is not; the exit code is then 1."""
    path = tmp_path / "partial.json"
    sample_profiles.partial().save(path)
    assert run(saved, "--strict").exit_code == 0
    assert run(str(path), "--strict").exit_code == 1
