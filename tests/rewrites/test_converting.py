"""Linear to convolution: equal at the network's input size, and at every window of a larger image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import profiler
from profiler.errors import ProfilerError
from profiler.models.building import build_real_model
from profiler.models.zoo import AlexNet, Net1, Net2
from profiler.rewrites import check_equivalence, check_windows, linear_to_convolution, rewrite
from profiler.rewrites.registry import Rewritten
from tests.rewrites.networks import with_random_statistics

SMALL: dict[str, Any] = {"channels": (4, 6, 8, 8, 8), "hidden": 16}
EXACT = 1e-24
"""The largest mean squared difference in float64."""


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    """Seeded random images in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def converted(network: nn.Module, *size: int) -> Rewritten:
    """The network, in eval mode and float64, with its report."""
    return rewrite(network.double().eval(), "linear_to_convolution", input_size=size)


def trunk() -> list[nn.Module]:
    """(N, 3, 12, 12) → (N, 4, 8, 8), without padding."""
    return [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)]


@pytest.mark.parametrize("kwargs", [SMALL, pytest.param({}, marks=pytest.mark.exhaustive)], ids=["small", "full"])
def test_net1_becomes_net2(kwargs: dict[str, Any]) -> None:
    """They are equal on 32×32 up to 1e-15, and at each of the 5×7 windows of 36×38; in float32."""
    torch.manual_seed(0)
    net1 = Net1(**kwargs).eval()
    result = rewrite(net1, "linear_to_convolution", input_size=(3, 32, 32))
    one = check_equivalence(net1, result.model, images(4, 3, 32, 32).float(), 1e-15, measure="mean_squared")
    assert one.passed, one
    many = check_windows(net1, result.model, images(1, 3, 36, 38).float(), (32, 32), 1e-15)
    assert many.passed, many
    assert many.values == 10 * 5 * 7
    assert result.left == ()
    del net1
    with torch.device("meta"):
        net2 = Net2(**kwargs).eval()
    net2.load_state_dict(result.model.state_dict(), assign=True)
    assert check_equivalence(net2, result.model, images(1, 3, 36, 38).float(), 0).passed


@pytest.mark.slow
def test_the_parts_of_net2() -> None:
    """The kernels of 18×18 and 1×1 replace linear layers, with as many parameters."""
    with torch.device("meta"):
        net1 = Net1()
    changes = rewrite(net1, "linear_to_convolution", input_size=(3, 32, 32)).changes
    assert [(change.module, change.after.partition(", stride")[0]) for change in changes] == [
        ("classifier.0", "Conv2d(256, 4096, kernel_size=(18, 18)"),
        ("classifier.2", "Conv2d(4096, 4096, kernel_size=(1, 1)"),
        ("classifier.4", "Conv2d(4096, 10, kernel_size=(1, 1)"),
    ]
    net2 = linear_to_convolution(net1, (3, 32, 32))
    profiles = [profiler.profile(network, torch.empty(1, 3, 32, 32)) for network in (net1, net2)]
    assert profiles[0].parameters_total == profiles[1].parameters_total
    assert profiles[0].total == profiles[1].total


def test_the_old_network_is_unchanged() -> None:
    """It runs as before, and shares no tensor with the new one."""
    network = nn.Sequential(*trunk(), nn.Flatten(), nn.Linear(4 * 8 * 8, 5)).eval()
    x = images(2, 3, 12, 12).float()
    before = network(x)
    after = linear_to_convolution(network, (3, 12, 12))
    with torch.no_grad():
        for tensor in after.parameters():
            tensor.zero_()
    assert torch.equal(network(x), before)


def test_a_planted_error_is_seen() -> None:
    """A transposed kernel is equal nowhere."""
    network = nn.Sequential(*trunk(), nn.Flatten(), nn.Linear(4 * 8 * 8, 5)).eval()
    after = linear_to_convolution(network, (3, 12, 12))
    convolution: Any = after.get_submodule("5")
    convolution.weight = nn.Parameter(convolution.weight.detach().transpose(2, 3))
    x = images(2, 3, 14, 13).float()
    assert not check_equivalence(network, after, x[..., :12, :12], 1e-8).passed
    assert not check_windows(network, after, x, (12, 12), 1e-8).passed


class Functional(nn.Module):
    """A forward that flattens and pools by functions."""

    def __init__(self, flatten: Callable[[torch.Tensor], torch.Tensor], features: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*trunk())
        self.flatten = flatten
        self.head = nn.Linear(features, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 12, 12) → (N, 5)."""
        return F.log_softmax(self.head(F.relu(self.flatten(self.trunk(x)))), dim=1)


MAP = 4 * 8 * 8
HEADS: dict[str, Callable[[], nn.Module]] = {
    "flatten": lambda: Functional(lambda x: torch.flatten(x, 1), MAP),
    "view": lambda: Functional(lambda x: x.view(x.size(0), -1), MAP),
    "reshape": lambda: Functional(lambda x: x.reshape(-1, MAP), MAP),
    "mean": lambda: Functional(lambda x: x.mean([2, 3]), 4),
    "functional pool": lambda: Functional(lambda x: F.adaptive_avg_pool2d(x, (1, 1)).flatten(1), 4),
    "functional pool to 2×4": lambda: Functional(lambda x: F.adaptive_max_pool2d(x, (2, 4)).flatten(1), 4 * 2 * 4),
    "no bias, dropout, batch norm": lambda: nn.Sequential(
        *trunk(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(MAP, 6, bias=False),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Linear(6, 5),
        nn.Softmax(dim=1),
    ),
    "pool that does nothing": lambda: nn.Sequential(*trunk(), nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(MAP, 5)),
    "pool to 2×2": lambda: nn.Sequential(
        *trunk(), nn.AdaptiveAvgPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 2 * 2, 5)
    ),
    "global pool": lambda: nn.Sequential(*trunk(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 5)),
}


@pytest.mark.parametrize("head", HEADS)
def test_heads_become_convolutions(head: str) -> None:
    """However a network flattens, the results are equal at its size and at each of the 3×5 windows of 14×16."""
    torch.manual_seed(0)
    network = with_random_statistics(HEADS[head]())
    result = converted(network, 3, 12, 12)
    assert result.left == ()
    assert check_equivalence(network, result.model, images(2, 3, 12, 12), EXACT, measure="mean_squared").passed
    found = check_windows(network, result.model, images(2, 3, 14, 16), (12, 12), EXACT)
    assert found.passed, found
    assert found.values == 2 * 5 * 3 * 5


def test_the_stride_is_the_distance_of_windows() -> None:
    """A trunk of stride 2·2 has windows that are 4 apart: (24 − 16)/4 + 1 = 3 of them."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 2, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 4 * 4, 5)]
    network = nn.Sequential(*layers)
    result = converted(network, 3, 16, 16)
    found = check_windows(network, result.model, images(1, 3, 24, 16), (16, 16), EXACT, step=4)
    assert found.passed
    assert found.values == 5 * 3


@pytest.mark.parametrize("dimensions", [1, 3])
def test_signals_and_volumes_work_like_images(dimensions: int) -> None:
    """The layers have one or three dimensions."""
    torch.manual_seed(0)
    convolution: Any = {1: nn.Conv1d, 3: nn.Conv3d}[dimensions]
    layers = [convolution(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4**dimensions, 4), nn.BatchNorm1d(4)]
    network = with_random_statistics(nn.Sequential(*layers))
    size, larger = [5] * dimensions, [7, *[6] * (dimensions - 1)]
    result = converted(network, 2, *size)
    assert check_windows(network, result.model, images(2, 2, *larger), tuple(size), EXACT).passed


def test_padding_is_reported() -> None:
    """A padded convolution sees zeros around a window, and neighbors in a larger image; they agree at one size only."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 5))
    result = converted(network, 3, 8, 8)
    assert [(left.module, left.reason) for left in result.left] == [
        ("0", "pads its input by 1×1: the windows of a larger image have their neighbors there")
    ]
    assert check_equivalence(network, result.model, images(2, 3, 8, 8), EXACT).passed
    assert not check_windows(network, result.model, images(2, 3, 9, 9), (8, 8), 1e-6).passed


NETWORKS = {
    # size, map of its largest image, replacement of the pool
    "alexnet": (224, (2, 1), "left out: the map is 6×6"),
    "resnet18": (64, (3, 2), "AvgPool2d(kernel_size=(2, 2), stride=1, padding=0)"),
    "mobilenet_v2": (64, (3, 2), "avg_pool2d, 2×2, stride 1"),
    "densenet121": (64, (3, 2), "avg_pool2d, 2×2, stride 1"),
    "shufflenet_v2_x1_0": (64, (3, 2), "avg_pool2d, 2×2, stride 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_known_networks(name: str) -> None:
    """Torchvision's networks, also with adaptive pools, are equal at their size and give a map for a larger image."""
    size, places, pool = NETWORKS[name]
    kwargs = {"init_weights": False} if name == "googlenet" else {}
    network = build_real_model(f"torchvision:{name}", kwargs, random_weights=True).eval()
    result = rewrite(network, "linear_to_convolution", input_size=(3, size, size))
    assert pool in [change.after for change in result.changes]
    x = images(2, 3, size, size).float()
    assert check_equivalence(network, result.model, x, 1e-5, measure="largest_relative").passed
    larger = torch.empty(1, 3, size + 32 * (places[0] - 1), size + 32 * (places[1] - 1), device="meta")
    assert result.model.to("meta")(larger).shape == (1, 1000, *places)


@pytest.mark.slow
def test_alexnet_becomes_convolutional() -> None:
    """AlexNet without an adaptive pool gets a 6×6 kernel."""
    with torch.device("meta"):
        network = AlexNet()
    after = linear_to_convolution(network, (3, 227, 227))
    assert after(torch.empty(1, 3, 227 + 32, 227 + 64, device="meta")).shape == (1, 1000, 2, 3)


def two_sizes() -> nn.Module:
    """A linear layer that runs on a map and on a vector."""
    network = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(), nn.Linear(64, 64), nn.ReLU())
    return network.append(network[2])


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "uneven pool": (
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(3 * 9, 5)),
        "0 pools a 8×8 map to 3×3 by windows of different sizes or that overlap",
    ),
    "pool to more": (
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(16), nn.Flatten(), nn.Linear(3 * 256, 5)),
        "0 pools a 8×8 map to 16×16",
    ),
    "no linear layer": (lambda: nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()), "no linear layer after a flattened"),
    "no flatten": (lambda: nn.Linear(8, 5), "no linear layer after a flattened"),
    "layer norm": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.LayerNorm(6)),
        "2 comes after the flattened map and has no counterpart",
    ),
    "softmax over the last dimension": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.Softmax(dim=-1)),
        "2 comes after the flattened map and has no counterpart",
    ),
    "two sizes": (two_sizes, "2 is held under the names 2, 4, so it cannot be changed"),
    "other size": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(7, 6)), "Sequential refuses inputs of 3×8×8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_inexact_conversion_is_refused(case: str) -> None:
    """One line names the layer and the reason."""
    make, reason = REFUSED[case]
    with pytest.raises(ProfilerError) as error:
        linear_to_convolution(make().eval(), (3, 8, 8))
    assert str(error.value).startswith("linear_to_convolution: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [None, (3,), (3, 0, 8), "3x8x8", (1, 2, 3, 4, 5)])
def test_an_invalid_input_size_is_refused(size: Any) -> None:
    """The message names it, with an example."""
    with pytest.raises(ProfilerError, match=r"input_size.*such as \[3, 32, 32\]"):
        rewrite(nn.Sequential(nn.Flatten(), nn.Linear(192, 6)), "linear_to_convolution", input_size=size)


def test_the_default_size_is_that_of_the_inputs() -> None:
    """It is used if no size is given."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 6))
    change = rewrite(network, "linear_to_convolution", torch.empty(1, 3, 8, 8, device="meta")).changes[1]
    assert change.after == "Conv2d(3, 6, kernel_size=(8, 8), stride=(1, 1))"


def test_other_readers_of_the_map_are_unchanged() -> None:
    """Only the path through the flattening changes."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.other = nn.GroupNorm(2, 4)
            self.head = nn.Linear(4 * 36, 5)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = self.conv(x)
            return self.head(x.flatten(1)), self.other(x)

    network = Two()
    result = converted(network, 3, 8, 8)
    assert check_equivalence(network, result.model, images(2, 3, 8, 8), EXACT).passed
