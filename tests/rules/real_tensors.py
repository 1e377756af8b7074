"""Real tensors for rules that ask for values: their specs, and what a call on them is recorded to cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from profiler.opcount import Term
from profiler.signatures import TensorSpec
from profiler.tracing.describing import Describer
from tests.rules.recorded import calls_of


def real(values: Any, dtype: torch.dtype | None = None) -> TensorSpec:
    """The spec of a tensor, or of one with these values, that rules may ask for its values."""
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values, dtype=dtype)
    return Describer(lambda _: False, lambda _: (), lambda same: same).spec(tensor, keep=True)


def recorded(run: Callable[..., Any], *inputs: Any) -> tuple[Any, list[Term]]:
    """The result of ``run(*inputs)`` on real tensors, and the terms of all its operations.

    Fails where one of them is uncounted.
    """
    with torch.inference_mode():
        result, calls = calls_of(run, *inputs)
    uncounted = sorted({f"{call.op} ({call.reason})" for call in calls if call.status == "uncounted"})
    assert not uncounted, f"uncounted: {', '.join(uncounted)}"
    return result, [term for call in calls for term in call.terms]
