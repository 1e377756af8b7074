"""A network and inputs → the result of a call on the meta device."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from profiler.tracing.calls import Inputs
from profiler.tracing.copying import to_meta
from profiler.tracing.describing import EveryOperator
from profiler.tracing.object_copies import map_inputs
from profiler.tracing.running import record


def result_on_meta(model: nn.Module, inputs: Inputs) -> Any:
    """The result of ``model`` for ``inputs`` in eval mode, run on meta copies.

    Integers in the result whose values are known (see ``tracing.values``) are on the CPU, all other tensors on meta.
    Raises :class:`TraceError` and :class:`NeedsDataError` as :func:`profiler.tracing.record` does.
    """
    results: list[Any] = []

    def keep(network: nn.Module) -> None:
        original = network.forward

        @functools.wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            results.append(map_inputs(result, _snapshot))
            return result

        network.__dict__["forward"] = forward

    record(model, inputs, operators=EveryOperator(), prepare=keep)
    return results[-1]


def _snapshot(tensor: torch.Tensor) -> torch.Tensor:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        try:
            return torch.tensor(tensor.tolist(), dtype=tensor.dtype, device="cpu").reshape(tensor.shape)
        except (NotImplementedError, RuntimeError):
            pass  # on meta, with unknown values
    with torch.inference_mode(False), torch.no_grad():
        return to_meta(tensor)
