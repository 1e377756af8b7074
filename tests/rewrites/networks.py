"""Random small networks with batch norms, and the statistics to fill them with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def with_random_statistics(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in eval mode, in place; its batch norms get random statistics and weights."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                if tensor is not None:
                    values = torch.randn(tensor.shape, generator=generator)
                    tensor.data.copy_(values.abs() + 0.1 if tensor is module.running_var else values)
    return network.eval()


@st.composite
def foldable_networks(draw: Callable[..., Any]) -> tuple[nn.Sequential, torch.Tensor, int]:
    """A chain of layers, each with a batch norm; its inputs; the number of batch norms."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    dimensions = draw(st.sampled_from([1, 2, 3]))
    channels = 4
    layers: list[nn.Module] = []
    depth = draw(st.integers(1, 3 if dimensions < 3 else 2))
    for _ in range(depth):
        kind: Any = draw(st.sampled_from([CONVOLUTIONS, TRANSPOSED]))[dimensions]
        outputs = draw(st.sampled_from([4, 8]))
        options: dict[str, Any] = {
            "groups": draw(st.sampled_from([1, 2, 4])),
            "bias": draw(st.booleans()),
            "stride": draw(st.sampled_from([1, 2])),
            "padding": draw(st.sampled_from([0, 1])),
        }
        layers.append(kind(channels, outputs, draw(st.sampled_from([2, 3])), **options))
        layers.append(batch_norm(draw, dimensions, outputs))
        if draw(st.booleans()):
            layers.append(nn.ReLU(inplace=True))
        channels = outputs
    norms = depth
    inputs = torch.randn(2, 4, *[16 if dimensions < 3 else 8] * dimensions)
    if draw(st.booleans()):
        pool: Any = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[dimensions - 1]
        layers += [pool(1), nn.Flatten(), nn.Linear(channels, 5, bias=draw(st.booleans())), batch_norm(draw, 1, 5)]
        norms += 1
    network = nn.Sequential(*layers)
    with_random_statistics(network, draw(st.integers(0, 2**16)))
    return network, inputs, norms


def batch_norm(draw: Callable[..., Any], dimensions: int, channels: int) -> nn.Module:
    """A batch norm, affine or not, with an ε that is not negligible."""
    kind: Any = BATCH_NORMS[dimensions]
    norm: nn.Module = kind(channels, eps=draw(st.sampled_from([1e-5, 1e-3, 0.5])), affine=draw(st.booleans()))
    return norm
