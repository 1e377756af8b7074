"""Contractions: hand-computed cases, agreement of spellings, and proofs by the counting number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as positions
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.opcount import OpCount, Term, total
from profiler.records import TensorSpec
from profiler.rules import contractions
from profiler.rules.registry import REGISTRY
from tests.rules.counting import Tally, assert_counted, spec
from tests.rules.counting import total as summed


def terms_of(op: str, *args: Any, out: Any, **kwargs: Any) -> list[Term]:
    """The terms by the registered rule of ``aten::op``."""
    entry = REGISTRY.find(f"aten::{op}")
    assert entry is not None
    assert entry.cost is not None
    return list(entry.cost(*args, out=out, **kwargs))


def cost_of(op: str, *args: Any, out: Any, **kwargs: Any) -> OpCount:
    return total(terms_of(op, *args, out=out, **kwargs))


def kind_of(op: str, *args: Any, out: Any, **kwargs: Any) -> str:
    entry = REGISTRY.find(f"aten::{op}")
    assert entry is not None
    return entry.kind_of(*args, out=out, **kwargs)


def macs(number: int, adds: int) -> OpCount:
    return OpCount(multiplies=number, adds=adds, macs=number)


# Convolutions


def test_first_convolution_of_alexnet_by_hand() -> None:
    """(3·11²)·(64·55²) multiplies, and as many adds with the bias; the formula reads the same."""
    terms = terms_of(
        "conv2d", spec(1, 3, 227, 227), spec(64, 3, 11, 11), spec(64), [4, 4], [0, 0], out=spec(1, 64, 55, 55)
    )
    assert terms[0].formula == "(3·11·11)·(64·55·55)"
    assert terms[1].formula == "64·55·55 adds"
    assert total(terms) == macs((3 * 11**2) * (64 * 55**2), (3 * 11**2 - 1) * (64 * 55**2) + 64 * 55**2)


def test_convolution_without_bias_by_hand() -> None:
    """Each of the N results adds K − 1 times; a group has its own channels only; a batch multiplies."""
    cost = cost_of("conv1d", spec(2, 6, 10), spec(4, 3, 5), None, [1], [0], [1], 2, out=spec(2, 4, 6))
    assert cost == macs((2 * 4 * 6) * (3 * 5), (2 * 4 * 6) * (3 * 5 - 1))


def test_convolution_of_an_unbatched_input() -> None:
    """(C, D, H, W) costs what a batch of one costs."""
    batched = cost_of("conv3d", spec(1, 2, 5, 5, 5), spec(4, 2, 3, 3, 3), out=spec(1, 4, 3, 3, 3))
    assert cost_of("conv3d", spec(2, 5, 5, 5), spec(4, 2, 3, 3, 3), out=spec(4, 3, 3, 3)) == batched
    assert batched == macs(4 * 27 * (2 * 27), 4 * 27 * (2 * 27 - 1))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolution_with_named_padding(padding: str) -> None:
    """padding="same" and "valid" are seen in the result's shape."""
    size = 8 if padding == "same" else 6
    cost = cost_of("conv2d", spec(1, 3, 8, 8), spec(4, 3, 3, 3), spec(4), [1, 1], padding, out=spec(1, 4, size, size))
    assert cost == macs(4 * size**2 * 27, 4 * size**2 * 27)


def test_convolution_spellings_agree() -> None:
    """aten::convolution and aten::_convolution cost what aten::conv2d and aten::conv_transpose2d cost."""
    x, w, b, y = spec(2, 4, 9, 9), spec(6, 2, 3, 3), spec(6), spec(2, 6, 5, 5)
    conv = cost_of("conv2d", x, w, b, [2, 2], [1, 1], [1, 1], 2, out=y)
    assert cost_of("convolution", x, w, b, [2, 2], [1, 1], [1, 1], False, [0, 0], 2, out=y) == conv
    flags = (False, False, True, True)
    assert cost_of("_convolution", x, w, b, [2, 2], [1, 1], [1, 1], False, [0, 0], 2, *flags, out=y) == conv
    x, w, y = spec(2, 4, 5, 5), spec(4, 3, 3, 3), spec(2, 6, 10, 10)
    transposed = cost_of("conv_transpose2d", x, w, None, [2, 2], [1, 1], [1, 1], 2, out=y)
    assert cost_of("convolution", x, w, None, [2, 2], [1, 1], [1, 1], True, [1, 1], 2, out=y) == transposed
    assert transposed == macs(2 * 4 * 25 * 3 * 9, 2 * 4 * 25 * 3 * 9 - 2 * 6 * 100)


def test_transposed_convolution_by_hand() -> None:
    """All products count; without a bias the first product of each output is no add."""
    x, w, y = spec(1, 8, 5, 5), spec(8, 4, 3, 3), spec(1, 4, 11, 11)
    products = (8 * 5 * 5) * (4 * 3 * 3)
    assert cost_of("conv_transpose2d", x, w, None, [2, 2], out=y) == macs(products, products - 4 * 11 * 11)
    assert cost_of("conv_transpose2d", x, w, spec(4), [2, 2], out=y) == macs(products, products)
    assert terms_of("conv_transpose2d", x, w, None, [2, 2], out=y)[0].formula == "(4·3·3)·(8·5·5)"


def test_transposed_convolution_with_gaps() -> None:
    """Where the stride exceeds the kernel some outputs receive no product, hence save no add."""
    products = (2 * 3) * (5 * 2)
    cost = cost_of("conv_transpose1d", spec(1, 2, 3), spec(2, 5, 2), None, [4], [0], [1], out=spec(1, 5, 11))
    assert cost == macs(products, products - 5 * (3 * 2))


def convolve(x: Any, w: Any, b: Any, stride: int, pad: int, dilation: int, groups: int, tally: Tally) -> Any:
    """The definition of a convolution over (C, L), with zeros written out as operands."""
    kernel, group_out, group_in = len(w[0][0]), len(w) // groups, len(w[0])
    zeros = [tally.number(0.0)] * pad
    rows = [[*zeros, *row, *zeros] for row in x]
    length = (len(rows[0]) - dilation * (kernel - 1) - 1) // stride + 1
    result = []
    for o, weights in enumerate(w):
        first = (o // group_out) * group_in
        for position in range(length):
            y = summed(
                rows[first + c][position * stride + j * dilation] * weights[c][j]
                for c in range(group_in)
                for j in range(kernel)
            )
            result.append(y if b is None else y + b[o])
    return result


def as_specs(*tensors: torch.Tensor | None) -> list[TensorSpec | None]:
    return [None if t is None else TensorSpec(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for t in tensors]


def values(array: Any, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A tensor of the values of nested lists of counting numbers."""

    def plain(item: Any) -> Any:
        return [plain(i) for i in item] if isinstance(item, list) else item.value

    return torch.tensor(plain(array), dtype=dtype)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.integers(1, 2),
    group_in=st.integers(1, 2),
    group_out=st.integers(1, 2),
    length=st.integers(3, 6),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
)
def test_convolution_costs_what_its_loop_does(
    groups: int,
    group_in: int,
    group_out: int,
    length: int,
    kernel: int,
    stride: int,
    pad: int,
    dilation: int,
    bias: bool,
) -> None:
    """The rule equals the tally of the plain loop, which computes what torch computes."""
    if length + 2 * pad < dilation * (kernel - 1) + 1:
        return
    tally = Tally()
    x, w = tally.array(groups * group_in, length), tally.array(groups * group_out, group_in, kernel)
    b = tally.array(groups * group_out) if bias else None
    found = values(convolve(x, w, b, stride, pad, dilation, groups, tally))
    tensors = values(x), values(w), None if b is None else values(b)
    y = torch.conv1d(*tensors, [stride], [pad], [dilation], groups)
    assert torch.allclose(found, y.flatten())
    assert_counted(
        terms_of("conv1d", *as_specs(*tensors), [stride], [pad], [dilation], groups, out=as_specs(y)[0]), tally
    )


def scatter(x: Any, w: Any, b: Any, stride: int, pad: int, extra: int, dilation: int, groups: int, tally: Tally) -> Any:
    """The definition of a transposed convolution over (C, L): every product is added where it falls.

    The rim that padding cuts off accumulates from a zero and is thrown away.
    """
    kernel, group_out, group_in = len(w[0][0]), len(w[0]), len(x) // groups
    length = (len(x[0]) - 1) * stride - 2 * pad + dilation * (kernel - 1) + extra + 1
    result = [[0 if b is None else b[o] for _ in range(length)] for o in range(group_out * groups)]
    for c, row in enumerate(x):
        for o in range(group_out):
            target = (c // group_in) * group_out + o
            for i, value in enumerate(row):
                for j in range(kernel):
                    position = i * stride + j * dilation - pad
                    if 0 <= position < length:
                        result[target][position] += value * w[c][o][j]
                    else:
                        tally.number(0.0) + value * w[c][o][j]
    return [[tally.number(y) if isinstance(y, int) else y for y in row] for row in result]


@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(1, 2),
    group_in=st.integers(1, 2),
    group_out=st.integers(1, 2),
    length=st.integers(1, 4),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 4),
    pad=st.integers(0, 2),
    extra=st.integers(0, 2),
    dilation=st.integers(1, 3),
    bias=st.booleans(),
)
def test_transposed_convolution_costs_what_its_loop_does(
    groups: int,
    group_in: int,
    group_out: int,
    length: int,
    kernel: int,
    stride: int,
    pad: int,
    extra: int,
    dilation: int,
    bias: bool,
) -> None:
    """The rule equals the tally of the plain scatter loop, which computes what torch computes."""
    if extra >= max(stride, dilation) or (length - 1) * stride - 2 * pad + dilation * (kernel - 1) + extra + 1 < 1:
        return
    tally = Tally()
    x, w = tally.array(groups * group_in, length), tally.array(groups * group_in, group_out, kernel)
    b = tally.array(groups * group_out) if bias else None
    found = values(scatter(x, w, b, stride, pad, extra, dilation, groups, tally))
    args: Any = ([stride], [pad], [extra], groups, [dilation])
    tensors = values(x)[None], values(w), None if b is None else values(b)
    y = torch.conv_transpose1d(*tensors, *args)
    assert torch.allclose(found, y[0])
    assert_counted(terms_of("conv_transpose1d", *as_specs(*tensors), *args, out=as_specs(y)[0]), tally)


# Linear layers and matrix products


def test_linear_by_hand() -> None:
    """fc1 of AlexNet: 9216·4096 multiplies and as many adds with the bias."""
    terms = terms_of("linear", spec(1, 9216), spec(4096, 9216), spec(4096), out=spec(1, 4096))
    assert terms[0].formula == "9216·4096"
    assert total(terms) == macs(9216 * 4096, 9216 * 4096)
    assert cost_of("linear", spec(2, 7, 5), spec(3, 5), out=spec(2, 7, 3)) == macs(2 * 7 * 3 * 5, 2 * 7 * 3 * 4)


def test_linear_spellings_agree() -> None:
    """linear, addmm, matmul + bias and baddbmm of the same sizes cost the same."""
    linear = cost_of("linear", spec(4, 5), spec(3, 5), spec(3), out=spec(4, 3))
    assert cost_of("addmm", spec(3), spec(4, 5), spec(5, 3), out=spec(4, 3)) == linear
    assert cost_of("baddbmm", spec(1, 4, 3), spec(1, 4, 5), spec(1, 5, 3), out=spec(1, 4, 3)) == linear
    assert cost_of("mm", spec(4, 5), spec(5, 3), out=spec(4, 3)) + OpCount(adds=4 * 3) == linear


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
    assert cost_of("matmul", spec(*left), spec(*right), out=spec(*result)) == macs(n * k, n * (k - 1))


def test_bmm_by_hand() -> None:
    """Each matrix of the batch is multiplied."""
    assert cost_of("bmm", spec(6, 4, 5), spec(6, 5, 3), out=spec(6, 4, 3)) == macs(6 * 4 * 3 * 5, 6 * 4 * 3 * 4)


def test_scales_of_an_added_product() -> None:
    """alpha and beta other than 1 cost a multiply a result each; beta = 0 leaves the input out."""
    operands, out = (spec(3), spec(4, 5), spec(5, 3)), spec(4, 3)
    n, products = 4 * 3, 4 * 3 * 5
    assert cost_of("addmm", *operands, out=out) == macs(products, products)
    cases: list[tuple[dict[str, float], int, int]] = [
        ({"alpha": 2}, n, n),
        ({"beta": 0.5}, n, n),
        ({"alpha": 2.0, "beta": 3}, 2 * n, n),
        ({"beta": 0}, 0, 0),
        ({"beta": 0, "alpha": 2}, n, 0),
    ]
    for scales, multiplies, adds in cases:
        expected = OpCount(multiplies=products + multiplies, adds=n * 4 + adds, macs=products)
        assert cost_of("addmm", *operands, out=out, **scales) == expected


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
    assert_counted(terms_of("addmm", *as_specs(*tensors), alpha=alpha, beta=beta, out=as_specs(y)[0]), tally)


def test_complex_products_are_four_real_ones() -> None:
    """A complex mac is 4 multiplies, 4 adds (2 for a result's first) and 4 macs."""
    a, b, y = (spec(*shape, dtype="complex64") for shape in [(4, 5), (5, 3), (4, 3)])
    cost = cost_of("mm", a, b, out=y)
    assert cost == macs(4 * (4 * 3 * 5), 4 * 3 * (4 * 5 - 2))


def test_empty_contraction_is_nothing() -> None:
    """A sum of no products costs nothing, and no negative adds."""
    assert cost_of("mm", spec(4, 0), spec(0, 3), out=spec(4, 3)) == OpCount()


def test_sizes_per_dimension() -> None:
    """A stride may be given once for all dimensions."""
    assert contractions.per_dimension(2, 3) == contractions.per_dimension([2], 3) == (2, 2, 2)
    assert contractions.per_dimension([1, 2], 2) == (1, 2)
