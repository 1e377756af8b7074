"""Linear layers and matrix products: hand-computed cases, agreement of spellings, and proofs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as positions
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.opcount import OpCount, total
from tests.rules.counting import Tally, assert_counted, spec
from tests.rules.counting import total as summed
from tests.rules.registered import count_of, kind_of, terms_of
from tests.rules.tensors import specs, values


def macs(number: int, adds: int) -> OpCount:
    """So many multiply–accumulate pairs, and so many adds."""
    return OpCount(multiplies=number, adds=adds, macs=number)


def test_linear_by_hand() -> None:
    """fc1 of AlexNet: 9216·4096 multiplies and as many adds with the bias."""
    terms = terms_of("linear", spec(1, 9216), spec(4096, 9216), spec(4096), out=spec(1, 4096))
    assert terms[0].formula == "9216·4096"
    assert total(terms) == macs(9216 * 4096, 9216 * 4096)
    assert count_of("linear", spec(2, 7, 5), spec(3, 5), out=spec(2, 7, 3)) == macs(2 * 7 * 3 * 5, 2 * 7 * 3 * 4)


def test_linear_spellings_agree() -> None:
    """linear, addmm, matmul + bias and baddbmm of the same sizes cost the same."""
    linear = count_of("linear", spec(4, 5), spec(3, 5), spec(3), out=spec(4, 3))
    assert count_of("addmm", spec(3), spec(4, 5), spec(5, 3), out=spec(4, 3)) == linear
    assert count_of("baddbmm", spec(1, 4, 3), spec(1, 4, 5), spec(1, 5, 3), out=spec(1, 4, 3)) == linear
    assert count_of("mm", spec(4, 5), spec(5, 3), out=spec(4, 3)) + OpCount(adds=4 * 3) == linear


@pytest.mark.parametrize(
    ("left", "right", "result", "k"),
    [
        ((5,), (5,), (), 5),
        ((4, 5), (5,), (4,), 5),
        ((5,), (5, 3), (3,), 5),
        ((4, 5), (5, 3), (4, 3), 5),
        ((5,), (2, 5, 3), (2, 3), 5),
        ((2, 4, 5), (5,), (2, 4), 5),
        ((2, 1, 4, 5), (7, 5, 3), (2, 7, 4, 3), 5),
    ],
)
def test_matmul_of_all_shapes(left: Sequence[int], right: Sequence[int], result: Sequence[int], k: int) -> None:
    """Vectors, matrices and broadcast batches: N·K multiplies and N·(K − 1) adds."""
    assert torch.matmul(torch.ones(left), torch.ones(right)).shape == result
    n = spec(*result).size
    assert count_of("matmul", spec(*left), spec(*right), out=spec(*result)) == macs(n * k, n * (k - 1))


def test_bmm_by_hand() -> None:
    """Each matrix of the batch is multiplied."""
    assert count_of("bmm", spec(6, 4, 5), spec(6, 5, 3), out=spec(6, 4, 3)) == macs(6 * 4 * 3 * 5, 6 * 4 * 3 * 4)


def test_scales_of_an_added_product() -> None:
    """alpha and beta other than 1 cost a multiply a result each; beta = 0 leaves the input out."""
    operands, out = (spec(3), spec(4, 5), spec(5, 3)), spec(4, 3)
    n, products = 4 * 3, 4 * 3 * 5
    assert count_of("addmm", *operands, out=out) == macs(products, products)
    cases: list[tuple[dict[str, float], int, int]] = [
        ({"alpha": 2}, n, n),
        ({"beta": 0.5}, n, n),
        ({"alpha": 2.0, "beta": 3}, 2 * n, n),
        ({"beta": 0}, 0, 0),
        ({"beta": 0, "alpha": 2}, n, 0),
    ]
    for scales, multiplies, adds in cases:
        expected = OpCount(multiplies=products + multiplies, adds=n * 4 + adds, macs=products)
        assert count_of("addmm", *operands, out=out, **scales) == expected


def test_kind_follows_the_operands() -> None:
    """A parameter among the factors makes a product linear; a parameter that is only added does not."""
    x, w = spec(4, 5), spec(5, 3, parameter=True)
    y = spec(4, 3)
    assert kind_of("mm", x, w, out=y) == "linear"
    assert kind_of("mm", x, spec(5, 3), out=y) == "matmul"
    assert kind_of("linear", x, spec(3, 5, parameter=True), None, out=y) == "linear"
    assert kind_of("addmm", spec(3), x, w, out=y) == "linear"
    assert kind_of("addmm", spec(3, parameter=True), x, spec(5, 3), out=y, alpha=2) == "matmul"


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 3),
    k=st.integers(1, 4),
    m=st.integers(1, 3),
    alpha=st.sampled_from([1, 2.0, -0.5]),
    beta=st.sampled_from([1, 0, 0.5]),
    dtype=st.sampled_from(["float64", "complex128"]),
)
def test_addmm_costs_what_its_loop_does(n: int, k: int, m: int, alpha: float, beta: float, dtype: str) -> None:
    """beta·input + alpha·(a @ b) by three loops, of real and of complex numbers."""
    tally = Tally()
    c, a, b = (tally.array(*shape, dtype=dtype) for shape in [(n, m), (n, k), (k, m)])
    found: Any = [[0] * m for _ in range(n)]
    for i, j in positions(range(n), range(m)):
        found[i][j] = alpha * summed(a[i][q] * b[q][j] for q in range(k))
        if beta != 0:
            found[i][j] += beta * c[i][j]
    torch_dtype = getattr(torch, dtype)
    tensors = [values(t, torch_dtype) for t in (c, a, b)]
    y = torch.addmm(*tensors, alpha=alpha, beta=beta)
    assert torch.allclose(values(found, torch_dtype), y)
    assert_counted(terms_of("addmm", *specs(tensors), alpha=alpha, beta=beta, out=specs(y)), tally)


def test_complex_products_are_four_real_ones() -> None:
    """A complex mac is 4 multiplies, 4 adds (2 for a result's first) and 4 macs."""
    a, b, y = (spec(*shape, dtype="complex64") for shape in [(4, 5), (5, 3), (4, 3)])
    cost = count_of("mm", a, b, out=y)
    assert cost == macs(4 * (4 * 3 * 5), 4 * 3 * (4 * 5 - 2))


def test_empty_contraction_is_nothing() -> None:
    """A sum of no products costs nothing, and no negative adds."""
    assert count_of("mm", spec(4, 0), spec(0, 3), out=spec(4, 3)) == OpCount()
