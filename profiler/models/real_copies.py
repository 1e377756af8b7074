"""A network and its inputs → copies on the CPU with real tensors, for networks that cannot run on the meta device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from profiler.tracing.copying import copy_to_meta, deep_copy
from profiler.tracing.object_copies import map_inputs
from profiler.tracing.private import is_fake
from profiler.tracing.tensors import stored_in

BYTES_LIMIT = 4 * 2**30
"""No real copy is made of a network with more bytes of parameters and buffers."""

SEED = 0


def real_size(model: nn.Module) -> int:
    """The number of bytes of the parameters and buffers of a real copy; a sparse tensor counts its stored elements."""
    size = 0
    for tensor in (*model.parameters(), *model.buffers()):
        if not is_lazy(tensor):
            stored = stored_in(tensor)
            size += (tensor.numel() if stored is None else stored) * tensor.element_size()
    return size


def real_copy(model: nn.Module, *, random_weights: bool = False) -> nn.Module:
    """A copy of ``model`` on the CPU.

    Tensors on meta have no values to copy: they become zeros, or with ``random_weights`` seeded random numbers between
    0 and 0.1 (integers are always zeros).
    """
    if not any(tensor.is_meta or is_fake(tensor) for tensor in (*model.parameters(), *model.buffers())):
        return deep_copy(model).cpu()
    generator = torch.Generator().manual_seed(SEED)
    copied = copy_to_meta(model).to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*copied.parameters(), *copied.buffers()):
            if random_weights and tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.1)
            else:
                tensor.zero_()
    return copied


def real_inputs(inputs: Any) -> Any:
    """Copies of ``inputs`` on the CPU; meta tensors become seeded random numbers, or zeros for integers."""
    generator = torch.Generator().manual_seed(SEED)

    def real(tensor: torch.Tensor) -> torch.Tensor:
        if not (tensor.is_meta or is_fake(tensor)):
            copied = tensor.detach().cpu().clone()
        elif tensor.is_floating_point():
            copied = torch.rand(tensor.shape, generator=generator).to(tensor.dtype)
        else:
            copied = torch.zeros(tensor.shape, dtype=tensor.dtype)
        return copied.requires_grad_(tensor.requires_grad)

    return map_inputs(inputs, real)
