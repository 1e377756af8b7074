"""What a recorder without a network records of a function, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from profiler.pricing import price
from profiler.records import OpCall
from profiler.rules import REGISTRY
from profiler.tracing.noted import recording_of
from profiler.tracing.origins import Origins
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.scope import ModuleScope


def calls_of(run: Callable[..., Any], *inputs: Any) -> tuple[Any, Sequence[OpCall]]:
    """The result of ``run(*inputs)`` and the calls of all its operations, in the current grad mode."""
    recorder = OpRecorder(REGISTRY, ModuleScope(nn.Identity()), Origins(), None)
    with recorder:
        result = run(*inputs)
    return result, price(recording_of(recorder.calls, (), (), ()), REGISTRY).calls
