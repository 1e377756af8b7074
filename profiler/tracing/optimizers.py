"""The optimizers whose steps can be counted: torch's own, run on the meta copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from profiler.errors import ProfilerError, did_you_mean

OPTIMIZERS: Mapping[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, foreach=False),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, foreach=False),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1, foreach=False),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, foreach=False),
}
"""Name → a function that makes it for the parameters that have gradients."""


def make_optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer for the parameters of ``model`` that have a gradient.  Raises :class:`ProfilerError`."""
    if name not in OPTIMIZERS:
        hint = did_you_mean(name, OPTIMIZERS)
        raise ProfilerError(f"optimizer {name!r} is not known, expected one of {', '.join(OPTIMIZERS)}{hint}")
    return OPTIMIZERS[name]([parameter for parameter in model.parameters() if parameter.grad is not None])
