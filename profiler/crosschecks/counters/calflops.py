"""calflops on a real copy of a network → a :class:`~profiler.records.CounterRecord`: the MACs that it gives.

calflops patches functions of torch, so it has to run in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import torch
from torch import nn

from profiler.crosschecks.calling import installed_version, positional_tensors
from profiler.crosschecks.watching import Tally, running_modules
from profiler.errors import ProfilerError
from profiler.records import CounterRecord
from profiler.tracing import Inputs, call_arguments

NAME = "calflops"


def count_with_calflops(model: nn.Module, inputs: Inputs) -> CounterRecord:
    """What calflops says of one call of ``model``; ``seen`` says how often each patched function ran.

    calflops gives FLOPs as well; these are its MACs.  Raises where the network has no parameter.
    """
    if next(model.parameters(), None) is None:
        raise ProfilerError("it takes the device from the first parameter, and there is none")
    calflops: Any = import_module("calflops")
    operators: Any = import_module("calflops.pytorch_ops")
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}
    by_module, seen = Tally(), Tally()
    original = operators.wrapFunc
    with running_modules(model) as running:

        def wrap(function: Any, formula: Callable[..., tuple[int, int]], *rest: Any) -> Any:
            def watched(*args: Any, **kwargs: Any) -> tuple[int, int]:
                flops, macs = formula(*args, **kwargs)
                if macs or function.__name__ == "einsum":
                    by_module.add(running.module, function.__name__, int(macs))
                    seen.add(running.module, function.__name__)
                return flops, macs

            return original(function, watched, *rest)

        operators.wrapFunc = wrap
        _, total, _ = _calculated(calflops, model, inputs)
    figures = Tally()
    for name, module in _paths("", model):
        for (place, function), figure in by_module.numbers.items():
            if place == names[id(module)]:
                figures.add(name, function, figure)
    figures.add("", "other", int(total) - figures.total)
    return CounterRecord(NAME, installed_version(NAME), "ok", "", figures.figures(), seen=seen.figures())


def _calculated(calflops: Any, model: nn.Module, inputs: Inputs) -> Any:
    """What it returns; it takes arguments of both kinds, of which each has to be a tensor."""
    arguments, options = call_arguments(inputs)
    only_tensors = all(isinstance(value, torch.Tensor) for value in (*arguments, *options.values()))
    silent = {"output_as_string": False, "print_results": False}
    if only_tensors:
        return calflops.calculate_flops(model, args=list(arguments), kwargs=options, **silent)
    with positional_tensors(model, inputs) as tensors:
        return calflops.calculate_flops(model, args=list(tensors), **silent)


def _paths(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Each path to a module: calflops adds up what is below each parent, a shared module once for each of them."""
    yield name, module
    for child, below in module.named_children():
        yield from _paths(f"{name}.{child}" if name else child, below)
