"""torchprofile on a real copy of a network → a :class:`~profiler.records.CounterRecord`.

torchprofile traces with TorchScript, which runs the network once on real tensors.  It takes no keyword arguments.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from profiler.crosschecks.calling import installed_version, positional_tensors
from profiler.crosschecks.watching import Tally
from profiler.records import CounterRecord
from profiler.rules import REGISTRY

NAME = "torchprofile"


def count_with_torchprofile(model: nn.Module, inputs: Any) -> CounterRecord:
    """What torchprofile says of one call of ``model``; ``seen`` says how often it met each operation."""
    profiling: Any = import_module("torchprofile.profile")
    graphs: list[Any] = []
    trace = profiling.trace

    def keep(*args: Any, **kwargs: Any) -> Any:
        graphs.append(trace(*args, **kwargs))
        return graphs[-1]

    profiling.trace = keep
    with positional_tensors(model, inputs) as arguments, warnings.catch_warnings(), _named_scopes(model):
        warnings.simplefilter("ignore")
        results = profiling.profile_macs(model, arguments, reduction=None)
    figures, seen, unsupported = Tally(), Tally(), Tally()
    for node in graphs[-1].nodes:
        module = node.scope.rpartition("/")[2]
        if node in results:
            figures.add(module, node.operator, int(results[node]))
            seen.add(module, node.operator)
        elif node.operator not in profiling.HANDLER_MAP and _does_arithmetic(node.operator):
            unsupported.add(module, node.operator)
    return CounterRecord(
        NAME, installed_version(NAME), "ok", "", figures.figures(), unsupported.figures(), seen=seen.figures()
    )


@contextmanager
def _named_scopes(model: nn.Module) -> Iterator[None]:
    """Tells the tracer which module runs, so that each node of its graph says where it comes from."""
    names = {id(module): name for name, module in model.named_modules()}

    def enter(module: nn.Module, inputs: Any) -> None:
        state = torch._C._get_tracing_state()
        if state is not None:
            state.push_scope(names.get(id(module), ""))

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        state = torch._C._get_tracing_state()
        if state is not None:
            state.pop_scope()

    entering = register_module_forward_pre_hook(enter)
    leaving = register_module_forward_hook(leave)
    try:
        yield
    finally:
        entering.remove()
        leaving.remove()


def _does_arithmetic(op: str) -> bool:
    entry = REGISTRY.find(op)
    return op.startswith("aten::") and (entry is None or entry.cost is not None)
