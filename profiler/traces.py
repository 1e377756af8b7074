"""A network and its inputs → its trace: recorded, and priced by the rules that are registered."""

from __future__ import annotations

from torch import nn

from profiler.errors import TraceError
from profiler.garbage import rare_collection
from profiler.memory import MemoryRecord
from profiler.pricing import price
from profiler.records import Mode, Trace
from profiler.rules import REGISTRY
from profiler.tracing import Inputs, record, record_for_real
from profiler.tracing.lifetimes import Lifetimes


def trace(model: nn.Module, inputs: Inputs, mode: Mode = "inference", optimizer: str | None = None) -> Trace:
    """The trace of one call of ``model`` on ``inputs``, from a run of a copy on the meta device.

    See :func:`profiler.tracing.record`, also for its errors.
    """
    rules = REGISTRY.seen_from_here()
    with rare_collection():
        return price(record(model, inputs, mode, optimizer, operators=rules), rules)


def trace_for_real(
    model: nn.Module, inputs: Inputs, mode: Mode = "inference", optimizer: str | None = None, *, reason: str
) -> Trace:
    """The same from a run of a copy on real tensors; see :func:`profiler.tracing.record_for_real`."""
    rules = REGISTRY.seen_from_here()
    return price(record_for_real(model, inputs, mode, optimizer, operators=rules, reason=reason), rules)


def live_memory(
    model: nn.Module, inputs: Inputs, mode: Mode = "inference", optimizer: str | None = None, *, reason: str = ""
) -> MemoryRecord:
    """The storages of one call of ``model`` on ``inputs``, with their lifetimes, from a run of their own.

    It runs on the meta device, or on real tensors for the ``reason`` that is given.  Raises the errors of
    :func:`profiler.tracing.record`.
    """
    rules = REGISTRY.seen_from_here()

    def run(lifetimes: Lifetimes) -> MemoryRecord:
        if reason:
            record_for_real(model, inputs, mode, optimizer, operators=rules, reason=reason, lifetimes=lifetimes)
        else:
            record(model, inputs, mode, optimizer, operators=rules, lifetimes=lifetimes)
        return lifetimes.record(optimizer)

    try:
        return run(Lifetimes())
    except TraceError:
        if mode == "inference":
            raise
        return run(Lifetimes(sees_saved=False))  # transforms of torch.func refuse hooks on saved tensors
