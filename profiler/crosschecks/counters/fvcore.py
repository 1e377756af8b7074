"""fvcore: what its ``FlopCountAnalysis`` reports, and its rules restated on our records."""

from __future__ import annotations

import warnings
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from profiler.crosschecks import reasons
from profiler.crosschecks.counter import Counter, Reported
from profiler.crosschecks.evidence import Item, Module
from profiler.crosschecks.operators import FUSED, Rule, by_rule, counted, has_scale, plain, results, traced, unbroadcast
from profiler.crosschecks.products import CELLS, CONVOLUTIONS, TRANSPOSED, first, products, result
from profiler.crosschecks.reasons import Part, Reason
from profiler.records import CounterFigure, OpCall

if TYPE_CHECKING:
    from torch import nn

ROUNDING = Reason(
    "rounding",
    "It reads the count from NumPy's report, which prints four digits.",
    "rounds an einsum's count to four digits",
)


CALLS = "calls of "
"""The prefix of the names under which the number of calls of an operation is kept among fvcore's figures."""


def run(model: nn.Module, inputs: Any) -> Reported:
    """fvcore traces with TorchScript, which runs the network once on real tensors.

    It registers hooks on ``model`` and leaves them there if a forward raises, so give it copies of both.
    """
    import logging  # a saved profile is checked without it

    import torch
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS

    from profiler.crosschecks.calling import positional_tensors

    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    handles = {op: _with_calls(op, handle) for op, handle in _DEFAULT_SUPPORTED_OPS.items()}
    with positional_tensors(model, inputs) as arguments, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(model, arguments).tracer_warnings("none").set_op_handle(**handles)
        totals = {name: Counts(counts) for name, counts in analysis.by_module_and_operator().items()}
    own = _without_children(totals)
    unsupported = {name: Counts(analysis.unsupported_ops(name)) for name in totals}
    return Reported(
        figures=_figures(own, lambda op: not op.startswith(CALLS)),
        unsupported=_figures(_without_children(unsupported)),
        uncalled=tuple(sorted(analysis.uncalled_modules())),
        seen=_figures(own, lambda op: op.startswith(CALLS)),
    )


def _with_calls(op: str, handle: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """fvcore's rule of ``op``, which also notes that its figure is that of one call."""

    def counted(inputs: Any, outputs: Any) -> Counts[str]:
        figure = handle(inputs, outputs)
        reported = figure if isinstance(figure, Counts) else Counts({op.partition("::")[2]: figure})
        return reported + Counts({f"{CALLS}{name}": 1 for name in reported})

    return counted


def _without_children(totals: Mapping[str, Counts[str]]) -> dict[str, Counts[str]]:
    """The figures of each module alone, from its figures with everything below it."""
    own = {name: Counts(counts) for name, counts in totals.items()}
    for name, counts in totals.items():
        parent = name.rpartition(".")[0]
        while name and parent not in own:
            parent = parent.rpartition(".")[0]
        if name:
            own[parent].subtract(counts)
    return own


def _figures(
    own: Mapping[str, Counts[str]], wanted: Callable[[str], bool] = lambda op: True
) -> tuple[CounterFigure, ...]:
    return tuple(
        CounterFigure(module, op.removeprefix(CALLS), int(figure))
        for module, counts in own.items()
        for op, figure in counts.items()
        if figure and wanted(op)
    )


def convention(module: Module) -> Iterator[Item]:
    """What fvcore reports of a module's calls."""
    for call in module.calls:
        if call.op == "aten::einsum":
            yield traced(_einsum(module, call), call, module)
        else:
            yield from by_rule(RULES, call, module)


def _einsum(module: Module, call: OpCall) -> Item:
    """Exact for two equations, rounded for others; only the figure itself shows which."""
    calls = [other for other in module.calls if other.op == "aten::einsum"]
    ours = products(call)
    if module.reported["einsum"] == sum(products(other) for other in calls):
        return Item("einsum", ours)
    if ours == 0:
        sums = len(call.inputs) == 1 and result(call).size < first(call).size
        size = 2 * first(call).size if sums else result(call).size
        return Item("einsum", 0, (Part(_half_of_four_digits(size), reasons.NO_SUM),))
    rounded = _half_of_four_digits(2 * ours)
    every = sum(_half_of_four_digits(2 * products(other)) for other in calls)
    exact = module.reported["einsum"] != every and all(len(spec.shape) == 3 for spec in call.inputs)
    return Item("einsum", ours, () if exact else (Part(rounded - ours, ROUNDING),))


def _half_of_four_digits(number: int) -> int:
    """Half of what NumPy's contraction report prints."""
    return int(float(f"{number:.3e}") // 2)


def _batch_norm(call: OpCall) -> Iterator[Item]:
    """The label depends on whether running statistics are given; if not, those of the batch are used."""
    if any(not spec.parameter for spec in call.inputs[1:]):
        about, times = "batch norm, 2 an element (1 without affine)", 2 if has_scale(call) else 1
    else:
        about, times = "batch norm by the batch, 5 an element (4 without affine)", 5 if has_scale(call) else 4
    yield Item("batch_norm", 0, (Part(times * first(call).size, reasons.NORM, about),))


def _an_element(without: int, with_scale: int) -> Callable[[OpCall], int]:
    return lambda call: first(call).size * (with_scale if has_scale(call) else without)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*CONVOLUTIONS, *TRANSPOSED), plain("conv")),
    "aten::linear": plain("linear"),
    "aten::matmul": unbroadcast("matmul"),
    "aten::mm": plain("mm"),
    "aten::bmm": plain("bmm"),
    "aten::addmm": plain("addmm"),
    **dict.fromkeys(CELLS, plain("linear", calls=2)),
    "aten::batch_norm": _batch_norm,
    **{
        f"aten::{name}_norm": counted(
            f"{name}_norm", reasons.NORM, f"{name} norm, 5 an element (4 without affine)", _an_element(4, 5)
        )
        for name in ("layer", "group", "instance")
    },
    "aten::adaptive_avg_pool2d": counted(
        "adaptive_avg_pool2d",
        reasons.POOL,
        "adaptive average pooling, 1 an input element",
        lambda call: first(call).size,
    ),
    "aten::upsample_nearest2d": counted(
        "upsample_nearest2d", reasons.RESAMPLE, "nearest upsampling, 1 a result", results(1)
    ),
    "aten::upsample_bilinear2d": counted(
        "upsample_bilinear2d", reasons.RESAMPLE, "bilinear upsampling, 4 a result", results(4)
    ),
    "aten::grid_sampler": counted("grid_sampler", reasons.RESAMPLE, "grid sampling, 4 a result", results(4)),
}
"""fvcore's rules (its ``flop_count`` module), restated for the operations that we record."""

COUNTED_BY_PRODUCTS = frozenset({*FUSED, "aten::einsum", "aten::convolution", "aten::_convolution"})
"""Contractions without an entry in ``RULES`` that fvcore still counts, by the products in them."""


def fvcore_figure(call: OpCall) -> int:
    """What fvcore reports of a call, with attention that is not fused; timm's tables are made so.

    fvcore has no rule for recurrent kernels, for convolutions whose padding is a word, and for many other
    contractions: it counts 0 there.  Backward operations, which it never sees, count their MACs.
    """
    if call.overload == "padding":
        return 0
    rule = RULES.get(call.op)
    if rule is not None:
        return sum(item.figure for item in rule(call))
    counted = call.kind == "attention" or call.op in COUNTED_BY_PRODUCTS or call.phase == "backward"
    return call.count.macs if counted else 0


COUNTER = Counter(run=run, convention=convention, distribution="fvcore", reasons=(ROUNDING,))
