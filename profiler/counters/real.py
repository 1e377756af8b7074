"""Real tensors for counters that cannot trace on the meta device: a copy of the network, and inputs for it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from profiler.tracing.tensors import map_inputs

BYTES_LIMIT = 4 * 2**30
"""Above this many bytes of parameters and buffers no real copy is made."""

MACS_LIMIT = 500 * 10**9
"""Above this many MACs the network is not run for real."""

SEED = 0


def real_copy(model: nn.Module) -> nn.Module:
    """A copy of ``model`` on the CPU in eval mode; tensors that are on meta come out as zeros."""
    if not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        return copy.deepcopy(model).cpu().eval()
    twin = copy.deepcopy(model).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.zero_()
    return twin.eval()


def real_inputs(inputs: Any) -> Any:
    """Copies of ``inputs`` on the CPU; in place of meta tensors seeded random numbers, or zeros for integers."""
    generator = torch.Generator().manual_seed(SEED)

    def real(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_meta:
            return tensor.detach().cpu().clone()
        if tensor.is_floating_point():
            return torch.rand(tensor.shape, generator=generator).to(tensor.dtype)
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    return map_inputs(inputs, real)
