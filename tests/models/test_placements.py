"""Building without filling: only fills that torch would accept are left out, and the network is the same."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from profiler.models.building import build_model
from profiler.models.placements import PLACEMENTS, Placement, meta_copy

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
    "unknown mode of normal numbers": lambda tensor: nn.init.kaiming_normal_(tensor, mode="fan"),  # type: ignore[arg-type]
    "fan of a vector of normal numbers": lambda tensor: nn.init.kaiming_normal_(tensor[0]),
    "ones and an argument": lambda tensor: nn.init.ones_(tensor, 1),  # type: ignore[call-arg]
    "constant text": lambda tensor: nn.init.constant_(tensor, "a"),  # type: ignore[arg-type]
    "ones of a list": lambda tensor: nn.init.ones_([tensor]),  # type: ignore[arg-type]
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


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.ones(3, 4),
        lambda: torch.ones(0, 4),
        lambda: torch.tensor(3),
        lambda: torch.ones(10)[3:6],
        lambda: torch.ones(6, 4)[::2],
        lambda: torch.ones(4, 3).t(),
        lambda: torch.ones(3, 1).expand(3, 4),
        lambda: torch.ones(3, dtype=torch.complex64).conj().imag,
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_csr(),
        lambda: nn.Buffer(torch.ones(3)),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_a_copy_on_meta_is_as_torch_makes_it(make: Callable[[], torch.Tensor]) -> None:
    """The same type, shape, strides, dtype and memory."""
    tensor = make()
    found, expected = meta_copy(tensor), tensor.detach().to("meta")
    assert (type(found), found.shape, found.dtype) == (type(expected), expected.shape, expected.dtype)
    assert found.layout is expected.layout
    if found.layout is torch.strided:
        assert found.stride() == expected.stride()
        assert (found.storage_offset(), found.is_neg()) == (0, False)
        assert found.untyped_storage().nbytes() == expected.untyped_storage().nbytes()


def test_a_fill_of_an_empty_tensor_warns() -> None:
    """Torch warns that it does nothing."""
    with PLACEMENTS[0](), pytest.warns(UserWarning, match="zero-element"):
        nn.init.kaiming_normal_(torch.empty(0, 3))


@pytest.mark.parametrize("name", ["kaiming_normal_", "constant_", "ones_", "zeros_"])
def test_fills_are_seen_and_done_elsewhere(name: str) -> None:
    """They fill a tensor on the CPU and one of another thread, and a mode of the builder sees their parts."""
    fill = partial(getattr(nn.init, name), **({"val": 2.0} if name == "constant_" else {}))

    def current(tensor: torch.Tensor) -> torch.Tensor:
        filled: torch.Tensor = getattr(nn.init, name)(tensor, **fill.keywords)
        return filled

    start = torch.full((3, 4), 7.0)
    seen: list[Any] = []

    class Sees(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with PLACEMENTS[0]():
        assert not torch.equal(current(start.clone()), start)
        assert current(torch.empty(3, 4)).is_meta
        with Sees():
            current(torch.empty(3, 4))
        assert len(seen) > 1
        found: list[torch.Tensor] = []
        thread = threading.Thread(target=lambda: found.append(current(torch.full((3, 4), 7.0))))
        thread.start()
        thread.join()
        assert not torch.equal(found[0], start)
    assert getattr(nn.init, name) is fill.func


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
