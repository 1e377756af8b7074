"""The convention of the counter that goes by parameters: torchinfo."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.products import TRANSPOSED, products
from profiler.crosschecks.reasons import Part, merged


def torchinfo(module: Module) -> Iterator[Item]:
    """What torchinfo says of a module without children: its parameters times sizes of its first result."""
    kind = module.record.type
    ours = sum(products(call) for call in module.calls)
    if module.unsupported[kind]:
        if ours:
            yield Item("", ours, (Part(-ours, "has-children"),))
        return
    parameters = module.context.parameters.get(module.name, {})
    if not any("weight" in name or "bias" in name for name in parameters):
        if ours:
            yield Item("", ours, (Part(-ours, "no-parameters"),))
        return
    bias = weights = 0
    shapes = _results(module)
    for shape in shapes:
        for name, record in parameters.items():
            said = record.size * _times(name, kind, shape)
            if "bias" in name and ours:
                bias += said
            else:
                weights += said
    if ours:
        parts: tuple[Part, ...] = (Part(bias, "bias"), Part(weights - ours, *_reason(module)))
    else:
        parts = (Part(weights, "parameters"),)
    yield Item(kind, ours, merged(parts), len(shapes))


def _times(name: str, kind: str, shape: tuple[int, ...]) -> int:
    """By what it multiplies a parameter of that name in a module of that type."""
    if name in ("weight", "bias"):
        return prod(shape[:1] + shape[2:]) if "Conv" in kind else shape[0]
    return prod(shape[:2]) if "weight" in name or "bias" in name else 0


def _reason(module: Module) -> tuple[str, str]:
    kind = module.record.type
    if any(call.op in TRANSPOSED for call in module.calls):
        return "transposed", ""
    if "Conv" in kind:
        return "positions", "all sizes of the result but the second"
    recurrent = any("weight" in name and name != "weight" for name in module.context.parameters[module.name])
    return "positions", "the first two sizes of the result" if recurrent else "the first size of the result"


def _results(module: Module) -> list[tuple[int, ...]]:
    """The shape of the first result of each call; where they differ, that of the last operation."""
    different = {shapes[0] for shapes in module.record.output_shapes if shapes}
    calls = module.by_call()
    if len(different) == 1:
        return list(different) * max(module.record.calls, len(calls))
    return [calls_of_one[-1].outputs[0].shape for calls_of_one in calls]
