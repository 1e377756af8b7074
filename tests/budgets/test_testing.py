"""The assertions of ``profiler.testing``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import profiler.testing
from profiler.errors import ConfigError, StoredProfileError, TraceError
from profiler.profiles import load_profile
from profiler.testing import assert_budget, assert_same_cost
from tests import sample_profiles as nets
from tests.test_cli import run

X = torch.ones(2, 3)
MACS = 2 * (3 * 4 + 4 * 5)
PARAMETERS = 3 * 4 + 4 + 4 * 5 + 5


def network(width: int = 4) -> nn.Module:
    """Two linear layers."""
    return nn.Sequential(nn.Linear(3, width), nn.Linear(width, 5))


def test_a_budget_that_is_kept() -> None:
    """The profile is returned."""
    profile = assert_budget(
        network(),
        X,
        macs=MACS,
        parameters=f"<= {PARAMETERS}",
        complete=True,
        modules={"0": {"macs": 2 * 3 * 4}},
        shares={"linear": ">= 99.9 %"},
    )
    assert profile.total.macs == MACS


def test_the_message_is_that_of_the_command(tmp_path: Path) -> None:
    """The tables that ``profiler check`` shows in 100 columns."""
    with pytest.raises(AssertionError) as caught:
        assert_budget(network(), X, macs=f"< {MACS}", name="net")
    profiler.profile(network(), X, name="net").save(tmp_path / "net.json")
    (tmp_path / "budget.yaml").write_text(f'macs: "< {MACS}"\n')
    shown = run("check", str(tmp_path / "net.json"), "--budget", str(tmp_path / "budget.yaml"))
    assert str(caught.value) == shown.out.rstrip("\n")
    assert f"< {MACS}" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"parameters": PARAMETERS - 1},
        {"modules": {"*": {"flops": 1}}},
        {"shares": {"linear": "< 100 %"}},
        {"trainable": 0},
    ],
)
def test_a_budget_that_is_not_kept(wrong: dict[str, Any]) -> None:
    """Each kind of limit can fail."""
    with pytest.raises(AssertionError, match="is not within its limits"):
        assert_budget(network(), X, **wrong)


@pytest.mark.slow
def test_the_cost_of_training() -> None:
    """The options of a profile are passed on."""
    profile = assert_budget(network(), X, mode="training", macs="1k", optimizer="sgd")
    assert profile.total.macs > 2 * MACS
    with pytest.raises(AssertionError):
        assert_budget(network(), X, mode="training", macs=2 * MACS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "assert_budget: empty, expected limits"),
        ({"mac": 1}, "assert_budget: mac: unknown key, did you mean 'macs'"),
        ({"macs": "4.1g"}, "assert_budget: macs: found '4.1g'"),
        ({"modules": {"5": {"macs": 1}}}, "assert_budget: modules.'5'.macs: matches no module of Sequential"),
        ({"complete": False}, "assert_budget: found no limit"),
    ],
)
def test_a_bad_budget_is_no_assertion_error(wrong: dict[str, Any], message: str) -> None:
    """It is an error of the test itself."""
    with pytest.raises(ConfigError) as caught:
        assert_budget(network(), X, **wrong)
    assert str(caught.value).startswith(message)


def test_a_profile_and_its_options() -> None:
    """A profile has its inputs and its mode; errors of tracing are raised unchanged."""
    assert assert_budget(nets.small(), macs="6k").name == "small"
    with pytest.raises(AssertionError, match="not proven"):
        assert_budget(nets.partial(), macs="6k")
    assert_budget(nets.partial(), macs="6k", complete=False)
    with pytest.raises(TypeError, match="found inputs, mode beside a Profile"):
        assert_budget(nets.small(), X, mode="training", macs="6k")
    with pytest.raises(TraceError):
        assert_budget(network(), torch.ones(2, 7), macs="6k")
    assert_budget(network(), input_size=(2, 3), macs=MACS)


def test_the_same_cost(tmp_path: Path) -> None:
    """``update`` writes the baseline; growth above the tolerance fails."""
    path = tmp_path / "base.json"
    with pytest.raises(StoredProfileError, match="cannot be read"):
        assert_same_cost(network(), X, baseline=path)
    assert_same_cost(network(), X, baseline=path, update=True)
    assert load_profile(path).total.macs == MACS
    assert_same_cost(network(), X, baseline=str(path))
    assert_same_cost(network(3), X, baseline=path)
    with pytest.raises(AssertionError, match="Layers that grew since the baseline"):
        assert_same_cost(network(5), X, baseline=path)
    assert_same_cost(network(5), X, baseline=path, tolerance="25%")
    with pytest.raises(ConfigError, match=r"^tolerance: found '1'"):
        assert_same_cost(network(5), X, baseline=path, tolerance="1")


@pytest.mark.slow
def test_the_import_is_light() -> None:
    """Neither torch nor pandas nor pydantic is imported before an assertion is made."""
    names = ("torch", "pandas", "pydantic", "rich")
    code = f"import sys, profiler.testing; print([name for name in {names} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n"
