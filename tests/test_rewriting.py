"""Rewrites from a config: before and after, and the check that the function is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import profiler
from profiler.cli import cli

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.BatchNorm2d(8)

    def forward(self, x):
        return self.last(self.norm(self.conv(x)).relu())
"""

CONFIG = """
name: net
model: {target: net.py:Net}
inputs: [{shape: [4, 3, 9, 9]}]
rewrites: [fold_batchnorm]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config with one norm that can be folded, and one that cannot."""
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "net.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path / "net.yaml"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(cli, arguments, prog_name="profiler")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
def test_rewrite_shows_changes_and_what_is_left(config: Path) -> None:
    """It shows the equivalence with its difference, the table before and after, and the reasons."""
    code, out, _ = run("rewrite", str(config))
    assert code == 0
    assert "fold_batchnorm: 1 module changed." in out
    assert "Equivalent in float32: largest relative difference" in out
    assert "Work that disappeared: norm (1 layer)." in out
    assert "Left: 1 BatchNorm2d" in out
    norm = next(line for line in out.splitlines() if line.strip().startswith("norm "))
    eight_channels = 3 * 8
    elements = 4 * (4 * 8 * 7 * 7)
    assert norm.split()[-3:] == [f"{2 * (elements + eight_channels):,}", *[f"{elements + eight_channels:,}"] * 2]


@pytest.mark.slow
def test_a_difference_above_the_tolerance_is_an_error(config: Path) -> None:
    """Float32 is not exact, so a tolerance of zero fails."""
    config.write_text(CONFIG + "equivalence: {tolerance: 1.0e-30}\n", encoding="utf-8")
    code, _, err = run("rewrite", str(config), "--quiet")
    assert code == 1
    assert "Not equivalent in float32" in err


@pytest.mark.slow
def test_rewrite_writes_its_tables(config: Path) -> None:
    """They are the comparison, before and after, and a summary."""
    output = config.parent / "out"
    assert run("rewrite", str(config), "--output", str(output), "--quiet")[0] == 0
    assert {path.name for path in (output / "net").iterdir()} == {
        "summary.md",
        *(f"{table}.{ending}" for table in ("comparison", "rewriting") for ending in ("csv", "md", "json")),
    }


def test_profiling_such_a_config_profiles_the_rewritten_network(config: Path) -> None:
    """The rows have the names of the original network, so they can be compared."""
    rewritten = profiler.profile_config(profiler.load_config(config), crosscheck=False)
    assert list(rewritten.layers["layer"]) == ["conv", "(root)", "last"]
    assert rewritten.parameters_total == 8 * 27 + 8 + 2 * 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONFIG.replace("rewrites: [fold_batchnorm]\n", ""), "rewrites: missing, expected a list"),
        (CONFIG.replace("fold_batchnorm", "fold_batchnom"), "rewrite 'fold_batchnom' is not known"),
        (CONFIG.replace("[fold_batchnorm]", "[3]"), "rewrites.0: found 3, expected the name of a rewrite"),
    ],
)
def test_bad_rewrites_are_an_error_of_one_line(config: Path, text: str, message: str) -> None:
    """The exit code is 2."""
    config.write_text(text, encoding="utf-8")
    code, out, err = run("rewrite", str(config))
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
