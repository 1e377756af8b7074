"""The operators of the running torch, and which of them have a rule."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

from profiler.cli import cli
from profiler.coverage import coverage
from profiler.rules import REGISTRY

UNCOUNTED = 22
"""How many ATen operators of the pinned torch have neither a rule nor a decomposition; it may only fall."""


@pytest.mark.slow
@pytest.mark.skipif(torch.__version__.split("+")[0] != "2.13.0", reason="other releases have other operators")
def test_the_number_of_uncounted_operators_does_not_grow() -> None:
    """Lower the number above when rules are added."""
    uncounted = [entry.op for entry in coverage() if entry.status == "uncounted"]
    assert len(uncounted) <= UNCOUNTED, f"new: {uncounted}"


@pytest.mark.slow
def test_a_lost_rule_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above fails if a rule is lost."""
    before = {entry.op: entry.status for entry in coverage()}
    monkeypatch.delitem(REGISTRY._entries, "aten::convolution")
    after = {entry.op: entry.status for entry in coverage()}
    assert (before["aten::convolution"], after["aten::convolution"]) == ("ruled", "uncounted")


def test_each_status_has_an_example() -> None:
    """One operator of each status."""
    status = {entry.op: (entry.status, entry.kind) for entry in coverage()}
    assert status["aten::conv2d"] == ("ruled", "conv")
    assert status["aten::linear"] == ("ruled", "by its operands")
    assert status["aten::view"] == ("free", "movement")
    assert status["aten::linalg_eig"] == ("uncounted", "")
    assert "composite" in {first for first, _ in status.values()}


def test_in_place_operators_are_listed_with_their_base() -> None:
    """The same rule counts them, and they are listed once."""
    names = {entry.op for entry in coverage()}
    assert "aten::relu" in names
    assert "aten::relu_" not in names


def test_the_command_lists_them() -> None:
    """The list is filtered by status and by a part of the name; the totals go to the error stream."""
    result = CliRunner().invoke(cli, ["operators", "linalg_eig", "--status", "uncounted"])
    assert result.exit_code == 0
    assert "uncounted  aten::linalg_eig\n" in result.stdout
    assert "ruled" not in result.stdout
    assert " ruled" in result.stderr
