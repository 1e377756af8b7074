"""Batch-norm folding: the same function without the batch norms, and a reason for each one that is left."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

import profiler
from profiler.errors import ProfilerError
from profiler.models.building import build_model, build_real_model
from profiler.rewrites import check_equivalence, fold_batchnorm, imitate_training, rewrite
from profiler.rewrites.equivalence import in_float64
from profiler.rewrites.folding import FoldedBatchNorm
from tests.rewrites.networks import foldable_networks, with_random_statistics

SETTINGS = settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
ROUNDING = 1e-4
"""The rounding of float32, as a fraction of the largest output."""


def norms(network: nn.Module) -> int:
    """The number of batch norms of a network."""
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


def difference(before: nn.Module, after: nn.Module, inputs: Any) -> float:
    """The largest difference as a fraction of the largest output."""
    return check_equivalence(before, after, inputs, ROUNDING, measure="largest_relative").difference


def reasons(network: nn.Module, inputs: Any = None) -> dict[str, str]:
    """The reason for each batch norm that is left."""
    return {left.module: left.reason for left in rewrite(network, "fold_batchnorm", inputs).left}


@pytest.mark.slow
@SETTINGS
@given(foldable_networks())
def test_random_networks_stay_the_same_function(case: tuple[nn.Sequential, torch.Tensor, int]) -> None:
    """No batch norm is left, whatever the layer before it; in float64 only rounding differs."""
    network, inputs, count = case
    result = rewrite(network, "fold_batchnorm")
    assert (norms(network), norms(result.model)) == (count, 0)
    assert (len(result.changes), result.left) == (count, ())
    assert difference(network, result.model, inputs) <= ROUNDING
    exact = in_float64(network)
    assert difference(exact, fold_batchnorm(exact), inputs.double()) <= 1e-12


@pytest.mark.slow
@SETTINGS
@given(foldable_networks())
def test_a_planted_error_is_seen(case: tuple[nn.Sequential, torch.Tensor, int]) -> None:
    """A bias with an error of a hundredth of the largest output is not rounding."""
    layers, inputs, _ = case
    # A last ReLU could hide it.
    network = nn.Sequential(*[layer for layer in layers if layer is not layers[-1] or not isinstance(layer, nn.ReLU)])
    network.eval()
    after = fold_batchnorm(network)
    last = [module for module in after.modules() if getattr(module, "bias", None) is not None][-1]
    assert isinstance(last.bias, torch.Tensor)
    with torch.no_grad():
        last.bias += 0.01 * network(inputs).abs().max() + 0.01
    assert difference(network, after, inputs) > ROUNDING


def test_the_definition_by_hand() -> None:
    """w = 2, b = 1, μ = 3, σ² = 3.75, ε = 0.25, γ = 5, β = 7: √4 = 2, w' = 2·5/2, b' = (1 − 3)·5/2 + 7."""
    network = nn.Sequential(nn.Conv1d(1, 1, 1), nn.BatchNorm1d(1, eps=0.25)).eval()
    values = {"0.weight": [[[2.0]]], "0.bias": [1.0], "1.weight": [5.0], "1.bias": [7.0]}
    values |= {"1.running_mean": [3.0], "1.running_var": [3.75]}
    network.load_state_dict({key: torch.tensor(value) for key, value in values.items()}, strict=False)
    folded = fold_batchnorm(network).get_submodule("0")
    assert [tensor.item() for tensor in folded.parameters()] == [2 * 5 / 2, (1 - 3) * 5 / 2 + 7]


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.ConvTranspose2d(4, 6, 3)])
def test_weights_agree_with_torch(layer: nn.Module) -> None:
    """torch's own fusion of a pair, which rounds more often, gives the same weights within rounding."""
    network = with_random_statistics(nn.Sequential(layer, nn.BatchNorm2d(6)))
    pair: Any = copy.deepcopy(network)
    theirs = fuse_conv_bn_eval(pair[0], pair[1], transpose=isinstance(layer, nn.ConvTranspose2d))
    for mine, other in zip(fold_batchnorm(network).parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_weights_of_a_linear_layer_agree_with_torch() -> None:
    """The weights agree within rounding."""
    network = with_random_statistics(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)))
    pair: Any = copy.deepcopy(network)
    theirs = fuse_linear_bn_eval(pair[0], pair[1])
    for mine, other in zip(fold_batchnorm(network).parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_weights_are_rounded_once() -> None:
    """They are the float32 numbers nearest to those of float64."""
    network = with_random_statistics(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    single, double = fold_batchnorm(network), fold_batchnorm(in_float64(network))
    for rounded, exact in zip(single.parameters(), double.parameters(), strict=True):
        assert torch.equal(rounded, exact.float())


def test_the_old_network_is_unchanged() -> None:
    """Its state, modules and results are the same, and it shares nothing with the new one."""
    network: Any = with_random_statistics(nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)))
    before, types = copy.deepcopy(network.state_dict()), [type(module) for module in network.modules()]
    after = fold_batchnorm(network)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert [type(module) for module in network.modules()] == types
    assert network[0].bias is None
    shared = {id(tensor) for tensor in network.parameters()} & {id(tensor) for tensor in after.parameters()}
    assert not shared


def test_names_do_not_change() -> None:
    """The hierarchy and the names are the same; a folded batch norm is an identity with its old name."""
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), nn.ReLU()).eval()
    after = fold_batchnorm(network)
    assert [name for name, _ in after.named_modules()] == [name for name, _ in network.named_modules()]
    assert type(after.get_submodule("0.1")) is nn.Identity


def test_frozen_weights_stay_frozen() -> None:
    """A new weight requires a gradient if the old one did; so does a new bias."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)).eval()
    assert all(tensor.requires_grad for tensor in fold_batchnorm(network).parameters())
    network.requires_grad_(False)
    assert not any(tensor.requires_grad for tensor in fold_batchnorm(network).parameters())


def test_a_network_in_training_mode_is_refused() -> None:
    """One line says what to do."""
    with pytest.raises(ProfilerError, match=r"^fold_batchnorm: Sequential is in training mode.*model\.eval\(\) first$"):
        fold_batchnorm(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))


class Calls(nn.Module):
    """A module made of a function of one tensor and the modules that it calls."""

    def __init__(self, function: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: torch.Tensor) -> Any:
        """The result of the function."""
        return self.function(x, **dict(self.named_children()))


class Residual(nn.Module):
    """The result of the convolution has two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) → (N, 3, H, W)."""
        y = self.conv(x)
        z: torch.Tensor = self.norm(y) + y
        return z


class Branching(Residual):
    """The data decide the branch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) → (N, 3, H, W)."""
        if x.sum() > 0:
            x = -x
        y: torch.Tensor = self.norm(self.conv(x))
        return y


class Optional(Residual):
    """An argument with a default value decides the result."""

    def forward(self, x: torch.Tensor, early: bool | None = None) -> torch.Tensor:
        """(N, 3, H, W) → (N, 3, H, W)."""
        y: torch.Tensor = self.conv(x)
        if early is not None:
            return y
        z: torch.Tensor = self.norm(y)
        return z


class Looping(nn.Module):
    """A forward that calls a layer of its block if the data says so, and keeps what is between its layers."""

    def __init__(self, reach: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.reach = reach

    def forward(self, x: torch.Tensor) -> Any:
        """(N, 3, H, W) → (N, 3, H, W), or a list of them."""
        for _ in range(x.shape[0]):
            x = x + 1
        if not self.reach:
            return self.block(x)
        kept = []
        for layer in self.block:
            x = layer(x)
            kept.append(x)
        return kept


def conv_norm(norm: nn.Module | None = None) -> nn.Sequential:
    """A convolution and a batch norm."""
    return nn.Sequential(nn.Conv2d(3, 3, 1), norm or nn.BatchNorm2d(3))


def shared_weights() -> nn.Module:
    """Two convolutions with one weight."""
    network = nn.Sequential(*conv_norm(), nn.Conv2d(3, 3, 1))
    network[2].weight = network[0].weight
    return network


def called_twice() -> nn.Module:
    """One convolution, used at two places."""
    conv = nn.Conv2d(3, 3, 1)
    return Calls(lambda x, a, b, c: c(a(b(a(x)))), a=conv, b=nn.BatchNorm2d(3), c=nn.BatchNorm2d(3))


def hooked() -> nn.Module:
    """A convolution whose result a hook sees."""
    network = conv_norm()
    network[0].register_forward_hook(lambda module, inputs, output: None)
    return network


class Standardized(nn.Conv2d):
    """A convolution of a custom class."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → (N, K, H, W)."""
        return F.conv2d(input, self.weight - self.weight.mean(), self.bias)


LEFT: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "used twice": (Residual, "norm", "follows conv, whose result is used 2 times"),
    "shared weights": (shared_weights, "1", "follows 0, which shares a parameter with 2"),
    "called twice": (called_twice, "b", "follows a, which is called 2 times"),
    "norm called twice": (
        lambda: Calls(lambda x, a, b: b(b(a(x))), a=nn.Conv2d(3, 3, 1), b=nn.BatchNorm2d(3)),
        "b",
        "is called 2 times",
    ),
    "returned": (
        lambda: Calls(lambda x, a, b: (b(y := a(x)), y), a=nn.Conv2d(3, 3, 1), b=nn.BatchNorm2d(3)),
        "b",
        "follows a, whose result is used 2 times",
    ),
    "branch on data": (Branching, "norm", "in a network whose forward cannot be followed: symbolically traced"),
    "hooks": (hooked, "1", "follows 0, which has forward hooks"),
    "parametrized": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1)), nn.BatchNorm2d(3)),
        "1",
        "follows 0, which has a parametrized weight",
    ),
    "own forward": (lambda: nn.Sequential(Standardized(3, 3, 1), nn.BatchNorm2d(3)), "1", "follows conv2d, not a"),
    "no statistics": (
        lambda: conv_norm(nn.BatchNorm2d(3, track_running_stats=False)),
        "1",
        "tracks no running statistics",
    ),
    "before a convolution": (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)), "0", "follows the input"),
    "after an activation": (
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)),
        "2",
        "follows 1 (ReLU), which is not a convolution",
    ),
    "other dimension": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.BatchNorm2d(3)),
        "1",
        "follows 0, whose channels are not the dimension that it normalizes",
    ),
    "as a function": (
        lambda: Calls(lambda x, a: F.batch_norm(a(x), torch.zeros(3), torch.ones(3)), a=nn.Conv2d(3, 3, 1)),
        "(root)",
        "calls batch_norm as a function",
    ),
    "never called": (
        lambda: Calls(lambda x, a, b: a(x), a=nn.Conv2d(3, 3, 1), b=nn.BatchNorm2d(3)),
        "b",
        "is never called",
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_a_norm_that_cannot_be_folded_is_left_with_a_reason(case: str) -> None:
    """The report names it, and the network computes the same."""
    make, name, reason = LEFT[case]
    network = with_random_statistics(make())
    assert reasons(network)[name].startswith(reason)
    result = rewrite(network, "fold_batchnorm")
    assert norms(result.model) == norms(network)
    inputs = torch.randn(2, 3, 8, 8)
    if case != "own forward":
        assert difference(network, result.model, inputs) == 0


def test_weights_that_would_overflow_are_left() -> None:
    """γ/√σ² = 1e6 is too large for float16."""
    network: Any = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval().half()
    network[1].eps = 1e-12
    network[1].running_var.zero_()
    assert reasons(network)["1"] == "the weights of 0 would not be finite in float16"


def test_a_norm_in_training_mode_is_left() -> None:
    """The rest of the network is in eval mode."""
    network = conv_norm().eval()
    network[1].train()
    assert reasons(network) == {"1": "is in training mode: it uses the statistics of each batch"}


def test_two_norms_in_a_row_are_folded() -> None:
    """The second is folded into the same layer, past layers that do nothing."""
    network = nn.Sequential(*conv_norm(), nn.Identity(), nn.Dropout(), nn.BatchNorm2d(3), nn.ReLU())
    with_random_statistics(network)
    after = fold_batchnorm(network)
    assert norms(after) == 0
    assert difference(network, after, torch.randn(2, 3, 8, 8)) <= ROUNDING


def test_optional_arguments_have_their_defaults() -> None:
    """A branch that a plain call does not take is ignored."""
    network = with_random_statistics(Optional())
    assert reasons(network) == {}
    assert difference(network, fold_batchnorm(network), torch.randn(2, 3, 8, 8)) <= ROUNDING
    assert reasons(network, (torch.randn(2, 3, 8, 8), True)) == {"norm": "is never called"}


@pytest.mark.slow
def test_blocks_below_a_dynamic_forward() -> None:
    """With inputs, a block that is only called as a whole is folded, and one whose layers are called singly is left."""
    inputs = torch.randn(2, 3, 8, 8)
    whole, reached = with_random_statistics(Looping(False)), with_random_statistics(Looping(True))
    assert "cannot be followed" in reasons(whole)["block.1"]
    assert reasons(whole, inputs) == {}
    assert difference(whole, fold_batchnorm(whole, inputs), inputs) <= ROUNDING
    assert "cannot be followed" in reasons(reached, inputs)["block.1"]
    assert difference(reached, fold_batchnorm(reached, inputs), inputs) == 0


TENSOR: type = torch.Tensor


class Pretending(Residual):
    """A forward that treats values that are no tensors in another way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) → (N, 3, H, W)."""
        if isinstance(x, TENSOR):
            x = self.conv(self.conv(x))
            y: torch.Tensor = self.norm(x)
            return y
        z: torch.Tensor = self.norm(self.conv(x))
        return z


def test_a_graph_that_differs_from_the_run_is_not_used() -> None:
    """With inputs, the layers that run on meta must be those of the graph."""
    network = with_random_statistics(Pretending())
    assert "the graph calls norm where the network calls conv" in reasons(network, torch.randn(2, 3, 8, 8))["norm"]


def test_a_linear_layer_on_sequences_is_not_folded() -> None:
    """In (N, L, C) with L = C the batch norm is over L. Inputs show it; without inputs, the result refuses to run."""
    network = with_random_statistics(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    sequences, features = torch.randn(3, 4, 4), torch.randn(3, 4)
    assert "not the dimension that it normalizes" in reasons(network, sequences)["1"]
    assert type(fold_batchnorm(network, features).get_submodule("1")) is nn.Identity
    after = fold_batchnorm(network)
    assert type(after.get_submodule("1")) is FoldedBatchNorm
    assert difference(network, after, features) <= ROUNDING
    with pytest.raises(AssertionError, match="folded for inputs of 2 dimensions"):
        after(sequences)


@pytest.mark.slow
def test_meta_networks_are_folded() -> None:
    """The profiles before and after have the same rows, except those of the batch norms."""
    network = build_model("torchvision:resnet18").eval()
    result = rewrite(network, "fold_batchnorm")
    assert all(tensor.is_meta for tensor in result.model.parameters())
    inputs = torch.empty(1, 3, 224, 224, device="meta")
    before, after = profiler.profile(network, inputs), profiler.profile(result.model, inputs)
    gone = {change.module for change in result.changes}
    assert after.layers["layer"].tolist() == [name for name in before.layers["layer"] if name not in gone]
    assert "norm" not in after.shares["kind"].tolist()


COUNTS = {
    # folded, left, the reason for the ones that are left
    "resnet18": (20, 0, ""),
    "resnet50": (53, 0, ""),
    "mobilenet_v2": (52, 0, ""),
    "efficientnet_b0": (49, 0, ""),
    # Each dense layer normalizes before its convolutions; only norms after a 1×1 convolution or the stem are folded.
    "densenet121": (1 + 58, 58 + 3 + 1, "not a convolution or linear layer"),
    # The two that are left belong to the auxiliary heads, which eval mode does not run.
    "googlenet": (57, 2, "is never called"),
}


LONG = ("resnet50", "mobilenet_v2", "efficientnet_b0")
"""ResNet-18 and the other networks have the same kinds of batch norms."""


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Use one thread: several would share each of a thousand small groups and mostly wait on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] if name in LONG else []) for name in COUNTS]
)
def test_known_networks(name: str) -> None:
    """The number of batch norms that fold in torchvision's networks, which compute the same afterwards."""
    folded, left, reason = COUNTS[name]
    kwargs = {"init_weights": False} if name == "googlenet" else {}
    network = build_real_model(f"torchvision:{name}", kwargs, random_weights=True).eval()
    inputs = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    inputs = inputs.double()
    network = imitate_training(in_float64(network), inputs)
    result = rewrite(network, "fold_batchnorm", inputs)
    assert (len(result.changes), len(result.left)) == (folded, left)
    assert all(item.reason.endswith(reason) for item in result.left)
    assert difference(network, result.model, inputs[:2]) <= 1e-9
