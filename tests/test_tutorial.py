"""The tutorial notebook runs, and its committed outputs are those that it gives."""

from __future__ import annotations

import copy
import re

import pytest

from tests import tutorial

MOST_BYTES = 300_000

PATHS = re.compile(r"/(?:home|root|tmp|work|usr|opt|Users|site-packages)\b|[A-Z]:\\")
"""Paths of a machine."""


def test_the_tutorial_is_small() -> None:
    """GitHub shows large notebooks slowly, or not at all."""
    assert tutorial.TUTORIAL.stat().st_size < MOST_BYTES


def test_the_tutorial_has_no_paths() -> None:
    """Its outputs do not name folders of the machine that executed it."""
    found = PATHS.findall(tutorial.TUTORIAL.read_text(encoding="utf-8"))
    assert found == []
    assert PATHS.search("/home/someone/net.py")


@pytest.mark.slow
def test_the_tutorial_gives_its_outputs() -> None:
    """``python -m tests.tutorial`` would change nothing, and no cell raises or warns."""
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name)
    committed = tutorial.read()
    again = tutorial.executed(copy.deepcopy(committed))
    for before, after in zip(committed.cells, again.cells, strict=True):
        assert after.get("outputs") == before.get("outputs"), before.source
        assert all(output.get("name") != "stderr" for output in after.get("outputs", []))
    assert tutorial.written(again) == tutorial.written(committed)
