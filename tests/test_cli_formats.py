"""Formats on the command line: where binary ones may go, and what is checked before any work."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from openpyxl import load_workbook

from profiler.cli import cli
from tests import sample_profiles as nets


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """The path of a saved profile."""
    path = tmp_path / "partial.json"
    nets.partial().save(path)
    return str(path)


def run(*arguments: str) -> Result:
    """Run the command in this process; its output is a pipe."""
    return CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(cli, arguments, prog_name="profiler")


@pytest.mark.parametrize("command", ["profile", "compare"])
def test_a_workbook_goes_to_a_pipe(saved: str, command: str) -> None:
    """The bytes on standard output are those of the file."""
    result = run(command, saved, "--format", "xlsx")
    assert result.exit_code == 0
    names = load_workbook(io.BytesIO(result.stdout_bytes)).sheetnames
    assert ("layers" if command == "profile" else "comparison") in names


def test_binary_files_are_written(saved: str, tmp_path: Path) -> None:
    """They lie beside the text files, and equal what goes to a pipe."""
    assert run("profile", saved, "-q", "-o", str(tmp_path / "out"), "--format", "xlsx,csv,parquet").exit_code == 0
    written = {path.name for path in (tmp_path / "out" / "partial").iterdir()}
    assert {"report.xlsx", "layers.csv", "layers.parquet"} <= written
    content = (tmp_path / "out" / "partial" / "layers.parquet").read_bytes()
    assert run("profile", saved, "--format", "parquet").stdout_bytes == content


def test_binary_output_is_refused_on_a_terminal(saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says so before any work, and nothing is printed."""
    monkeypatch.setattr("profiler.cli.sources.profile_all", None)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)
    result = run("profile", saved, "--format", "xlsx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        result.stderr == "profiler: standard output: format xlsx is binary, expected a file or a pipe; give --output\n"
    )


def test_several_networks_are_not_one_binary_document(saved: str) -> None:
    """The message says how to write them."""
    result = run("profile", saved, saved, "--format", "xlsx")
    assert result.exit_code == 2
    assert "--format xlsx prints one network; give --output to write 2" in result.stderr


@pytest.mark.parametrize("format", ["xlsx", "parquet"])
def test_a_missing_extra_is_reported_before_any_work(
    saved: str, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the extra, and no file is written; other formats work without it."""
    monkeypatch.delitem(sys.modules, f"profiler.render.formats.{format}", raising=False)
    monkeypatch.setitem(sys.modules, {"xlsx": "openpyxl", "parquet": "pyarrow"}[format], None)
    from profiler import catalog

    catalog.extension.cache_clear()
    result = run("profile", saved, "-o", str(tmp_path / "out"), "--format", f"csv,{format}")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert f'pip install "static-flop-profiler[{format}]"' in result.stderr
    assert not (tmp_path / "out").exists()
    assert run("profile", saved, "-q", "-o", str(tmp_path / "out")).exit_code == 0


def test_a_comparison_is_written_as_json(saved: str) -> None:
    """It is a list of rows."""
    result = run("compare", saved, "--format", "json")
    assert result.exit_code == 0
    assert '"network": "partial"' in result.stdout
