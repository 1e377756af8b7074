"""thop: it hooks modules of certain exact types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, Reported
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.hooks import (
    DIMENSIONS,
    RECURRENT,
    RECURRENT_TYPES,
    RESIZES,
    Hook,
    HookFigure,
    channels,
    elementwise,
    hooked,
    norm,
    not_hooked,
    only,
    pools,
    recurrent_figure,
    unbatched,
)
from profiler.crosschecks.operators import has_scale
from profiler.crosschecks.products import CONVOLUTIONS, TRANSPOSED, first, products, recurrent, result
from profiler.crosschecks.reasons import Part, merged
from profiler.records import OpCall

if TYPE_CHECKING:
    from torch import nn


CELL_WORK = {4: 8, 3: 7, 1: 1}
"""The elementwise work of a cell with so many gates, in units of its hidden size."""


def run(model: nn.Module, inputs: Any) -> Reported:
    """thop's figures layer by layer; ``seen`` says how often each of its hooks ran.

    thop leaves buffers on the modules that it has no hook for.
    """
    from profiler.crosschecks.calling import positional
    from profiler.crosschecks.watching import Tally

    thop: Any = import_module("thop.profile")
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}
    seen = Tally()

    def watched(hook: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
        def run(module: nn.Module, inputs: Any, output: Any) -> None:
            hook(module, inputs, output)
            seen.add(names[id(module)], type(module).__name__)

        return run

    known = dict(thop.register_hooks)
    thop.register_hooks.update({kind: watched(hook) for kind, hook in known.items()})
    with positional(model, inputs) as arguments:
        total, _, layers = thop.profile(model, inputs=arguments, verbose=False, ret_layer_info=True)
    figures = Tally()
    unsupported = Tally()
    for name, module, figure in _layers("", model, total, layers):
        figures.add(name, type(module).__name__, figure)
        if type(module) not in known:
            unsupported.add(name, type(module).__name__)
    return Reported(figures=figures.figures(), unsupported=unsupported.figures(), seen=seen.figures())


def _layers(
    name: str, module: nn.Module, total: float, layers: Mapping[str, Any]
) -> Iterator[tuple[str, nn.Module, int]]:
    """Each path to a module, with what thop reports of it minus what it reports of the modules below."""
    below = sum(figure for figure, _, _ in layers.values())
    yield name, module, int(total - below)
    for child, (figure, _, further) in layers.items():
        yield from _layers(f"{name}.{child}" if name else child, module.get_submodule(child), figure, further)


def convention(module: Module) -> Iterator[Item]:
    """What thop reports of a module: thop hooks it once for each parent, and sums it once for each."""
    kind = module.record.type
    if kind in HOOKS and not module.unsupported[kind]:
        reported = hooked(module, HOOKS[kind])
        again = (reported.figure * (module.paths - 1), reasons.PARENTS, "")
        parts = merged((*reported.parts, Part(*again)))
        yield Item(kind, reported.ours, parts, reported.calls * module.paths, times=module.paths)
    else:
        yield from not_hooked(module)


def _conv(calls: Sequence[OpCall], module: Module) -> HookFigure:
    call = only(calls, *CONVOLUTIONS, *TRANSPOSED)
    if call is None:
        return HookFigure(0)
    weight = call.inputs[1].shape
    _, _, groups = channels(call)
    reported = result(call).size * (first(call).shape[1] // groups) * prod(weight[2:])
    reason = reasons.UNBATCHED if unbatched(call) else reasons.TRANSPOSED
    return HookFigure(reported, rest=(reason, ""))


def _linear(calls: Sequence[OpCall], module: Module) -> HookFigure:
    call = only(calls, "aten::linear")
    return HookFigure(0 if call is None else products(call))


def _norm(call: OpCall) -> int:
    return first(call).size * (4 if has_scale(call) else 2)


def _softmax(call: OpCall) -> int:
    rows_times_length_less_one = call.count.adds - first(call).size
    return 2 * first(call).size + rows_times_length_less_one


def _adaptive_pool(call: OpCall) -> int:
    window = 1.0
    for before, after in zip(first(call).shape[2:], result(call).shape[2:], strict=True):
        window *= before / after
    return int((window + 1) * result(call).size)


RESIZED = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259, "trilinear": 0}


def _upsample(call: OpCall) -> int:
    return RESIZED[RESIZES[call.op]] * result(call).size


def _recurrent(calls: Sequence[OpCall], module: Module) -> HookFigure:
    call = only(calls, *RECURRENT)
    if call is None:
        return HookFigure(0)
    shapes = recurrent(call)
    gates, hidden = shapes.gates, shapes.hidden
    weights = 0
    for layer in range(len(shapes.weights) // shapes.directions):
        inputs = shapes.weights[0][0][1] if layer == 0 else hidden * shapes.directions
        weights += shapes.directions * gates * hidden * (inputs + hidden)
    return recurrent_figure(CELL_WORK, shapes, weights)


HOOKS: Mapping[str, Hook] = {
    **{f"{kind}{n}d": _conv for kind in ("Conv", "ConvTranspose") for n in DIMENSIONS},
    "Linear": _linear,
    **dict.fromkeys(
        (*(f"BatchNorm{n}d" for n in DIMENSIONS), "SyncBatchNorm"),
        norm("batch", _norm, "batch norm, 4 an element (2 without affine)"),
    ),
    "LayerNorm": norm("layer", _norm, "layer norm, 4 an element (2 without affine)"),
    **dict.fromkeys(
        (f"InstanceNorm{n}d" for n in DIMENSIONS),
        norm("instance", _norm, "instance norm, 4 an element (2 without affine)"),
    ),
    "PReLU": elementwise(("aten::prelu",), reasons.ACTIVATION, "prelu, 1 an element", lambda call: first(call).size),
    "Softmax": elementwise(("aten::softmax",), reasons.SOFTMAX, "softmax, its exps, adds and divides", _softmax),
    **{
        name: elementwise(ops, reasons.POOL, "average pooling, 1 a result", lambda call: result(call).size)
        for name, ops in pools("Avg").items()
    },
    **{
        name: elementwise(ops, reasons.POOL, "adaptive average pooling, its window and 1 a result", _adaptive_pool)
        for name, ops in pools("AdaptiveAvg").items()
    },
    **dict.fromkeys(
        ("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"),
        elementwise(tuple(RESIZES), reasons.RESAMPLE, "upsampling, 1, 5, 11 or 259 a result", _upsample),
    ),
    **dict.fromkeys(RECURRENT_TYPES, _recurrent),
}
"""thop's hooks (its ``register_hooks``), restated for the operations that run in a module of that type."""


COUNTER = Counter(
    run=run,
    convention=convention,
    distribution="thop",
    own_process=True,
    hooks=lambda kind, has_children: kind in HOOKS,
)
