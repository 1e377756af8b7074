"""Convolutions: hand-computed cases, agreement of spellings, and proofs by the counting number."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.opcount import OpCount, total
from tests.rules.counting import Tally, assert_counted, spec
from tests.rules.counting import total as summed
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import specs, values


def macs(number: int, adds: int) -> OpCount:
    """So many multiply–accumulate pairs, and so many adds."""
    return OpCount(multiplies=number, adds=adds, macs=number)


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
    cost = count_of("conv1d", spec(2, 6, 10), spec(4, 3, 5), None, [1], [0], [1], 2, out=spec(2, 4, 6))
    assert cost == macs((2 * 4 * 6) * (3 * 5), (2 * 4 * 6) * (3 * 5 - 1))


def test_convolution_of_an_unbatched_input() -> None:
    """(C, D, H, W) costs what a batch of one costs."""
    batched = count_of("conv3d", spec(1, 2, 5, 5, 5), spec(4, 2, 3, 3, 3), out=spec(1, 4, 3, 3, 3))
    assert count_of("conv3d", spec(2, 5, 5, 5), spec(4, 2, 3, 3, 3), out=spec(4, 3, 3, 3)) == batched
    assert batched == macs(4 * 27 * (2 * 27), 4 * 27 * (2 * 27 - 1))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolution_with_named_padding(padding: str) -> None:
    """padding="same" and "valid" are seen in the result's shape."""
    size = 8 if padding == "same" else 6
    cost = count_of("conv2d", spec(1, 3, 8, 8), spec(4, 3, 3, 3), spec(4), [1, 1], padding, out=spec(1, 4, size, size))
    assert cost == macs(4 * size**2 * 27, 4 * size**2 * 27)


def test_convolution_spellings_agree() -> None:
    """aten::convolution and aten::_convolution cost what aten::conv2d and aten::conv_transpose2d cost."""
    x, w, b, y = spec(2, 4, 9, 9), spec(6, 2, 3, 3), spec(6), spec(2, 6, 5, 5)
    conv = count_of("conv2d", x, w, b, [2, 2], [1, 1], [1, 1], 2, out=y)
    assert count_of("convolution", x, w, b, [2, 2], [1, 1], [1, 1], False, [0, 0], 2, out=y) == conv
    flags = (False, False, True, True)
    assert count_of("_convolution", x, w, b, [2, 2], [1, 1], [1, 1], False, [0, 0], 2, *flags, out=y) == conv
    x, w, y = spec(2, 4, 5, 5), spec(4, 3, 3, 3), spec(2, 6, 10, 10)
    transposed = count_of("conv_transpose2d", x, w, None, [2, 2], [1, 1], [1, 1], 2, out=y)
    assert count_of("convolution", x, w, None, [2, 2], [1, 1], [1, 1], True, [1, 1], 2, out=y) == transposed
    assert transposed == macs(2 * 4 * 25 * 3 * 9, 2 * 4 * 25 * 3 * 9 - 2 * 6 * 100)


def test_transposed_convolution_by_hand() -> None:
    """All products count; without a bias the first product of each output is no add."""
    x, w, y = spec(1, 8, 5, 5), spec(8, 4, 3, 3), spec(1, 4, 11, 11)
    products = (8 * 5 * 5) * (4 * 3 * 3)
    assert count_of("conv_transpose2d", x, w, None, [2, 2], out=y) == macs(products, products - 4 * 11 * 11)
    assert count_of("conv_transpose2d", x, w, spec(4), [2, 2], out=y) == macs(products, products)
    assert terms_of("conv_transpose2d", x, w, None, [2, 2], out=y)[0].formula == "(4·3·3)·(8·5·5)"


def test_transposed_convolution_with_gaps() -> None:
    """Where the stride exceeds the kernel some outputs receive no product, hence save no add."""
    products = (2 * 3) * (5 * 2)
    cost = count_of("conv_transpose1d", spec(1, 2, 3), spec(2, 5, 2), None, [4], [0], [1], out=spec(1, 5, 11))
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
    assert_counted(terms_of("conv1d", *specs(tensors), [stride], [pad], [dilation], groups, out=specs(y)), tally)


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
    assert_counted(terms_of("conv_transpose1d", *specs(tensors), *args, out=specs(y)), tally)
