"""A network and its inputs → its trace: recorded, and priced by the rules that are registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from profiler.errors import TraceError
from profiler.garbage import rare_collection
from profiler.memory import MemoryRecord
from profiler.pricing import price
from profiler.records import Mode, Trace
from profiler.rules import REGISTRY
from profiler.rules.registry import Entry, Registry
from profiler.tracing import Inputs, record, record_for_real
from profiler.tracing.lifetimes import Lifetimes
from profiler.tracing.makes import MAKES
from profiler.tracing.memo import MEMO
from profiler.tracing.whole_runs import known_network

OF_TORCH = ("aten::", "profiler::")
"""The namespaces of torch's own operators, and of its marks in a log: any other one may run any code."""


def trace(model: nn.Module, inputs: Inputs, mode: Mode = "inference", optimizer: str | None = None) -> Trace:
    """The trace of one call of ``model`` on ``inputs``, from a run of a copy on the meta device.

    See :func:`profiler.tracing.record`, also for its errors.
    """
    rules = REGISTRY.seen_from_here()
    with rare_collection():
        network = known_network(model, inputs, mode, optimizer)
        if network is not None:
            known: _Known | None = MEMO.runs.get(network.key)
            if known is not None and known.rules == rules.entries:
                return known.trace
        make = None if network is None else network.make
        result = price(record(model, inputs, mode, optimizer, operators=rules, make=make), rules)
    if network is not None and MAKES.unchanged and _follows(result, rules):
        MEMO.learn_run(network.key, _Known(result, rules.entries), len(result.calls))
    return result


@dataclass(frozen=True, slots=True)
class _Known:
    """The trace of a run, with the rules that it was priced by."""

    trace: Trace
    rules: Mapping[str, Entry]


def _follows(result: Trace, rules: Registry) -> bool:
    """Whether a trace follows from the network and its inputs: only code of torch and of the profiler made it."""
    if result.real_run or result.data_dependent or result.unseen:
        return False
    operators = {signature.op for signature in result.signatures}
    entries = [rules.find(operator) for operator in operators]
    return all(operator.startswith(OF_TORCH) for operator in operators) and all(
        entry is None or entry.is_own for entry in entries
    )


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
