"""ptflops: it hooks modules of certain exact types and patches functions of torch."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import CannotRun, Counter, Reported
from profiler.crosschecks.evidence import SAMPLES, Item, Module
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
    hooked_above,
    in_place,
    norm,
    not_hooked,
    only,
    pools,
    recurrent_figure,
)
from profiler.crosschecks.operators import has_scale, unbroadcast
from profiler.crosschecks.products import ATTENTION, CONVOLUTIONS, TRANSPOSED, first, products, recurrent, result
from profiler.crosschecks.reasons import Part, Reason, merged
from profiler.errors import ProfilerError
from profiler.records import OpCall

if TYPE_CHECKING:
    from torch import nn

    from profiler.crosschecks.watching import Running, Tally

TWICE = Reason(
    "twice",
    "A function that it patched runs inside a module that it hooked, so that it counts the work twice.",
    "counts {0} once more, as a function inside a module that it counts",
)
SCALING = Reason("scaling", "It counts the scaling of attention's queries.", "counts the scaling of the queries")
PER_SAMPLE = Reason(
    "per-sample",
    "Its figure is for one sample: what its hooks count is divided by the length of the first input.",
    "divides by the length of the first input",
)
REMAINDER = Reason(
    "remainder",
    "It rounds the sum of what it divided by the length of the first input once, for the whole network.",
    "rounds once, for the whole network",
)


CELL_WORK = {4: 10, 3: 7, 1: 1}
"""The elementwise work of a cell with so many gates, in units of its hidden size."""


def run(model: nn.Module, inputs: Any) -> Reported:
    """ptflops divides what its hooks count by the length of the first input, and not what its patches count.

    A figure is named by the type of the module that it hooked, or by ``F.`` or ``torch.`` and the function that it
    patched; ``seen`` says how often each ran, and by how many samples it divides.
    """
    from torch import nn

    from profiler.crosschecks.watching import Tally, running_modules

    given = _one_or_named(model, inputs)
    if given is None:
        raise CannotRun("it calls a network with one tensor or with keyword arguments only")
    engine: Any = import_module("ptflops.pytorch_engine")
    seen, hooked, patched = Tally(), Tally(), Tally()
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}

    def watched(hook: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
        def run(module: Any, inputs: Any, output: Any) -> None:
            before = module.__flops__
            hook(module, inputs, output)
            hooked.add(names[id(module)], type(module).__name__, int(module.__flops__) - int(before))
            seen.add(names[id(module)], type(module).__name__)

        return run

    functions = {id(function): name for name, function in vars(nn.functional).items() if callable(function)}
    mapping = engine.MODULES_MAPPING
    mapping.update({kind: watched(hook) for kind, hook in mapping.items()})
    with running_modules(model) as running:
        engine.torch_function_wrapper = _watched_wrapper(
            engine.torch_function_wrapper, functions, running, patched, seen
        )
        total = _run(model, given)
    batch = model.__dict__["__batch_counter__"] or 1
    seen.add("", SAMPLES, batch)
    figures, unsupported = Tally(), Tally()
    for name, module in _counted_paths("", model, mapping):
        if type(module) in mapping:
            figure = hooked.numbers[names[id(module)], type(module).__name__]
            figures.add(name, type(module).__name__, figure // batch)
        else:
            unsupported.add(name, type(module).__name__)
    for (name, function), figure in patched.numbers.items():
        figures.add(name, function, figure)
    figures.add("", "other", total - figures.total)
    return Reported(figures=figures.figures(), unsupported=unsupported.figures(), seen=seen.figures())


def _run(model: nn.Module, given: Any) -> int:
    """The total, in eval mode; ptflops prints its errors and returns nothing."""
    ptflops: Any = import_module("ptflops")
    reported = io.StringIO()
    with redirect_stdout(reported), redirect_stderr(reported):
        macs, _ = ptflops.get_model_complexity_info(
            model, (1,), as_strings=False, print_per_layer_stat=False, input_constructor=lambda _: given
        )
    if macs is None:
        lines = [line for line in reported.getvalue().splitlines() if line.startswith("<class")]
        raise ProfilerError(lines[0] if lines else "it gave no figure")
    return int(macs)


def _one_or_named(model: nn.Module, inputs: Any) -> Any:
    """The only argument, or all of them with the names of the forward's parameters; None if some have no name."""
    import torch

    from profiler.crosschecks.calling import all_by_name
    from profiler.tracing import call_arguments

    arguments, options = call_arguments(inputs)
    if len(arguments) == 1 and not options and isinstance(arguments[0], torch.Tensor):
        return arguments[0]
    return all_by_name(model, inputs)


def _watched_wrapper(wrapper: Any, functions: Mapping[int, str], running: Running, figures: Tally, seen: Tally) -> Any:
    """ptflops' class of patched functions, extended to note the module in which they are called."""

    class Watched(wrapper):  # type: ignore[misc]
        def __init__(self, op: Any, handler: Any, collector: Any) -> None:
            self.name = f"F.{functions[id(op)]}" if id(op) in functions else f"torch.{op.__name__}"
            super().__init__(op, handler, collector)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            before = len(self.collector)
            result = super().__call__(*args, **kwargs)
            figures.add(running.module, self.name, int(self.collector[before]))
            seen.add(running.module, self.name)
            return result

    return Watched


def _counted_paths(name: str, module: nn.Module, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, nn.Module]]:
    """Each path to a module that ptflops sums: modules below one of a type that it hooks are left out."""
    yield name, module
    if type(module) not in mapping:
        for child, below in module.named_children():
            yield from _counted_paths(f"{name}.{child}" if name else child, below, mapping)


def convention(module: Module) -> Iterator[Item]:
    """What ptflops reports of a module: its hooks divide by the length of the first input, its patches do not."""
    kind = module.record.type
    below = hooked_above(module)
    if below is not None:
        yield from not_hooked(module)
    elif kind in HOOKS and not module.unsupported[kind]:
        reported = hooked(module, HOOKS[kind])
        figure = reported.figure // module.context.samples
        parts = merged((*reported.parts, Part(figure - reported.figure, PER_SAMPLE)))
        yield Item(kind, reported.ours, parts, reported.calls, times=module.paths)
        yield from _functions(module, hooked=True)
    else:
        yield from _functions(module, hooked=False)
    if not module.name:
        yield Item("other", 0, (Part(_remainder(module), REMAINDER),), calls=0)


def _remainder(root: Module) -> int:
    """The amount that is lost because each figure, and not their sum, is divided by the number of samples."""
    samples = root.context.samples
    figures = [
        hooked(module, HOOKS[module.record.type]).figure
        for module in root.context.modules.values()
        if module.record.type in HOOKS and not module.unsupported[module.record.type]
        for _ in range(module.paths if hooked_above(module) is None else 0)
    ]
    return sum(figures) // samples - sum(figure // samples for figure in figures)


def _conv(calls: Sequence[OpCall], module: Module) -> HookFigure:
    call = only(calls, *CONVOLUTIONS, *TRANSPOSED)
    if call is None:
        return HookFigure(0)
    into, out, groups = channels(call)
    at = first(call) if call.op in TRANSPOSED else result(call)
    weight = call.inputs[1].shape
    batch = first(call).shape[0]
    reported = prod(weight[2:]) * into * (out // groups) * batch * prod(at.shape[2:])
    bias = batch * prod(result(call).shape[1:]) if len(call.inputs) > 2 else 0
    return HookFigure(reported + bias, (Part(bias, reasons.BIAS),), (reasons.UNBATCHED, ""))


def _linear(calls: Sequence[OpCall], module: Module) -> HookFigure:
    call = only(calls, "aten::linear")
    if call is None:
        return HookFigure(0)
    bias = result(call).size if len(call.inputs) > 2 else 0
    return HookFigure(products(call) + bias, (Part(bias, reasons.BIAS),))


def _norm(call: OpCall) -> int:
    return first(call).size * (2 if has_scale(call) else 1)


def _recurrent(calls: Sequence[OpCall], module: Module) -> HookFigure:
    call = only(calls, *RECURRENT)
    if call is None:
        return HookFigure(0)
    shapes = recurrent(call)
    # The two matrices of the first direction of each layer; a projection is a third one.
    weights = sum(sum(prod(shape) for shape in layer[:2]) for layer in shapes.weights[:: shapes.directions])
    return recurrent_figure(CELL_WORK, shapes, weights * shapes.directions)


def _attention(calls: Sequence[OpCall], module: Module) -> HookFigure:
    """The formula of ``nn.MultiheadAttention``, from the shapes of its inputs and of its two products."""
    scores = only(calls, ATTENTION, "aten::bmm", "aten::baddbmm")
    shapes = module.record.input_shapes
    if scores is None or not shapes or len(shapes[0]) < 3:
        return HookFigure(0)
    query, key, value = shapes[0][:3]
    query_heads = scores.inputs[1 if scores.op == "aten::baddbmm" else 0].shape
    length = query_heads[-2]
    batch = prod(query[:-1]) // length
    heads = query_heads[-3] if scores.op == ATTENTION else query_heads[0] // batch
    keys, values = prod(key[:-1]) // batch, prod(value[:-1]) // batch
    q, k, v = query[-1], key[-1], value[-1]
    bias = length * v
    if "in_proj_bias" in module.context.parameters.get(module.name, {}):
        bias += (length + keys + values) * q
    weights = length * q * q + keys * k * k + values * v * v + length * v * v
    scored = heads * length * keys * (q // heads + v // heads)
    parts = (
        Part(batch * bias, reasons.BIAS),
        Part(batch * length * q, SCALING),
        Part(batch * heads * length * keys, reasons.SOFTMAX, "softmax, 1 a score"),
    )
    return HookFigure(batch * (weights + scored) + sum(part.amount for part in parts), parts)


def _timm_attention(calls: Sequence[OpCall], module: Module) -> HookFigure:
    """The formula of timm's ``Attention``: the scaling, the two products and the softmax, without projections."""
    scores = only(calls, ATTENTION, "aten::matmul")
    shapes = module.record.input_shapes
    if scores is None or not shapes:
        return HookFigure(0)
    batch, length, width = shapes[0][0]
    heads = first(scores).shape[1]
    softmax = batch * heads * length * length
    parts = (Part(batch * length * width, SCALING), Part(softmax, reasons.SOFTMAX, "softmax, 1 a score"))
    return HookFigure(2 * batch * length * length * width + sum(part.amount for part in parts), parts)


def _elements(call: OpCall) -> int:
    return first(call).size


ACTIVATIONS = {
    "ReLU": ("relu",), "PReLU": ("prelu",), "ELU": ("elu",), "LeakyReLU": ("leaky_relu",),
    "ReLU6": ("relu6", "hardtanh"), "GELU": ("gelu",),
}  # fmt: skip

HOOKS: Mapping[str, Hook] = {
    **{f"{kind}{n}d": _conv for kind in ("Conv", "ConvTranspose") for n in DIMENSIONS},
    "Linear": _linear,
    **{
        name: elementwise(in_place(*ops), reasons.ACTIVATION, "activations, 1 an element", _elements)
        for name, ops in ACTIVATIONS.items()
    },
    **{
        name: elementwise(ops, reasons.POOL, "pooling, 1 an input element", _elements)
        for name, ops in pools("Max", "Avg", "AdaptiveMax", "AdaptiveAvg").items()
    },
    **{
        f"{kind}Norm{n}d": norm(kind.lower(), _norm, f"{kind.lower()} norm, 2 an element (1 without affine)")
        for kind in ("Batch", "Instance")
        for n in DIMENSIONS
    },
    "GroupNorm": norm("group", _norm, "group norm, 2 an element (1 without affine)"),
    "LayerNorm": norm("layer", _elements, "layer norm, 1 an element"),
    "Upsample": elementwise(
        tuple(RESIZES), reasons.RESAMPLE, "upsampling, 1 a result of the first sample",
        lambda call: result(call).size // result(call).shape[0],
    ),
    **dict.fromkeys(RECURRENT_TYPES, _recurrent),
    "MultiheadAttention": _attention,
    "Attention": _timm_attention,
}  # fmt: skip
"""ptflops' hooks (its ``MODULES_MAPPING``), restated for the operations that run in a module of that type."""


def _elements_out(call: OpCall) -> int:
    return result(call).size


Figure = Callable[[OpCall], int]

FUNCTIONS: Mapping[str, tuple[str, Figure, Reason]] = {
    **{
        f"aten::{name}": ("F." + name.removesuffix("_"), _elements, reasons.ACTIVATION)
        for base in ("relu", "elu", "relu6", "gelu", "silu", "prelu")
        for name in (base, f"{base}_")
    },
    **{
        f"aten::{name}": (f"F.{name}", _elements, reasons.POOL)
        for kind in ("avg_pool", "max_pool", "adaptive_avg_pool", "adaptive_max_pool")
        for n in (1, 2, 3)
        for name in (f"{kind}{n}d",)
    },
    "aten::softmax": ("F.softmax", _elements, reasons.SOFTMAX),
    **{
        f"aten::upsample_{name}": ("F.interpolate", _elements_out, reasons.RESAMPLE)
        for name in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d")
    },
    "aten::mul": ("torch.mul", _elements_out, reasons.ELEMENTWISE),
    "aten::add": ("torch.add", _elements_out, reasons.ELEMENTWISE),
}
"""What ptflops reports of work that is no product: the patched function, the figure, and the reason."""

PRODUCTS = ("matmul", "mm", "bmm", "addmm", "baddbmm")


def _functions(module: Module, *, hooked: bool) -> Iterator[Item]:
    """What ptflops' patches report of a module's calls.

    If the module is ``hooked`` as well, its products are counted by the hook, and the figures of the patches are
    added.
    """
    for call in module.calls:
        ours = products(call)
        op = call.op.removeprefix("aten::")
        unseen = Part(0, reasons.NOT_PATCHED, call.op)
        if call.op in FUNCTIONS:
            name, figure, reason = FUNCTIONS[call.op]
            part = Part(figure(call), TWICE, name) if hooked else Part(figure(call), reason, name)
            yield Item(name, 0, (part,), unseen=unseen)
        elif op in PRODUCTS:
            label = f"torch.{op}"
            parts = _product(call, ours)
            if hooked:
                reported = ours + sum(part.amount for part in parts)
                yield Item(label, 0, (Part(reported, TWICE, label),), unseen=unseen)
            else:
                yield Item(label, ours, parts, unseen=unseen)
        elif ours and not hooked:
            about = f"modules of type {module.record.type}, nor a patch for {call.op}"
            yield Item("", ours, (Part(-ours, reasons.NO_HOOK, about),))


def _product(call: OpCall, ours: int) -> tuple[Part, ...]:
    if call.op in ("aten::addmm", "aten::baddbmm"):
        return (Part(first(call).size, reasons.BIAS),)
    return tuple(part for item in unbroadcast("")(call) for part in item.parts)


COUNTER = Counter(
    run=run,
    convention=convention,
    distribution="ptflops",
    own_process=True,
    reasons=(TWICE, SCALING, PER_SAMPLE, REMAINDER),
    predictable=False,  # whether it sees a function depends on how the code calls it
)
