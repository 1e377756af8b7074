"""Complex convolutions as real convolutions with the same products.

With gradients on, torch computes a complex convolution as three real ones (by Gauss's trick), and without them as one
operation.  Its cost must not depend on that: here it is one real convolution over twice the channels, whose products
and sums, forward and backward, are those of the definition (4 real products for each complex one).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

CONVOLUTIONS: dict[Any, str] = {
    getattr(torch, name): f"aten::{name}"
    for name in ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
}
"""The functions, with the operations that they call without gradients."""


def is_complex_convolution(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether it is a convolution of complex numbers with complex weights."""
    if func not in CONVOLUTIONS:
        return False
    operands = (*args[:2], *(kwargs.get(name) for name in ("input", "weight")))
    return sum(isinstance(operand, torch.Tensor) and operand.is_complex() for operand in operands) == 2


def convolve_as_real(
    func: Callable[..., Any], input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *how: Any
) -> torch.Tensor:
    """``func(input, weight, bias, *how)`` of complex tensors by one real convolution; arguments by position.

    Each channel becomes two adjacent channels, its real and its imaginary part, so that groups stay together.
    """
    channels = 1 - weight.dim()  # of an input with or without a batch
    transposed = CONVOLUTIONS[func].startswith("aten::conv_transpose")
    real_bias = None if bias is None else torch.view_as_real(bias.resolve_conj()).flatten()
    result = func(_parts(input, channels), _doubled(weight, transposed), real_bias, *how)
    pairs = result.unflatten(channels, (-1, 2)).movedim(channels, -1)
    return torch.view_as_complex(pairs.contiguous())


def _parts(input: torch.Tensor, channels: int) -> torch.Tensor:
    """(*, C, *sizes) complex → (*, 2·C, *sizes) real."""
    pairs = torch.view_as_real(input.resolve_conj()).movedim(-1, channels)
    return pairs.flatten(channels - 1, channels)


def _doubled(weight: torch.Tensor, transposed: bool) -> torch.Tensor:
    """(a, b, *kernel) complex → (2·a, 2·b, *kernel) real, which multiplies real and imaginary parts."""
    real, imaginary = torch.view_as_real(weight.resolve_conj()).unbind(-1)
    of_real, of_imaginary = (real, imaginary), (-imaginary, real)
    # The input's channels come second, but first in a transposed convolution.
    rows = (of_real, of_imaginary) if transposed else tuple(zip(of_real, of_imaginary, strict=True))
    return torch.stack([torch.stack(row, 2) for row in rows], 1).flatten(2, 3).flatten(0, 1)
