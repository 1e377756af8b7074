"""Products with 2:4 sparse matrices cost half of the dense products."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.sparse import semi_structured

from profiler.opcount import OpCount, Term, total
from profiler.signatures import TensorSpec
from tests.rules.counting import Tally, assert_counted, mac, maximum, sigmoid, spec
from tests.rules.counting import total as summed
from tests.rules.real_tensors import recorded
from tests.rules.registered import count_of, kind_of, terms_of

SIZES = st.integers(1, 3)


def kept_two_of_four(k: int, tally: Tally, seed: int) -> list[tuple[int, Any]]:
    """A row of k numbers, of which two of each four are stored, with their places."""
    row = tally.array(k, seed=seed)
    return [(place, row[place]) for start in range(0, k, 4) for place in (start, start + 2)]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    rows=SIZES,
    features=SIZES,
    groups=SIZES,
    bias=st.booleans(),
    activation=st.sampled_from([None, "relu", "silu"]),
)
def test_linear(rows: int, features: int, groups: int, bias: bool, activation: str | None) -> None:
    """A result sums the products with the stored weights; then come the bias and the fused activation."""
    tally = Tally()
    k = 4 * groups
    x, b = tally.array(rows, k), tally.array(features, seed=1)
    for row in x:
        for feature in range(features):
            y = summed(mac(weight, row[place]) for place, weight in kept_two_of_four(k, tally, feature))
            y = y + b[feature] if bias else y
            if activation == "relu":
                maximum(y, 0.0)
            elif activation == "silu":
                y * sigmoid(y)
    kept, meta, out = spec(features, k // 2), spec(features, k // 8, dtype="int16"), spec(rows, features)
    options: dict[str, Any] = {"bias": spec(features) if bias else None, "activation": activation}
    found = terms_of("_sparse_semi_structured_linear", spec(rows, k), kept, meta, **options, out=out)
    assert_counted(found, tally)


HALF = OpCount(multiplies=32, adds=31, macs=32)
"""One result of 64 products, of which half are computed."""


def test_products_by_hand() -> None:
    """(16, 64) packed as (16, 32), by (64, 10): 160 results of 32 products; alpha and beta multiply each of them."""
    packed, meta, b, out = spec(16, 32), spec(16, 4, dtype="int16"), spec(64, 10), spec(16, 10)
    assert count_of("_sparse_semi_structured_mm", packed, meta, b, out=out) == HALF * 160
    addmm: tuple[TensorSpec, ...] = (spec(16), packed, meta, b)
    one = HALF + OpCount(adds=1)
    assert count_of("_sparse_semi_structured_addmm", *addmm, out=out) == one * 160
    scaled = one + OpCount(multiplies=2)
    assert count_of("_sparse_semi_structured_addmm", *addmm, alpha=2, beta=3, out=out) == scaled * 160
    compressed = spec(16, 36)
    assert count_of("_cslt_sparse_mm", compressed, b, out=out) == HALF * 160
    alpha = one + OpCount(multiplies=1)
    assert count_of("_cslt_sparse_mm", compressed, b, spec(16), spec(), out=spec(10, 16)) == alpha * 160


def test_products_of_integers_cost_the_same() -> None:
    """Integer products count as in other operators."""
    operands = [TensorSpec(shape, "int8") for shape in ((16, 32), (16, 4), (64, 10))]
    assert count_of("_sparse_semi_structured_mm", *operands, out=TensorSpec((16, 10), "int32")) == HALF * 160


def recorded_on_meta(run: Any, *shapes: tuple[int, ...]) -> list[Term]:
    return recorded(run, *(torch.empty(shape, device="meta", dtype=torch.float16) for shape in shapes))[1]


@pytest.mark.skipif(
    not hasattr(semi_structured, "_ensure_cutlass_mm_registered"), reason="other releases call the products themselves"
)
def test_the_wrapper_of_torch_costs_the_product() -> None:
    """It pads its operand to whole tiles; the padding is no work."""
    for name in ("cutlass", "cusparselt"):
        getattr(semi_structured, f"_ensure_{name}_mm_registered")()
    cutlass, cusparselt = torch.ops.semi_structured.cutlass_mm, torch.ops.semi_structured.cusparselt_mm
    tiles = (16, 8, 8)
    terms = recorded_on_meta(
        lambda x, packed, meta, bias: cutlass(x, packed, meta, bias, *tiles, True),
        *((10, 64), (16, 32), (16, 4), (16,)),
    )
    assert total(terms) == (HALF + OpCount(adds=1)) * 160
    terms = recorded_on_meta(
        lambda x, packed, meta: cutlass(x, packed, meta, None, *tiles, False), (64, 10), (16, 32), (16, 4)
    )
    assert total(terms) == HALF * 160
    terms = recorded_on_meta(
        lambda x, packed, bias: cusparselt(x, packed, bias, *tiles, True, 0, True), (10, 64), (16, 36), (16,)
    )
    assert total(terms) == (HALF + OpCount(adds=1)) * 160


@pytest.mark.parametrize("op", ["_cslt_compress", "_to_sparse_semi_structured"])
def test_compressing_tests_every_value(op: str) -> None:
    """Comparisons with zero find the values to keep; applying a given mask is free."""
    assert count_of(op, spec(16, 64), out=(spec(16, 32), spec(16, 4))) == OpCount(comparisons=16 * 64)
    assert not terms_of("_sparse_semi_structured_apply", spec(16, 64), spec(4), out=(spec(16, 32), spec(16, 4)))


def test_packed_parameters_make_a_layer_linear() -> None:
    """A layer whose packed weights are parameters is linear."""
    x, meta, out = spec(10, 64), spec(16, 4, dtype="int16"), spec(10, 16)
    assert kind_of("_sparse_semi_structured_linear", x, spec(16, 32, parameter=True), meta, out=out) == "linear"
    assert kind_of("_sparse_semi_structured_mm", spec(16, 32), meta, spec(64, 10), out=spec(16, 10)) == "matmul"
