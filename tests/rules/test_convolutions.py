"""Convolutions: hand-computed cases, equal costs of equivalent operators, and proofs by the counting number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product as positions
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from profiler.measures.macs_on_padding import WITH_PADDING, macs_on_padding
from profiler.opcount import OpCount, total
from profiler.rules import REGISTRY
from profiler.signatures import DetailedSpec, TensorSpec
from tests.rules.counting import Tally, assert_counted, mac, spec
from tests.rules.counting import total as summed
from tests.rules.registered import assert_same_when_decomposed, call_of, count_of, terms_of
from tests.rules.tensors import specs, values


def on_padding(op: str, *args: Any, out: Any) -> int:
    """The MACs on padding of one call."""
    return macs_on_padding(call_of(op, *args, out=out))


def macs(number: int, adds: int) -> OpCount:
    """``number`` multiply–accumulate pairs, and ``adds`` adds."""
    return OpCount(multiplies=number, adds=adds, macs=number)


def test_first_convolution_of_alexnet_by_hand() -> None:
    """(3·11²)·(64·55²) multiplies, and as many adds with the bias; the formula shows the same factors."""
    terms = terms_of(
        "conv2d", spec(1, 3, 227, 227), spec(64, 3, 11, 11), spec(64), [4, 4], [0, 0], out=spec(1, 64, 55, 55)
    )
    assert terms[0].formula == "(3·11·11)·(64·55·55)"
    assert terms[1].formula == "64·55·55 adds"
    assert total(terms) == macs((3 * 11**2) * (64 * 55**2), (3 * 11**2 - 1) * (64 * 55**2) + 64 * 55**2)


def test_convolution_without_bias_by_hand() -> None:
    """Each of the N results has K − 1 adds; a group reads its own channels only; a batch multiplies the cost."""
    cost = count_of("conv1d", spec(2, 6, 10), spec(4, 3, 5), None, [1], [0], [1], 2, out=spec(2, 4, 6))
    assert cost == macs((2 * 4 * 6) * (3 * 5), (2 * 4 * 6) * (3 * 5 - 1))


def test_convolution_of_an_unbatched_input() -> None:
    """(C, D, H, W) costs what a batch of one costs."""
    batched = count_of("conv3d", spec(1, 2, 5, 5, 5), spec(4, 2, 3, 3, 3), out=spec(1, 4, 3, 3, 3))
    assert count_of("conv3d", spec(2, 5, 5, 5), spec(4, 2, 3, 3, 3), out=spec(4, 3, 3, 3)) == batched
    assert batched == macs(4 * 27 * (2 * 27), 4 * 27 * (2 * 27 - 1))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolution_with_named_padding(padding: str) -> None:
    """The shape of the result shows what padding="same" and "valid" mean."""
    size = 8 if padding == "same" else 6
    cost = count_of("conv2d", spec(1, 3, 8, 8), spec(4, 3, 3, 3), spec(4), [1, 1], padding, out=spec(1, 4, size, size))
    assert cost == macs(4 * size**2 * 27, 4 * size**2 * 27)


def test_equivalent_convolution_operators_cost_the_same() -> None:
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


def test_convolutions_without_channels_add_nothing() -> None:
    """A bias without products is the result and costs no adds."""
    x, y = spec(2, 0, 8, 8), spec(2, 4, 6, 6)
    assert count_of("conv2d", x, spec(4, 0, 3, 3), spec(4), out=y) == OpCount()
    assert count_of("conv_tbc", spec(5, 2, 0), spec(2, 0, 4), spec(4), out=spec(4, 2, 4)) == OpCount()
    for bias in (None, spec(4)):
        assert count_of("conv_transpose2d", x, spec(0, 4, 3, 3), bias, out=spec(2, 4, 10, 10)) == OpCount()
    how = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, True])
    gradients = [spec(2, 3, 8, 8), spec(0, 3, 3, 3), spec(0)]
    none = spec(2, 0, 6, 6)
    assert count_of("convolution_backward", none, *gradients[:2], None, *how, out=gradients) == OpCount()


def test_transposed_convolution_by_hand() -> None:
    """All products count; without a bias, the first product of each output needs no add."""
    x, w, y = spec(1, 8, 5, 5), spec(8, 4, 3, 3), spec(1, 4, 11, 11)
    products = (8 * 5 * 5) * (4 * 3 * 3)
    assert count_of("conv_transpose2d", x, w, None, [2, 2], out=y) == macs(products, products - 4 * 11 * 11)
    assert count_of("conv_transpose2d", x, w, spec(4), [2, 2], out=y) == macs(products, products)
    assert terms_of("conv_transpose2d", x, w, None, [2, 2], out=y)[0].formula == "(4·3·3)·(8·5·5)"


def test_transposed_convolution_with_gaps() -> None:
    """If the stride exceeds the kernel, some outputs receive no product, so they save no add."""
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
                mac(rows[first + c][position * stride + j * dilation], weights[c][j])
                for c in range(group_in)
                for j in range(kernel)
            )
            result.append(y if b is None else y + b[o])
    return result


@pytest.mark.slow
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
def test_convolution_costs_what_its_loop_costs(
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
    """The rule equals the tally of the plain loop, whose results equal those of torch."""
    assume(length + 2 * pad > dilation * (kernel - 1))
    tally = Tally()
    x, w = tally.array(groups * group_in, length), tally.array(groups * group_out, group_in, kernel)
    b = tally.array(groups * group_out) if bias else None
    found = values(convolve(x, w, b, stride, pad, dilation, groups, tally))
    tensors = values(x), values(w), None if b is None else values(b)
    y = torch.conv1d(*tensors, [stride], [pad], [dilation], groups)
    assert torch.allclose(found, y.flatten())
    assert_counted(terms_of("conv1d", *specs(tensors), [stride], [pad], [dilation], groups, out=specs(y)), tally)


def scatter(x: Any, w: Any, b: Any, stride: int, pad: int, extra: int, dilation: int, groups: int, tally: Tally) -> Any:
    """The definition of a transposed convolution over (C, L): every product is added to its position.

    The rim that padding cuts off accumulates from a zero and is dropped.
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
                        result[target][position] += mac(value, w[c][o][j])
                    else:
                        tally.number(0.0) + mac(value, w[c][o][j])
    return [[tally.number(y) if isinstance(y, int) else y for y in row] for row in result]


@pytest.mark.slow
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
def test_transposed_convolution_costs_what_its_loop_costs(
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
    """The rule equals the tally of the plain scatter loop, whose results equal those of torch."""
    assume(extra < max(stride, dilation))
    assume((length - 1) * stride - 2 * pad + dilation * (kernel - 1) + extra >= 0)
    tally = Tally()
    x, w = tally.array(groups * group_in, length), tally.array(groups * group_in, group_out, kernel)
    b = tally.array(groups * group_out) if bias else None
    found = values(scatter(x, w, b, stride, pad, extra, dilation, groups, tally))
    args: Any = ([stride], [pad], [extra], groups, [dilation])
    tensors = values(x)[None], values(w), None if b is None else values(b)
    y = torch.conv_transpose1d(*tensors, *args)
    assert torch.allclose(found, y[0])
    assert_counted(terms_of("conv_transpose1d", *specs(tensors), *args, out=specs(y)), tally)


def test_kernels_of_a_convolution_agree() -> None:
    """The operators of each backend cost what aten::conv2d costs; those without a bias have no adds for it."""
    x, w, b, y = spec(2, 4, 9, 9), spec(6, 4, 3, 3), spec(6), spec(2, 6, 7, 7)
    conv = count_of("conv2d", x, w, b, out=y)
    without = count_of("conv2d", x, w, None, out=y)
    sizes = ([0, 0], [1, 1], [1, 1], 1)
    assert count_of("mkldnn_convolution", x, w, b, *sizes, out=y) == conv
    assert count_of("miopen_convolution", x, w, b, *sizes, False, False, out=y) == conv
    assert count_of("_nnpack_spatial_convolution", x, w, b, [0, 0], out=y) == conv
    assert count_of("thnn_conv2d", x, w, [3, 3], b, [1, 1], [0, 0], out=y) == conv
    assert count_of("_slow_conv2d_forward", x, w, [3, 3], b, [1, 1], [0, 0], out=y) == conv
    assert count_of("cudnn_convolution", x, w, *sizes, False, False, True, out=y) == without
    relu = count_of("relu", y, out=y)
    sizes = ([1, 1], [0, 0], [1, 1], 1)
    assert count_of("cudnn_convolution_relu", x, w, b, *sizes, out=y) == conv + relu
    plus = OpCount(adds=y.size) + relu
    assert count_of("cudnn_convolution_add_relu", x, w, y, None, b, *sizes, out=y) == conv + plus
    scaled = count_of("cudnn_convolution_add_relu", x, w, y, 0.5, b, *sizes, out=y)
    assert scaled == conv + plus + OpCount(multiplies=y.size)


def test_kernels_of_a_transposed_convolution_agree() -> None:
    """The operators of each backend cost what aten::conv_transpose2d costs."""
    x, w, b, y = spec(2, 4, 5, 5), spec(4, 6, 3, 3), spec(6), spec(2, 6, 11, 11)
    s, p, o, d = [2, 2], [0, 0], [0, 0], [1, 1]
    conv = count_of("conv_transpose2d", x, w, b, s, p, o, 1, d, out=y)
    without = count_of("conv_transpose2d", x, w, None, s, p, o, 1, d, out=y)
    assert count_of("slow_conv_transpose2d", x, w, [3, 3], b, s, p, o, d, out=y) == conv
    assert count_of("miopen_convolution_transpose", x, w, b, p, o, s, d, 1, False, False, out=y) == conv
    assert count_of("cudnn_convolution_transpose", x, w, p, o, s, d, 1, False, False, True, out=y) == without


def test_time_batch_channel_convolution_by_hand() -> None:
    """conv_tbc has its channels last."""
    cost = count_of("conv_tbc", spec(10, 2, 3), spec(5, 3, 4), spec(4), out=spec(6, 2, 4))
    assert cost == macs((6 * 2 * 4) * (5 * 3), (6 * 2 * 4) * (5 * 3))


def test_complex_convolution_is_four_real_ones() -> None:
    """A complex mac is 4 multiplies and 4 macs, plain or transposed."""
    x, w, y = (spec(*shape, dtype="complex64") for shape in [(1, 2, 5), (3, 2, 3), (1, 3, 3)])
    k, n = 2 * 3, 3 * 3
    assert count_of("conv1d", x, w, out=y) == macs(4 * n * k, n * (4 * k - 2))
    x, w, y = (spec(*shape, dtype="complex64") for shape in [(1, 2, 5), (2, 3, 3), (1, 3, 7)])
    products = 2 * 5 * 3 * 3
    assert count_of("conv_transpose1d", x, w, out=y) == macs(4 * products, 4 * products - 2 * (3 * 7))


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 2),
    groups=st.integers(1, 2),
    group_in=st.integers(1, 2),
    group_out=st.integers(1, 2),
    length=st.integers(3, 5),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    dilation=st.integers(1, 2),
)
def test_convolution_gradients_cost_what_their_loops_cost(
    batch: int,
    groups: int,
    group_in: int,
    group_out: int,
    length: int,
    kernel: int,
    stride: int,
    pad: int,
    dilation: int,
) -> None:
    """Each gradient by plain loops over (N, C, L), whose results equal those of autograd."""
    assume(length + 2 * pad > dilation * (kernel - 1))
    x = values(Tally().array(batch, groups * group_in, length)).requires_grad_()
    w = values(Tally().array(groups * group_out, group_in, kernel, seed=1)).requires_grad_()
    b = torch.zeros(groups * group_out, dtype=torch.float64, requires_grad=True)
    y = torch.conv1d(x, w, b, [stride], [pad], [dilation], groups)
    args: Any = ([stride], [pad], [dilation], False, [0], groups)

    for wanted in range(3):
        tally = Tally()
        grad = tally.array(*y.shape, seed=2)
        xs = [[[tally.number(v.item()) for v in row] for row in rows] for rows in x]
        ws = [[[tally.number(v.item()) for v in row] for row in rows] for rows in w]
        if wanted == 0:
            extra = length + 2 * pad - dilation * (kernel - 1) - 1 - (y.shape[2] - 1) * stride
            found = [scatter(grad[n], ws, None, stride, pad, extra, dilation, groups, tally) for n in range(batch)]
        elif wanted == 1:
            zeros = [tally.number(0.0)] * pad
            found = [
                [
                    [
                        summed(
                            mac(
                                grad[n][o][p],
                                [*zeros, *xs[n][o // group_out * group_in + c], *zeros][p * stride + j * dilation],
                            )
                            for n in range(batch)
                            for p in range(y.shape[2])
                        )
                        for j in range(kernel)
                    ]
                    for c in range(group_in)
                ]
                for o in range(groups * group_out)
            ]
        else:
            found = [summed(grad[n][o][p] for n in range(batch) for p in range(y.shape[2])) for o in range(len(b))]
        (expected,) = torch.autograd.grad(y, (x, w, b)[wanted], values(grad), retain_graph=True)
        assert torch.allclose(values(found), expected)
        mask = [index == wanted for index in range(3)]
        terms = terms_of("convolution_backward", *specs([y, x, w]), [len(b)], *args, mask, out=())
        assert_counted(terms, tally)


def test_convolution_gradients_by_hand() -> None:
    """Gradients for input and weight cost the layer's macs once each; gradients outside the mask cost nothing."""
    x, w, y = spec(2, 4, 9, 9), spec(6, 2, 3, 3), spec(2, 6, 7, 7)
    layer = (2 * 6 * 49) * (2 * 9)
    args: Any = ([6], [1, 1], [0, 0], [1, 1], False, [0, 0], 2)

    def gradients(*mask: bool) -> OpCount:
        return count_of("convolution_backward", y, x, w, *args, list(mask), out=(x, w, None))

    assert gradients(True, False, False) == macs(layer, layer - 2 * 4 * 81)
    assert gradients(False, True, False) == macs(layer, layer - 6 * 2 * 9)
    assert gradients(False, False, True) == OpCount(adds=6 * (2 * 49 - 1))
    assert gradients(True, True, True).macs == 2 * layer
    assert gradients(False, False, False) == OpCount()


def test_gradients_of_a_transposed_convolution_by_hand() -> None:
    """They are a plain convolution and a sum over the positions of the input."""
    x, w, y = spec(2, 4, 5, 5), spec(4, 6, 3, 3), spec(2, 6, 11, 11)
    layer = (2 * 4 * 25) * (6 * 9)
    args: Any = ([6], [2, 2], [0, 0], [1, 1], True, [0, 0], 1)
    input_gradient = count_of("convolution_backward", y, x, w, *args, [True, False, False], out=(x, None, None))
    weight_gradient = count_of("convolution_backward", y, x, w, *args, [False, True, False], out=(None, w, None))
    assert input_gradient == macs(layer, layer - 2 * 4 * 25)
    assert weight_gradient == macs(layer, layer - 4 * 6 * 9)


def sample(image: Any, y: Any, x: Any, tally: Tally) -> Any:
    """Blend the four pixels around (y, x) along x, then along y; y and x are given as (t, 1 − t)."""
    (top, t_y, s_y), (left, t_x, s_x) = y, x

    def pixel(i: int, j: int) -> Any:
        inside = 0 <= i < len(image) and 0 <= j < len(image[0])
        return image[i][j] if inside else tally.number(0.0)

    rows = [s_x * pixel(i, left) + t_x * pixel(i, left + 1) for i in (top, top + 1)]
    return s_y * rows[0] + t_y * rows[1]


def split(position: Any) -> tuple[int, Any, Any]:
    """The pixel before a position, its distance to it, and 1 − that."""
    before = math.floor(position)
    t = position - float(before)
    return before, t, 1.0 - t


def deform(x: Any, w: Any, offset: Any, mask: Any, b: Any, kernel: int, tally: Tally) -> Any:
    """The definition over (C, H, W): positions once for each offset group, then samples and masks for each channel."""
    channels, taps, out = len(x), kernel * kernel, len(offset[0][0][0])
    shared, group_in = channels // len(offset), len(w[0])
    group_out = len(w) * group_in // channels
    result: Any = [[[None] * out for _ in range(out)] for _ in w]
    for i, j in positions(range(out), range(out)):
        columns: Any = [[None] * taps for _ in range(channels)]
        for g, t in positions(range(len(offset)), range(taps)):
            y_at = split(float(i + t // kernel) + offset[g][t][0][i][j])
            x_at = split(float(j + t % kernel) + offset[g][t][1][i][j])
            for c in range(g * shared, (g + 1) * shared):
                value = sample(x[c], y_at, x_at, tally)
                columns[c][t] = value if mask is None else value * mask[g][t][i][j]
        for o, weights in enumerate(w):
            inputs = columns[o // group_out * group_in :][:group_in]
            products = [mac(inputs[c][t], weights[c][t]) for c, t in positions(range(group_in), range(taps))]
            result[o][i][j] = summed(products) + b[o]
    return result


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    offset_groups=st.integers(1, 2),
    groups=st.integers(1, 2),
    group_out=st.integers(1, 2),
    size=st.integers(2, 3),
    kernel=st.integers(1, 2),
    use_mask=st.booleans(),
    reach=st.sampled_from([0.0, 2.0]),
)
def test_deformable_convolution_costs_what_its_loop_costs(
    offset_groups: int, groups: int, group_out: int, size: int, kernel: int, use_mask: bool, reach: float
) -> None:
    """The rule equals the tally of the plain loop, which computes a plain convolution if there are no offsets."""
    channels, out, taps = 2, size - kernel + 1, kernel * kernel
    tally = Tally()
    x, b = tally.array(channels, size, size), tally.array(groups * group_out)
    w = tally.array(groups * group_out, channels // groups, taps)
    offset = tally.array(offset_groups, taps, 2, out, out, low=-reach, high=reach)
    mask = tally.array(offset_groups, taps, out, out) if use_mask else None
    found = deform(x, w, offset, mask, b, kernel, tally)
    weights = values(w).reshape(groups * group_out, channels // groups, kernel, kernel)
    if reach == 0 and mask is None:
        assert torch.allclose(values(found), torch.conv2d(values(x), weights, values(b), groups=groups))
    terms = terms_of(
        "torchvision::deform_conv2d",
        *specs([values(x)[None], weights]),
        spec(1, offset_groups * 2 * taps, out, out),
        spec(1, offset_groups * taps if use_mask else 1, out, out),
        spec(groups * group_out),
        *(1, 1, 0, 0, 1, 1, groups, offset_groups, use_mask),
        out=spec(1, groups * group_out, out, out),
    )
    assert_counted(terms, tally)


def test_deformable_convolution_by_hand() -> None:
    """3×3, 8 → 16 channels on 10×10: the convolution, 8 samples for each tap and position, positions, and the mask."""
    args: Any = (1, 1, 1, 1, 1, 1, 1, 2, True)
    operands = (spec(1, 8, 10, 10), spec(16, 8, 3, 3), spec(1, 2 * 2 * 9, 10, 10), spec(1, 2 * 9, 10, 10), spec(16))
    cost = count_of("torchvision::deform_conv2d", *operands, *args, out=spec(1, 16, 10, 10))
    conv, samples, offsets = (16 * 100) * (8 * 9), 8 * 9 * 100, 2 * 9 * 100
    assert cost == OpCount(multiplies=conv + 6 * samples + samples, adds=conv + 3 * samples + 6 * offsets, macs=conv)


def test_decomposed_operators_cost_the_same() -> None:
    """Convolutions cost the same whole and decomposed, also with named padding and without a batch."""
    functional = torch.nn.functional
    cases: list[tuple[Callable[..., Any], list[tuple[int, ...]]]] = [
        (functional.conv1d, [(2, 4, 9), (6, 4, 3), (6,)]),
        (functional.conv2d, [(4, 9, 9), (6, 4, 3, 3)]),
        (lambda x, w: functional.conv2d(x, w, padding="same", dilation=2), [(2, 4, 9, 9), (6, 4, 3, 3)]),
        (lambda x, w: functional.conv2d(x, w, padding="same", groups=2), [(2, 4, 9, 9), (6, 2, 5, 5)]),
        (functional.conv3d, [(2, 4, 5, 5, 5), (6, 4, 3, 3, 3), (6,)]),
        (functional.conv_transpose1d, [(2, 4, 9), (4, 6, 3)]),
        (lambda x, w: functional.conv_transpose2d(x, w, stride=3, dilation=2), [(2, 4, 5, 5), (4, 6, 2, 2)]),
        (lambda x, w, b: functional.conv_transpose3d(x, w, b, 2, 1, 1), [(4, 3, 3, 3), (4, 6, 3, 3, 3), (6,)]),
    ]
    for run, shapes in cases:
        assert_same_when_decomposed(run, *shapes)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4), st.integers(1, 3), st.integers(1, 3))
def test_macs_on_padding_by_position(
    length: int, kernel: int, stride: int, pad: int, dilation: int, channels: int
) -> None:
    """Each product of the plain loop counts whose operand lies outside of the input."""
    results = (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    assume(results > 0)
    outside = sum(
        not 0 <= position * stride + tap * dilation - pad < length
        for position in range(results)
        for tap in range(kernel)
    )
    x, w, y = spec(2, 2 * channels, length), spec(6, channels, kernel), spec(2, 6, results)
    arguments = ("conv1d", x, w, None, [stride], [pad], [dilation], 2)
    assert on_padding(*arguments, out=y) == 2 * 6 * channels * outside
    x, w, y = (spec(*each.shape, each.shape[-1]) for each in (x, w, y))
    found = on_padding("conv2d", x, w, None, [stride] * 2, [pad] * 2, [dilation] * 2, 2, out=y)
    inside = kernel * results - outside
    assert found == 2 * 6 * channels * ((kernel * results) ** 2 - inside**2)


def test_every_operator_knows_the_padding() -> None:
    """The order of stride, padding and dilation among the arguments makes no difference."""
    x, w, b, y = spec(2, 4, 9, 9), spec(6, 4, 3, 3), spec(6), spec(2, 6, 5, 5)
    s, p, d = [2, 2], [1, 1], [1, 1]
    found = {
        op: on_padding(op, x, w, *arguments, out=y)
        for op, arguments in {
            "conv2d": (b, s, p, d),
            "_convolution_mode": (b, s, "same", d),
            "convolution": (b, s, p, d, False, [0, 0], 1),
            "mkldnn_convolution": (b, p, s, d, 1),
            "cudnn_convolution": (p, s, d, 1),
            "thnn_conv2d": ([3, 3], b, s, p),
            "cudnn_convolution_relu": (b, s, p, d, 1),
            "cudnn_convolution_add_relu": (y, None, b, s, p, d, 1),
        }.items()
    }
    # Of 5 positions with 3 taps each, the first and the last lose a tap to padding.
    assert set(found.values()) == {2 * 6 * 4 * (15**2 - 13**2)}
    assert on_padding("conv2d", x, w, b, [1, 1], "valid", out=spec(2, 6, 7, 7)) == 0


def test_same_padding_of_an_even_kernel() -> None:
    """The odd zero is padded behind."""
    found = on_padding("conv1d", spec(1, 1, 5), spec(1, 1, 4), None, [1], "same", [1], out=spec(1, 1, 5))
    assert found == 1 + 0 + 0 + 1 + 2


def test_complex_convolutions_on_padding() -> None:
    """A complex product counts as four."""
    x, w, y = (TensorSpec(shape, "complex64") for shape in ((1, 1, 5), (1, 1, 3), (1, 1, 5)))
    assert on_padding("conv1d", x, w, None, [1], [1], out=y) == 4 * 2


def test_zeros_around_the_input_count_in_every_form() -> None:
    """They are operands of a transposed convolution, of conv_tbc, and of the gradient of an input as well."""
    x = DetailedSpec((2, 4, 5), zeros=((0, 0), (0, 0), (1, 1)))
    assert on_padding("conv_transpose1d", x, spec(4, 6, 3), out=spec(2, 6, 7)) == 2 * (2 * 4) * (6 * 3)
    arguments: tuple[Any, ...] = (spec(2, 6, 5), spec(6, 4, 3), None, [1], [1], [1], False, [0], 1)
    grad = DetailedSpec((2, 6, 5), zeros=((0, 0), (0, 0), (1, 1)))
    for mask in ([True, True, False], [True, False, False], [False, True, True]):
        found = on_padding("convolution_backward", grad, *arguments, mask, out=(x, spec(6, 4, 3), spec(6)))
        assert found == (2 * (2 * 6) * (4 * 3) if mask[0] else 0)
    x = DetailedSpec((5, 2, 4), zeros=((1, 1), (0, 0), (0, 0)))
    assert on_padding("conv_tbc", x, spec(3, 4, 6), spec(6), 0, out=spec(3, 2, 6)) == 2 * (2 * 4 * 6)


def test_each_sample_has_its_padding() -> None:
    """Each sample that ``vmap`` maps over has padding."""
    call = call_of("conv1d", spec(1, 1, 5), spec(1, 1, 3), None, [1], [1], out=spec(1, 1, 5))
    (term,) = call.terms
    answer = replace(call.answer, terms=(replace(term, how_many=(7, *term.how_many)),))
    assert macs_on_padding(replace(call, signature=replace(call.signature, samples=(7,)), answer=answer)) == 7 * 2


def test_a_custom_rule_has_no_padding() -> None:
    """It is not known which macs of a custom rule meet a zero."""
    call = call_of("conv1d", spec(1, 1, 5), spec(1, 1, 3), None, [1], [1], out=spec(1, 1, 5))
    assert macs_on_padding(call) == 2
    assert macs_on_padding(replace(call, answer=replace(call.answer, terms=call.terms * 2))) == 0


def test_every_convolution_knows_its_padding() -> None:
    """The measure knows every operator with a rule for a dense convolution; the comments say why not the others."""
    without = {
        # the data decide which samples are zeros
        *("torchvision::deform_conv2d", "torchvision::_deform_conv2d_backward"),
        "aten::mps_convolution_transpose_backward",  # a gradient that is not spread
    }
    convolutions = {
        entry.op for entry in REGISTRY if entry.kind == "conv" and entry.op.startswith(("aten::", "torchvision::"))
    }
    assert convolutions - without == WITH_PADDING
