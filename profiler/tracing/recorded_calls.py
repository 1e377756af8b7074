"""A network, its inputs and a part of it → what the part is called with when the network runs."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from profiler.errors import TraceError
from profiler.records import Mode
from profiler.tracing.calls import Inputs
from profiler.tracing.copying import to_meta
from profiler.tracing.describing import EveryOperator
from profiler.tracing.object_copies import map_inputs
from profiler.tracing.running import record, record_for_real


@dataclass(slots=True)
class RecordedCalls:
    """What a module was called with first, and how often it was called in all."""

    part: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    signature: inspect.Signature | None = None

    @property
    def inputs(self) -> Inputs:
        """The arguments of the first call as what a network is called with: in one form where one can hold them."""
        if not self.options:
            return list(self.arguments)
        if not self.arguments:
            return self.options
        if self.signature is None:
            return self.arguments, self.options
        bound = self.signature.bind(*self.arguments, **self.options)
        kinds = {self.signature.parameters[name].kind for name in bound.arguments}
        by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
        return dict(bound.arguments) if kinds <= by_name else (self.arguments, self.options)

    def watch(self, network: nn.Module) -> None:
        """Record the calls of the part of ``network``, a copy that may be changed."""
        self.calls = 0
        module = network.get_submodule(self.part)
        if isinstance(module, torch.jit.ScriptModule):
            module.register_forward_pre_hook(lambda module, args, kwargs: self._note(args, kwargs), with_kwargs=True)
            return
        original = module.forward
        self.signature = inspect.signature(original)

        @functools.wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            self._note(args, kwargs)
            return original(*args, **kwargs)

        module.__dict__["forward"] = forward

    def _note(self, args: Any, kwargs: Any) -> None:
        self.calls += 1
        if self.calls == 1:
            self.arguments, self.options = map_inputs((args, kwargs), _as_it_is_now)


def _as_it_is_now(tensor: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode(False), torch.no_grad():
        copy = to_meta(tensor) if tensor.is_meta else tensor.detach().clone()
    return copy.requires_grad_(tensor.requires_grad)


def record_calls(
    model: nn.Module, inputs: Inputs, part: str, mode: Mode = "inference", *, real_because: str = ""
) -> RecordedCalls:
    """What the module ``part`` of ``model`` is called with in one call of ``model`` on ``inputs``.

    On a copy on meta, or for real where there is a reason to.  Raises as :func:`record` and :func:`record_for_real` do,
    and :class:`TraceError` where the part is never called.
    """
    recorded = RecordedCalls(part)
    if real_because:
        record_for_real(model, inputs, mode, operators=EveryOperator(), reason=real_because, prepare=recorded.watch)
    else:
        record(model, inputs, mode, operators=EveryOperator(), prepare=recorded.watch)
    if not recorded.calls:
        raise TraceError(f"part {part}: {type(model).__name__} never calls it, so what it is called with is not known")
    return recorded
