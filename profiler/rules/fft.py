"""Fourier transforms.

A transform of length L has ⌈log₂ L⌉ stages of ⌊L/2⌋ complex multiplies and L complex adds, which for a power
of two is the radix-2 algorithm.  The count is dense: a real signal counts as a complex one, though its
redundant half need not be computed.  In several dimensions the transforms run along one after the other.
Twiddle factors are constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from profiler.opcount import OpCount, Term
from profiler.rules.costs import product
from profiler.rules.registry import rule
from profiler.rules.sizes import ceil_log2
from profiler.signatures import TensorSpec

COMPLEX_MULTIPLY = OpCount(multiplies=4, adds=2)
COMPLEX_ADD = OpCount(adds=2)


def fft_of(length: int) -> OpCount:
    """One transform of ``length`` values."""
    return (COMPLEX_MULTIPLY * (length // 2) + COMPLEX_ADD * length) * ceil_log2(length)


def transforms(shape: Sequence[int], dim: int, length: int) -> Term:
    """The transforms of ``length`` along ``dim``, one for each index of the other dimensions of ``shape``."""
    others = tuple(size for axis, size in enumerate(shape) if axis != dim % len(shape))
    return Term("transforms", others, fft_of(length))


def scaling(normalization: int, out: TensorSpec) -> Iterator[Term]:
    """One real factor for each result, unless ``normalization`` is 0 (none)."""
    if normalization:
        yield Term("normalization", out.shape, product(1.0, out))


@rule("aten::_fft_c2c", kind="fft")
def fft_c2c(
    input: TensorSpec, dim: Sequence[int], normalization: int, forward: bool, *, out: TensorSpec
) -> Iterator[Term]:
    """(*, L, *) → the same, complex to complex along every one of ``dim``."""
    for axis in dim:
        yield transforms(out.shape, axis, out.shape[axis])
    if dim:
        yield from scaling(normalization, out)


@rule("aten::_fft_r2c", kind="fft")
def fft_r2c(
    input: TensorSpec, dim: Sequence[int], normalization: int, onesided: bool, *, out: TensorSpec
) -> Iterator[Term]:
    """(*, L) → (*, ⌊L/2⌋ + 1): real along the last of ``dim``, then complex along the others."""
    yield transforms(input.shape, dim[-1], input.shape[dim[-1]])
    for axis in dim[:-1]:
        yield transforms(out.shape, axis, out.shape[axis])
    yield from scaling(normalization, out)


@rule("aten::_fft_c2r", kind="fft")
def fft_c2r(
    input: TensorSpec, dim: Sequence[int], normalization: int, last_dim_size: int, *, out: TensorSpec
) -> Iterator[Term]:
    """(*, ⌊L/2⌋ + 1) → (*, L): complex along all but the last of ``dim``, then to real along that."""
    for axis in dim[:-1]:
        yield transforms(input.shape, axis, input.shape[axis])
    yield transforms(out.shape, dim[-1], last_dim_size)
    yield from scaling(normalization, out)
