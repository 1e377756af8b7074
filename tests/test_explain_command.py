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
    """Nor pandas."""
    assert imported_by_command("explain", saved, "conv1") == ["pydantic"]
    assert imported_by_command("explain", saved, "--format", "latex") == ["pydantic"]
