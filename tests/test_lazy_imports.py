"""Libraries are imported when they are used: small commands do not wait for large libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import sample_profiles

ROOT = Path(__file__).parents[1]

LARGE = ("torch", "pandas", "numpy", "pydantic", "rich", "torchvision", "fvcore", "jinja2", "matplotlib")
"""Libraries that take long to import."""

OF_TORCH = ("torch._dynamo", "torch._inductor", "torch.fx.experimental.symbolic_shapes", "sympy")
"""What torch imports itself, if its kernels in Python run on meta or if code is compiled."""

COMMAND = """
import sys
from profiler.cli import main

sys.argv = ["profiler", *{arguments}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def imported(code: str, names: Sequence[str]) -> list[str]:
    """Those of the modules that a new process has imported after it ran ``code``."""
    code += f"\nimport sys\nfor name in {tuple(names)}:\n    print('=', name, name in sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    lines = [line.split() for line in result.stderr.splitlines() if line.startswith("= ")]
    assert [name for _, name, _ in lines] == list(names)
    return [name for _, name, found in lines if found == "True"]


def imported_by_command(*arguments: str, names: Sequence[str] = (*LARGE, *OF_TORCH)) -> list[str]:
    return imported(COMMAND.format(arguments=list(arguments)), names)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of two saved profiles."""
    folder = tmp_path_factory.mktemp("saved")
    for name, profile in {"small": sample_profiles.small(), "alexnet": sample_profiles.alexnet()}.items():
        profile.save(folder / f"{name}.json")
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.mark.slow
def test_an_import_would_be_seen() -> None:
    """The checks below are able to fail."""
    assert imported("import pydantic, json", ("pydantic", "rich", "json")) == ["pydantic", "json"]
    assert imported("import profiler; profiler.profile", ("torch", "pandas")) == ["torch"]


@pytest.mark.slow
def test_importing_the_package_imports_no_large_library() -> None:
    """The names in it are imported when they are used."""
    assert imported("import profiler", LARGE) == []


@pytest.mark.slow
def test_the_help_imports_no_large_library() -> None:
    """Neither torch nor what draws tables."""
    assert imported_by_command("--help") == []


@pytest.mark.slow
def test_a_comparison_of_saved_profiles_needs_neither_torch_nor_pandas(saved: list[str]) -> None:
    """Only what draws the table."""
    assert imported_by_command("compare", *saved) == ["rich"]


@pytest.mark.slow
def test_a_check_of_a_saved_profile_needs_neither_torch_nor_pandas(saved: list[str], tmp_path: Path) -> None:
    """Neither against a budget nor against a baseline."""
    budget = tmp_path / "budget.yaml"
    budget.write_text("macs: 1G\n", encoding="utf-8")
    found = imported_by_command("check", saved[0], "--baseline", saved[0], "--budget", str(budget))
    assert not {"torch", "pandas", "numpy"}.intersection(found)


@pytest.mark.slow
def test_a_difference_of_saved_profiles_needs_neither_torch_nor_pandas(saved: list[str]) -> None:
    """Only what draws the tables; a pattern of saved profiles needs no more."""
    assert imported_by_command("diff", *saved) == ["rich"]
    assert imported_by_command("compare", str(Path(saved[0]).parent / "*.json"), "--sort", "macs") == ["rich"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "markdown", "json"])
def test_files_need_no_pandas(form: str, saved: list[str], tmp_path: Path) -> None:
    """Tables are written from their values."""
    found = imported_by_command("profile", saved[0], "--output", str(tmp_path), "--format", form)
    assert not {"torch", "pandas", "numpy"}.intersection(found)


@pytest.mark.slow
def test_a_profile_of_alexnet_needs_no_compiler_and_no_pandas() -> None:
    """The whole command imports torch itself, and what torch imports with it."""
    config = str(ROOT / "configs" / "alexnet.yaml")
    found = imported_by_command("profile", config, "--no-crosscheck")
    assert set(found).difference(("torch", "numpy")) == {"pydantic", "rich"}


@pytest.mark.slow
def test_data_frames_are_made_when_they_are_used() -> None:
    """Totals, figures and tables have plain values; a data frame imports pandas."""
    code = (
        "from tests import sample_profiles\n"
        "profile = sample_profiles.small()\n"
        "profile.total, profile.complete, profile.figure('flops'), str(profile), repr(profile), profile.never_ran\n"
        "for name in ('layers', 'modules', 'shares', 'operations', 'uncounted', 'training', 'parameters'):\n"
        "    profile.tabulated(name).records()\n"
    )
    assert imported(code, ("pandas", "numpy", "torch")) == []
    assert imported(code + "profile.layers\n", ("pandas", "torch")) == ["pandas"]
