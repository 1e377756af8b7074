"""A network, its inputs and a part of it → the inputs of the part when the network runs."""

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
    """The arguments of the first call of a module, and its number of calls."""

    part: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    calls: int = 0
    signature: inspect.Signature | None = None

    @property
    def inputs(self) -> Inputs:
        """The arguments of the first call as inputs of a network."""
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
        """Record the calls of the part of ``network``, which is a copy that may be changed."""
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
            self.arguments, self.options = map_inputs((args, kwargs), _snapshot)


def _snapshot(tensor: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode(False), torch.no_grad():
        copy = to_meta(tensor) if tensor.is_meta else tensor.detach().clone()
    return copy.requires_grad_(tensor.requires_grad)


def record_calls(
    model: nn.Module, inputs: Inputs, part: str, mode: Mode = "inference", *, real_because: str = ""
) -> RecordedCalls:
    """The calls of the module ``part`` in one call of ``model`` on ``inputs``.

    They are recorded on a meta copy, or on real tensors if there is a reason.  Raises the errors of :func:`record` and
    :func:`record_for_real`, and :class:`TraceError` if the part is never called.
    """
    recorded = RecordedCalls(part)
    if real_because:
        record_for_real(model, inputs, mode, operators=EveryOperator(), reason=real_because, prepare=recorded.watch)
    else:
        record(model, inputs, mode, operators=EveryOperator(), prepare=recorded.watch)
    if not recorded.calls:
        raise TraceError(f"part {part}: {type(model).__name__} never calls it, so its inputs are not known")
    return recorded
