"""Conversions between tensors, specs and counting numbers keep shapes, dtypes and values."""

from __future__ import annotations

import torch

from profiler.signatures import TensorSpec
from tests.rules.counting import Tally
from tests.rules.tensors import specs, values


def test_specs_hold_what_a_rule_may_know() -> None:
    """They hold the shape, the dtype and whether it is a parameter; other values do not change."""
    weight = torch.nn.Parameter(torch.ones(3))
    assert specs([torch.ones(2, 1, dtype=torch.complex64), (weight, 1.5), None]) == [
        TensorSpec((2, 1), "complex64"),
        [TensorSpec((3,), "float32", parameter=True), 1.5],
        None,
    ]


def test_values_makes_a_tensor_of_counting_numbers() -> None:
    """Nested lists become a tensor of their shape."""
    tally = Tally()
    numbers = [[tally.number(1.5), tally.number(2)], [tally.number(3), tally.number(-4)]]
    assert values(numbers).tolist() == [[1.5, 2.0], [3.0, -4.0]]
    assert values(tally.number(1j), torch.complex128).item() == 1j
