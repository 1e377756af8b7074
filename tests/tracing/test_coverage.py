"""What the running torch can do, and what of it has a rule."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

from profiler.cli import cli
from profiler.coverage import coverage
from profiler.rules import REGISTRY

UNCOUNTED = 22
"""How many ATen operators of the pinned torch have neither a rule nor parts; it may only fall."""


@pytest.mark.slow
@pytest.mark.skipif(torch.__version__.split("+")[0] != "2.13.0", reason="other releases have other operators")
def test_the_number_of_uncounted_operators_does_not_grow() -> None:
    """Lower the number above when rules are added."""
    uncounted = [entry.op for entry in coverage() if entry.status == "uncounted"]
    assert len(uncounted) <= UNCOUNTED, f"new: {uncounted}"


@pytest.mark.slow
def test_a_lost_rule_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above is able to fail."""
    before = {entry.op: entry.status for entry in coverage()}
    monkeypatch.delitem(REGISTRY._entries, "aten::convolution")
    after = {entry.op: entry.status for entry in coverage()}
    assert (before["aten::convolution"], after["aten::convolution"]) == ("ruled", "uncounted")


def test_every_status_is_what_it_says() -> None:
    """One of each."""
    status = {entry.op: (entry.status, entry.kind) for entry in coverage()}
    assert status["aten::conv2d"] == ("ruled", "conv")
    assert status["aten::linear"] == ("ruled", "by its operands")
    assert status["aten::view"] == ("free", "movement")
    assert status["aten::linalg_eig"] == ("uncounted", "")
    assert "composite" in {first for first, _ in status.values()}


def test_in_place_operators_go_with_their_base() -> None:
    """They are counted by the same rule, and listed once."""
    names = {entry.op for entry in coverage()}
    assert "aten::relu" in names
    assert "aten::relu_" not in names


def test_the_command_lists_them() -> None:
    """By status and part of a name, with the totals on the error stream."""
    result = CliRunner().invoke(cli, ["operators", "linalg_eig", "--status", "uncounted"])
    assert result.exit_code == 0
    assert "uncounted  aten::linalg_eig\n" in result.stdout
    assert "ruled" not in result.stdout
    assert " ruled" in result.stderr
