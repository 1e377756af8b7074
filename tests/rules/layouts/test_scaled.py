"""Low-precision and grouped products: hand-computed cases and proofs by the counting number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.opcount import OpCount
from tests.rules.counting import Tally, assert_counted, mac, spec
from tests.rules.counting import total as summed
from tests.rules.registered import count_of, kind_of, terms_of

FP8 = "float8_e4m3fn"


def macs(number: int, adds: int) -> OpCount:
    """``number`` multiply–accumulate pairs, and ``adds`` adds."""
    return OpCount(multiplies=number, adds=adds, macs=number)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 3),
    k=st.integers(1, 2),
    m=st.integers(1, 3),
    scales=st.sampled_from(["tensor", "row", "block"]),
    bias=st.booleans(),
    result=st.booleans(),
)
def test_scaled_products_cost_what_their_loops_cost(
    n: int, k: int, m: int, scales: str, bias: bool, result: bool
) -> None:
    """A scale that factors out of the sum multiplies each result; a scale of a block multiplies each element."""
    tally = Tally()
    k *= 4
    a, b, one = tally.array(n, k), tally.array(k, m), tally.number(2.0)
    if scales == "block":
        a = [[one * x for x in row] for row in a]
        b = [[one * x for x in row] for row in b]
    for i in range(n):
        for j in range(m):
            y: Any = summed(mac(a[i][q], b[q][j]) for q in range(k))
            y = y if scales == "block" else one * (one * y)
            y = y + one if bias else y
            y = y * one if result else y
    shapes = {"tensor": ((), ()), "row": ((n, 1), (1, m)), "block": ((n, k // 2), (k // 2, m))}[scales]
    terms = terms_of(
        "_scaled_mm",
        spec(n, k, dtype=FP8),
        spec(k, m, dtype=FP8),
        *(spec(*shape) for shape in shapes),
        spec(m) if bias else None,
        spec() if result else None,
        out=spec(n, m),
    )
    assert_counted(terms, tally)


def test_scaled_product_by_hand() -> None:
    """Row-wise scales take two multiplies for each result beside the products."""
    a, b, out = spec(16, 32, dtype=FP8), spec(32, 8, dtype=FP8), spec(16, 8, dtype="bfloat16")
    n, k = 16 * 8, 32
    expected = macs(n * k, n * (k - 1)) + OpCount(multiplies=2 * n)
    assert count_of("_scaled_mm", a, b, spec(16, 1), spec(1, 8), out_dtype=None, out=out) == expected
    row = ([spec(16, 1)], [1], [0], [spec(1, 8)], [1], [0], None)
    assert count_of("_scaled_mm_v2", a, b, *row, out=out) == expected
    assert kind_of("_scaled_mm", a, spec(32, 8, dtype=FP8, parameter=True), spec(), spec(), out=out) == "linear"


def test_a_byte_holds_two_packed_four_bit_numbers() -> None:
    """The summed dimension, and what the scale of a block multiplies, is counted in numbers."""
    a, b, out = spec(16, 32, dtype="float4_e2m1fn_x2"), spec(32, 8, dtype="float4_e2m1fn_x2"), spec(16, 8)
    n, k = 16 * 8, 2 * 32
    blocks = ([spec(16 * 4), spec()], [2, 0], [1, 0], [spec(8 * 4), spec()], [2, 0], [1, 0], None)
    scales = 16 * k + n + 8 * k + n
    expected = macs(n * k, n * (k - 1)) + OpCount(multiplies=scales)
    assert count_of("_scaled_mm_v2", a, b, *blocks, out=out) == expected


@pytest.mark.parametrize(
    ("left", "right", "result", "results", "products"),
    [
        ((10, 4), (3, 4, 5), (10, 5), 10 * 5, 10 * 5 * 4),
        ((3, 6, 4), (4, 10), (6, 10), 6 * 10, 6 * 10 * 4),
        ((3, 6, 4), (3, 4, 5), (3, 6, 5), 3 * 6 * 5, 3 * 6 * 5 * 4),
        ((6, 10), (10, 5), (3, 6, 5), 3 * 6 * 5, 6 * 5 * 10),
    ],
)
def test_grouped_products_by_hand(
    left: tuple[int, ...], right: tuple[int, ...], result: tuple[int, ...], results: int, products: int
) -> None:
    """There are groups of rows, of columns, of both, or of summands; each result has one add less than products."""
    offsets = spec(3, dtype="int32")
    plain = count_of("_grouped_mm", spec(*left), spec(*right), offsets, out=spec(*result))
    assert plain == macs(products, products - results)
    scaled = count_of("_scaled_grouped_mm", spec(*left), spec(*right), spec(10), spec(5), offsets, out=spec(*result))
    assert scaled == plain + OpCount(multiplies=2 * results)


def test_grouped_products_with_scales_in_levels() -> None:
    """Scales of rows multiply results; scales of blocks multiply the elements, two 4-bit ones in each byte."""
    left, right, out = spec(10, 4, dtype=FP8), spec(3, 4, 5, dtype=FP8), spec(10, 5)
    rows: Any = ([spec(10)], [1], [0], [spec(3, 5)], [1], [0], spec(3, dtype="int32"))
    first_form = count_of("_scaled_grouped_mm", left, right, spec(10), spec(3, 5), out=out)
    assert count_of("_scaled_grouped_mm_v2", left, right, *rows, out=out) == first_form
    left, right = spec(10, 4, dtype="float4_e2m1fn_x2"), spec(3, 4, 5, dtype="float4_e2m1fn_x2")
    blocks: Any = ([spec(10)], [2], [0], [spec(3, 5)], [2], [0], spec(3, dtype="int32"))
    products = 10 * 5 * 8
    expected = macs(products, products - 50) + OpCount(multiplies=10 * 8 + 3 * 8 * 5)
    assert count_of("_scaled_grouped_mm_v2", left, right, *blocks, out=out) == expected


def test_quantized_weights_by_hand() -> None:
    """8-bit weights scale the results; 4-bit ones are dequantized one by one, with scale and zero point."""
    x, out = spec(2, 64), spec(2, 16)
    product = macs(2 * 16 * 64, 2 * 16 * 63)
    int8 = count_of("_weight_int8pack_mm", x, spec(16, 64, dtype="int8"), spec(16), out=out)
    assert int8 == product + OpCount(multiplies=2 * 16)
    packed = (spec(2, 1, 32, 4, dtype="int32"), 32, spec(2, 16, 2))
    int4 = count_of("_weight_int4pack_mm", x, *packed, out=out)
    assert int4 == product + OpCount(multiplies=64 * 16, adds=64 * 16)
    assert kind_of("_weight_int4pack_mm", x, *packed, out=out) == "linear"


def test_integer_weights_of_floating_inputs() -> None:
    """The scale of a column multiplies its results; then come the bias and the fused function."""
    x, weight, out = spec(2, 64), spec(64, 16, dtype="int8"), spec(2, 16)
    product = macs(2 * 16 * 64, 2 * 16 * 63) + OpCount(multiplies=2 * 16)
    assert count_of("_mixed_dtypes_linear", x, weight, spec(16), out=out) == product
    fused = count_of("_mixed_dtypes_linear", x, weight, spec(16), bias=spec(16), activation="relu", out=out)
    assert fused == product + OpCount(adds=2 * 16, comparisons=2 * 16)
    assert count_of("_mixed_dtypes_linear", x, weight, spec(16), activation="none", out=out) == product
