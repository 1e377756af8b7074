"""torch's own ``FlopCounterMode`` on a network, on meta or on the CPU → a :class:`~profiler.records.CounterRecord`.

It prints FLOPs, two for each multiply–accumulate; the record holds half of each figure.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from profiler.crosschecks.calling import call, failure
from profiler.crosschecks.watching import Running, Tally, running_modules
from profiler.errors import FOREIGN_ERRORS
from profiler.records import CounterRecord
from profiler.rules import REGISTRY
from profiler.tracing import call_arguments
from profiler.tracing.copying import copy_to_meta, to_meta
from profiler.tracing.object_copies import map_inputs

FACTOR = 2
"""What one multiply–accumulate is in its figures."""

VERSION = torch.__version__.partition("+")[0]


def count_with_torch(model: nn.Module, inputs: Any) -> CounterRecord:
    """What ``FlopCounterMode`` says of one call of a meta copy of ``model`` on ``inputs``."""
    try:
        return _count("torch", copy_to_meta(model).eval(), map_inputs(call_arguments(inputs), to_meta))
    except FOREIGN_ERRORS as error:
        return CounterRecord("torch", VERSION, "failed", failure(error))


def count_with_torch_on_cpu(model: nn.Module, inputs: Any) -> CounterRecord:
    """What ``FlopCounterMode`` says of one call of ``model`` (real tensors, in the mode to count) on ``inputs``."""
    try:
        return _count("torch-cpu", model, inputs)
    except FOREIGN_ERRORS as error:
        return CounterRecord("torch-cpu", VERSION, "failed", failure(error))


def _count(name: str, model: nn.Module, inputs: Any) -> CounterRecord:
    with torch.no_grad(), running_modules(model) as running:
        counter = _Recording(running)
        with counter:
            call(model, inputs)
    figures = counter.figures
    figures.add("", "other", counter.get_total_flops() // FACTOR - figures.total)
    return CounterRecord(
        counter=name,
        version=VERSION,
        status="ok",
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
