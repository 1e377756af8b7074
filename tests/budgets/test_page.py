"""docs/budgets.md: its outputs, its assertions, its workflow and its hook, run as they are written."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiler import catalog
from profiler.cli.commands import check
from tests import budgets_page, forking

ROOT = Path(__file__).parents[2]
PAGE = budgets_page.PAGE.read_text(encoding="utf-8")
FILES = budgets_page.files(PAGE)
SMALL = "model: {{target: 'net.py:Net', kwargs: {{width: {width}}}}}\ninputs: [{{shape: [1, 3, 32, 32]}}]\n"


@pytest.mark.slow
def test_the_outputs_are_those_of_the_commands() -> None:
    """``python -m tests.budgets_page`` would change nothing."""
    assert budgets_page.page(PAGE) == PAGE


@pytest.mark.slow
def test_a_wrong_output_is_seen() -> None:
    """The check above is able to fail."""
    start = PAGE.index("## Several networks")
    part = PAGE[:start].replace("96,608", "96,609")
    assert budgets_page.page(part) != part


def test_the_page_names_the_formats_and_the_options() -> None:
    """Every format of a check and every option that only this command has."""
    for name in catalog.check_formats():
        assert f"`{name}`" in PAGE
    own = {"budget", "baseline", "tolerance", "update", "accept_partial"}
    assert own <= {parameter.name for parameter in check.command.params}
    assert [name for name in own if f"--{name.replace('_', '-')}" not in PAGE] == []


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the network of the page, its config and a baseline, beside the programs that steps call."""
    top = tmp_path_factory.mktemp("workflow")
    programs, folder = top / "programs", top / "repository"
    programs.mkdir()
    folder.mkdir()
    stand_in = '#!/bin/sh\necho "$@" >> "$GH_LOG"\nwhile [ $# -gt 0 ]; do\n'
    stand_in += '  [ "$1" = --body-file ] && cat "$2" >> "$GH_LOG"\n  shift\ndone\n'
    (programs / "gh").write_text(stand_in)
    (programs / "gh").chmod(0o755)
    forking.program(programs / "profiler", "-m", "profiler")
    (folder / "net.py").write_text(FILES["net.py"])
    (folder / "small.yaml").write_text(SMALL.format(width=8))
    (folder / ".pre-commit-config.yaml").write_text(FILES[".pre-commit-config.yaml"])
    shell("git init --quiet && profiler check small.yaml --baseline baselines --update --quiet", folder)
    shell("git add . && git commit --quiet -m network", folder)
    return top


@pytest.fixture
def repository(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the repository for one test."""
    shutil.copytree(prepared, tmp_path / "copy")
    return tmp_path / "copy" / "repository"


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub runs a step, in ``folder``; errors are raised unless variables are given."""
    environment = {
        **os.environ,
        "PATH": f"{folder.parent / 'programs'}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        **variables,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    result = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    assert variables or result.returncode == 0, result.stderr
    return result


def steps() -> list[dict[str, Any]]:
    """The steps of the workflow on the page."""
    workflow = yaml.safe_load(FILES[".github/workflows/budgets.yaml"])
    found: list[dict[str, Any]] = workflow["jobs"]["budgets"]["steps"]
    return found


def run_workflow(folder: Path) -> tuple[dict[str, subprocess.CompletedProcess[str]], dict[str, str]]:
    """The results of the steps that can be run here, and the files that GitHub and ``gh`` would have got.

    As on GitHub, a step after a failed one is run only if its condition says so.
    """
    logs = {"GITHUB_STEP_SUMMARY": folder.parent / "summary", "GH_LOG": folder.parent / "comments"}
    results: dict[str, subprocess.CompletedProcess[str]] = {}
    for step in steps():
        if "uses" in step or step["name"] == "Install":
            continue
        if any(result.returncode for result in results.values()) and step.get("if") != "${{ always() }}":
            continue
        given = {key: re.sub(r"\$\{\{.*?\}\}", "7", value) for key, value in step.get("env", {}).items()}
        variables = {key: str(path) for key, path in logs.items()}
        results[step["name"]] = shell(step["run"], folder, **given, **variables)
    return results, {key: path.read_text() for key, path in logs.items()}


@pytest.mark.slow
def test_the_workflow_turns_red_if_the_network_grows(repository: Path) -> None:
    """Its steps pass at first; after a change of the config the check fails, and the other steps show why."""
    results, files = run_workflow(repository)
    assert {name: result.returncode for name, result in results.items()} == {"Check": 0, "Show": 0, "Comment": 0}
    assert results["Show"].stdout.startswith("::notice file=small.yaml,title=small%3A within its limits::")
    assert files["GITHUB_STEP_SUMMARY"].startswith("# small is within its limits.")
    (repository / "small.yaml").write_text(SMALL.format(width=9))
    results, files = run_workflow(repository)
    assert {name: result.returncode for name, result in results.items()} == {"Check": 1, "Show": 0, "Comment": 0}
    assert "::error file=small.yaml,title=small%3A 7 figures are not within their baseline::" in results["Show"].stdout
    for text in files.values():
        assert "# small is not within its limits." in text
        assert "`backbone.2`" in text
    assert files["GH_LOG"].startswith("pr comment 7 --body-file check/summary.md")


def test_the_steps_that_are_not_run_are_named() -> None:
    """They use actions of GitHub, or install packages from the network; the page says so."""
    left = [step for step in steps() if "uses" in step or step["name"] == "Install"]
    assert [step.get("uses", "Install").partition("@")[0] for step in left] == [
        *("actions/checkout", "actions/setup-python", "Install", "actions/upload-artifact")
    ]
    assert "The steps with `uses:` and `Install` need GitHub and a network, and are not\ntested." in PAGE


def hooks() -> list[dict[str, Any]]:
    """The hooks on the page and of this repository."""
    (local,) = yaml.safe_load(FILES[".pre-commit-config.yaml"])["repos"]
    ours = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return [*local["hooks"], *ours]


def test_the_hooks_are_whole() -> None:
    """They have the same name, the files that start them, and a command of this package."""
    keys = ("id", "name", "language", "types_or", "pass_filenames")
    local, ours = ({key: hook[key] for key in keys} for hook in hooks())
    assert local == ours
    for hook in hooks():
        assert hook["entry"].split()[:2] == ["profiler", "check"]


@pytest.mark.slow
def test_the_hook_stops_a_commit_of_a_larger_network(repository: Path) -> None:
    """By its entry; and by ``pre-commit`` itself where it is installed."""
    entry = hooks()[0]["entry"]
    assert shell(entry, repository, A="").returncode == 0
    (repository / "net.py").write_text(FILES["net.py"].replace("2 * width, 3", "2 * width, 5"))
    result = shell(entry, repository, A="")
    assert result.returncode == 1
    assert "backbone.2" in result.stdout
    if shutil.which("pre-commit"):
        shell("pre-commit install", repository)
        commit = shell("git commit --quiet --all -m larger", repository, A="")
        assert commit.returncode == 1
        assert "backbone.2" in commit.stdout + commit.stderr


def test_the_assertions_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They pass once the baseline is written; with another network each of them fails."""
    (tmp_path / "net.py").write_text(FILES["net.py"])
    tests = FILES["test_cost.py"]
    for name, text in {
        "cost_first": tests.replace("update=False", "update=True"),
        "cost_then": tests,
        "cost_wide": tests.replace("Net(8)", "Net(9)"),
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "net", raising=False)
    for name in ("cost_first", "cost_then", "cost_wide"):
        module = importlib.import_module(name)
        for test in (module.test_the_network_keeps_to_its_budget, module.test_the_network_did_not_grow):
            if name != "cost_wide":
                test()
                continue
            with pytest.raises(AssertionError, match="is not within its limits"):
                test()
    monkeypatch.delitem(sys.modules, "net")


def test_the_example_in_the_readme_is_that_of_the_page() -> None:
    """Its lines are on the page, which is run."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = readme.partition("```text\n$ profiler check")[2].partition("```")[0]
    assert example.count("\n") > 5
    assert "$ profiler check" + example.rstrip("\n") in PAGE
