"""Documents agree with commands: README's commands run, and generated pages are up to date."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from profiler import rewriting, subjects
from profiler.cli import cli
from profiler.config import Config, load_config
from profiler.profiles import Profile
from profiler.rules import REGISTRY
from profiler.signatures import TensorSpec
from profiler.subjects import Subject
from tests import explain_page, rewrites_page, training_page

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
OWN_OPERATIONS = (ROOT / "docs" / "own-operations.md").read_text(encoding="utf-8")
CONFIGS = sorted(str(path) for path in (ROOT / "configs").glob("*.yaml"))


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The lines of README's third shell block; the first two blocks are the set-up, which .ci/run executes."""
    return [line.partition("#")[0].strip() for line in blocks(README, "sh")[2].splitlines()]


def test_the_set_up_is_two_commands() -> None:
    """One ends with the main job, the other with the tests; .ci/run takes them from the README."""
    first, second, *_ = blocks(README, "sh")
    assert first.strip().endswith("profiler profile configs/alexnet.yaml")
    assert second.strip().endswith("-m pytest -n auto --dist worksteal")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "readme_block 1" in script
    assert "readme_block 2" in script


def run_in_a_shell(line: str) -> tuple[int, str]:
    """The exit code of the command, and what it printed about an error."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def run_here(line: str) -> tuple[int, str]:
    """The same in this process, which has imported torch already."""
    program, *arguments = shlex.split(line)
    assert program == "profiler"
    result = CliRunner().invoke(cli, arguments, prog_name="profiler")
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("run", "configs"),
    [
        pytest.param(run_here, "configs/alexnet.yaml configs/resnet18.yaml", marks=pytest.mark.slow, id="two configs"),
        pytest.param(run_in_a_shell, "configs/*.yaml", marks=pytest.mark.exhaustive, id="all configs, in a shell"),
    ],
)
def test_readme_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[str], tuple[int, str]], configs: str
) -> None:
    """All of them run in order, with these configs in place of all; ``.ci/run`` runs the first one in a shell."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    assert len(commands()) >= 8
    for command in commands():
        line = command.replace("configs/*.yaml", configs)
        code, printed = run(line)
        assert code == 0, f"{line}: {printed}"
    assert (tmp_path / "out" / "resnet18" / "profile.json").is_file()
    assert (tmp_path / "out" / "reports" / "README.md").is_file()


@pytest.mark.slow
def test_readme_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs unchanged."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    try:
        for code in blocks(README, "python"):
            exec(compile(code, "README.md", "exec"), names)
        rule = REGISTRY.find("mylib::scaled_product")
        assert rule is not None
        kind, terms = rule.apply(TensorSpec((2, 3)), TensorSpec((3, 5)), 0.5, out=TensorSpec((2, 5)))
    finally:
        REGISTRY.remove("mylib::scaled_product")
    assert (kind, [term.formula for term in terms]) == ("matmul", ["3·(2·5)", "2·5 multiplies"])
    assert {"profile", "same", "wider", "checked"} <= set(names)
    assert (tmp_path / "small.json").is_file()


def test_the_config_reference_is_a_valid_config(tmp_path: Path) -> None:
    """Every key in it exists."""
    (text,) = blocks(README, "yaml")
    path = tmp_path / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    config = load_config(path)
    assert (config.name, config.mode, config.crosscheck) == ("tiny", "inference", ("fvcore",))
    assert config.rewrites == ("fold_batchnorm",)
    assert set(type(config).model_fields) == {line.split(":")[0] for line in text.splitlines() if line[:1].isalpha()}


def test_the_rule_in_the_contributors_guide_works() -> None:
    """It can be registered, and its counts are those on the page."""
    (code,) = (code for code in blocks(CONTRIBUTING, "python") if "@rule(" in code)
    names: dict[str, object] = {}
    try:
        exec(compile(code, "CONTRIBUTING.md", "exec"), names)
        entry = REGISTRY.find("mylib::scaled_product")
        assert entry is not None
        assert entry.cost is not None
        terms = list(entry.cost(TensorSpec((2, 3)), TensorSpec((3, 5)), 0.5, out=TensorSpec((2, 5))))
        assert [term.formula for term in terms] == ["3·(2·5)", "2·5 multiplies"]
    finally:
        REGISTRY.remove("mylib::scaled_product")


@pytest.mark.parametrize("number", range(len(blocks(OWN_OPERATIONS, "python"))))
def test_the_examples_of_own_operations_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each runs in a separate file with its assertions; afterwards its rules are unregistered."""
    code = blocks(OWN_OPERATIONS, "python")[number]
    if "import triton" in code:
        pytest.importorskip("triton")
    (tmp_path / f"own_operation_{number}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    before = {entry.op for entry in REGISTRY}
    try:
        names = vars(importlib.import_module(f"own_operation_{number}"))
        assert isinstance(names["profile"], Profile)
    finally:
        for op in {entry.op for entry in REGISTRY} - before:
            REGISTRY.remove(op)


@pytest.mark.parametrize(
    "narrow",
    [
        pytest.param({"hidden": 64}, marks=pytest.mark.slow, id="narrow"),
        pytest.param({}, marks=pytest.mark.exhaustive, id="as it is"),
    ],
)
def test_reports_are_up_to_date(narrow: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """``profiler report configs/*.yaml --output reports`` would change nothing.

    The run of Net1 on real tensors has narrow linear layers: 1.4 GB of weights take ten seconds.
    """
    compared: list[str] = []

    def configured(config: Config) -> Subject:
        compared.append(config.name)
        if config.name == "net1_as_net2":
            config = config.model_copy(update={"model": config.model.model_copy(update={"kwargs": narrow})})
        return subjects.configured(config)

    monkeypatch.setattr(rewriting, "configured", configured)
    result = CliRunner().invoke(cli, ["report", *CONFIGS, "--output", str(ROOT / "reports"), "--check"])
    assert result.exit_code == 0, result.output
    assert "net1_as_net2" in compared


@pytest.mark.slow
def test_the_pictures_of_the_readme_are_up_to_date(tmp_path: Path) -> None:
    """A command draws them byte for byte."""
    arguments = ["profile", str(ROOT / "configs" / "alexnet.yaml"), "--no-crosscheck", "--quiet"]
    names = ("alexnet-terminal.svg", "alexnet-shares.svg")
    for name in names:
        assert f"(docs/{name})" in README
        arguments += ["--picture", str(tmp_path / name)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    for name in names:
        assert (tmp_path / name).read_bytes() == (ROOT / "docs" / name).read_bytes()


def test_relative_links_point_to_files() -> None:
    """Relative links of the documents point to existing files."""
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", prose):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.slow
def test_the_page_on_training_is_up_to_date() -> None:
    """``python -m tests.training_page`` would change nothing."""
    assert training_page.page() == training_page.PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_explanations_is_up_to_date() -> None:
    """``python -m tests.explain_page`` would change nothing."""
    assert explain_page.page() == explain_page.PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_rewrites_is_up_to_date() -> None:
    """``python -m tests.rewrites_page`` would change nothing."""
    assert rewrites_page.page() == rewrites_page.PAGE.read_text(encoding="utf-8")
