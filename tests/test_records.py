"""What a call computes from its event, its signature and its answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.records import OpCall


class Free(nn.Module):
    """Calls one function of its input."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.function(x)
        return x + 1


MOVES = {
    "transpose": (lambda x: x.t(), "view"),
    "a view of a view": (lambda x: x.t()[1:], "view"),
    "reshape that can be a view": (lambda x: x.reshape(6), "view"),
    "reshape that cannot": (lambda x: x.t().reshape(6), "copy"),
    "broadcast": (lambda x: x.expand(4, 2, 3), "view"),
    "contiguous": (lambda x: x.t().contiguous(), "copy"),
    "concatenation": (lambda x: torch.cat([x, x]), "copy"),
    "written in place": (lambda x: x.copy_(x.flip(0)), "copy"),
    "made": (lambda x: torch.zeros_like(x), "copy"),
    "a question": (lambda x: torch.ops.aten._assert_tensor_metadata(x, x.shape), "nothing"),
}


@pytest.mark.parametrize("name", MOVES)
def test_movement_of_a_free_call(name: str) -> None:
    """The memory that it makes and writes decides, not the name of its operator."""
    function, expected = MOVES[name]
    calls = profiler.profile(Free(function), torch.zeros(2, 3)).trace.calls
    assert {call.status for call in calls[:-1]} == {"free"}
    assert calls[-2].moves == expected


def test_movement_is_missing_if_only_the_tensors_are_known() -> None:
    """Calls in a profile of version 1 are like that."""
    assert OpCall.of("aten::view", "movement", "free", "", 1, "forward", (), ()).moves is None
