"""Real tensors for rules that read values: their specs, and the cost of a call on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from profiler.opcount import Term
from profiler.signatures import TensorSpec
from profiler.tracing.describing import Describer
from tests.rules.recorded import calls_of


def real(values: Any, dtype: torch.dtype | None = None) -> TensorSpec:
    """The spec of a tensor, or of a tensor with these values; rules may read its values."""
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values, dtype=dtype)
    return Describer(lambda _: False, lambda _: (), lambda same: same).spec(tensor, keep=True)


def recorded(run: Callable[..., Any], *inputs: Any) -> tuple[Any, list[Term]]:
    """The result of ``run(*inputs)`` on real tensors, and the terms of all its operations.

    Fails if one of them is uncounted.
    """
    with torch.inference_mode():
        result, calls = calls_of(run, *inputs)
    uncounted = sorted({f"{call.op} ({call.reason})" for call in calls if call.status == "uncounted"})
    assert not uncounted, f"uncounted: {', '.join(uncounted)}"
    return result, [term for call in calls for term in call.terms]
