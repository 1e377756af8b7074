"""Complex convolutions cost the same in both modes: 4 real products for each complex one, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from profiler.opcount import OpCount, total
from profiler.records import Mode, Trace
from profiler.traces import trace, trace_for_real
from profiler.tracing.complex_convolutions import convolve_as_real
from tests.museum import Calls

C = torch.complex64


def count(result: Trace, phase: str) -> OpCount:
    assert all(call.status != "uncounted" for call in result.calls)
    return total(term for call in result.calls if call.phase == phase for term in call.terms)


def wanted(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, dtype=C, requires_grad=True)


@pytest.mark.parametrize("run", [trace, lambda *args: trace_for_real(*args, reason="test")])
@pytest.mark.parametrize("bias", [True, False])
def test_a_complex_convolution_by_hand(run: Callable[..., Trace], bias: bool) -> None:
    """36 positions, 6 channels, and kernels of 2·2 for 1 input channel are 36·6·4 complex products of 4 MACs."""
    layer = nn.Conv2d(1, 6, 2, bias=bias, dtype=C)
    products, results = 36 * 6 * 4, 36 * 6
    forward = OpCount(
        multiplies=4 * products, adds=results * (4 * 4 - 2) + (2 * results if bias else 0), macs=4 * products
    )
    for mode in ("inference", "training"):
        assert count(run(layer, wanted(1, 1, 7, 7), mode), "forward") == forward
    # The gradient of the input adds each product to its place. The gradients of a weight and a bias sum over the 36
    # positions.
    backward = OpCount(
        multiplies=2 * 4 * products,
        adds=(4 * products - 2 * 7 * 7) + 6 * 4 * (4 * 36 - 2) + (6 * 2 * (36 - 1) if bias else 0),
        macs=2 * 4 * products,
    )
    assert count(run(layer, wanted(1, 1, 7, 7), "training"), "backward") == backward


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    # complex products = results · (channels in / groups) · kernel, or elements of the input · (channels out / groups) ·
    # kernel in a transposed convolution
    "conv1d strided": (nn.Conv1d(3, 4, 2, stride=2, dtype=C), (2, 3, 6), 2 * 4 * 3 * (3 * 2)),
    "conv1d unbatched": (nn.Conv1d(3, 4, 2, dtype=C), (3, 6), 4 * 5 * (3 * 2)),
    "conv2d same": (nn.Conv2d(2, 4, 3, padding="same", dtype=C), (1, 2, 5, 5), 4 * 25 * (2 * 9)),
    "conv2d grouped": (nn.Conv2d(4, 6, 3, groups=2, padding=1, dtype=C), (1, 4, 5, 5), 6 * 25 * (2 * 9)),
    "conv3d": (nn.Conv3d(2, 3, 2, dilation=2, dtype=C), (1, 2, 4, 4, 4), 3 * 8 * (2 * 8)),
    "transposed 1d": (nn.ConvTranspose1d(3, 4, 2, dtype=C), (2, 3, 6), 2 * 3 * 6 * (4 * 2)),
    "transposed 2d grouped": (
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, padding=1, output_padding=1, dtype=C),
        (1, 4, 5, 5),
        4 * 25 * (3 * 9),
    ),
    "transposed 3d": (nn.ConvTranspose3d(2, 3, 2, bias=False, dtype=C), (1, 2, 3, 3, 3), 2 * 27 * (3 * 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_complex_convolutions_cost_the_same_in_both_modes(name: str) -> None:
    """1 to 3 dimensions, transposed, grouped, padded: the forward is the same, and the backward has two times its
    MACs.
    """
    layer, shape, products = LAYERS[name]
    inference, training = trace(layer, wanted(*shape)), trace(layer, wanted(*shape), "training")
    assert count(training, "forward") == count(inference, "forward")
    assert count(inference, "forward").macs == 4 * products
    assert count(training, "backward").macs == 2 * 4 * products
    assert [call.kind for call in training.calls if call.phase == "forward" and call.terms] == ["conv"]
    assert {record.use for record in training.parameters} == {"conv"}


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_function_accepts_keyword_arguments(mode: Mode) -> None:
    """The count is the same if the arguments are named."""

    def run(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return F.conv1d(input=x, weight=w, stride=2)

    inputs = (wanted(1, 3, 7), wanted(4, 3, 3))
    assert count(trace(Calls(run), inputs, mode), "forward").macs == 4 * (4 * 3 * 3 * 3)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_values_are_those_of_the_convolution(dims: int, groups: int) -> None:
    """The values and gradients equal those of torch's own complex convolution, also for conjugated operands."""
    draw = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.complex128, generator=draw).conj().requires_grad_()

    sizes, kernel = (5,) * dims, (2,) * dims
    x, b = numbers(2, 4, *sizes), numbers(6)
    cases: list[tuple[Any, torch.Tensor, tuple[Any, ...]]] = [
        (getattr(F, f"conv{dims}d"), numbers(6, 4 // groups, *kernel), (2, 1, 1, groups)),
        (getattr(F, f"conv_transpose{dims}d"), numbers(4, 6 // groups, *kernel), (2, 1, 1, groups, 1)),
    ]
    for function, w, how in cases:
        expected, found = function(x, w, b, *how), convolve_as_real(function, x, w, b, *how)
        assert torch.allclose(found, expected)
        gradients = [torch.autograd.grad(result.abs().sum(), (x, w, b)) for result in (expected, found)]
        assert all(torch.allclose(one, other) for one, other in zip(*gradients, strict=True))
