"""Whether operations use autograd: in inference they only do if the network computes derivatives.

Autograd decomposes composite operators.  If no gradient is needed, operators skip autograd and arrive whole, as in
inference mode.  Unlike in inference mode, a forward may turn gradients on for a part of its work, or use dual numbers,
and gets the same results as under plain ``torch.no_grad()``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import is_grad_enabled

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
"""The functions that raise if a tensor has no graph."""


def lacks_graph(error: BaseException) -> bool:
    """Whether torch raised ``error`` because a tensor has no graph."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code in _RAISES_WITHOUT_GRAPH


@dataclass(slots=True)
class _Shared:
    """The state that all threads of a run share."""

    may_skip: bool
    missed: bool = False


class Autograd:
    """Controls for one thread whether operators skip autograd; with ``may_skip`` false they never do.

    Tangents of dual numbers need autograd too.  The state is ``held`` while an operation runs, in which torch decides.
    """

    def __init__(self, *, may_skip: bool) -> None:
        self.skipped = False
        self.held = False
        self._shared = _Shared(may_skip)
        self._before = False

    @property
    def missed(self) -> bool:
        """Whether an operation wrongly skipped autograd, in any thread.

        A derivative may then be missing, and the run has to be repeated with ``may_skip=False``.
        """
        return self._shared.missed

    def in_other_thread(self) -> Autograd:
        """The same for another thread of the run."""
        other = Autograd(may_skip=True)
        other._shared = self._shared
        return other

    def close(self) -> None:
        """End the run: threads that continue are not traced any more."""
        self._shared.may_skip = False

    def __enter__(self) -> Autograd:
        self._before = autograd_is_skipped()
        self.follow()
        return self

    def __exit__(self, *_: object) -> None:
        skip_autograd(self._before)

    def follow(self) -> None:
        """Switch to what is needed now."""
        if self.held:
            return
        skipped = self._shared.may_skip and not (is_grad_enabled() or forward_derivatives())
        self.skipped = skipped
        if autograd_is_skipped() != skipped:
            skip_autograd(skipped)

    def check(self) -> None:
        """Record whether the operation that runs now skips autograd although derivatives are needed."""
        if self.skipped and (torch.is_grad_enabled() or forward_derivatives()):
            self._shared.missed = True

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result of a function of torch, which may change whether derivatives are needed."""
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
        """A backward pass with ``create_graph`` turns gradients on, which no mode sees."""
        if self.skipped:
            self.skipped = False
            skip_autograd(False)
        try:
            yield
        finally:
            self.follow()
