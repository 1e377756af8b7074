"""torchinfo: it multiplies the parameters of each module without children by sizes of its result."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, Reported
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.products import TRANSPOSED, products
from profiler.crosschecks.reasons import Part, Reason, merged

if TYPE_CHECKING:
    from torch import nn

HAS_CHILDREN = Reason(
    "has-children",
    "It counts modules without children only.",
    "counts nothing of modules that have children",
)
NO_PARAMETERS = Reason(
    "no-parameters",
    "It multiplies parameters by sizes, and there are none in the products.",
    "counts nothing where no parameter is a factor",
)
PARAMETERS = Reason(
    "parameters",
    "It counts each parameter once a sample, whether or not it is a factor of a product.",
    "counts parameters, once a sample",
)
POSITIONS = Reason(
    "positions",
    "It multiplies the weights by some sizes of the result that are not the number of positions they work at.",
    "takes {0} for the number of positions",
)


ALL_LEVELS = 10**6


def run(model: nn.Module, inputs: Any) -> Reported:
    """torchinfo's summary of one call; ``seen`` says in how many calls it saw each module."""
    import torch

    from profiler.crosschecks.calling import positional_tensors
    from profiler.crosschecks.watching import Tally
    from profiler.tracing import call_arguments

    torchinfo: Any = import_module("torchinfo")
    arguments, options = call_arguments(inputs)
    if options and not arguments and all(isinstance(value, torch.Tensor) for value in options.values()):
        statistics = torchinfo.summary(model, input_data=options, depth=ALL_LEVELS, verbose=0)
    else:
        with positional_tensors(model, inputs) as tensors:
            statistics = torchinfo.summary(model, input_data=list(tensors), depth=ALL_LEVELS, verbose=0)
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}
    figures, seen, unsupported = Tally(), Tally(), Tally()
    for layer in statistics.summary_list:
        name = names[layer.layer_id]
        if layer.is_leaf_layer:
            figures.add(name, layer.class_name, layer.macs)
            if layer.executed:
                seen.add(name, layer.class_name)
        else:
            unsupported.add(name, layer.class_name)
    figures.add("", "other", statistics.total_mult_adds - figures.total)
    return Reported(figures=figures.figures(), unsupported=unsupported.figures(), seen=seen.figures())


def convention(module: Module) -> Iterator[Item]:
    """What torchinfo reports of a module without children: its parameters times sizes of its first result."""
    kind = module.record.type
    ours = sum(products(call) for call in module.calls)
    if module.unsupported[kind]:
        if ours:
            yield Item("", ours, (Part(-ours, HAS_CHILDREN),))
        return
    parameters = module.context.parameters.get(module.name, {})
    if not any("weight" in name or "bias" in name for name in parameters):
        if ours:
            yield Item("", ours, (Part(-ours, NO_PARAMETERS),))
        return
    bias = weights = 0
    shapes = _results(module)
    for shape in shapes:
        for name, record in parameters.items():
            reported = record.size * _times(name, kind, shape)
            if "bias" in name and ours:
                bias += reported
            else:
                weights += reported
    if ours:
        parts: tuple[Part, ...] = (Part(bias, reasons.BIAS), Part(weights - ours, *_reason(module)))
    else:
        parts = (Part(weights, PARAMETERS),)
    yield Item(kind, ours, merged(parts), len(shapes))


def _times(name: str, kind: str, shape: tuple[int, ...]) -> int:
    """The sizes that multiply a parameter of this name in a module of this type."""
    if name in ("weight", "bias"):
        return prod(shape[:1] + shape[2:]) if "Conv" in kind else shape[0]
    return prod(shape[:2]) if "weight" in name or "bias" in name else 0


def _reason(module: Module) -> tuple[Reason, str]:
    kind = module.record.type
    if any(call.op in TRANSPOSED for call in module.calls):
        return reasons.TRANSPOSED, ""
    if "Conv" in kind:
        return POSITIONS, "all sizes of the result but the second"
    recurrent = any("weight" in name and name != "weight" for name in module.context.parameters[module.name])
    return POSITIONS, "the first two sizes of the result" if recurrent else "the first size of the result"


def _results(module: Module) -> list[tuple[int, ...]]:
    """The shape of the first result of each call, or that of the last operation if the results differ."""
    different = {shapes[0] for shapes in module.record.output_shapes if shapes}
    calls = module.by_call()
    if len(different) == 1:
        return list(different) * max(module.record.calls, len(calls))
    return [calls_of_one[-1].outputs[0].shape for calls_of_one in calls]


COUNTER = Counter(
    run=run,
    convention=convention,
    distribution="torchinfo",
    own_process=True,
    reasons=(HAS_CHILDREN, NO_PARAMETERS, PARAMETERS, POSITIONS),
    hooks=lambda kind, has_children: not has_children,
)
