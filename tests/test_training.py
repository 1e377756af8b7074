"""The cost of training, split by purpose."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.utils.checkpoint
from torch import nn

import profiler
from profiler.errors import ProfilerError
from profiler.profiles import Profile


def trained(model: nn.Module, *shape: int, gradient: bool = False, optimizer: str | None = None) -> Profile:
    """A training profile; ``gradient`` says whether the input needs one."""
    x = torch.empty(shape, device="meta").requires_grad_(gradient)
    return profiler.profile(model, x, mode="training", optimizer=optimizer)


def total(profile: Profile) -> dict[str, Any]:
    """The last row."""
    row = {str(name): value for name, value in profile.training.iloc[-1].items()}
    assert row["layer"] == "total"
    return row


def macs(profile: Profile) -> tuple[int, int, int]:
    """Forward, input gradients, weight gradients."""
    row = total(profile)
    return row["forward_macs"], row["input_gradient_macs"], row["weight_gradient_macs"]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 5), (4, 6)),
        (nn.Linear(6, 5, bias=False), (2, 3, 6)),
        (nn.Conv2d(4, 6, 3), (2, 4, 7, 7)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2), (2, 4, 9, 9)),
        (nn.Conv2d(4, 8, 3, groups=2), (2, 4, 7, 7)),
        (nn.Conv2d(4, 4, 3, groups=4), (2, 4, 7, 7)),
        (nn.Conv1d(4, 6, 3), (2, 4, 7)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (2, 4, 7, 7)),
        (nn.LSTM(6, 5), (3, 2, 6)),
        (nn.GRU(6, 5, num_layers=2), (3, 2, 6)),
    ],
)
def test_each_gradient_costs_the_layers_macs_once_more(layer: nn.Module, shape: tuple[int, ...]) -> None:
    """Backward is twice the forward if the input needs a gradient, also for grouped and depthwise layers."""
    forward, for_inputs, for_weights = macs(trained(layer, *shape, gradient=True))
    assert forward > 0
    if isinstance(layer, nn.RNNBase):
        # The first state needs no gradient; those of the other steps are products with a weight.
        assert for_inputs + for_weights <= 2 * forward
    else:
        assert (for_inputs, for_weights) == (forward, forward)


@pytest.mark.slow
def test_the_first_layer_needs_no_input_gradient() -> None:
    """It has one if its input requires a gradient."""
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    assert macs(trained(model, 2, 6)) == (2 * (30 + 20), 2 * 20, 2 * (30 + 20))
    assert macs(trained(model, 2, 6, gradient=True)) == (2 * (30 + 20), 2 * (30 + 20), 2 * (30 + 20))


def test_frozen_layers_need_no_weight_gradient() -> None:
    """Layers before the first trainable one need no gradient at all."""
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6))
    model[0].requires_grad_(False)
    model[2].requires_grad_(False)
    table = trained(model, 2, 6).training.set_index("layer")
    assert list(table["forward_macs"]) == [72, 72, 72, 216]
    assert list(table["weight_gradient_macs"]) == [0, 72, 0, 72]
    assert list(table["input_gradient_macs"]) == [0, 0, 72, 72]


def test_low_rank_adapters_train_their_own_weights_only() -> None:
    """In LoRA, the frozen layer passes gradients on, and the adapters have both gradients."""

    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Linear(8, 8)
            self.frozen = nn.Linear(8, 8).requires_grad_(False)
            self.down = nn.Linear(8, 2, bias=False)
            self.up = nn.Linear(2, 8, bias=False)

        def forward(self, x: torch.Tensor) -> Any:
            x = self.before(x)
            return self.frozen(x) + self.up(self.down(x))

    table = trained(Adapted(), 3, 8).training.set_index("layer")
    assert dict(table["weight_gradient_macs"]) == {
        "before": 3 * 64, "frozen": 0, "down": 3 * 16, "up": 3 * 16, "(root)": 0, "total": 3 * 96,
    }  # fmt: skip
    assert dict(table["input_gradient_macs"]) == {
        "before": 0, "frozen": 3 * 64, "down": 3 * 16, "up": 3 * 16, "(root)": 0, "total": 3 * 96,
    }  # fmt: skip


@pytest.mark.slow
def test_recomputed_work_has_its_own_column() -> None:
    """Activation checkpointing runs the forward of its body again, as far as it is needed."""

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 4)
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

        def forward(self, x: torch.Tensor) -> Any:
            return torch.utils.checkpoint.checkpoint(self.body, self.head(x), use_reentrant=False)

    row = total(trained(Checkpointed(), 2, 4))
    assert (row["forward_macs"], row["recompute_macs"]) == (3 * 32, 32)
    assert (row["input_gradient_macs"], row["weight_gradient_macs"]) == (2 * 32, 3 * 32)


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("resnet18", 2),
        *(
            pytest.param(*which, marks=pytest.mark.slow)
            for which in (("efficientnet_b0", 1), ("mobilenet_v2", 2), ("convnext_tiny", 1))
        ),
    ],
)
def test_backward_is_twice_the_forward_in_whole_networks(name: str, batch: int) -> None:
    """The ratio is 2.0 for the contractions of a network whose input needs a gradient."""
    from profiler.models.building import build_model

    model = build_model(f"torchvision:{name}")
    profile = trained(model, batch, 3, 64, 64, gradient=True)
    assert profile.complete
    assert total(profile)["backward_forward_ratio"] == 2.0
    assert total(profile)["forward_macs"] + sum(macs(profile)[1:]) == profile.total.macs


@pytest.mark.parametrize(
    ("optimizer", "flops"),
    [
        ("sgd", 2),  # w ← w − lr·g
        ("momentum", 4),  # v ← μ·v + g, w ← w − lr·v
        # m ← m + (1 − β₁)(g − m); v ← β₂·v + (1 − β₂)·g·g; w ← w − s·m / (√v / c + ε)
        ("adam", 3 + 4 + 6),
        ("adamw", 3 + 4 + 6 + 1),
    ],
)
def test_optimizer_steps_cost_a_number_of_flops_a_parameter(optimizer: str, flops: int) -> None:
    """These are the operations of torch's optimizer; the cost is linear in the parameters, except Adam's scalars."""
    small, large = (total(trained(nn.Linear(n, n, bias=False), 1, n, optimizer=optimizer)) for n in (4, 40))
    a_parameter = (large["optimizer_flops"] - small["optimizer_flops"]) / (40 * 40 - 4 * 4)
    assert a_parameter == flops


def test_an_optimizer_needs_training() -> None:
    """Its name has to be known, too."""
    with pytest.raises(ProfilerError, match="expected it in mode 'training' only"):
        profiler.profile(nn.Linear(2, 2), torch.zeros(1, 2), optimizer="sgd")
    with pytest.raises(ProfilerError, match=r"optimizer 'adamm' is not known.*did you mean 'adam'"):
        trained(nn.Linear(2, 2), 1, 2, optimizer="adamm")


def test_frozen_parameters_are_not_updated() -> None:
    """Only parameters with a gradient are."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[0].requires_grad_(False)
    assert total(trained(model, 1, 4, optimizer="sgd"))["optimizer_flops"] == 2 * 16


@pytest.mark.slow
def test_a_step_is_complete() -> None:
    """Every operation of the optimizers is counted or known to be free."""
    for optimizer in ("sgd", "momentum", "adam", "adamw"):
        assert trained(nn.Linear(3, 3), 1, 3, optimizer=optimizer).complete
