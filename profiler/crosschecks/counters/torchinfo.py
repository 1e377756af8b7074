"""torchinfo on a real copy of a network → a :class:`~profiler.records.CounterRecord`.

torchinfo multiplies the parameters of each module without children by sizes of its result.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import nn

from profiler.crosschecks.calling import installed_version, positional_tensors
from profiler.crosschecks.watching import Tally
from profiler.records import CounterRecord
from profiler.tracing import Inputs, call_arguments

NAME = "torchinfo"
ALL_LEVELS = 10**6


def count_with_torchinfo(model: nn.Module, inputs: Inputs) -> CounterRecord:
    """What torchinfo says of one call of ``model``; ``seen`` says in how many calls it saw each module."""
    torchinfo: Any = import_module("torchinfo")
    arguments, options = call_arguments(inputs)
    if options and not arguments and all(isinstance(value, torch.Tensor) for value in options.values()):
        statistics = torchinfo.summary(model, input_data=options, depth=ALL_LEVELS, verbose=0)
    else:
        with positional_tensors(model, inputs) as tensors:
            statistics = torchinfo.summary(model, input_data=list(tensors), depth=ALL_LEVELS, verbose=0)
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}
    figures, seen, unsupported = Tally(), Tally(), Tally()
    for layer in statistics.summary_list:
        name = names[layer.layer_id]
        if layer.is_leaf_layer:
            figures.add(name, layer.class_name, layer.macs)
            if layer.executed:
                seen.add(name, layer.class_name)
        else:
            unsupported.add(name, layer.class_name)
    figures.add("", "other", statistics.total_mult_adds - figures.total)
    return CounterRecord(
        NAME, installed_version(NAME), "ok", "", figures.figures(), unsupported.figures(), seen=seen.figures()
    )
