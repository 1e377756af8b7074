"""fvcore on a real copy of a network → a :class:`~profiler.records.CounterRecord`.

fvcore traces with TorchScript, which runs the network once on real tensors.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from profiler.crosschecks.calling import failure, installed_version, positional_tensors
from profiler.errors import FOREIGN_ERRORS
from profiler.records import CounterFigure, CounterRecord

NAME = "fvcore"

CALLS = "calls of "
"""Before the name of an operation: how often fvcore counted it, kept among its own figures while it runs."""


def count_with_fvcore(model: nn.Module, inputs: Any) -> CounterRecord:
    """What fvcore says of one call of ``model`` (real tensors, in the mode to count) on ``inputs``.

    fvcore registers hooks on ``model`` and leaves them there if a forward raises, so give it copies of both.  A
    failure of fvcore's comes back as a record with the status ``"failed"``; it is never raised.
    """
    installed = installed_version(NAME)
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    try:
        from fvcore.nn import FlopCountAnalysis
        from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS

        handles = {op: _with_calls(op, handle) for op, handle in _DEFAULT_SUPPORTED_OPS.items()}
        with positional_tensors(model, inputs) as arguments, warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            analysis = FlopCountAnalysis(model, arguments).tracer_warnings("none").set_op_handle(**handles)
            totals = {name: Counter(counts) for name, counts in analysis.by_module_and_operator().items()}
        own = _without_children(totals)
        unsupported = {name: Counter(analysis.unsupported_ops(name)) for name in totals}
        return CounterRecord(
            counter=NAME,
            version=installed,
            status="ok",
            figures=_figures(own, lambda op: not op.startswith(CALLS)),
            unsupported=_figures(_without_children(unsupported)),
            uncalled=tuple(sorted(analysis.uncalled_modules())),
            seen=_figures(own, lambda op: op.startswith(CALLS)),
        )
    except FOREIGN_ERRORS as error:
        return CounterRecord(NAME, installed, "failed", failure(error))


def _with_calls(op: str, handle: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """fvcore's rule of ``op``, which says with its figure that it is that of one call."""

    def counted(inputs: Any, outputs: Any) -> Counter[str]:
        figure = handle(inputs, outputs)
        said = figure if isinstance(figure, Counter) else Counter({op.partition("::")[2]: figure})
        return said + Counter({f"{CALLS}{name}": 1 for name in said})

    return counted


def _without_children(totals: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    """What each module did itself, given what it did together with all below it."""
    own = {name: Counter(counts) for name, counts in totals.items()}
    for name, counts in totals.items():
        parent = name.rpartition(".")[0]
        while name and parent not in own:
            parent = parent.rpartition(".")[0]
        if name:
            own[parent].subtract(counts)
    return own


def _figures(
    own: Mapping[str, Counter[str]], wanted: Callable[[str], bool] = lambda op: True
) -> tuple[CounterFigure, ...]:
    return tuple(
        CounterFigure(module, op.removeprefix(CALLS), int(figure))
        for module, counts in own.items()
        for op, figure in counts.items()
        if figure and wanted(op)
    )
