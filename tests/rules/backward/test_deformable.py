"""The gradients of a deformable convolution: by hand, and by a loop over counting numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product as positions
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.models.torchvision_kernels import deform_conv2d
from profiler.models.torchvision_ops import import_torchvision
from profiler.opcount import OpCount, total
from profiler.traces import trace
from tests.rules.counting import Tally, assert_counted, mac, spec
from tests.rules.counting import total as summed
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import values

OP = "torchvision::_deform_conv2d_backward"

CONV = 16 * 100 * (8 * 9)
"""The MACs of a convolution with 3·3 taps of 8 channels to 16, at 10·10 places."""

SAMPLES, MOVED = 8 * 9 * 100, 2 * 9 * 100
"""The number of samples, and of positions: two groups of channels have their own positions."""

POSITIONS = OpCount(adds=6 * MOVED)
READ = OpCount(multiplies=6 * SAMPLES, adds=3 * SAMPLES)
MASKED = OpCount(multiplies=SAMPLES)
COLUMNS = OpCount(multiplies=CONV, adds=CONV - SAMPLES, macs=CONV)
GRADIENTS = {
    # The cost of each gradient alone, with a mask.
    "input": POSITIONS + COLUMNS + MASKED + OpCount(multiplies=6 * SAMPLES, adds=4 * SAMPLES),
    "weight": POSITIONS + READ + MASKED + OpCount(multiplies=CONV, adds=16 * 8 * 9 * (100 - 1), macs=CONV),
    "offset": POSITIONS
    + COLUMNS
    + MASKED
    + OpCount(multiplies=2 * 3 * SAMPLES, adds=2 * 3 * SAMPLES + 2 * MOVED * (4 - 1)),
    "mask": POSITIONS + READ + COLUMNS + OpCount(multiplies=SAMPLES, adds=MOVED * (4 - 1)),
    "bias": OpCount(adds=16 * (100 - 1)),
}


def cost_of(*names: str) -> OpCount:
    """The cost of these gradients together."""
    operands = {
        "input": spec(1, 8, 10, 10),
        "weight": spec(16, 8, 3, 3),
        "offset": spec(1, 2 * 2 * 9, 10, 10),
        "mask": spec(1, 2 * 9, 10, 10),
        "bias": spec(16),
    }
    out = [operand if name in names else None for name, operand in operands.items()]
    return count_of(OP, spec(1, 16, 10, 10), *operands.values(), 1, 1, 1, 1, 1, 1, 1, 2, True, out=out)


@pytest.mark.parametrize("name", GRADIENTS)
def test_each_gradient_by_hand(name: str) -> None:
    """3·3 taps, 8 → 16 channels on 10·10 places, with a mask; four channels share their offsets."""
    assert cost_of(name) == GRADIENTS[name]


def test_gradients_share_what_they_need() -> None:
    """Positions, samples, the gradient of the columns and its mask are computed once."""
    separate = sum((GRADIENTS[name] for name in GRADIENTS), start=OpCount())
    twice = POSITIONS * 3 + READ + COLUMNS * 2 + MASKED
    assert cost_of(*GRADIENTS) == separate - twice
    assert cost_of() == OpCount()


class Split:
    """A position: the pixel before it, its distance to it, and 1 − that."""

    def __init__(self, position: Any) -> None:
        self.before = math.floor(position)
        self.far = position - float(self.before)
        self.near = 1.0 - self.far


def gradients(
    g: Any, x: Any, w: Any, offset: Any, mask: Any, kernel: int, wanted: Sequence[bool], tally: Tally
) -> list[Any]:
    """The definition for (C, H, W): gradients of input, weight, offset, mask and bias, or None if not wanted."""
    for_input, for_weight, for_offset, for_mask, for_bias = wanted
    channels, size, out, taps = len(x), len(x[0]), len(g[0]), kernel * kernel
    shared, group_in = channels // len(offset), len(w[0])
    group_out = len(w) * group_in // channels
    of_x: Any = [[[tally.number(0.0) for _ in range(size)] for _ in range(size)] for _ in x]
    beyond = tally.number(0.0)
    columns: Any = {}
    of_offset: Any = {}
    of_mask: Any = {}
    for i, j, o, t in positions(range(out), range(out), range(len(offset)), range(taps)):
        if any(wanted[:4]):
            y_at = Split(float(i + t // kernel) + offset[o][t][0][i][j])
            x_at = Split(float(j + t % kernel) + offset[o][t][1][i][j])
        for c in range(o * shared, (o + 1) * shared):

            def pixel(a: int, b: int, c: int = c) -> Any:
                inside = 0 <= a < size and 0 <= b < size
                return x[c][a][b] if inside else beyond

            if for_weight or for_mask:
                rows = [
                    x_at.near * pixel(a, x_at.before) + x_at.far * pixel(a, x_at.before + 1)
                    for a in (y_at.before, y_at.before + 1)
                ]
                sample = y_at.near * rows[0] + y_at.far * rows[1]
            if for_weight:
                columns[c, t, i, j] = sample if mask is None else sample * mask[o][t][i][j]
            if not (for_input or for_offset or for_mask):
                continue
            outputs = range(c // group_in * group_out, (c // group_in + 1) * group_out)
            column = summed(mac(g[k][i][j], w[k][c % group_in][t]) for k in outputs)
            if for_mask:
                of_mask.setdefault((o, t, i, j), []).append(column * sample)
            if mask is not None and (for_input or for_offset):
                column = column * mask[o][t][i][j]
            if for_input:
                for a, weight in ((y_at.before, y_at.near), (y_at.before + 1, y_at.far)):
                    part = column * weight
                    for b, other in ((x_at.before, x_at.near), (x_at.before + 1, x_at.far)):
                        if 0 <= a < size and 0 <= b < size:
                            of_x[c][a][b] = of_x[c][a][b] + part * other
                        else:
                            beyond + part * other
            if for_offset:
                a, b = y_at.before, x_at.before
                down = [pixel(a + 1, b) - pixel(a, b), pixel(a + 1, b + 1) - pixel(a, b + 1)]
                across = [pixel(a, b + 1) - pixel(a, b), pixel(a + 1, b + 1) - pixel(a + 1, b)]
                slopes = (
                    x_at.near * down[0] + x_at.far * down[1],
                    y_at.near * across[0] + y_at.far * across[1],
                )
                for axis, slope in enumerate(slopes):
                    of_offset.setdefault((o, t, axis, i, j), []).append(slope * column)
    places = list(positions(range(out), range(out)))

    def column_sum(k: int, c: int, t: int) -> Any:
        return summed(mac(g[k][i][j], columns[k // group_out * group_in + c, t, i, j]) for i, j in places)

    return [
        of_x if for_input else None,
        [[[column_sum(k, c, t) for t in range(taps)] for c in range(group_in)] for k in range(len(w))]
        if for_weight
        else None,
        [summed(of_offset[key]) for key in positions(range(len(offset)), range(taps), range(2), range(out), range(out))]
        if for_offset
        else None,
        [summed(of_mask[key]) for key in positions(range(len(offset)), range(taps), range(out), range(out))]
        if for_mask
        else None,
        [summed(g[k][i][j] for i, j in places) for k in range(len(w))] if for_bias else None,
    ]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    offset_groups=st.integers(1, 2),
    groups=st.integers(1, 2),
    group_out=st.integers(1, 2),
    size=st.integers(2, 3),
    kernel=st.integers(1, 2),
    use_mask=st.booleans(),
    wanted=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_gradients_cost_what_their_loop_costs(
    offset_groups: int, groups: int, group_out: int, size: int, kernel: int, use_mask: bool, wanted: list[bool]
) -> None:
    """The rule equals the tally of the plain loop, whose values equal those of autograd."""
    channels, out, taps, tally = 2, size - kernel + 1, kernel * kernel, Tally()
    results = groups * group_out
    wanted = [*wanted[:3], wanted[3] and use_mask, wanted[4]]
    x, w = tally.array(channels, size, size), tally.array(results, channels // groups, taps)
    offset = tally.array(offset_groups, taps, 2, out, out, low=-1.5, high=1.5)
    mask = tally.array(offset_groups, taps, out, out) if use_mask else None
    g = tally.array(results, out, out, seed=1)
    found = gradients(g, x, w, offset, mask, kernel, wanted, tally)
    tensors = [
        values(x)[None],
        values(w).reshape(results, channels // groups, kernel, kernel),
        values(offset).reshape(1, -1, out, out),
        values(mask).reshape(1, -1, out, out) if mask is not None else torch.zeros(1, 1, dtype=torch.float64),
        torch.zeros(results, dtype=torch.float64),
    ]
    how = (1, 1, 0, 0, 1, 1, groups, offset_groups, use_mask)
    leaves = [tensor.requires_grad_(want) for tensor, want in zip(tensors, wanted, strict=True)]
    if any(wanted):
        forward: Any = deform_conv2d
        result = forward(*leaves, *how)
        expected = torch.autograd.grad(result, [leaf for leaf in leaves if leaf.requires_grad], values(g)[None])
        numbers = [values(each).flatten() for each in found if each is not None]
        assert all(torch.allclose(a, b.flatten()) for a, b in zip(numbers, expected, strict=True))
    operands = [spec(*tensor.shape) for tensor in tensors]
    results_wanted = [operand if want else None for operand, want in zip(operands, wanted, strict=True)]
    assert_counted(terms_of(OP, spec(1, results, out, out), *operands, *how, out=results_wanted), tally)


class Deformable(nn.Module):
    """A deformable convolution with its offsets as an input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = import_torchvision().ops.DeformConv2d(8, 16, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor) -> Any:
        return self.layer(x, offset, mask)


@pytest.mark.parametrize("frozen", [(), ("input",), ("mask", "offset"), ("weight", "input")])
def test_only_needed_gradients_count(frozen: tuple[str, ...]) -> None:
    """The operator computes all five, needed or not; its kind is conv, and nothing is uncounted."""
    shapes = {"input": (1, 8, 10, 10), "offset": (1, 2 * 2 * 9, 10, 10), "mask": (1, 2 * 9, 10, 10)}
    network = Deformable()
    network.layer.weight.requires_grad_("weight" not in frozen)
    inputs = tuple(torch.zeros(shape, requires_grad=name not in frozen) for name, shape in shapes.items())
    calls = trace(network, inputs, "training").calls
    assert {call.status for call in calls} <= {"counted", "free"}
    backward = [call for call in calls if call.phase == "backward" and call.terms]
    assert {call.kind for call in backward} == {"conv"}
    wanted = [name for name in ("input", "weight", "offset", "mask") if name not in frozen]
    assert total(term for call in backward for term in call.terms) == cost_of(*wanted)
