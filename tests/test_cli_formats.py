"""Formats on the command line: where binary ones may go, and what is checked before any work."""

from __future__ import annotations

import html
import io
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from openpyxl import load_workbook

from profiler.cli import cli
from profiler.render import profile_report
from profiler.render.formats import render_texts
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


@pytest.mark.slow
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


@pytest.mark.parametrize("format", ["xlsx", "parquet", "latex"])
def test_several_networks_are_not_one_document_of_every_format(saved: str, format: str) -> None:
    """The message says how to write them."""
    result = run("profile", saved, saved, "--format", format)
    assert result.exit_code == 2
    assert f"--format {format} prints one network; give --output to write 2" in result.stderr


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


@pytest.mark.slow
def test_a_page_goes_to_a_pipe(saved: str) -> None:
    """One network has a page of its own; in ASCII it is the same page."""
    result = run("profile", saved, "--format", "html")
    assert result.exit_code == 0
    assert result.stdout == render_texts(profile_report(nets.partial()), ["html"])["report.html"]
    runner = CliRunner(charset="ascii")
    plain = runner.invoke(cli, ["profile", saved, "--format", "html"], prog_name="profiler")
    assert plain.stdout_bytes.isascii()
    assert html.unescape(re.sub(r"<script.*?</script>", "", plain.stdout, flags=re.DOTALL)) == html.unescape(
        re.sub(r"<script.*?</script>", "", result.stdout, flags=re.DOTALL)
    )


@pytest.mark.parametrize("command", ["compare", "crosscheck"])
def test_every_command_prints_a_page(saved: str, command: str) -> None:
    """The page begins with the title of the report."""
    result = run(command, saved, "--format", "html")
    assert result.stdout.startswith("<!doctype html>")
    assert result.stdout.count("<h1 ") == 1


def test_several_networks_are_one_page(saved: str, tmp_path: Path) -> None:
    """The comparison is first, then each network."""
    nets.small().save(tmp_path / "small.json")
    result = run("profile", saved, str(tmp_path / "small.json"), "--format", "html")
    assert result.exit_code == 0
    titles = re.findall(r'class="title" id="[^"]*">([^<]*)<', result.stdout)
    assert titles == ["Comparison of 2 networks", "partial", "small"]


@pytest.mark.slow
def test_a_folder_of_reports_has_a_page(saved: str, tmp_path: Path) -> None:
    """With html among the formats, index.html has all networks, and each has a page of its own."""
    nets.small().save(tmp_path / "small.json")
    out = tmp_path / "out"
    sources = [saved, str(tmp_path / "small.json")]
    assert run("report", *sources, "--format", "html,csv", "--output", str(out)).exit_code == 0
    index = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'class="title" id="[^"]*">([^<]*)<', index) == ["Comparison of 2 networks", "partial", "small"]
    assert (out / "small" / "report.html").is_file()
    assert (out / "small" / "layers.csv").is_file()
    assert "(index.html)" in (out / "README.md").read_text(encoding="utf-8")
    assert run("report", *sources, "--format", "html,csv", "--output", str(out), "--check").exit_code == 0
    assert run("report", *sources, "--output", str(tmp_path / "plain")).exit_code == 0
    assert not (tmp_path / "plain" / "index.html").exists()
