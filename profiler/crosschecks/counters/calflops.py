"""calflops: it patches functions of torch and adds the formulas of their calls up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, Reported
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.operators import plain, unbroadcast
from profiler.crosschecks.products import CONVOLUTIONS, SEQUENCES, TRANSPOSED, first, products, result
from profiler.crosschecks.reasons import Part, Reason
from profiler.errors import ProfilerError
from profiler.records import OpCall

if TYPE_CHECKING:
    from torch import nn

GROUPS = Reason("groups", "It divides by the number of groups once too often.", "divides by the groups twice")
SAME_PADDING = Reason(
    "same-padding",
    "It computes the size of the result itself and is off by one for padding='same'.",
    "computes another size of the result for padding='same'",
)
FLOPS_ONLY = Reason(
    "flops-only",
    "It counts the operation in its FLOPs and gives no MACs for it.",
    "gives no MACs for {0}",
)


def run(model: nn.Module, inputs: Any) -> Reported:
    """calflops' MACs, from its report of MACs and FLOPs; ``seen`` says how often each patched function ran.

    Raises if the network has no parameter.
    """
    from profiler.crosschecks.watching import Tally, running_modules

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
    return Reported(figures=figures.figures(), seen=seen.figures())


def _calculated(calflops: Any, model: nn.Module, inputs: Any) -> Any:
    """Its result. It takes arguments of both kinds, and each has to be a tensor."""
    import torch

    from profiler.crosschecks.calling import positional_tensors
    from profiler.tracing import call_arguments

    arguments, options = call_arguments(inputs)
    only_tensors = all(isinstance(value, torch.Tensor) for value in (*arguments, *options.values()))
    silent = {"output_as_string": False, "print_results": False}
    if only_tensors:
        return calflops.calculate_flops(model, args=list(arguments), kwargs=options, **silent)
    with positional_tensors(model, inputs) as tensors:
        return calflops.calculate_flops(model, args=list(tensors), **silent)


def _paths(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Each path to a module: calflops sums what is below each parent, and a shared module once for each parent."""
    yield name, module
    for child, below in module.named_children():
        yield from _paths(f"{name}.{child}" if name else child, below)


RULES = {
    "aten::linear": plain("linear"),
    "aten::matmul": unbroadcast("matmul"),
    "aten::addmm": plain("addmm"),
    "aten::baddbmm": plain("baddbmm"),
}
"""calflops' rules (its ``pytorch_ops`` module), restated for the operations that we record."""


def convention(module: Module) -> Iterator[Item]:
    """What calflops reports of a module's calls: the MACs of the patched functions."""
    for call in module.calls:
        ours = products(call)
        op = call.op.removeprefix("aten::")
        if call.op in RULES:
            for item in RULES[call.op](call):
                yield _called(item, call, module.paths)
        elif call.op in CONVOLUTIONS:
            yield _called(Item(op, ours, _size_of_result(call, module, ours)), call, module.paths)
        elif call.op in TRANSPOSED:
            yield _called(Item(op, ours, _groups_twice(call, ours)), call, module.paths)
        elif call.op == "aten::einsum":
            yield _called(Item(op, ours, (Part(-ours, FLOPS_ONLY, call.op),)), call, module.paths)
        elif ours:
            reason = FLOPS_ONLY if call.op in SEQUENCES else reasons.NOT_PATCHED
            yield Item("", ours, (Part(-ours, reason, call.op),))


def _called(item: Item, call: OpCall, times: int) -> Item:
    return Item(item.label, item.ours, item.parts, item.calls, Part(0, reasons.NOT_PATCHED, call.op), times)


def _size_of_result(call: OpCall, module: Module, ours: int) -> tuple[Part, ...]:
    """calflops computes the size itself; with padding='same' and an even kernel it is one less.

    The record does not have the padding, but what calflops reports of the module shows it.
    """
    label = call.op.removeprefix("aten::")
    weight = call.inputs[1].shape
    if module.reported[label] == module.paths * sum(products(other) for other in module.calls if other.op == call.op):
        return ()
    sizes = zip(result(call).shape[-len(weight) + 2 :], weight[2:], strict=True)
    positions = prod(size - (kernel % 2 == 0) for size, kernel in sizes)
    reported = first(call).shape[0] * weight[0] * prod(weight[1:]) * positions
    return (Part(reported - ours, SAME_PADDING),)


def _groups_twice(call: OpCall, ours: int) -> tuple[Part, ...]:
    weight = call.inputs[1].shape
    groups = result(call).shape[-len(weight) + 1] // weight[1]
    reported = prod(weight[2:]) * weight[0] * (weight[1] // groups) * (first(call).size // weight[0])
    return (Part(reported - ours, GROUPS),)


COUNTER = Counter(
    run=run,
    convention=convention,
    distribution="calflops",
    own_process=True,
    reasons=(GROUPS, SAME_PADDING, FLOPS_ONLY),
)
