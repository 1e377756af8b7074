"""torch's own ``FlopCounterMode`` on a network, on meta or with real tensors.

It prints FLOPs, two for each multiply–accumulate; the records have half of each figure.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from profiler.crosschecks.calling import call
from profiler.crosschecks.counter import Reported
from profiler.crosschecks.watching import Running, Tally, running_modules
from profiler.rules import REGISTRY

FACTOR = 2
"""One multiply–accumulate in its figures."""


def count(model: nn.Module, inputs: Any) -> Reported:
    """What ``FlopCounterMode`` reports of one call of ``model``."""
    with torch.no_grad(), running_modules(model) as running:
        counter = _Recording(running)
        with counter:
            call(model, inputs)
    figures = counter.figures
    figures.add("", "other", counter.get_total_flops() // FACTOR - figures.total)
    return Reported(
        figures=figures.figures(),
        unsupported=counter.unsupported.figures(),
        seen=counter.seen.figures(),
        factor=FACTOR,
    )


class _Recording(FlopCounterMode):
    """Notes which module each figure comes from, and the operations that it has no formula for.

    ``FlopCounterMode`` names modules by class and keeps one of the names of a shared one; its totals are its own.
    """

    def __init__(self, running: Running) -> None:
        super().__init__(display=False)
        self.figures = Tally()
        self.seen = Tally()
        self.unsupported = Tally()
        self._running = running

    def _count_flops(self, func_packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        op = getattr(func_packet, "_qualified_op_name", str(func_packet))
        before = self.flop_counts["Global"][func_packet]
        result = super()._count_flops(func_packet, out, args, kwargs)  # type: ignore[no-untyped-call]
        if func_packet in self.flop_registry:
            figure = self.flop_counts["Global"][func_packet] - before
            self.figures.add(self._running.module, op, figure // FACTOR)
            self.seen.add(self._running.module, op)
        else:
            entry = REGISTRY.find(op)
            if entry is None or entry.cost is not None:
                self.unsupported.add(self._running.module, op)
        return result
