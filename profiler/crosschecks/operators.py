"""Code shared by counters that see operators: fvcore, torch's FlopCounterMode, torchprofile, calflops and ptflops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from profiler.crosschecks import reasons
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.products import ATTENTION, COMPLEX, CONVOLUTIONS, first, products, result
from profiler.crosschecks.reasons import Part, Reason
from profiler.records import OpCall

Rule = Callable[[OpCall], Iterator[Item]]
"""What a counter reports of one call."""

FUSED = ("aten::_native_multi_head_attention", "aten::_transformer_encoder_layer_fwd")
"""Kernels that do the work of a module and of all modules below it in one operation."""

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
"""Other names that a counter's record may have for an operation."""


def plain(label: str, calls: int = 1) -> Rule:
    """A contraction that is counted without changes, by ``calls`` of its operations."""

    def rule(call: OpCall) -> Iterator[Item]:
        ours = products(call)
        yield Item(label, ours, complex_parts(call, ours), calls)

    return rule


def counted(label: str, reason: Reason, about: str, figure: Callable[[OpCall], int]) -> Rule:
    """Work that is no contraction, counted by ``figure``."""

    def rule(call: OpCall) -> Iterator[Item]:
        ours = products(call)
        yield Item(label, ours, (Part(figure(call) - ours, reason, about),))

    return rule


def complex_parts(call: OpCall, ours: int) -> tuple[Part, ...]:
    """The difference of a counter that counts a complex product as one multiply–accumulate."""
    return (Part(ours // COMPLEX - ours, reasons.COMPLEX),) if result(call).is_complex else ()


def unbroadcast(label: str) -> Rule:
    """A matrix product counted as the first operand's size times the last one of the second."""

    def rule(call: OpCall) -> Iterator[Item]:
        ours = products(call)
        reported = first(call).size * call.inputs[1].shape[-1]
        parts = complex_parts(call, ours)
        seen = ours + sum(part.amount for part in parts)
        yield Item(label, ours, (*parts, Part(reported - seen, reasons.BROADCAST)))

    return rule


def has_scale(call: OpCall) -> bool:
    """Whether a normalization has a weight."""
    return len(call.inputs) > 1 and call.inputs[1].parameter


def results(times: int) -> Callable[[OpCall], int]:
    """A fixed number for each element of the result."""
    return lambda call: times * result(call).size


def by_rule(rules: Mapping[str, Rule], call: OpCall, module: Module) -> Iterator[Item]:
    """What the rules report of a call; if they report nothing, the evidence for that."""
    rule = rules.get(call.op)
    if rule is not None:
        for item in rule(call):
            yield traced(item, call, module)
        return
    ours = products(call)
    if ours:
        name = unsupported(call, module)
        if name:
            yield Item("", ours, (Part(-ours, reasons.NO_RULE, name),))
        elif module.seen is not None:
            yield Item("", ours, (Part(-ours, reasons.DEAD_CALL, call.op),))
        else:
            yield Item(call.op, ours)


def traced(item: Item, call: OpCall, module: Module) -> Item:
    """Add the reason why the operation may not be in the counter's graph, if the counter says how many calls it saw."""
    name = unsupported(call, module)
    if name:
        return Item(item.label, item.ours, item.parts, item.calls, Part(0, reasons.NO_RULE, name))
    if module.seen is not None:
        return Item(item.label, item.ours, item.parts, item.calls, Part(0, reasons.DEAD_CALL, call.op))
    return item


def unsupported(call: OpCall, module: Module) -> str:
    """The name under which the counter reports that it has no rule for the call."""
    return next((name for name in (call.op, *OTHER_NAMES.get(call.op, ())) if module.unsupported[name]), "")
