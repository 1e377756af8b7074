"""Habits of this repository that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def undocumented(source: str) -> list[str]:
    """The test functions of a file that do not say what they hold."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]


def test_every_test_says_what_it_holds() -> None:
    """In its docstring."""
    silent = {path.name: undocumented(path.read_text(encoding="utf-8")) for path in TESTS.rglob("test_*.py")}
    assert {name: functions for name, functions in silent.items() if functions} == {}


def test_a_silent_test_is_seen() -> None:
    """The check above is able to fail."""
    assert undocumented("def test_x():\n    assert True\n") == ["test_x"]
