"""Which operators of the running torch have a rule, are known to be free, or have neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from profiler.rules import REGISTRY
from profiler.tracing.private import operators


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is known of one operator.

    A ``"ruled"`` operator has a rule, and a ``"free"`` one is known to be free.  A ``"composite"`` one has neither and
    is made of other operators, which are counted in its place.  All others are ``"uncounted"``.
    """

    op: str
    status: Literal["ruled", "free", "composite", "uncounted"]
    kind: str


def coverage(namespace: str = "aten") -> list[Coverage]:
    """Every operator of a namespace, in alphabetical order; in-place variants of listed ones are left out."""
    known = operators(namespace)
    names = sorted(name for name in known if not (name.endswith("_") and name[:-1] in known))
    return [_coverage(name, known[name]) for name in names]


def _coverage(op: str, composite: bool) -> Coverage:
    entry = REGISTRY.find(op) or REGISTRY.find(op.replace("aten::", "sparse::"))  # or a rule for sparse operands
    if entry is None:
        return Coverage(op, "composite" if composite else "uncounted", "")
    if entry.cost is None:
        return Coverage(op, "free", "movement")
    return Coverage(op, "ruled", entry.kind if isinstance(entry.kind, str) else "by its operands")
