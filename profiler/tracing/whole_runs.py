"""Recognizes a run that would be the same as an earlier one, from the network and its inputs alone.

It is known for networks whose make is known (:mod:`~profiler.tracing.makes`).  ``docs/memo.md`` says why that is sound.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn

from profiler.records import Mode
from profiler.tracing import memo, symbols
from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.callables import CallableNetwork
from profiler.tracing.calls import Inputs, call_arguments
from profiler.tracing.closed_code import CONSTANTS, torch_is_intact
from profiler.tracing.makes import MAKES, PLAIN, Make, of_tensor, pattern
from profiler.tracing.private import (
    changes_saved_tensors,
    checkpoints_stop_early,
    number_of_function_modes,
    settings_of_kernels,
    transforming,
)
from profiler.tracing.state import settings


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """A network whose make is known; ``key`` is equal for runs that are the same."""

    key: Any
    make: Make


def known_network(model: nn.Module, inputs: Inputs, mode: Mode, optimizer: str | None) -> KnownNetwork | None:
    """The network with a key for its run on ``inputs``; None if one of them is not known.

    Tensors among the inputs may not have values that the run could depend on.  Warnings may be errors.
    """
    if isinstance(model, CallableNetwork) or not memo.MEMO.used or symbols.ACTIVE.run is not None:
        return None
    if settings_of_kernels() is None or number_of_function_modes() or transforming() or not torch_is_intact():
        return None
    if changes_saved_tensors():
        return None
    parts: list[Any] = []
    tensors: list[torch.Tensor] = []
    try:
        _add_inputs(call_arguments(inputs), parts, tensors)
        make = MAKES.of(model, training=mode == "training")
    except (OpenCodeError, RecursionError):  # an input may contain itself
        return None
    storages = [tensor.untyped_storage() for tensor in tensors]
    if not make.storages.isdisjoint(map(id, storages)):
        return None  # an input is a parameter of the network
    return KnownNetwork(
        (
            *(
                make.key,
                settings_of_kernels(),
                settings(),
                _filters_that_raise(),
                checkpoints_stop_early(),
                mode,
                optimizer,
            ),
            *(pattern(tensors), pattern(storages), *parts),
        ),
        make,
    )


def _filters_that_raise() -> tuple[Any, ...]:
    """The filters of warnings, up to the first one for every warning, if any of them raises; else nothing.

    Other filters do not change a run, and imports add some.
    """
    filters = []
    for each in warnings.filters:
        filters.append(each)
        _, text, category, module, line = each
        if text is None and category is Warning and module is None and not line:
            break
    return tuple(filters) if any(each[0] == "error" for each in filters) else ()


def _add_inputs(value: Any, parts: list[Any], tensors: list[torch.Tensor]) -> None:
    """Add all that a run may depend on of an argument; raises :class:`OpenCodeError` for others than plain ones."""
    kind = type(value)
    if kind in PLAIN:
        if not (value.is_meta or value.is_floating_point()) or value.is_inference():
            raise OpenCodeError("an input whose values may matter")
        parts.append(of_tensor(value))
        tensors.append(value)
    elif kind in CONSTANTS:
        parts.append((kind, value))
    elif kind is tuple or kind is list or kind is dict:
        parts.append((kind, len(value)))
        for item in chain.from_iterable(value.items()) if kind is dict else value:
            _add_inputs(item, parts, tensors)
    else:
        raise OpenCodeError(f"an input of the class {kind.__name__}")
