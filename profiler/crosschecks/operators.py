"""The conventions of the counters that see operators: fvcore, torch's FlopCounterMode and torchprofile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod

from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.products import (
    ATTENTION,
    CELLS,
    COMPLEX,
    CONVOLUTIONS,
    TRANSPOSED,
    first,
    products,
    recurrent,
    result,
)
from profiler.crosschecks.reasons import Part
from profiler.records import OpCall

Rule = Callable[[OpCall], Iterator[Item]]
"""What a counter says of one call."""

FUSED = ("aten::_native_multi_head_attention", "aten::_transformer_encoder_layer_fwd")
"""Kernels that do the work of a module and all below it in one operation."""

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(CONVOLUTIONS, ("aten::_convolution_mode",)),
    ATTENTION: (
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_attention_math_for_mps",
        "aten::_scaled_dot_product_fused_attention_overrideable",
    ),
    **dict.fromkeys(("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"), ("aten::mkldnn_rnn_layer",)),
    "aten::bilinear": ("aten::_trilinear",),
    **dict.fromkeys(("aten::matmul", "aten::linear", "aten::einsum"), ("aten::mv", "aten::dot", "aten::mm")),
}
"""Under which other names a counter's record may hold an operation."""


def plain(label: str, calls: int = 1) -> Rule:
    """A contraction that is counted as it is, by ``calls`` of its operations."""

    def rule(call: OpCall) -> Iterator[Item]:
        ours = products(call)
        yield Item(label, ours, _complex(call, ours), calls)

    return rule


def counted(label: str, code: str, about: str, figure: Callable[[OpCall], int]) -> Rule:
    """Work that is no contraction, counted by ``figure``."""

    def rule(call: OpCall) -> Iterator[Item]:
        ours = products(call)
        yield Item(label, ours, (Part(figure(call) - ours, code, about),))

    return rule


def _complex(call: OpCall, ours: int) -> tuple[Part, ...]:
    return (Part(ours // COMPLEX - ours, "complex"),) if result(call).is_complex else ()


def unbroadcast(label: str) -> Rule:
    """A matrix product counted as the first operand's size times the last one of the second."""

    def rule(call: OpCall) -> Iterator[Item]:
        ours = products(call)
        said = first(call).size * call.inputs[1].shape[-1]
        parts = _complex(call, ours)
        seen = ours + sum(part.amount for part in parts)
        yield Item(label, ours, (*parts, Part(said - seen, "broadcast")))

    return rule


def has_scale(call: OpCall) -> bool:
    """Whether a normalization has a weight."""
    return len(call.inputs) > 1 and call.inputs[1].parameter


def _fvcore_batch_norm(call: OpCall) -> Iterator[Item]:
    """By whether running statistics are given: if not, they are those of the batch."""
    if any(not spec.parameter for spec in call.inputs[1:]):
        about, times = "batch norm, 2 an element (1 without affine)", 2 if has_scale(call) else 1
    else:
        about, times = "batch norm by the batch, 5 an element (4 without affine)", 5 if has_scale(call) else 4
    yield Item("batch_norm", 0, (Part(times * first(call).size, "norm", about),))


def _an_element(without: int, with_scale: int) -> Callable[[OpCall], int]:
    return lambda call: first(call).size * (with_scale if has_scale(call) else without)


def results(times: int) -> Callable[[OpCall], int]:
    """So many for each element of the result."""
    return lambda call: times * result(call).size


FVCORE: Mapping[str, Rule] = {
    **dict.fromkeys((*CONVOLUTIONS, *TRANSPOSED), plain("conv")),
    "aten::linear": plain("linear"),
    "aten::matmul": unbroadcast("matmul"),
    "aten::mm": plain("mm"),
    "aten::bmm": plain("bmm"),
    "aten::addmm": plain("addmm"),
    **dict.fromkeys(CELLS, plain("linear", calls=2)),
    "aten::batch_norm": _fvcore_batch_norm,
    **{
        f"aten::{name}_norm": counted(
            f"{name}_norm", "norm", f"{name} norm, 5 an element (4 without affine)", _an_element(4, 5)
        )
        for name in ("layer", "group", "instance")
    },
    "aten::adaptive_avg_pool2d": counted(
        "adaptive_avg_pool2d", "pool", "adaptive average pooling, 1 an input element", lambda call: first(call).size
    ),
    "aten::upsample_nearest2d": counted("upsample_nearest2d", "resample", "nearest upsampling, 1 a result", results(1)),
    "aten::upsample_bilinear2d": counted(
        "upsample_bilinear2d", "resample", "bilinear upsampling, 4 a result", results(4)
    ),
    "aten::grid_sampler": counted("grid_sampler", "resample", "grid sampling, 4 a result", results(4)),
}
"""fvcore's rules (its ``flop_count`` module), restated for the operations that we record."""


COUNTED_BY_PRODUCTS = frozenset({*FUSED, "aten::einsum", "aten::convolution", "aten::_convolution"})
"""Contractions without an entry in ``FVCORE`` that fvcore counts all the same, by the products in them."""


def fvcore_figure(call: OpCall) -> int:
    """What fvcore reports of a call, with attention that is not fused; timm's tables are made so.

    fvcore has no rule for recurrent kernels, for convolutions whose padding is a word, and for many other
    contractions: it counts 0 there.  Backward operations, which it never sees, count their MACs.
    """
    if call.overload == "padding":
        return 0
    rule = FVCORE.get(call.op)
    if rule is not None:
        return sum(item.figure for item in rule(call))
    counted = call.kind == "attention" or call.op in COUNTED_BY_PRODUCTS or call.phase == "backward"
    return call.count.macs if counted else 0


def fvcore(module: Module) -> Iterator[Item]:
    """What fvcore says of a module's calls."""
    for call in module.calls:
        if call.op == "aten::einsum":
            yield _traced(_fvcore_einsum(module, call), call, module)
        else:
            yield from _by_rule(FVCORE, call, module)


def _fvcore_einsum(module: Module, call: OpCall) -> Item:
    """Exact for two equations, rounded for others; the record does not tell which, but for the figure itself."""
    calls = [other for other in module.calls if other.op == "aten::einsum"]
    ours = products(call)
    if module.said["einsum"] == sum(products(other) for other in calls):
        return Item("einsum", ours)
    if ours == 0:
        sums = len(call.inputs) == 1 and result(call).size < first(call).size
        size = 2 * first(call).size if sums else result(call).size
        return Item("einsum", 0, (Part(_half_of_four_digits(size), "no-sum"),))
    rounded = _half_of_four_digits(2 * ours)
    every = sum(_half_of_four_digits(2 * products(other)) for other in calls)
    exact = module.said["einsum"] != every and all(len(spec.shape) == 3 for spec in call.inputs)
    return Item("einsum", ours, () if exact else (Part(rounded - ours, "rounding"),))


def _half_of_four_digits(number: int) -> int:
    """Half of what NumPy's contraction report prints."""
    return int(float(f"{number:.3e}") // 2)


def _by_rule(rules: Mapping[str, Rule], call: OpCall, module: Module) -> Iterator[Item]:
    """What the rules say of a call; where they say nothing, the evidence for that."""
    rule = rules.get(call.op)
    if rule is not None:
        for item in rule(call):
            yield _traced(item, call, module)
        return
    ours = products(call)
    if ours:
        name = _unsupported(call, module)
        if name:
            yield Item("", ours, (Part(-ours, "no-rule", name),))
        elif module.seen is not None:
            yield Item("", ours, (Part(-ours, "dead-call", call.op),))
        else:
            yield Item(call.op, ours)


def _traced(item: Item, call: OpCall, module: Module) -> Item:
    """With the reason why the operation may not be in the counter's graph, if it says how many calls it saw."""
    name = _unsupported(call, module)
    if name:
        return Item(item.label, item.ours, item.parts, item.calls, Part(0, "no-rule", name))
    if module.seen is not None:
        return Item(item.label, item.ours, item.parts, item.calls, Part(0, "dead-call", call.op))
    return item


def _unsupported(call: OpCall, module: Module) -> str:
    """The name under which the counter says that it has no rule for the call."""
    return next((name for name in (call.op, *OTHER_NAMES.get(call.op, ())) if module.unsupported[name]), "")


TORCH_LABELS: Mapping[str, str] = {
    **dict.fromkeys(("aten::convolution", "aten::_convolution"), "conv"),
    **dict.fromkeys(
        ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::_scaled_mm", "aten::_int_mm"), "products"
    ),
}
"""What ``FlopCounterMode`` sees is taken apart: a linear layer may be any of these products."""


def torch(module: Module) -> Iterator[Item]:
    """What ``FlopCounterMode`` says of a module's calls: every product that it sees, and no other work."""
    for call in module.calls:
        ours = products(call)
        if not ours:
            continue
        label = "conv" if call.op in (*CONVOLUTIONS, *TRANSPOSED) else "products"
        name = _unsupported(call, module) or next((name for name in FUSED if module.unsupported[name]), "")
        if call.op == "torchvision::deform_conv2d" and name:
            yield Item("", ours, (Part(-ours, "no-rule", name),))
        else:
            unseen = Part(0, "fused" if name in FUSED else "no-rule", name) if name else None
            yield Item(label, ours, _complex(call, ours), unseen=unseen)


def _torchprofile_conv(call: OpCall) -> Iterator[Item]:
    weight = call.inputs[1].shape
    channels = result(call).shape[-len(weight) + 1]
    inner = weight[1] if channels == weight[0] else weight[0]
    said = result(call).size * inner * prod(weight[2:])
    ours = products(call)
    parts = _complex(call, ours)
    seen = ours + sum(part.amount for part in parts)
    yield Item("aten::_convolution", ours, (*parts, Part(said - seen, "transposed")))


def _torchprofile_lstm(call: OpCall) -> Iterator[Item]:
    shapes = recurrent(call)
    layers, size = call.outputs[1].shape[0] // shapes.directions, call.outputs[1].shape[-1]
    said = 0
    for layer in range(layers):
        inputs = first(call).shape[-1] if layer == 0 else size * shapes.directions
        said += 4 * size * (inputs + size) * shapes.directions * prod(result(call).shape[:2])
    ours = products(call)
    yield Item("aten::lstm", ours, (Part(said - ours, "projection"),))


def _torchprofile_cell(call: OpCall) -> Iterator[Item]:
    """Seen as its parts: two linear layers, and the multiplications of its gates."""
    shapes = recurrent(call)
    elements = shapes.positions * shapes.hidden
    yield Item("aten::linear", products(call), calls=2)
    for label, times in {"lstm": {"aten::mul": 3}, "gru": {"aten::mul_": 2}}.get(call.op[6:-5], {}).items():
        yield Item(label, 0, (Part(times * elements, "gates"),), calls=times)


def _scale_an_element(call: OpCall) -> int:
    return result(call).size if has_scale(call) else 0


TORCHPROFILE: Mapping[str, Rule] = {
    **dict.fromkeys((*CONVOLUTIONS, *TRANSPOSED), _torchprofile_conv),
    **{
        op: plain(op)
        for op in (
            "aten::linear", "aten::matmul", "aten::bmm", "aten::addmm", "aten::addmv", "aten::baddbmm", ATTENTION,
        )
    },
    **dict.fromkeys(CELLS, _torchprofile_cell),
    "aten::lstm": _torchprofile_lstm,
    **{op: counted(op, "elementwise", "multiplications, 1 a result", results(1)) for op in ("aten::mul", "aten::mul_")},
    **{
        f"aten::{name}_norm": counted(
            f"aten::{name}_norm", "norm", f"{name} norm, 1 an element with affine", _scale_an_element
        )
        for name in ("batch", "instance", "layer", "group")
    },
    **{
        f"aten::{name}": counted(f"aten::{name}", "pool", "averages, 1 a result", results(1))
        for name in ("mean", *(f"{kind}avg_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)))
    },
    "aten::leaky_relu": counted("aten::leaky_relu", "activation", "leaky relu, 1 an element", results(1)),
    "aten::upsample_bilinear2d": counted(
        "aten::upsample_bilinear2d", "resample", "bilinear upsampling, 4 a result", results(4)
    ),
}  # fmt: skip
"""torchprofile's rules (its ``handlers`` module), restated for the operations that we record."""


def torchprofile(module: Module) -> Iterator[Item]:
    """What torchprofile says of a module's calls."""
    muls = 0
    for call in module.calls:
        if call.op == "aten::einsum":
            ours = products(call)
            silent = not module.said[call.op] and bool(module.seen and module.seen[call.op])
            about = "an einsum with dots"
            part = Part(-ours, "no-rule", about) if silent else Part(0 if ours else result(call).size, "no-sum")
            yield _traced(Item(call.op, ours, (part,)), call, module)
        elif call.op in ("aten::grid_sampler", "aten::grid_sampler_2d"):
            times = module.said["aten::grid_sampler"] // max(1, result(call).size)
            times = times if times in (0, 4, 16) else 4
            yield Item(
                "aten::grid_sampler",
                0,
                (Part(times * result(call).size, "resample", f"grid sampling, {times} a result"),),
            )
        else:
            for item in _by_rule(TORCHPROFILE, call, module):
                muls += item.calls if item.label == "aten::mul" else 0
                yield item
    of_sizes = (module.seen["aten::mul"] if module.seen is not None else 0) - muls
    if of_sizes > 0:
        yield Item("aten::mul", 0, (Part(of_sizes, "sizes"),), calls=of_sizes)
