"""Building without filling: only fills that torch would accept are left out, and the network is the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from profiler.models.building import build_model
from profiler.models.placements import PLACEMENTS, Placement

Fill = Callable[[torch.Tensor], Any]

ACCEPTED: dict[str, Fill] = {
    "uniform": lambda tensor: tensor.uniform_(-1, 1),
    "normal": lambda tensor: tensor.normal_(0, 2.0),
    "zero": lambda tensor: tensor.zero_(),
    "fill": lambda tensor: tensor.fill_(3),
    "truncated normal": lambda tensor: nn.init.trunc_normal_(tensor, std=0.02),
    "kaiming uniform": lambda tensor: nn.init.kaiming_uniform_(tensor, a=5**0.5),
    "kaiming normal": lambda tensor: nn.init.kaiming_normal_(tensor, mode="fan_out", nonlinearity="relu"),
    "xavier": lambda tensor: nn.init.xavier_uniform_(tensor),
    "constant": lambda tensor: nn.init.constant_(tensor, 0.5),
    "ones": lambda tensor: nn.init.ones_(tensor),
}

REFUSED: dict[str, Fill] = {
    "uniform between 1 and 0": lambda tensor: tensor.uniform_(1, 0),
    "normal of negative deviation": lambda tensor: tensor.normal_(0, -1),
    "too many arguments": lambda tensor: tensor.zero_(1),  # type: ignore[call-arg]
    "fill with text": lambda tensor: tensor.fill_("a"),  # type: ignore[call-overload]
    "unknown mode": lambda tensor: nn.init.kaiming_uniform_(tensor, mode="fan"),  # type: ignore[arg-type]
    "unknown nonlinearity": lambda tensor: nn.init.kaiming_uniform_(tensor, nonlinearity="step"),  # type: ignore[arg-type]
    "fan of a vector": lambda tensor: nn.init.kaiming_uniform_(tensor[0]),
    "inverse of integers": lambda tensor: tensor.long().erfinv_(),
    "product of integers": lambda tensor: tensor.long().mul_(0.5),
    "leaf of autograd": lambda tensor: nn.Parameter(tensor).mul_(2),
    "zero of a leaf": lambda tensor: nn.Parameter(tensor).zero_(),
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("place", PLACEMENTS[:2], ids=["all", "parameters"])
def test_a_fill_returns_its_tensor(place: Placement, name: str) -> None:
    """A fill that torch accepts returns the tensor that it was given."""
    tensor = torch.empty(3, 4, device="meta")
    with place():
        assert ACCEPTED[name](tensor) is tensor


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("place", PLACEMENTS[:2], ids=["all", "parameters"])
def test_a_fill_that_torch_refuses_raises_the_same_error(place: Placement, name: str) -> None:
    """Arguments that torch refuses raise torch's own error; a fill that it accepts on meta alone is accepted."""
    assert _outcome(place, REFUSED[name]) == _outcome(lambda: torch.device("meta"), REFUSED[name])


def _outcome(place: Placement, fill: Fill) -> tuple[type, str]:
    """The type of what a fill returns or raises, with the error's message."""
    try:
        with place():
            return type(fill(torch.empty(3, 4, device="meta"))), ""
    except Exception as error:
        return type(error), str(error)


def _described(network: nn.Module) -> list[Any]:
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return [
        [(name, type(module)) for name, module in network.named_modules()],
        [(name, type(t), t.shape, t.stride(), t.dtype, t.device, t.requires_grad, t.is_leaf) for name, t in tensors],
        [vars(module).keys() for module in network.modules()],
    ]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "regnet_y_400mf", "vit_b_32"])
def test_the_network_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network has the same modules, tensors and attributes as one that was built with its fills."""
    quickly = build_model(f"torchvision:{name}")
    filled = (lambda: torch.device("meta"), contextlib.nullcontext)
    monkeypatch.setattr("profiler.models.building.PLACEMENTS", filled)
    assert _described(quickly) == _described(build_model(f"torchvision:{name}"))
