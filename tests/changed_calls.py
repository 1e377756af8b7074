"""Calls that differ from others in a few fields, for tests of code that reads calls."""

from __future__ import annotations

from typing import Any

from profiler.records import OpCall

FIELDS = (*("op", "kind", "status", "module", "module_call", "phase", "inputs", "outputs", "terms", "overload"),)


def changed(call: OpCall, **fields: Any) -> OpCall:
    """The call with other values of some of its fields; only the tensors of its arguments are kept."""
    return OpCall.of(**{**{name: getattr(call, name) for name in FIELDS}, **fields})
