"""Linear layers and matrix products: hand-computed cases, equal costs of equivalent operators, and proofs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product as positions
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.opcount import OpCount, total
from profiler.records import Mode
from profiler.traces import trace
from tests.rules.counting import Tally, assert_counted, mac, spec
from tests.rules.counting import total as summed
from tests.rules.registered import assert_same_when_decomposed, count_of, kind_of, terms_of
from tests.rules.tensors import specs, values

Sizes = tuple[int, ...]


def macs(number: int, adds: int) -> OpCount:
    """``number`` multiply–accumulate pairs, and ``adds`` adds."""
    return OpCount(multiplies=number, adds=adds, macs=number)


def test_linear_by_hand() -> None:
    """fc1 of AlexNet: 9216·4096 multiplies and as many adds with the bias."""
    terms = terms_of("linear", spec(1, 9216), spec(4096, 9216), spec(4096), out=spec(1, 4096))
    assert terms[0].formula == "9216·4096"
    assert total(terms) == macs(9216 * 4096, 9216 * 4096)
    assert count_of("linear", spec(2, 7, 5), spec(3, 5), out=spec(2, 7, 3)) == macs(2 * 7 * 3 * 5, 2 * 7 * 3 * 4)


def test_equivalent_linear_operators_cost_the_same() -> None:
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
def test_matmul_of_all_ranks(left: Sequence[int], right: Sequence[int], result: Sequence[int], k: int) -> None:
    """Vectors, matrices and broadcast batches: N·K multiplies and N·(K − 1) adds."""
    assert torch.matmul(torch.ones(left), torch.ones(right)).shape == result
    n = spec(*result).size
    assert count_of("matmul", spec(*left), spec(*right), out=spec(*result)) == macs(n * k, n * (k - 1))


def test_bmm_by_hand() -> None:
    """Each matrix of the batch is multiplied."""
    assert count_of("bmm", spec(6, 4, 5), spec(6, 5, 3), out=spec(6, 4, 3)) == macs(6 * 4 * 3 * 5, 6 * 4 * 3 * 4)


def test_scales_of_an_added_product() -> None:
    """alpha and beta other than 1 cost a multiply for each result; beta = 0 leaves the input out."""
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


def test_the_kind_depends_on_the_operands() -> None:
    """A parameter among the factors makes a product linear; a parameter that is only added does not."""
    x, w = spec(4, 5), spec(5, 3, parameter=True)
    y = spec(4, 3)
    assert kind_of("mm", x, w, out=y) == "linear"
    assert kind_of("mm", x, spec(5, 3), out=y) == "matmul"
    assert kind_of("linear", x, spec(3, 5, parameter=True), None, out=y) == "linear"
    assert kind_of("addmm", spec(3), x, w, out=y) == "linear"
    assert kind_of("addmm", spec(3, parameter=True), x, spec(5, 3), out=y, alpha=2) == "matmul"


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 3),
    k=st.integers(0, 4),
    m=st.integers(1, 3),
    alpha=st.sampled_from([1, 2.0, -0.5]),
    beta=st.sampled_from([1, 0, 0.5]),
    dtype=st.sampled_from(["float64", "complex128"]),
)
def test_addmm_costs_what_its_loop_costs(n: int, k: int, m: int, alpha: float, beta: float, dtype: str) -> None:
    """beta·input + alpha·(a @ b) by three loops, for real and complex numbers."""
    tally = Tally()
    c, a, b = (tally.array(*shape, dtype=dtype) for shape in [(n, m), (n, k), (k, m)])
    found: Any = [[0] * m for _ in range(n)]
    for i, j in positions(range(n), range(m)):
        found[i][j] = alpha * summed(mac(a[i][q], b[q][j]) for q in range(k)) if k else 0
        if beta != 0:
            found[i][j] += beta * c[i][j]
    torch_dtype = getattr(torch, dtype)
    shaped = ((c, (n, m)), (a, (n, k)), (b, (k, m)))
    tensors = [values(t, torch_dtype).reshape(shape) for t, shape in shaped]
    y = torch.addmm(*tensors, alpha=alpha, beta=beta)
    assert k == 0 or torch.allclose(values(found, torch_dtype), y)
    assert_counted(terms_of("addmm", *specs(tensors), alpha=alpha, beta=beta, out=specs(y)), tally)


def test_complex_products_are_four_real_ones() -> None:
    """A complex mac is 4 multiplies, 4 adds (2 for the first of a result) and 4 macs."""
    a, b, y = (spec(*shape, dtype="complex64") for shape in [(4, 5), (5, 3), (4, 3)])
    cost = count_of("mm", a, b, out=y)
    assert cost == macs(4 * (4 * 3 * 5), 4 * 3 * (4 * 5 - 2))


def test_an_empty_contraction_costs_nothing() -> None:
    """A sum of no products costs nothing, and its adds are not negative."""
    assert count_of("mm", spec(4, 0), spec(0, 3), out=spec(4, 3)) == OpCount()


def test_a_bias_without_products_costs_no_adds() -> None:
    """There are N·(K − 1) + N adds for K > 0, and none for K = 0, where alpha scales nothing and beta does."""
    out, operands = spec(3, 5), (spec(5), spec(3, 0), spec(0, 5))
    for op in ("linear", "mkldnn_linear"):
        assert count_of(op, spec(3, 0), spec(5, 0), spec(5), out=out) == OpCount()
        assert count_of(op, spec(3, 1), spec(5, 1), spec(5), out=out) == macs(3 * 5, 3 * 5 * (1 - 1) + 3 * 5)
    assert count_of("addmm", *operands, out=out) == OpCount()
    assert count_of("addmm", *operands, alpha=3, out=out) == OpCount()
    assert count_of("addmm", *operands, beta=2, alpha=3, out=out) == OpCount(multiplies=3 * 5)
    assert count_of("baddbmm", spec(2, 3, 5), spec(2, 3, 0), spec(2, 0, 5), out=spec(2, 3, 5)) == OpCount()
    assert count_of("addmv", spec(3), spec(3, 0), spec(0), out=spec(3)) == OpCount()
    assert count_of("addbmm", spec(3, 5), spec(0, 3, 4), spec(0, 4, 5), out=out) == OpCount()
    assert count_of("bilinear", spec(3, 0), spec(3, 4), spec(5, 0, 4), spec(5), out=out) == OpCount(
        multiplies=3 * 5 * 4, adds=3 * 5 * (4 - 1), macs=3 * 5 * 4
    )


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_layer_without_inputs_adds_nothing(mode: Mode) -> None:
    """nn.Linear(0, 5) returns its bias, whose gradient sums over three rows."""
    layer = nn.Linear(0, 5)
    calls = trace(layer, torch.zeros(3, 0), mode).calls
    backward = 5 * (3 - 1) if mode == "training" else 0
    assert total(term for call in calls for term in call.terms) == OpCount(adds=backward)


def test_vectors_by_hand() -> None:
    """mv, dot, vdot and inner sum K products for each result; outer sums nothing, so it has no macs."""
    assert count_of("mv", spec(4, 5), spec(5), out=spec(4)) == macs(4 * 5, 4 * 4)
    assert count_of("addmv", spec(4), spec(4, 5), spec(5), out=spec(4)) == macs(4 * 5, 4 * 5)
    assert count_of("dot", spec(5), spec(5), out=spec()) == macs(5, 4)
    assert count_of("inner", spec(2, 3, 5), spec(4, 5), out=spec(2, 3, 4)) == macs(2 * 3 * 4 * 5, 2 * 3 * 4 * 4)
    assert count_of("inner", spec(), spec(4, 5), out=spec(4, 5)) == OpCount(multiplies=4 * 5)
    assert count_of("outer", spec(4), spec(5), out=spec(4, 5)) == OpCount(multiplies=4 * 5)
    complex_vector = spec(5, dtype="complex64")
    assert count_of("vdot", complex_vector, complex_vector, out=spec(dtype="complex64")) == macs(4 * 5, 4 * 5 - 2)


@pytest.mark.parametrize(
    ("left", "right", "dim", "result", "k"),
    [
        ((3, 4), (3, 4), -1, (3,), 4),
        ((4, 3, 5), (3, 5), 0, (3, 5), 4),
        ((2, 1), (4,), -1, (2,), 4),
        ((2, 0), (1,), -1, (2,), 0),
    ],
)
def test_vecdot_costs_a_dot_for_each_result(left: Sizes, right: Sizes, dim: int, result: Sizes, k: int) -> None:
    """There are K pairs for each result, along any dimension, broadcast or not, whole and in training."""
    x, y = torch.zeros(left), torch.zeros(right)
    assert torch.linalg.vecdot(x, y, dim=dim).shape == result
    n = spec(*result).size
    expected = macs(n * k, n * max(k - 1, 0))
    assert count_of("linalg_vecdot", spec(*left), spec(*right), dim=dim, out=spec(*result)) == expected
    forward = trace(Vecdot(dim), (x.requires_grad_(), y), "training").calls[0]
    assert (forward.op, forward.kind, forward.count) == ("aten::linalg_vecdot", "matmul", expected)


class Vecdot(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        return torch.linalg.vecdot(x, y, dim=self.dim)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3), k=st.integers(0, 4), dtype=st.sampled_from(["float64", "complex128"]))
def test_vecdot_costs_what_its_loop_costs(n: int, k: int, dtype: str) -> None:
    """Σ x̄·y of each row, for real and complex numbers."""
    tally = Tally()
    x, y = tally.array(n, k, dtype=dtype), tally.array(n, k, seed=1, dtype=dtype)
    found = [summed(mac(a.conjugate(), b) for a, b in zip(*rows, strict=True)) for rows in zip(x, y, strict=True)]
    torch_dtype = getattr(torch, dtype)
    tensors = [values(t, torch_dtype).reshape(n, k) for t in (x, y)]
    result = torch.linalg.vecdot(*tensors)
    assert k == 0 or torch.allclose(values(found, torch_dtype), result)
    assert_counted(terms_of("linalg_vecdot", *specs(tensors), out=specs(result)), tally)


def test_addr_and_addbmm_by_hand() -> None:
    """addbmm also sums over the batch; the products that addr adds are no contraction."""
    b, n, k, m = 6, 4, 5, 3
    cost = count_of("addbmm", spec(n, m), spec(b, n, k), spec(b, k, m), out=spec(n, m))
    assert cost == macs(n * m * b * k, n * m * (b * k - 1) + n * m)
    assert count_of("addr", spec(n, m), spec(n), spec(m), out=spec(n, m)) == OpCount(multiplies=n * m, adds=n * m)
    scaled = count_of("addr", spec(n, m), spec(n), spec(m), beta=2, alpha=3, out=spec(n, m))
    assert scaled == OpCount(multiplies=3 * n * m, adds=n * m)


@pytest.mark.parametrize(("use_gelu", "extra"), [(False, {"comparisons": 1}), (True, {"transcendentals": 1})])
def test_addmm_with_an_activation(use_gelu: bool, extra: dict[str, int]) -> None:
    """The fused form costs addmm and the activation."""
    out = spec(4, 3)
    cost = count_of("_addmm_activation", spec(3), spec(4, 5), spec(5, 3), use_gelu=use_gelu, out=out)
    activation = count_of("gelu" if use_gelu else "relu", out, out=out)
    assert cost == count_of("addmm", spec(3), spec(4, 5), spec(5, 3), out=out) + activation
    assert all(getattr(activation, kind) == 4 * 3 * number for kind, number in extra.items())


def test_integer_products_cost_as_much_as_float_products() -> None:
    """Quantized layers use ``_int_mm``."""
    a, b = spec(4, 5, dtype="int8"), spec(5, 3, dtype="int8")
    assert count_of("_int_mm", a, b, out=spec(4, 3, dtype="int32")) == macs(4 * 3 * 5, 4 * 3 * 4)


def bilinear_form(x: Any, w: Any, y: Any) -> Any:
    """xᵀ·W·y, by contracting W with x first."""
    columns = range(len(y))
    return summed(mac(summed(mac(x[a], w[a][b]) for a in range(len(x))), y[b]) for b in columns)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3), a=st.integers(1, 3), b=st.integers(1, 3), o=st.integers(1, 3), bias=st.booleans())
def test_bilinear_costs_what_its_loop_costs(n: int, a: int, b: int, o: int, bias: bool) -> None:
    """Each output of each row is a bilinear form; the weight is contracted with the first input first."""
    tally = Tally()
    x, y, w = tally.array(n, a), tally.array(n, b), tally.array(o, a, b)
    c = tally.array(o) if bias else None
    found = [[bilinear_form(x[i], w[j], y[i]) for j in range(o)] for i in range(n)]
    if c is not None:
        found = [[z + c[j] for j, z in enumerate(row)] for row in found]
    tensors = [values(x), values(y), values(w), None if c is None else values(c)]
    result = torch.nn.functional.bilinear(*tensors)  # type: ignore[arg-type]
    assert torch.allclose(values(found), result)
    assert_counted(terms_of("bilinear", *specs(tensors), out=specs(result)), tally)


def test_decomposed_operators_cost_the_same() -> None:
    """Composite products cost the same whole and decomposed."""
    functional = torch.nn.functional
    cases: list[tuple[Callable[..., Any], list[tuple[int, ...]]]] = [
        (functional.linear, [(2, 7, 5), (3, 5), (3,)]),
        (functional.linear, [(2, 7, 5), (3, 5)]),
        (functional.bilinear, [(7, 2, 3), (7, 2, 4), (5, 3, 4), (5,)]),
        (torch.matmul, [(2, 1, 4, 5), (7, 5, 3)]),
        (torch.matmul, [(2, 4, 5), (5,)]),
        (torch.matmul, [(5,), (2, 5, 3)]),
        (torch.inner, [(2, 3, 5), (4, 5)]),
        (torch.inner, [(), (4, 5)]),
        (torch.outer, [(4,), (5,)]),
        (torch.addbmm, [(4, 3), (6, 4, 5), (6, 5, 3)]),
    ]
    for run, shapes in cases:
        assert_same_when_decomposed(run, *shapes)
