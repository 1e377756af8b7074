"""The ledger of how rules use sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from profiler.rules import REGISTRY
from profiler.rules.registry import Entry

PATH = Path(__file__).parent / "symbolic_sizes.txt"

HEAD = """\
# What each rule does with the sizes of tensors, at its worst in any test of tests/rules:
# clean (arithmetic only), asks > 0 (or = 1), compares, needs a number, fails (does not take a symbol), untested.
"""

UNTESTED = "untested"


def rule_of(entry: Entry) -> str:
    """The name of the rule of an entry, ``backward.pooling.max_pool_backward``; empty for a rule of a test."""
    function: Any = getattr(entry.cost, "func", entry.cost)
    module, _, rule = str(getattr(function, "__module__", "")).partition("profiler.rules.")
    return "" if module or not rule else f"{rule}.{function.__qualname__.removesuffix('.<locals>.cost')}"


def ours() -> list[str]:
    """The rules of the package."""
    return sorted({rule_of(entry) for entry in REGISTRY} - {""})


def read() -> dict[str, str]:
    """The verdict on each rule in the ledger."""
    lines = PATH.read_text(encoding="utf-8").splitlines() if PATH.exists() else []
    pairs = (line.split(": ") for line in lines if not line.startswith("#"))
    return {rule: verdict for rule, verdict in pairs if verdict != UNTESTED}


def write(found: Mapping[str, str]) -> None:
    """Write the ledger."""
    PATH.write_text(HEAD + "".join(f"{rule}: {found.get(rule, UNTESTED)}\n" for rule in ours()), encoding="utf-8")
