"""Fourier transforms cost what the radix-2 algorithm costs, or the stated extension of it."""

from __future__ import annotations

import cmath

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from profiler.opcount import OpCount
from profiler.rules.fft import fft_of
from tests.rules.counting import Counting, Tally, assert_counted, spec
from tests.rules.registered import assert_same_when_decomposed, count_of, terms_of


def fft(xs: list[Counting]) -> list[Counting]:
    """Radix-2: two halves, then a twiddle factor, a sum and a difference for each pair."""
    if len(xs) == 1:
        return xs
    even, odd = fft(xs[::2]), fft(xs[1::2])
    turned = [cmath.exp(-2j * cmath.pi * k / len(xs)) * x for k, x in enumerate(odd)]
    return [a + b for a, b in zip(even, turned, strict=True)] + [a - b for a, b in zip(even, turned, strict=True)]


@given(st.integers(0, 4), st.integers(1, 3), st.integers(0, 2))
def test_powers_of_two(stages: int, rows: int, normalization: int) -> None:
    """The rule equals the tally of the algorithm, which computes the transform."""
    tally = Tally()
    length = 2**stages
    for row in tally.array(rows, length, dtype="complex64"):
        for y in fft(row):
            if normalization:
                0.5 * y
    x = spec(rows, length, dtype="complex64")
    assert_counted(terms_of("_fft_c2c", x, [1], normalization, True, out=x), tally)


def test_the_reference_is_a_fourier_transform() -> None:
    """The loop that proves the rule agrees with torch."""
    xs = Tally().array(8, dtype="complex64")
    expected = torch.fft.fft(torch.tensor([x.value for x in xs], dtype=torch.complex128))
    assert torch.allclose(torch.tensor([y.value for y in fft(xs)], dtype=torch.complex128), expected)


def test_other_lengths_take_a_whole_number_of_stages() -> None:
    """Length 6 has ⌈log₂ 6⌉ = 3 stages of 3 complex multiplies and 6 complex adds."""
    assert fft_of(6) == OpCount(multiplies=3 * 3 * 4, adds=3 * (3 * 2 + 6 * 2))
    assert fft_of(1) == OpCount()


@pytest.mark.parametrize("length", [*range(1, 40), 100, 127, 400, 512])
def test_longer_transforms_cost_no_less(length: int) -> None:
    """The count grows with the length."""
    assert fft_of(length).flops <= fft_of(length + 1).flops


def test_real_transforms_by_hand() -> None:
    """A 4×8 real image takes 4 rows of length 8, then 5 columns of length 4; the inverse takes the same."""
    x, y = spec(4, 8), spec(4, 5, dtype="complex64")
    expected = fft_of(8) * 4 + fft_of(4) * 5
    assert count_of("_fft_r2c", x, [0, 1], 0, True, out=y) == expected
    assert count_of("_fft_c2r", y, [0, 1], 2, 8, out=x) == expected + OpCount(multiplies=4 * 8)
    assert count_of("_fft_r2c", x, [0, 1], 1, True, out=y) == expected + OpCount(multiplies=4 * 5 * 2)


@pytest.mark.parametrize("norm", ["backward", "ortho"])
def test_decomposed_operators_cost_the_same(norm: str) -> None:
    """Composite transforms and the short-time transform cost the same whole and decomposed."""
    assert_same_when_decomposed(lambda x: torch.fft.irfft2(torch.fft.rfft2(x, norm=norm), norm=norm), (2, 6, 8))
    assert_same_when_decomposed(lambda x: torch.fft.ifftn(torch.fft.fftn(x, norm=norm)).abs(), (2, 6, 8))
    window = torch.ones(8, device="meta")
    assert_same_when_decomposed(lambda x: torch.stft(x, 8, window=window, return_complex=True), (2, 40))
