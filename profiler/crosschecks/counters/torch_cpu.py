"""torch's own ``FlopCounterMode`` on the CPU, where fused kernels run that the meta device does not have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from profiler.crosschecks.counter import Reported
from profiler.crosschecks.counters import torch

if TYPE_CHECKING:
    from torch import nn


def run(model: nn.Module, inputs: Any) -> Reported:
    """``FlopCounterMode`` on ``model`` itself."""
    from profiler.crosschecks.flop_counter_mode import count

    return count(model, inputs)


COUNTER = replace(torch.COUNTER, run=run, on_meta=False, predictable=False)
