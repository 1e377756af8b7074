"""Whether autograd takes part in the operations that run: in inference it does where the network wants derivatives.

Operators that are defined by others are decomposed by autograd.  Where no gradient is wanted they skip it, so that
they arrive whole, as in inference mode.  Unlike in inference mode, a forward may turn gradients on for a part of its
work, or give numbers tangents, and gets what it would get under plain ``torch.no_grad()``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from profiler.tracing.private import (
    RUNS_BACKWARD,
    autograd_is_skipped,
    forward_derivatives,
    set_grad_enabled,
    skip_autograd,
)

DERIVES = frozenset({torch.autograd.grad, torch.Tensor.backward})
"""Functions that run a backward pass."""

_RAISES_WITHOUT_GRAPH = frozenset(
    {
        RUNS_BACKWARD,
        *(function.__code__ for function in (torch.autograd.grad, torch.autograd.backward, torch.Tensor.register_hook)),
    }
)
"""The code that raises where a tensor has no graph behind it."""


def lacks_graph(error: BaseException) -> bool:
    """Whether torch raised ``error`` where it was asked to use the graph behind a tensor."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code in _RAISES_WITHOUT_GRAPH


@dataclass(slots=True)
class _Shared:
    """What is the same in all threads of a run."""

    may_skip: bool
    missed: bool = False


class Autograd:
    """Says for one thread whether operators skip autograd; ``may_skip`` is false where they never shall.

    Tangents of numbers travel by autograd too.  It is ``held`` as it is while an operation runs, in which torch itself
    decides.
    """

    def __init__(self, *, may_skip: bool) -> None:
        self.skipped = False
        self.held = False
        self._shared = _Shared(may_skip)
        self._before = False

    @property
    def missed(self) -> bool:
        """Whether an operation skipped autograd that should not have, in any thread.

        A derivative may be missing then, and the run has to be repeated with ``may_skip=False``.
        """
        return self._shared.missed

    def in_other_thread(self) -> Autograd:
        """The same for another thread of the run."""
        other = Autograd(may_skip=True)
        other._shared = self._shared
        return other

    def close(self) -> None:
        """The run is over: threads that go on are left alone."""
        self._shared.may_skip = False

    def __enter__(self) -> Autograd:
        self._before = autograd_is_skipped()
        self.follow()
        return self

    def __exit__(self, *_: object) -> None:
        skip_autograd(self._before)

    def follow(self) -> None:
        """Do as is wanted now."""
        if self.held:
            return
        self.skipped = self._shared.may_skip and not (forward_derivatives() or torch.is_grad_enabled())
        if autograd_is_skipped() != self.skipped:
            skip_autograd(self.skipped)

    def check(self) -> None:
        """An operation runs now: note whether it skips autograd though derivatives are wanted."""
        if self.skipped and (torch.is_grad_enabled() or forward_derivatives()):
            self._shared.missed = True

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result of a function of torch, which may change what is wanted."""
        if func is set_grad_enabled:
            result = func(*args, **kwargs)
            self.follow()
            return result
        if func in DERIVES and kwargs.get("create_graph"):
            with self._taking_part():
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    @contextmanager
    def _taking_part(self) -> Iterator[None]:
        """A backward pass with a graph of its own turns gradients on, which no mode is told."""
        if self.skipped:
            self.skipped = False
            skip_autograd(False)
        try:
            yield
        finally:
            self.follow()
