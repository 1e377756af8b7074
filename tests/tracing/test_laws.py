"""Laws that hold for any network, tested on random ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import profiler
from profiler.errors import TraceError
from profiler.opcount import COUNT_COLUMNS, OpCount
from profiler.profiles import Profile

SETTINGS = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def networks(draw: Callable[..., Any], channels: int = 4) -> nn.Sequential:
    """A chain of layers that keep the size of an image with ``channels`` channels; some of them are nested."""

    def layer() -> nn.Module:
        groups = draw(st.sampled_from([1, 2, channels]))
        kernel = draw(st.sampled_from([1, 3, 5]))
        choices = [
            lambda: nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups, bias=draw(st.booleans())),
            lambda: nn.Conv2d(channels, channels, 3, padding="same", dilation=2),
            lambda: nn.ConvTranspose2d(channels, channels, 3, padding=1, groups=groups),
            lambda: nn.BatchNorm2d(channels, affine=draw(st.booleans())),
            lambda: nn.GroupNorm(2, channels),
            lambda: nn.MaxPool2d(3, 1, 1),
            lambda: nn.AvgPool2d(3, 1, 1),
            nn.ReLU,
            nn.GELU,
            nn.Hardswish,
            lambda: nn.Softmax(1),
            nn.Dropout,
            nn.Identity,
        ]
        return draw(st.sampled_from(choices))()  # type: ignore[no-any-return]

    layers = [layer() for _ in range(draw(st.integers(1, 5)))]
    if draw(st.booleans()):
        layers.append(nn.Sequential(layer(), layer()))
    return nn.Sequential(nn.Conv2d(channels, channels, 1), *layers)


def profiled(model: nn.Module, batch: int = 1, size: int = 8) -> Profile:
    return profiler.profile(model, torch.empty(batch, 4, size, size, device="meta"))


def per_sample(profile: Profile) -> OpCount:
    """The counts that depend on the batch: all except the cost of a batch norm's channels, which is paid once."""
    count = profile.total
    for call in profile.trace.calls:
        for term in call.terms:
            if call.op == "aten::batch_norm" and term.how_many == (4,):
                count = count - term.count
    return count


@pytest.mark.slow
@SETTINGS
@given(networks(), st.integers(2, 5))
def test_counts_are_linear_in_the_batch(model: nn.Module, batch: int) -> None:
    """n images cost n times as much as one."""
    assert per_sample(profiled(model, batch)) == batch * per_sample(profiled(model))


@pytest.mark.slow
@SETTINGS
@given(networks())
def test_self_adds_up_to_total(model: nn.Module) -> None:
    """This holds in the tree, the layers, the shares and the operations."""
    profile = profiled(model)
    for name in COUNT_COLUMNS:
        whole = getattr(profile.total, name)
        assert profile.modules[name].sum() == whole == profile.modules[f"{name}_total"].iloc[0]
        assert profile.layers[name].sum() == whole == profile.operations[name].sum()
        if name in profile.shares:
            assert profile.shares[name].sum() == whole == profile.table("shares")[name].iloc[-1]
    assert profile.complete


@pytest.mark.slow
@SETTINGS
@given(networks())
def test_renaming_changes_nothing(model: nn.Sequential) -> None:
    """Names are only labels."""
    renamed = nn.Sequential()
    for name, child in model.named_children():
        renamed.add_module(f"layer_{name}", child)
    assert profiled(renamed).total == profiled(model).total
    assert list(profiled(renamed).layers["macs"]) == list(profiled(model).layers["macs"])


@pytest.mark.slow
@SETTINGS
@given(networks())
def test_two_profiles_of_a_network_are_equal(model: nn.Module) -> None:
    """The comparison of the two profiles has the ratio one."""
    first, second = profiled(model), profiled(model)
    assert first == second
    assert list(profiler.compare([first, second])["flops_ratio"]) == [1.0, 1.0]


@pytest.mark.slow
@SETTINGS
@given(networks(), st.randoms(use_true_random=False), st.sampled_from(["inference", "training"]))
def test_the_state_is_restored_if_a_random_module_raises(model: nn.Module, rng: Any, mode: Any) -> None:
    """A user's hook raises in one of the modules; state, hooks, flags and random numbers are restored."""
    victim = rng.choice(list(model.modules()))
    for module in model.modules():
        module.train(rng.random() < 0.5)

    def fail(*_: object) -> None:
        raise RuntimeError("in a random place")

    victim.register_forward_pre_hook(fail)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = [(m.training, sorted(vars(m)), len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    generators = torch.get_rng_state(), random.getstate()
    with pytest.raises(TraceError, match="in a random place"):
        profiler.profile(model, torch.zeros(1, 4, 8, 8), mode=mode)
    after = [(m.training, sorted(vars(m)), len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    assert before == after
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(generators[0], torch.get_rng_state())
    assert generators[1] == random.getstate()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.slow
@SETTINGS
@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 3), st.integers(1, 3))
def test_groups_divide_a_convolution(groups: int, kernel: int, stride: int) -> None:
    """With g groups there are 1/g of the multiplies."""

    def macs(g: int) -> int:
        layer = nn.Conv2d(8, 16, kernel, stride, groups=g)
        return profiler.profile(layer, torch.empty(1, 8, 9, 9, device="meta")).total.macs

    assert macs(1) == groups * macs(groups)


@pytest.mark.slow
@SETTINGS
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.booleans())
def test_a_pointwise_convolution_equals_a_linear_layer(inputs: int, outputs: int, length: int, bias: bool) -> None:
    """Each kind of scalar operation has the same count; only the kind of layer has another name."""
    conv = profiler.profile(nn.Conv1d(inputs, outputs, 1, bias=bias), torch.empty(2, inputs, length, device="meta"))
    linear = profiler.profile(nn.Linear(inputs, outputs, bias=bias), torch.empty(2, length, inputs, device="meta"))
    assert conv.total == linear.total
    assert conv.parameters_total == linear.parameters_total


@pytest.mark.slow
@SETTINGS
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 8))
def test_attention_has_two_products(heads: int, queries: int, keys: int, size: int) -> None:
    """They are Q·Kᵀ and scores·V."""

    class Attention(nn.Module):
        def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(q, k, v)

    q, k = (torch.empty(1, heads, length, size, device="meta") for length in (queries, keys))
    assert profiler.profile(Attention(), (q, k, k)).total.macs == 2 * heads * queries * keys * size


@pytest.mark.slow
@SETTINGS
@given(networks())
def test_gradients_on_or_off_make_no_difference_to_contractions(model: nn.Module) -> None:
    """The forward of a training profile has the same MACs, though its operations arrive decomposed."""
    training = profiler.profile(model, torch.empty(2, 4, 8, 8, device="meta"), mode="training")
    forward = sum(call.count.macs for call in training.trace.calls if call.phase == "forward")
    assert forward == profiled(model, 2).total.macs
