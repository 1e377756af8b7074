"""torchprofile: what it reports of the graph that it traces, and its handlers restated on our records."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, Reported
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.operators import Rule, by_rule, complex_parts, counted, has_scale, plain, results, traced
from profiler.crosschecks.products import ATTENTION, CELLS, CONVOLUTIONS, TRANSPOSED, first, products, recurrent, result
from profiler.crosschecks.reasons import Part, Reason
from profiler.records import OpCall

if TYPE_CHECKING:
    from torch import nn

SIZES = Reason(
    "sizes",
    "It counts multiplications of integers that only compute sizes.",
    "counts multiplications of sizes",
)


def run(model: nn.Module, inputs: Any) -> Reported:
    """torchprofile traces with TorchScript, which runs the network once; ``seen`` says how often it met an operation.

    It takes no keyword arguments.
    """
    from profiler.crosschecks.calling import positional_tensors
    from profiler.crosschecks.watching import Tally

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
    return Reported(figures=figures.figures(), unsupported=unsupported.figures(), seen=seen.figures())


@contextmanager
def _named_scopes(model: nn.Module) -> Iterator[None]:
    """Tell the tracer which module runs, so that each node of its graph has its module."""
    import torch
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

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
    from profiler.rules import REGISTRY

    entry = REGISTRY.find(op)
    return op.startswith("aten::") and (entry is None or entry.cost is not None)


def convention(module: Module) -> Iterator[Item]:
    """What torchprofile reports of a module's calls."""
    muls = 0
    for call in module.calls:
        if call.op == "aten::einsum":
            ours = products(call)
            silent = not module.reported[call.op] and bool(module.seen and module.seen[call.op])
            about = "an einsum with dots"
            part = (
                Part(-ours, reasons.NO_RULE, about)
                if silent
                else Part(0 if ours else result(call).size, reasons.NO_SUM)
            )
            yield traced(Item(call.op, ours, (part,)), call, module)
        elif call.op in ("aten::grid_sampler", "aten::grid_sampler_2d"):
            times = module.reported["aten::grid_sampler"] // max(1, result(call).size)
            times = times if times in (0, 4, 16) else 4
            yield Item(
                "aten::grid_sampler",
                0,
                (Part(times * result(call).size, reasons.RESAMPLE, f"grid sampling, {times} a result"),),
            )
        else:
            for item in by_rule(RULES, call, module):
                muls += item.calls if item.label == "aten::mul" else 0
                yield item
    of_sizes = (module.seen["aten::mul"] if module.seen is not None else 0) - muls
    if of_sizes > 0:
        yield Item("aten::mul", 0, (Part(of_sizes, SIZES),), calls=of_sizes)


def _conv(call: OpCall) -> Iterator[Item]:
    weight = call.inputs[1].shape
    channels = result(call).shape[-len(weight) + 1]
    inner = weight[1] if channels == weight[0] else weight[0]
    reported = result(call).size * inner * prod(weight[2:])
    ours = products(call)
    parts = complex_parts(call, ours)
    seen = ours + sum(part.amount for part in parts)
    yield Item("aten::_convolution", ours, (*parts, Part(reported - seen, reasons.TRANSPOSED)))


def _lstm(call: OpCall) -> Iterator[Item]:
    shapes = recurrent(call)
    layers, size = call.outputs[1].shape[0] // shapes.directions, call.outputs[1].shape[-1]
    reported = 0
    for layer in range(layers):
        inputs = first(call).shape[-1] if layer == 0 else size * shapes.directions
        reported += 4 * size * (inputs + size) * shapes.directions * prod(result(call).shape[:2])
    ours = products(call)
    yield Item("aten::lstm", ours, (Part(reported - ours, reasons.PROJECTION),))


def _cell(call: OpCall) -> Iterator[Item]:
    """Decomposed: two linear layers, and the multiplications of the gates."""
    shapes = recurrent(call)
    elements = shapes.positions * shapes.hidden
    yield Item("aten::linear", products(call), calls=2)
    for label, times in {"lstm": {"aten::mul": 3}, "gru": {"aten::mul_": 2}}.get(call.op[6:-5], {}).items():
        yield Item(label, 0, (Part(times * elements, reasons.GATES),), calls=times)


def _scale_an_element(call: OpCall) -> int:
    return result(call).size if has_scale(call) else 0


RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*CONVOLUTIONS, *TRANSPOSED), _conv),
    **{
        op: plain(op)
        for op in (
            "aten::linear", "aten::matmul", "aten::bmm", "aten::addmm", "aten::addmv", "aten::baddbmm", ATTENTION,
        )
    },
    **dict.fromkeys(CELLS, _cell),
    "aten::lstm": _lstm,
    **{
        op: counted(op, reasons.ELEMENTWISE, "multiplications, 1 a result", results(1))
        for op in ("aten::mul", "aten::mul_")
    },
    **{
        f"aten::{name}_norm": counted(
            f"aten::{name}_norm", reasons.NORM, f"{name} norm, 1 an element with affine", _scale_an_element
        )
        for name in ("batch", "instance", "layer", "group")
    },
    **{
        f"aten::{name}": counted(f"aten::{name}", reasons.POOL, "averages, 1 a result", results(1))
        for name in ("mean", *(f"{kind}avg_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)))
    },
    "aten::leaky_relu": counted("aten::leaky_relu", reasons.ACTIVATION, "leaky relu, 1 an element", results(1)),
    "aten::upsample_bilinear2d": counted(
        "aten::upsample_bilinear2d", reasons.RESAMPLE, "bilinear upsampling, 4 a result", results(4)
    ),
}  # fmt: skip
"""torchprofile's rules (its ``handlers`` module), restated for the operations that we record."""


COUNTER = Counter(
    run=run,
    convention=convention,
    distribution="torchprofile",
    own_process=True,
    reasons=(SIZES,),
    predictable=False,  # it counts arithmetic on sizes too, which the records do not have
)
