"""Deformable convolutions: each tap of the kernel reads a sample of the image at its own place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import Term, each
from profiler.rules.costs import LINEAR_TAPS, interpolation_of
from profiler.rules.registry import rule
from profiler.rules.terms import bias_terms, summed_products
from profiler.signatures import TensorSpec


@rule("torchvision::deform_conv2d", kind="conv")
def deform_conv2d(
    input: TensorSpec,
    weight: TensorSpec,
    offset: TensorSpec,
    mask: TensorSpec,
    bias: TensorSpec,
    *args: Any,
    out: TensorSpec,
) -> Iterator[Term]:
    """(N, C_in, H, W), (C_out, C_in/groups, *kernel), (N, 2·offset_groups·∏ kernel, *out) → (N, C_out, *out).

    For each offset: its two coordinates are added to their place on the grid (2 adds) and split into
    weights t and 1 − t (4 adds).  For each channel there: a bilinear sample, which blends along one
    dimension twice and along the other once (6 multiplies, 3 adds), times the mask if there is one.
    Then as :func:`conv`; torchvision makes up zeros for a missing bias, so one is always added.
    """
    *_, use_mask = args
    batch, channels = input.shape[:2]
    samples = (batch, channels, *weight.shape[2:], *out.shape[-2:])
    yield each((offset.size // 2,), "positions", adds=6)
    yield Term("bilinear samples", samples, interpolation_of(LINEAR_TAPS, 2))
    if use_mask:
        yield each(samples, "mask", multiplies=1)
    yield summed_products(out.shape, weight.shape[1:], out)  # of samples: how many are of padded zeros is data
    yield from bias_terms(bias, weight.shape[1:], out)
