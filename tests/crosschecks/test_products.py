"""Multiply–accumulates computed from shapes alone, compared with those of our rules."""

from __future__ import annotations

import pytest
import torch

from profiler.crosschecks.products import products
from profiler.traces import trace
from tests.museum import Calls


@pytest.mark.parametrize("of_complex", [False, True])
def test_a_complex_product_is_four_real_ones(of_complex: bool) -> None:
    """Shapes and our rules agree on a convolution, a matrix product and a linear layer."""
    dtype, times = (torch.complex64, 4) if of_complex else (torch.float32, 1)

    def run(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(
            torch.matmul(torch.conv1d(x, weight), torch.ones(6, 3, dtype=dtype)), weight[0]
        )

    inputs = (torch.zeros(2, 3, 8, dtype=dtype), torch.zeros(5, 3, 3, dtype=dtype))
    calls = [call for call in trace(Calls(run), inputs).calls if call.count.macs]
    expected = [2 * 5 * 6 * (3 * 3), 2 * 5 * 3 * 6, 2 * 5 * 3 * 3]
    assert [products(call) for call in calls] == [times * each for each in expected]
    assert [call.count.macs for call in calls] == [times * each for each in expected]
