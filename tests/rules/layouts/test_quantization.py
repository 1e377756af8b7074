"""Quantization costs what its definition costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import profiler
from profiler.errors import DataDependentError, UncountedError
from profiler.opcount import OpCount, total
from tests.rules.counting import Counting, Tally, assert_counted, maximum, minimum, spec
from tests.rules.real_tensors import real, recorded
from tests.rules.registered import count_of, terms_of

X = spec(2, 3)


def quantize(x: Counting) -> Counting:
    rounded = x.tally.number(float(math.floor(x / 0.1)))
    return minimum(maximum(rounded + 5.0, 0.0), 255.0)


def dequantize(q: Counting) -> Counting:
    return (q - 5.0) * 0.1


def test_quantize_and_back() -> None:
    """To integers, back to floats, and both in one operator."""
    there, back, both = Tally(), Tally(), Tally()
    for x in there.array(6):
        quantize(x)
    for q in back.array(6):
        dequantize(q)
    for x in both.array(6):
        dequantize(quantize(x))
    q = spec(2, 3, dtype="quint8")
    assert_counted(terms_of("quantize_per_tensor", X, 0.1, 5, None, out=q), there)
    assert_counted(terms_of("dequantize", q, out=X), back)
    for op in ("fake_quantize_per_tensor_affine", "fake_quantize_per_tensor_affine_cachemask"):
        assert_counted(terms_of(op, X, 0.1, 5, 0, 255, out=(X, X)), both)


def test_lists_of_tensors() -> None:
    """Each tensor of a list is quantized."""
    assert count_of("dequantize", [X, spec(4)], out=[X, spec(4)]) == OpCount(adds=6 + 4, multiplies=6 + 4)


def test_dynamic_quantization_finds_its_range() -> None:
    """It takes the least and largest of 6 values, the scale and the zero point, and then each value."""
    q = spec(2, 3, dtype="quint8")
    expected = OpCount(comparisons=2 * 5 + 6 * 2, adds=1 + 6, divides=2 + 6)
    assert count_of("quantize_per_tensor_dynamic", X, None, False, out=q) == expected


@given(st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans(), st.booleans())
def test_observed_and_fake_quantized(
    channels: int, width: int, by_row: bool, observe: bool, quantize_too: bool
) -> None:
    """The running range is updated, and a scale and a zero point are computed from it; each part can be off."""
    tally = Tally()
    rows = tally.array(channels, width)
    for row in rows if by_row else [[x for each in rows for x in each]]:
        if not observe:
            break
        low, high = minimum(*row), maximum(*row)
        running = [tally.number(value) for value in (-1.0, 1.0)]
        low, high = (r + 0.01 * (x - r) for r, x in zip(running, (low, high), strict=True))
        scale = (high - low) / 255.0
        assert isinstance(math.floor(low / scale), int)
    for row in rows:
        for x in row:
            if quantize_too:
                dequantize(quantize(x))
    x, number = spec(channels, width), spec(channels if by_row else 1)
    on = (real([int(observe)]), real([int(quantize_too)]))
    settings = (0.01, 0, 255, 0, by_row)
    terms = terms_of("_fused_moving_avg_obs_fq_helper", x, *on, number, number, number, number, *settings, out=(x, x))
    assert_counted(terms, tally)


def test_the_switches_of_an_observer_are_data() -> None:
    """They are tensors."""
    x, switch = spec(3, 4), spec(1, dtype="int64")
    with pytest.raises(DataDependentError):
        terms_of("_fused_moving_avg_obs_fq_helper", x, *[switch] * 2, *[spec(1)] * 4, 0.01, 0, 255, 0, out=(x, x))


@pytest.mark.slow
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
@pytest.mark.filterwarnings("ignore")
def test_quantized_recurrent_networks(layer: Callable[..., nn.Module]) -> None:
    """They cost what they cost in floating point, with biases."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer(3, 4, num_layers=2, bidirectional=True)

        def forward(self, x: torch.Tensor) -> Any:
            return self.layer(x)[0]

    model = Network().eval()
    quantize_layers: Any = torch.ao.quantization.quantize_dynamic
    quantized = quantize_layers(model, {layer}, dtype=torch.qint8)
    x = torch.randn(5, 2, 3)
    result = profiler.profile(quantized, x)
    assert result.complete
    assert result.total == profiler.profile(model, x).total


def test_packed_quantized_recurrent_sequences() -> None:
    """All sequences together have 7 steps; one layer has 4 hidden units and 3 inputs."""
    steps, gates, hidden = 7, 3 * 4, 4
    products = OpCount(multiplies=3, adds=2, macs=3) + OpCount(multiplies=4, adds=3, macs=4) + OpCount(adds=3)
    unit = (
        count_of("gru_cell", spec(3), spec(4), spec(12, 3), spec(12, 4), out=spec(4))
        - (products - OpCount(adds=2)) * gates
    )
    data, sizes, state = spec(steps, 3), spec(4, dtype="int64"), spec(1, 3, hidden)
    found = count_of("quantized_gru", data, sizes, state, [None], True, 1, 0.0, False, False, out=(data, state))
    assert found == (products * gates + unit) * steps


def test_four_bit_weights() -> None:
    """32 in, 8 out: products, and a bias if one is packed beside 8·16 pairs of weights and 8 scales."""
    product = OpCount(multiplies=32, adds=31, macs=32) * (3 * 8)
    x, out, sizes = spec(3, 32), spec(3, 8), (32, 32, 8)
    assert count_of("_dyn_quant_matmul_4bit", x, spec(8 * 16 + 8), *sizes, out=out) == product
    biased = count_of("_dyn_quant_matmul_4bit", x, spec(8 * 16 + 8 + 8), *sizes, out=out)
    assert biased == product + OpCount(adds=3 * 8)
    with pytest.raises(UncountedError):
        terms_of("_dyn_quant_matmul_4bit", x, spec(999), *sizes, out=out)
    assert not terms_of("_dyn_quant_pack_4bit_weight", spec(8, 16), spec(8), None, *sizes, out=spec(136))


def test_four_bit_weights_as_torch_packs_them() -> None:
    """The sizes that show whether there is a bias are those of torch's own packing, for one scale a row or several."""
    ops = torch.ops.aten
    for block, scales in ((64, torch.rand(8)), (32, torch.rand(8, 2, dtype=torch.bfloat16))):
        for bias in (None, torch.rand(8)):
            weights = torch.randint(0, 255, (8, 32), dtype=torch.uint8)
            packed = ops._dyn_quant_pack_4bit_weight(weights, scales, bias, block, 64, 8)
            sizes = (block, 64, 8)
            _, terms = recorded(ops._dyn_quant_matmul_4bit, torch.rand(3, 64), packed, *sizes)
            products = OpCount(multiplies=64, adds=63 + (bias is not None), macs=64) * (3 * 8)
            assert total(terms) == products
