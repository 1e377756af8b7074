"""Reparameterization: modules merge their branches by their own methods, and the function is the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import ProfilerError
from profiler.models.building import build_real_model
from profiler.rewrites import check_equivalence, reparameterize, rewrite


class Branches(nn.Module):
    """A 3×3 and a 1×1 convolution side by side, which are equivalent to one 3×3 convolution."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.wide: nn.Conv2d | None = nn.Conv2d(channels, channels, 3, padding=1)
        self.narrow: nn.Conv2d | None = nn.Conv2d(channels, channels, 1)
        self.merged: nn.Conv2d | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of both branches, or the merged convolution."""
        if self.merged is not None:
            return torch.relu(self.merged(x))
        assert self.wide is not None
        assert self.narrow is not None
        return torch.relu(self.wide(x) + self.narrow(x))

    def one(self) -> nn.Conv2d:
        """The convolution that is equivalent to both."""
        assert self.wide is not None
        assert self.narrow is not None
        assert self.wide.bias is not None
        assert self.narrow.bias is not None
        conv = nn.Conv2d(self.wide.in_channels, self.wide.out_channels, 3, padding=1, device=self.wide.weight.device)
        conv.weight.copy_(self.wide.weight + nn.functional.pad(self.narrow.weight, [1] * 4))
        assert conv.bias is not None
        conv.bias.copy_(self.wide.bias + self.narrow.bias)
        return conv


class InPlace(Branches):
    """Merges its branches in place."""

    def reparameterize(self) -> None:
        """Replace the branches by one; a second call does nothing."""
        if self.merged is None:
            self.merged = self.one()
            self.wide = self.narrow = None


class Replaced(Branches):
    """Returns its replacement."""

    def fuse(self) -> nn.Module:
        """The convolution and its activation."""
        return nn.Sequential(self.one(), nn.ReLU())


class Merger(nn.Module):
    """Has a method with such a name that does something else."""

    def fuse(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The sum of two feature maps."""
        return first + second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Twice the input."""
        return self.fuse(x, x)


def seeded(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("block", [InPlace, Replaced])
def test_branches_are_merged(block: type[Branches]) -> None:
    """They are merged in place or as a new module, nested or not; the original keeps its branches."""
    network = seeded(nn.Sequential(block(), nn.Sequential(block(), nn.Flatten())))
    result = rewrite(network, "reparameterize")
    assert [change.module for change in result.changes] == ["0", "1.0"]
    assert check_equivalence(network, result.model, torch.randn(2, 4, 5, 5), 1e-9).passed
    image = torch.empty(1, 4, 5, 5, device="meta")
    assert profiler.profile(network, image).total.macs == 2 * 25 * (4 * 4 * 9 + 4 * 4)
    assert profiler.profile(result.model, image).total.macs == 2 * 25 * 4 * 4 * 9


def test_a_network_on_meta_stays_on_meta() -> None:
    """A method that makes its layer on the default device makes it on meta, and no data is needed."""

    class MakesItsOwn(Branches):
        def fuse(self) -> nn.Module:
            conv = nn.Conv2d(4, 4, 3, padding=1)
            conv.weight.copy_(self.one().weight)
            return nn.Sequential(conv, nn.ReLU())

    merged = reparameterize(nn.Sequential(MakesItsOwn()).to("meta").eval())
    assert all(parameter.is_meta for parameter in merged.parameters())


def test_the_network_itself_may_have_the_method() -> None:
    """Its result is the new network."""
    network = seeded(Replaced())
    assert isinstance(reparameterize(network), nn.Sequential)


def test_a_module_in_two_places_is_merged_once() -> None:
    """The two places still share one module."""
    block = Replaced()
    merged = reparameterize(seeded(nn.Sequential(block, block)))
    assert merged.get_submodule("0") is merged.get_submodule("1")


def test_the_check_sees_a_wrong_method() -> None:
    """A method that drops a branch gives a network that is not equivalent."""

    class Forgetful(Branches):
        def fuse(self) -> nn.Module:
            assert self.wide is not None
            return nn.Sequential(self.wide, nn.ReLU())

    network = seeded(nn.Sequential(Forgetful()))
    assert not check_equivalence(network, reparameterize(network), torch.randn(2, 4, 5, 5), 1e-5).passed


def test_a_method_with_arguments_is_ignored() -> None:
    """It has the name by chance and does something else."""
    result = rewrite(seeded(nn.Sequential(InPlace(), Merger())), "reparameterize")
    assert [(left.module, left.reason) for left in result.left] == [("1", "its method fuse needs arguments")]


def test_refusals_name_the_reason() -> None:
    """Reasons are training mode, nothing to merge, and a method that raises."""
    with pytest.raises(ProfilerError, match="is in training mode"):
        reparameterize(nn.Sequential(InPlace()))
    with pytest.raises(ProfilerError, match="no module of Sequential has something to merge"):
        reparameterize(nn.Sequential(nn.Linear(2, 2)).eval())

    class Broken(Branches):
        def fuse(self) -> nn.Module:
            raise ValueError("no")

    with pytest.raises(ProfilerError, match=r"fuse\(\) of module 0 \(Broken\) raised ValueError: no"):
        reparameterize(nn.Sequential(Broken()).eval())


LONG = [pytest.param(name, marks=pytest.mark.exhaustive) for name in ("mobileone_s0", "fastvit_t8", "repvit_m1")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["repvgg_a0", "levit_128s", *LONG])
def test_networks_of_timm(name: str) -> None:
    """They compute the same with merged branches, with less work."""
    torch.manual_seed(0)
    network = build_real_model(f"timm:{name}", {}, random_weights=True).eval()
    for tensor in network.buffers():
        if tensor.is_floating_point():
            tensor.copy_(0.5 + torch.rand_like(tensor))
    merged = reparameterize(network)
    settings: Any = network.default_cfg
    size = settings["input_size"]
    found = check_equivalence(
        network.double(), merged.double(), torch.randn(1, *size).double(), 1e-5, measure="largest_relative"
    )
    assert found.passed, found
    image = torch.empty(1, *size, device="meta", dtype=torch.float64)
    assert profiler.profile(merged, image).total.flops < profiler.profile(network, image).total.flops
