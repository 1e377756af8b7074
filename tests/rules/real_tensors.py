"""Real tensors for rules that ask for values: their specs, and what a call on them is recorded to cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from profiler.opcount import Term
from profiler.rules import REGISTRY
from profiler.tracing.origins import Origins
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.scope import ModuleScope
from profiler.tracing.tensors import RealTensorSpec, dtype_name, shape_of, stored_in


def real(values: Any, dtype: torch.dtype | None = None) -> RealTensorSpec:
    """The spec of a tensor, or of one with these values, that rules may ask for its values."""
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values, dtype=dtype)
    return RealTensorSpec(shape_of(tensor), dtype_name(tensor.dtype), False, stored_in(tensor), tensor=tensor)


def recorded(run: Callable[..., Any], *inputs: Any) -> tuple[Any, list[Term]]:
    """The result of ``run(*inputs)`` on real tensors, and the terms of all its operations.

    Fails where one of them is uncounted.
    """
    recorder = OpRecorder(REGISTRY, ModuleScope(nn.Identity()), Origins(), None)
    with torch.inference_mode(), recorder:
        result = run(*inputs)
    uncounted = sorted({call.op for call in recorder.calls if call.status == "uncounted"})
    assert not uncounted, f"uncounted: {', '.join(uncounted)}"
    return result, [term for call in recorder.calls for term in call.terms]
