"""Quantisation costs what its definition does."""

from __future__ import annotations

import math

from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, maximum, minimum, spec
from tests.rules.registered import count_of, terms_of

X = spec(2, 3)


def quantise(x: Counting) -> Counting:
    rounded = x.tally.number(float(math.floor(x / 0.1)))
    return minimum(maximum(rounded + 5.0, 0.0), 255.0)


def dequantise(q: Counting) -> Counting:
    return (q - 5.0) * 0.1


def test_quantise_and_back() -> None:
    """To integers, back, and both in one."""
    there, back, both = Tally(), Tally(), Tally()
    for x in there.array(6):
        quantise(x)
    for q in back.array(6):
        dequantise(q)
    for x in both.array(6):
        dequantise(quantise(x))
    q = spec(2, 3, dtype="quint8")
    assert_counted(terms_of("quantize_per_tensor", X, 0.1, 5, None, out=q), there)
    assert_counted(terms_of("dequantize", q, out=X), back)
    for op in ("fake_quantize_per_tensor_affine", "fake_quantize_per_tensor_affine_cachemask"):
        assert_counted(terms_of(op, X, 0.1, 5, 0, 255, out=(X, X)), both)


def test_lists_of_tensors() -> None:
    """Each tensor of a list is quantised."""
    assert count_of("dequantize", [X, spec(4)], out=[X, spec(4)]) == OpCount(adds=6 + 4, multiplies=6 + 4)


def test_dynamic_quantisation_finds_its_range() -> None:
    """Least and largest of 6 values, the scale and the zero point, then each value."""
    q = spec(2, 3, dtype="quint8")
    expected = OpCount(comparisons=2 * 5 + 6 * 2, adds=1 + 6, divides=2 + 6)
    assert count_of("quantize_per_tensor_dynamic", X, None, False, out=q) == expected
