"""fvcore on a real copy of a network → a :class:`~profiler.records.CounterRecord`.

fvcore traces with TorchScript, which runs the network once on real tensors.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from profiler.records import CounterFigure, CounterRecord

NAME = "fvcore"


def count_with_fvcore(model: nn.Module, inputs: Any) -> CounterRecord:
    """What fvcore says of one call of ``model`` (real tensors, in the mode to count) on ``inputs``.

    ``inputs`` are a tuple of positional arguments or a mapping of keyword arguments.  fvcore registers hooks on
    ``model`` and leaves them there if a forward raises, so give it a copy.  A failure of fvcore's comes back as a
    record with the status ``"failed"``; it is never raised.
    """
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    installed = version("fvcore")
    try:
        arguments = _positional(model, inputs)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            analysis = FlopCountAnalysis(model, arguments).tracer_warnings("none")
            totals = {name: Counter(counts) for name, counts in analysis.by_module_and_operator().items()}
        unsupported = {name: Counter(analysis.unsupported_ops(name)) for name in totals}
        return CounterRecord(
            counter=NAME,
            version=installed,
            status="ok",
            figures=_figures(_without_children(totals)),
            unsupported=_figures(_without_children(unsupported)),
            uncalled=tuple(sorted(analysis.uncalled_modules())),
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        return CounterRecord(NAME, installed, "failed", f"{type(error).__name__}: {reason}")


def _positional(model: nn.Module, inputs: Any) -> tuple[Any, ...]:
    """Keyword arguments in the order of the forward's parameters, with its defaults between them."""
    if not isinstance(inputs, Mapping):
        return tuple(inputs)
    bound = inspect.signature(model.forward).bind(**inputs)
    last = max(list(bound.signature.parameters).index(name) for name in bound.arguments) if bound.arguments else -1
    bound.apply_defaults()
    return tuple(bound.arguments[name] for name in list(bound.signature.parameters)[: last + 1])


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


def _figures(own: Mapping[str, Counter[str]]) -> tuple[CounterFigure, ...]:
    return tuple(
        CounterFigure(module, op, int(figure))
        for module, counts in own.items()
        for op, figure in counts.items()
        if figure
    )
