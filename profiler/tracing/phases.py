"""The phase of the running operation, from the state of torch and not from a mode.

An operation in a running autograd node belongs to the backward pass, unless the node has called a module or runs
activation checkpointing, which recompute a forward pass.  Operations in an optimizer's step belong to the optimizer,
except those in its closure.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import CodeType, FrameType, MethodType
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils import checkpoint

from profiler.records import Phase
from profiler.tracing.private import RUNS_BACKWARD, node_that_runs
from profiler.tracing.reaching import call_method
from profiler.tracing.scope import Running


@dataclass(slots=True)
class _Step:
    """A running optimizer step: the frame of its call, and the code of its closure."""

    frame: FrameType
    closure: CodeType | None


class _Steps(threading.local):
    """The nested steps that run in a thread."""

    def __init__(self) -> None:
        self.running: list[_Step] = []


class Phases:
    """Determines the phase of each operation of user code; ``is_ours`` says whether a thread belongs to the run.

    ``on_step`` is called with an optimizer before each of its steps.
    """

    def __init__(self, is_ours: Callable[[], bool] = lambda: True) -> None:
        self.on_step: Callable[[Optimizer], None] | None = None
        self._steps = _Steps()
        self._is_ours = is_ours

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Within it, the steps of all optimizers are noticed."""
        before, after = (
            register_optimizer_step_pre_hook(self._begin),
            register_optimizer_step_post_hook(self._end),
        )
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _begin(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._is_ours():
            if self.on_step is not None:
                self.on_step(optimizer)
            given = (*args[1:], *kwargs.values())
            closure = next((code for value in given if (code := _code_of(value)) is not None), None)
            self._steps.running.append(_Step(sys._getframe(1), closure))

    def _end(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        frame = sys._getframe(1)
        while any(step.frame is frame for step in self._steps.running):
            self._steps.running.pop()

    def now(self, stack: Sequence[Running]) -> Phase:
        """The phase of the running operation, in the innermost module of ``stack``."""
        node = node_that_runs()
        called_by = stack[-1].node if stack else None
        if node is not None and node is not called_by:
            return "recompute" if _computes_again() else "backward"
        if called_by is not None:
            return "recompute"
        return "optimizer" if self._steps.running and self._in_step() else "forward"

    def _in_step(self) -> bool:
        """Whether a step itself runs the operation; a step that has raised is removed."""
        steps = self._steps.running
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            for place in range(len(steps) - 1, -1, -1):
                if frame.f_code is steps[place].closure:
                    return False
                if frame is steps[place].frame:
                    del steps[place + 1 :]
                    return True
            frame = frame.f_back
        steps.clear()
        return False


def _computes_again() -> bool:
    """Whether activation checkpointing is recomputing, without a backward pass inside."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not RUNS_BACKWARD:
        if frame.f_globals.get("__name__") == checkpoint.__name__:
            return True
        frame = frame.f_back
    return False


def _code_of(value: Any) -> CodeType | None:
    """The code object of a closure."""
    while isinstance(value, (partial, MethodType)):
        value = value.func if isinstance(value, partial) else value.__func__
    code = getattr(value, "__code__", None)
    if code is None:
        code = getattr(call_method(value), "__code__", None)
    return code if isinstance(code, CodeType) else None
