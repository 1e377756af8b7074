"""The conventions of the counters that hook modules of certain exact types: thop and ptflops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.functions import ptflops_functions
from profiler.crosschecks.operators import has_scale
from profiler.crosschecks.products import (
    ATTENTION,
    CONVOLUTIONS,
    TRANSPOSED,
    Recurrent,
    first,
    products,
    recurrent,
    result,
)
from profiler.crosschecks.reasons import Part, merged
from profiler.records import OpCall


@dataclass(frozen=True, slots=True)
class Said:
    """What a hook says of one call of its module: the figure, and what of it has a reason of its own.

    The rest of the difference from our products has the reason ``rest``.
    """

    figure: int
    parts: tuple[Part, ...] = ()
    rest: tuple[str, str] = ("heads", "")


Hook = Callable[[Sequence[OpCall], Module], Said]
"""What a hook says of one call of its module, given the operation calls in it."""

DIMENSIONS = (1, 2, 3)


def _only(calls: Sequence[OpCall], *ops: str) -> OpCall | None:
    return next((call for call in calls if call.op in ops), None)


def _elementwise(ops: Sequence[str], code: str, about: str, figure: Callable[[OpCall], int]) -> Hook:
    """A hook on work that is no contraction."""

    def hook(calls: Sequence[OpCall], module: Module) -> Said:
        call = _only(calls, *ops)
        said = 0 if call is None else figure(call)
        return Said(said, (Part(said, code, about),))

    return hook


def _in_place(*names: str) -> tuple[str, ...]:
    return tuple(f"aten::{name}{tail}" for name in names for tail in ("", "_"))


def _norm(name: str, figure: Callable[[OpCall], int], about: str) -> Hook:
    return _elementwise((f"aten::{name}_norm",), "norm", about, figure)


def _pools(*kinds: str) -> dict[str, tuple[str, ...]]:
    """Types of pooling modules, with their operation."""
    names = {"Max": "max", "Avg": "avg", "AdaptiveMax": "adaptive_max", "AdaptiveAvg": "adaptive_avg"}
    return {
        f"{kind}Pool{n}d": (f"aten::{names[kind]}_pool{n}d", f"aten::{names[kind]}_pool{n}d_with_indices")
        for kind in kinds
        for n in DIMENSIONS
    }


RESIZES = {
    f"aten::upsample_{name}": mode
    for mode, names in {
        "nearest": ("nearest1d", "nearest2d", "nearest3d"),
        "linear": ("linear1d",),
        "bilinear": ("bilinear2d",),
        "bicubic": ("bicubic2d",),
        "trilinear": ("trilinear3d",),
    }.items()
    for name in names
}


def _channels(call: OpCall) -> tuple[int, int, int]:
    """Input channels, result channels and groups of a convolution, transposed or not."""
    weight = call.inputs[1].shape
    axis = -len(weight) + 1
    into, out = first(call).shape[axis], result(call).shape[axis]
    return into, out, out // weight[1] if call.op in TRANSPOSED else into // weight[1]


def _unbatched(call: OpCall) -> bool:
    return len(first(call).shape) < len(call.inputs[1].shape)


# thop


def _thop_conv(calls: Sequence[OpCall], module: Module) -> Said:
    call = _only(calls, *CONVOLUTIONS, *TRANSPOSED)
    if call is None:
        return Said(0)
    weight = call.inputs[1].shape
    _, _, groups = _channels(call)
    said = result(call).size * (first(call).shape[1] // groups) * prod(weight[2:])
    reason = "unbatched" if _unbatched(call) else "transposed"
    return Said(said, rest=(reason, ""))


def _linear(calls: Sequence[OpCall], module: Module) -> Said:
    call = _only(calls, "aten::linear")
    return Said(0 if call is None else products(call))


def _thop_norm(call: OpCall) -> int:
    return first(call).size * (4 if has_scale(call) else 2)


def _thop_softmax(call: OpCall) -> int:
    rows_times_length_less_one = call.count.adds - first(call).size
    return 2 * first(call).size + rows_times_length_less_one


def _thop_adaptive_pool(call: OpCall) -> int:
    window = 1.0
    for before, after in zip(first(call).shape[2:], result(call).shape[2:], strict=True):
        window *= before / after
    return int((window + 1) * result(call).size)


THOP_RESIZES = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259, "trilinear": 0}


def _thop_upsample(call: OpCall) -> int:
    return THOP_RESIZES[RESIZES[call.op]] * result(call).size


CELL_WORK = {"thop": {4: 8, 3: 7, 1: 1}, "ptflops": {4: 10, 3: 7, 1: 1}}
"""For each counter, the elementwise work of a cell with so many gates, in units of its hidden size."""


def _thop_recurrent(calls: Sequence[OpCall], module: Module) -> Said:
    call = _only(calls, *_RECURRENT)
    if call is None:
        return Said(0)
    shapes = recurrent(call)
    gates, hidden = shapes.gates, shapes.hidden
    weights = 0
    for layer in range(len(shapes.weights) // shapes.directions):
        inputs = shapes.weights[0][0][1] if layer == 0 else hidden * shapes.directions
        weights += shapes.directions * gates * hidden * (inputs + hidden)
    return _recurrent_said("thop", shapes, weights)


def _recurrent_said(counter: str, shapes: Recurrent, weights: int) -> Said:
    cells = shapes.positions * len(shapes.weights)
    bias = cells * 2 * shapes.gates * shapes.hidden if shapes.bias else 0
    work = cells * CELL_WORK[counter][shapes.gates] * shapes.hidden
    parts = (Part(bias, "bias"), Part(work, "gates"))
    return Said(shapes.positions * weights + bias + work, parts, ("projection", ""))


_RECURRENT = tuple(f"aten::{name}{cell}" for name in ("lstm", "gru", "rnn_tanh", "rnn_relu") for cell in ("", "_cell"))
RECURRENT_TYPES = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")

THOP: Mapping[str, Hook] = {
    **{f"{kind}{n}d": _thop_conv for kind in ("Conv", "ConvTranspose") for n in DIMENSIONS},
    "Linear": _linear,
    **dict.fromkeys(
        (*(f"BatchNorm{n}d" for n in DIMENSIONS), "SyncBatchNorm"),
        _norm("batch", _thop_norm, "batch norm, 4 an element (2 without affine)"),
    ),
    "LayerNorm": _norm("layer", _thop_norm, "layer norm, 4 an element (2 without affine)"),
    **dict.fromkeys(
        (f"InstanceNorm{n}d" for n in DIMENSIONS),
        _norm("instance", _thop_norm, "instance norm, 4 an element (2 without affine)"),
    ),
    "PReLU": _elementwise(("aten::prelu",), "activation", "prelu, 1 an element", lambda call: first(call).size),
    "Softmax": _elementwise(("aten::softmax",), "softmax", "softmax, its exps, adds and divides", _thop_softmax),
    **{
        name: _elementwise(ops, "pool", "average pooling, 1 a result", lambda call: result(call).size)
        for name, ops in _pools("Avg").items()
    },
    **{
        name: _elementwise(ops, "pool", "adaptive average pooling, its window and 1 a result", _thop_adaptive_pool)
        for name, ops in _pools("AdaptiveAvg").items()
    },
    **dict.fromkeys(
        ("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"),
        _elementwise(tuple(RESIZES), "resample", "upsampling, 1, 5, 11 or 259 a result", _thop_upsample),
    ),
    **dict.fromkeys(RECURRENT_TYPES, _thop_recurrent),
}
"""thop's hooks (its ``register_hooks``), restated for the operations that run in a module of that type."""


def thop(module: Module) -> Iterator[Item]:
    """What thop says of a module: it hooks it once for each parent, and adds it up once for each."""
    kind = module.record.type
    if kind in THOP and not module.unsupported[kind]:
        said = hooked(module, THOP[kind])
        again = (said.figure * (module.paths - 1), "parents", "")
        parts = merged((*said.parts, Part(*again)))
        yield Item(kind, said.ours, parts, said.calls * module.paths, times=module.paths)
    else:
        yield from not_hooked(module)


@dataclass(frozen=True, slots=True)
class Hooked:
    """What a hook says of all calls of its module."""

    ours: int
    figure: int
    parts: tuple[Part, ...]
    calls: int


def hooked(module: Module, hook: Hook) -> Hooked:
    """What ``hook`` says of all calls of ``module``, with the reasons why that is not our products."""
    ours = figure = 0
    parts: list[Part] = []
    groups = module.by_call()
    for calls in groups:
        said = hook(calls, module)
        here = sum(products(call) for call in calls)
        ours += here
        figure += said.figure
        rest = said.figure - here - sum(part.amount for part in said.parts)
        parts += [*said.parts, Part(rest, *said.rest)]
    return Hooked(ours, figure, merged(parts), len(groups))


def not_hooked(module: Module) -> Iterator[Item]:
    """The products of a module that the counter has no hook on, or whose hook it leaves out of its sum."""
    ours = sum(products(call) for call in module.calls)
    if not ours:
        return
    kind = module.record.type
    above = _hooked_above(module)
    if module.unsupported[kind]:
        yield Item("", ours, (Part(-ours, "no-hook", f"modules of type {kind}"),))
    elif above is not None:
        yield Item("", ours, (Part(-ours, "below", above.record.type),))
    else:
        yield Item(kind, ours)


def _hooked_above(module: Module) -> Module | None:
    """The nearest module above that the counter hooks."""
    name = module.name
    while name:
        name = name.rpartition(".")[0]
        above = module.context.modules.get(name)
        if above is not None and above.seen is not None and above.seen[above.record.type]:
            return above
    return None


# ptflops


def _ptflops_conv(calls: Sequence[OpCall], module: Module) -> Said:
    call = _only(calls, *CONVOLUTIONS, *TRANSPOSED)
    if call is None:
        return Said(0)
    into, out, groups = _channels(call)
    at = first(call) if call.op in TRANSPOSED else result(call)
    weight = call.inputs[1].shape
    batch = first(call).shape[0]
    said = prod(weight[2:]) * into * (out // groups) * batch * prod(at.shape[2:])
    bias = batch * prod(result(call).shape[1:]) if len(call.inputs) > 2 else 0
    return Said(said + bias, (Part(bias, "bias"),), ("unbatched", ""))


def _ptflops_linear(calls: Sequence[OpCall], module: Module) -> Said:
    call = _only(calls, "aten::linear")
    if call is None:
        return Said(0)
    bias = result(call).size if len(call.inputs) > 2 else 0
    return Said(products(call) + bias, (Part(bias, "bias"),))


def _ptflops_norm(call: OpCall) -> int:
    return first(call).size * (2 if has_scale(call) else 1)


def _ptflops_recurrent(calls: Sequence[OpCall], module: Module) -> Said:
    call = _only(calls, *_RECURRENT)
    if call is None:
        return Said(0)
    shapes = recurrent(call)
    # The two matrices of the first direction of each layer; a projection is a third one.
    weights = sum(sum(prod(shape) for shape in layer[:2]) for layer in shapes.weights[:: shapes.directions])
    return _recurrent_said("ptflops", shapes, weights * shapes.directions)


def _ptflops_attention(calls: Sequence[OpCall], module: Module) -> Said:
    """The formula of ``nn.MultiheadAttention``, from the shapes of its inputs and of its two products."""
    scores = _only(calls, ATTENTION, "aten::bmm", "aten::baddbmm")
    shapes = module.record.input_shapes
    if scores is None or not shapes or len(shapes[0]) < 3:
        return Said(0)
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
        Part(batch * bias, "bias"),
        Part(batch * length * q, "scaling"),
        Part(batch * heads * length * keys, "softmax", "softmax, 1 a score"),
    )
    return Said(batch * (weights + scored) + sum(part.amount for part in parts), parts)


def _ptflops_timm_attention(calls: Sequence[OpCall], module: Module) -> Said:
    """The formula of timm's ``Attention``: the scaling, the two products and the softmax, without projections."""
    scores = _only(calls, ATTENTION, "aten::matmul")
    shapes = module.record.input_shapes
    if scores is None or not shapes:
        return Said(0)
    batch, length, width = shapes[0][0]
    heads = first(scores).shape[1]
    softmax = batch * heads * length * length
    parts = (Part(batch * length * width, "scaling"), Part(softmax, "softmax", "softmax, 1 a score"))
    return Said(2 * batch * length * length * width + sum(part.amount for part in parts), parts)


def _elements(call: OpCall) -> int:
    return first(call).size


ACTIVATIONS = {
    "ReLU": ("relu",), "PReLU": ("prelu",), "ELU": ("elu",), "LeakyReLU": ("leaky_relu",),
    "ReLU6": ("relu6", "hardtanh"), "GELU": ("gelu",),
}  # fmt: skip

PTFLOPS: Mapping[str, Hook] = {
    **{f"{kind}{n}d": _ptflops_conv for kind in ("Conv", "ConvTranspose") for n in DIMENSIONS},
    "Linear": _ptflops_linear,
    **{
        name: _elementwise(_in_place(*ops), "activation", "activations, 1 an element", _elements)
        for name, ops in ACTIVATIONS.items()
    },
    **{
        name: _elementwise(ops, "pool", "pooling, 1 an input element", _elements)
        for name, ops in _pools("Max", "Avg", "AdaptiveMax", "AdaptiveAvg").items()
    },
    **{
        f"{kind}Norm{n}d": _norm(kind.lower(), _ptflops_norm, f"{kind.lower()} norm, 2 an element (1 without affine)")
        for kind in ("Batch", "Instance")
        for n in DIMENSIONS
    },
    "GroupNorm": _norm("group", _ptflops_norm, "group norm, 2 an element (1 without affine)"),
    "LayerNorm": _norm("layer", _elements, "layer norm, 1 an element"),
    "Upsample": _elementwise(
        tuple(RESIZES), "resample", "upsampling, 1 a result of the first sample",
        lambda call: result(call).size // result(call).shape[0],
    ),
    **dict.fromkeys(RECURRENT_TYPES, _ptflops_recurrent),
    "MultiheadAttention": _ptflops_attention,
    "Attention": _ptflops_timm_attention,
}  # fmt: skip
"""ptflops' hooks (its ``MODULES_MAPPING``), restated for the operations that run in a module of that type."""


def ptflops(module: Module) -> Iterator[Item]:
    """What ptflops says of a module: its hooks divide by the length of the first input, its patches do not."""
    kind = module.record.type
    below = _hooked_above(module)
    if below is not None:
        yield from not_hooked(module)
    elif kind in PTFLOPS and not module.unsupported[kind]:
        said = hooked(module, PTFLOPS[kind])
        figure = said.figure // module.context.samples
        parts = merged((*said.parts, Part(figure - said.figure, "per-sample")))
        yield Item(kind, said.ours, parts, said.calls, times=module.paths)
        yield from ptflops_functions(module, hooked=True)
    else:
        yield from ptflops_functions(module, hooked=False)
    if not module.name:
        yield Item("other", 0, (Part(_remainder(module), "remainder"),), calls=0)


def _remainder(root: Module) -> int:
    """What is lost where each figure is divided by the number of samples, and not their sum."""
    samples = root.context.samples
    figures = [
        hooked(module, PTFLOPS[module.record.type]).figure
        for module in root.context.modules.values()
        if module.record.type in PTFLOPS and not module.unsupported[module.record.type]
        for _ in range(module.paths if _hooked_above(module) is None else 0)
    ]
    return sum(figures) // samples - sum(figure // samples for figure in figures)
