"""Code shared by counters that hook modules of certain exact types: thop and ptflops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from profiler.crosschecks import reasons
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.products import TRANSPOSED, Recurrent, first, products, result
from profiler.crosschecks.reasons import Part, Reason, merged
from profiler.records import OpCall


@dataclass(frozen=True, slots=True)
class HookFigure:
    """What a hook reports of one call of its module: the figure, and the parts of it that have their own reason.

    The rest of the difference from our products has the reason ``rest``.
    """

    figure: int
    parts: tuple[Part, ...] = ()
    rest: tuple[Reason, str] = (reasons.HEADS, "")


Hook = Callable[[Sequence[OpCall], Module], HookFigure]
"""What a hook reports of one call of its module, given the operation calls in it."""

DIMENSIONS = (1, 2, 3)
RECURRENT = tuple(f"aten::{name}{cell}" for name in ("lstm", "gru", "rnn_tanh", "rnn_relu") for cell in ("", "_cell"))
RECURRENT_TYPES = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")


def only(calls: Sequence[OpCall], *ops: str) -> OpCall | None:
    """The first of the calls that is one of ``ops``."""
    return next((call for call in calls if call.op in ops), None)


def elementwise(ops: Sequence[str], reason: Reason, about: str, figure: Callable[[OpCall], int]) -> Hook:
    """A hook on work that is no contraction."""

    def hook(calls: Sequence[OpCall], module: Module) -> HookFigure:
        call = only(calls, *ops)
        reported = 0 if call is None else figure(call)
        return HookFigure(reported, (Part(reported, reason, about),))

    return hook


def in_place(*names: str) -> tuple[str, ...]:
    """The operations of these names, and their in-place variants."""
    return tuple(f"aten::{name}{tail}" for name in names for tail in ("", "_"))


def norm(name: str, figure: Callable[[OpCall], int], about: str) -> Hook:
    """A hook on a normalization."""
    return elementwise((f"aten::{name}_norm",), reasons.NORM, about, figure)


def pools(*kinds: str) -> dict[str, tuple[str, ...]]:
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


def channels(call: OpCall) -> tuple[int, int, int]:
    """Input channels, result channels and groups of a convolution, transposed or not."""
    weight = call.inputs[1].shape
    axis = -len(weight) + 1
    into, out = first(call).shape[axis], result(call).shape[axis]
    return into, out, out // weight[1] if call.op in TRANSPOSED else into // weight[1]


def unbatched(call: OpCall) -> bool:
    """Whether the input of a convolution has no batch dimension."""
    return len(first(call).shape) < len(call.inputs[1].shape)


def recurrent_figure(cell_work: Mapping[int, int], shapes: Recurrent, weights: int) -> HookFigure:
    """A recurrent module's figure from its ``weights`` at each position; ``cell_work`` by the number of gates."""
    cells = shapes.positions * len(shapes.weights)
    bias = cells * 2 * shapes.gates * shapes.hidden if shapes.bias else 0
    work = cells * cell_work[shapes.gates] * shapes.hidden
    parts = (Part(bias, reasons.BIAS), Part(work, reasons.GATES))
    return HookFigure(shapes.positions * weights + bias + work, parts, (reasons.PROJECTION, ""))


@dataclass(frozen=True, slots=True)
class Hooked:
    """What a hook reports of all calls of its module."""

    ours: int
    figure: int
    parts: tuple[Part, ...]
    calls: int


def hooked(module: Module, hook: Hook) -> Hooked:
    """What ``hook`` reports of all calls of ``module``, with the reasons why that is not our products."""
    ours = figure = 0
    parts: list[Part] = []
    groups = module.by_call()
    for calls in groups:
        reported = hook(calls, module)
        here = sum(products(call) for call in calls)
        ours += here
        figure += reported.figure
        rest = reported.figure - here - sum(part.amount for part in reported.parts)
        parts += [*reported.parts, Part(rest, *reported.rest)]
    return Hooked(ours, figure, merged(parts), len(groups))


def not_hooked(module: Module) -> Iterator[Item]:
    """The products of a module that the counter has no hook on, or whose hook it leaves out of its sum."""
    ours = sum(products(call) for call in module.calls)
    if not ours:
        return
    kind = module.record.type
    above = hooked_above(module)
    if module.unsupported[kind]:
        yield Item("", ours, (Part(-ours, reasons.NO_HOOK, f"modules of type {kind}"),))
    elif above is not None:
        yield Item("", ours, (Part(-ours, reasons.BELOW, above.record.type),))
    else:
        yield Item(kind, ours)


def hooked_above(module: Module) -> Module | None:
    """The nearest module above that the counter hooks."""
    name = module.name
    while name:
        name = name.rpartition(".")[0]
        above = module.context.modules.get(name)
        if above is not None and above.seen is not None and above.seen[above.record.type]:
            return above
    return None
