"""torch's own ``FlopCounterMode`` on the meta device: every product, however a layer is decomposed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, Reported
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.operators import FUSED, complex_parts, unsupported
from profiler.crosschecks.products import CONVOLUTIONS, TRANSPOSED, products
from profiler.crosschecks.reasons import Part

if TYPE_CHECKING:
    from torch import nn


def run(model: nn.Module, inputs: Any) -> Reported:
    """``FlopCounterMode`` on a meta copy of ``model``."""
    from profiler.crosschecks.flop_counter_mode import count
    from profiler.tracing import call_arguments
    from profiler.tracing.copying import copy_to_meta, to_meta
    from profiler.tracing.object_copies import map_inputs

    return count(copy_to_meta(model).eval(), map_inputs(call_arguments(inputs), to_meta))


def convention(module: Module) -> Iterator[Item]:
    """What ``FlopCounterMode`` reports of a module's calls: every product that it sees, and no other work."""
    for call in module.calls:
        ours = products(call)
        if not ours:
            continue
        label = "conv" if call.op in (*CONVOLUTIONS, *TRANSPOSED) else "products"
        name = unsupported(call, module) or next((name for name in FUSED if module.unsupported[name]), "")
        if call.op == "torchvision::deform_conv2d" and name:
            yield Item("", ours, (Part(-ours, reasons.NO_RULE, name),))
        else:
            unseen = Part(0, reasons.FUSED if name in FUSED else reasons.NO_RULE, name) if name else None
            yield Item(label, ours, complex_parts(call, ours), unseen=unseen)


LABELS: Mapping[str, str] = {
    **dict.fromkeys(("aten::convolution", "aten::_convolution"), "conv"),
    **dict.fromkeys(
        ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::_scaled_mm", "aten::_int_mm"), "products"
    ),
}
"""``FlopCounterMode`` sees decomposed operations: a linear layer may be any of these products."""


COUNTER = Counter(
    run=run, convention=convention, distribution="torch", on_meta=True, reports_calls=False, labels=LABELS
)
