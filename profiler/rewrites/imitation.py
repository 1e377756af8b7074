"""A freshly built network → one with weights and running statistics like a trained network's.

A new batch norm does almost nothing (mean 0, variance 1, γ 1, β 0), so folding it would prove almost nothing.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from profiler.tracing import Inputs, call_arguments

LEAST_VARIANCE = 1e-2
"""The smallest variance that is taken from data, as a fraction of the mean variance of the channels."""


def imitate_training(
    model: nn.Module, inputs: Inputs | None = None, *, seed: int = 0, scores: float = 0.0
) -> nn.Module:
    """Make the weights of ``model`` similar to a trained network's, in place, by seeded random numbers; returns it.

    Weights of convolutions and linear layers keep the scale of their initialization.  In each batch norm γ is
    log-normal around 1, and β is normal with deviation 0.3.  With ``inputs``, the running statistics are those of the
    network on them, with an error of a few percent in each channel, like running averages; without, they are random.
    With ``scores``, the last linear layer is scaled for outputs of that deviation.  The network has to be in eval mode.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int, deviation: float) -> torch.Tensor:
        return torch.randn(size, generator=generator) * deviation

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            size = norm.num_features
            if norm.weight is not None:
                norm.weight.copy_(draw(size, 0.3).exp())
            if norm.bias is not None:
                norm.bias.copy_(draw(size, 0.3))
            if norm.running_mean is not None and norm.running_var is not None:
                norm.running_mean.copy_(draw(size, 0.3))
                norm.running_var.copy_(draw(size, 0.5).exp())
        if inputs is not None:
            _measure(model, norms, inputs, generator)
            if scores:
                _scale_scores(model, inputs, scores)
    return model


def _measure(model: nn.Module, norms: list[_BatchNorm], inputs: Inputs, generator: torch.Generator) -> None:
    """Run the network once; each batch norm takes the statistics of its input before it uses them."""

    def take(norm: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        if norm.running_mean is None or norm.running_var is None:
            return
        values = arguments[0].transpose(0, 1).flatten(1).double()
        noise = torch.randn(2, norm.num_features, generator=generator, dtype=torch.float64) * 0.05
        variance = values.var(1, correction=0)
        if not variance.isfinite().all() or not variance.mean() > 0:
            return
        variance = variance.clamp(min=LEAST_VARIANCE * variance.mean().item())
        norm.running_mean.copy_(values.mean(1) + noise[0] * variance.sqrt())
        norm.running_var.copy_(variance * noise[1].exp())

    handles = [norm.register_forward_pre_hook(take) for norm in norms]
    try:
        _run(model, inputs)
    finally:
        for handle in handles:
            handle.remove()


def _scale_scores(model: nn.Module, inputs: Inputs, deviation: float) -> None:
    """Scale the last linear layer so that its outputs have this deviation."""
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[torch.Tensor] = []
    handle = last.register_forward_hook(lambda module, arguments, output: seen.append(output))
    try:
        _run(model, inputs)
    finally:
        handle.remove()
    now = seen[0].double().std().item()
    if now > 0 and math.isfinite(now):
        for tensor in last.parameters():
            tensor.mul_(deviation / now)


def _run(model: nn.Module, inputs: Inputs) -> None:
    arguments, options = call_arguments(inputs)
    model(*arguments, **options)
