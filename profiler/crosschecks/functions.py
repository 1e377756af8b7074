"""The conventions of the counters that patch functions of torch: calflops, and what ptflops patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod

from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.operators import plain, unbroadcast
from profiler.crosschecks.products import CONVOLUTIONS, SEQUENCES, TRANSPOSED, first, products, result
from profiler.crosschecks.reasons import Part
from profiler.records import OpCall

CALFLOPS = {
    "aten::linear": plain("linear"),
    "aten::matmul": unbroadcast("matmul"),
    "aten::addmm": plain("addmm"),
    "aten::baddbmm": plain("baddbmm"),
}
"""calflops' rules (its ``pytorch_ops`` module), restated for the operations that we record."""


def calflops(module: Module) -> Iterator[Item]:
    """What calflops says of a module's calls: the MACs of what was called as a function that it patches."""
    for call in module.calls:
        ours = products(call)
        op = call.op.removeprefix("aten::")
        if call.op in CALFLOPS:
            for item in CALFLOPS[call.op](call):
                yield _called(item, call, module.paths)
        elif call.op in CONVOLUTIONS:
            yield _called(Item(op, ours, _size_of_result(call, module, ours)), call, module.paths)
        elif call.op in TRANSPOSED:
            yield _called(Item(op, ours, _groups_twice(call, ours)), call, module.paths)
        elif call.op == "aten::einsum":
            yield _called(Item(op, ours, (Part(-ours, "flops-only", call.op),)), call, module.paths)
        elif ours:
            code = "flops-only" if call.op in SEQUENCES else "not-patched"
            yield Item("", ours, (Part(-ours, code, call.op),))


def _called(item: Item, call: OpCall, times: int) -> Item:
    return Item(item.label, item.ours, item.parts, item.calls, Part(0, "not-patched", call.op), times)


def _size_of_result(call: OpCall, module: Module, ours: int) -> tuple[Part, ...]:
    """calflops computes the size itself; with padding='same' and an even kernel it is one less.

    The record does not hold the padding: what calflops said of the module tells.
    """
    label = call.op.removeprefix("aten::")
    weight = call.inputs[1].shape
    if module.said[label] == module.paths * sum(products(other) for other in module.calls if other.op == call.op):
        return ()
    sizes = zip(result(call).shape[-len(weight) + 2 :], weight[2:], strict=True)
    positions = prod(size - (kernel % 2 == 0) for size, kernel in sizes)
    said = first(call).shape[0] * weight[0] * prod(weight[1:]) * positions
    return (Part(said - ours, "same-padding"),)


def _groups_twice(call: OpCall, ours: int) -> tuple[Part, ...]:
    weight = call.inputs[1].shape
    groups = result(call).shape[-len(weight) + 1] // weight[1]
    said = prod(weight[2:]) * weight[0] * (weight[1] // groups) * (first(call).size // weight[0])
    return (Part(said - ours, "groups"),)


Figure = Callable[[OpCall], int]


def _elements(call: OpCall) -> int:
    return first(call).size


def _elements_out(call: OpCall) -> int:
    return result(call).size


PTFLOPS_FUNCTIONS: Mapping[str, tuple[str, Figure, str]] = {
    **{
        f"aten::{name}": ("F." + name.removesuffix("_"), _elements, "activation")
        for base in ("relu", "elu", "relu6", "gelu", "silu", "prelu")
        for name in (base, f"{base}_")
    },
    **{
        f"aten::{name}": (f"F.{name}", _elements, "pool")
        for kind in ("avg_pool", "max_pool", "adaptive_avg_pool", "adaptive_max_pool")
        for n in (1, 2, 3)
        for name in (f"{kind}{n}d",)
    },
    "aten::softmax": ("F.softmax", _elements, "softmax"),
    **{
        f"aten::upsample_{name}": ("F.interpolate", _elements_out, "resample")
        for name in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d")
    },
    "aten::mul": ("torch.mul", _elements_out, "elementwise"),
    "aten::add": ("torch.add", _elements_out, "elementwise"),
}
"""What ptflops says of work that is no product: the function that it patches, the figure, and the reason."""

PTFLOPS_PRODUCTS = ("matmul", "mm", "bmm", "addmm", "baddbmm")


def ptflops_functions(module: Module, *, hooked: bool) -> Iterator[Item]:
    """What ptflops' patches say of a module's calls.

    Where the module is ``hooked`` as well, its products are counted there, and what the patches say comes on top.
    """
    for call in module.calls:
        ours = products(call)
        op = call.op.removeprefix("aten::")
        unseen = Part(0, "not-patched", call.op)
        if call.op in PTFLOPS_FUNCTIONS:
            name, figure, code = PTFLOPS_FUNCTIONS[call.op]
            part = Part(figure(call), "twice", name) if hooked else Part(figure(call), code, name)
            yield Item(name, 0, (part,), unseen=unseen)
        elif op in PTFLOPS_PRODUCTS:
            label = f"torch.{op}"
            parts = _ptflops_product(call, ours)
            if hooked:
                said = ours + sum(part.amount for part in parts)
                yield Item(label, 0, (Part(said, "twice", label),), unseen=unseen)
            else:
                yield Item(label, ours, parts, unseen=unseen)
        elif ours and not hooked:
            about = f"modules of type {module.record.type}, nor a patch for {call.op}"
            yield Item("", ours, (Part(-ours, "no-hook", about),))


def _ptflops_product(call: OpCall, ours: int) -> tuple[Part, ...]:
    if call.op in ("aten::addmm", "aten::baddbmm"):
        return (Part(first(call).size, "bias"),)
    return tuple(part for item in unbroadcast("")(call) for part in item.parts)
