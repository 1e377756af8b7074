"""Operators that take functions: control flow is counted as it runs, flex attention with its ``score_mod``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import _higher_order_ops as higher_order
from torch import nn
from torch.nn.attention import flex_attention as flex

import profiler
from profiler.opcount import ZERO, OpCount
from profiler.records import Mode, Phase, Trace
from profiler.traces import trace, trace_for_real

# Torch has no types for these functions, and its first has the name of a Python builtin.
torch_map: Any = vars(higher_order)["map"]
scan: Any = vars(higher_order)["scan"]
while_loop: Any = vars(higher_order)["while_loop"]

MODES = pytest.mark.parametrize("mode", ["inference", "training"])


class Runs(nn.Module):
    """A network whose forward is a function of its linear layer (8 → 8) and the inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self.layer, *inputs)


def counted(profile: profiler.Profile, *phases: Phase) -> OpCount:
    count = ZERO
    for call in profile.trace.calls:
        if call.phase in phases:
            count = count + call.count
    return count


def total_of(result: Trace) -> OpCount:
    count = ZERO
    for call in result.calls:
        count = count + call.count
    return count


@MODES
@pytest.mark.parametrize(("value", "layers"), [(1.0, 1), (-1.0, 2)])
def test_a_condition_on_data_runs_the_branch_that_it_chooses(mode: Mode, value: float, layers: int) -> None:
    """This needs a real run, which the profile says; the branches have the same shapes, and one has twice the work."""
    network = Runs(lambda layer, x: torch.cond(x.sum() > 0, layer, lambda x: layer(layer(x)), (x,)))
    profile = profiler.profile(network, torch.full((4, 8), value), mode=mode)
    assert counted(profile, "forward").macs == layers * 4 * 8 * 8
    assert (profile.status, bool(profile.trace.real_run)) == ("complete", True)


@MODES
def test_each_iteration_of_a_loop_is_counted(mode: Mode) -> None:
    """The loop runs three times on meta, since its counter does not depend on data."""

    def three_times(layer: nn.Module, x: torch.Tensor) -> Any:
        return while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, layer(x)), (torch.tensor(0), x))[1]

    profile = profiler.profile(Runs(three_times), torch.zeros(4, 8), mode=mode)
    assert counted(profile, "forward").macs == 3 * 4 * 8 * 8
    assert (profile.status, profile.trace.real_run) == ("complete", "")


@MODES
def test_a_scan_costs_its_steps(mode: Mode) -> None:
    """Five steps of a recurrence: a linear layer of the carry, then an add of the input; each carry is a result."""

    def recurrence(layer: nn.Module, x: torch.Tensor) -> Any:
        return scan(lambda carry, row: ((new := layer(carry) + row), new.clone()), torch.zeros(2, 8), x)[1]

    network, x = Runs(recurrence), torch.randn(5, 2, 8)
    profile = profiler.profile(network, x, mode=mode)
    forward = counted(profile, "forward")
    assert (forward.macs, forward.adds) == (5 * 2 * 8 * 8, 5 * 2 * 8 * (8 + 1))
    assert (profile.status, profile.trace.real_run) == ("complete", "")


@MODES
def test_a_map_costs_its_rows(mode: Mode) -> None:
    """Six rows go through a linear layer, forward and backward, all at once."""
    network = Runs(lambda layer, x: torch_map(lambda row: layer(row), x))
    profile = profiler.profile(network, torch.zeros(6, 2, 8), mode=mode)
    plain = profiler.profile(Runs(lambda layer, x: layer(x)), torch.zeros(6, 2, 8), mode=mode)
    assert counted(profile, "forward") == counted(plain, "forward")
    assert counted(profile, "backward").macs == counted(plain, "backward").macs
    assert profile.status == "complete"


def test_control_flow_computes_the_documented_values() -> None:
    """Each operator that is run as plain Python gives the documented result in a real run."""
    results: list[Any] = []

    def every_one(layer: nn.Module, x: torch.Tensor) -> Any:
        chosen = torch.cond(x.sum() > 100, layer, lambda x: layer(layer(x)), (x,))
        looped = while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, layer(x)), (torch.tensor(0), x))
        scanned = scan(lambda carry, row: (carry + row, (carry * row, row)), torch.zeros(8), x, reverse=True)
        mapped = torch_map(lambda row: (layer(row), row * 2), x)
        results.extend((chosen, looped[1], scanned[0], scanned[1][0], scanned[1][1], *mapped))
        return chosen

    network, x = Runs(every_one), torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    trace_for_real(network, x, reason="test")
    layer = network.layer
    sums = x.flip(0).cumsum(0).flip(0)
    before = torch.cat([sums[1:], torch.zeros(1, 8)])
    expected = (layer(layer(x)), layer(layer(layer(x))), sums[0], before * x, x, layer(x), x * 2)
    for found, meant in zip(results, expected, strict=True):
        torch.testing.assert_close(found, meant.detach())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")
def test_an_exported_region_without_gradients_is_counted() -> None:
    """``torch.export`` wraps it into an operator that takes its graph."""

    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.free = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                y = self.frozen(x)
            result: torch.Tensor = self.free(y)
            return result

    exported = torch.export.export(Partly(), (torch.zeros(4, 8),)).module()
    profile = profiler.profile(exported, torch.zeros(4, 8))
    assert (profile.total.macs, profile.status) == (2 * 4 * 8 * 8, "complete")


class Flex(nn.Module):
    """Flex attention as a module; a ``score_mod`` may add a learned bias for each distance."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.bias = nn.Parameter(torch.linspace(-1, 1, 64))

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Any:
        return flex.flex_attention(q, k, v, **self.options)


class Biased(Flex):
    """Its scores are ``bias[distance] + 2·score``."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Any:
        def score_mod(score: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
            return self.bias[i - j + 32] + score * 2

        return flex.flex_attention(q, k, v, score_mod=score_mod, **self.options)


class Attention(nn.Module):
    """Scaled dot-product attention as a module."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v)


def operands(heads: int = 2, gradients: bool = False) -> tuple[torch.Tensor, ...]:
    """Queries (3, 2, 16, 8), and keys and values with as many heads or fewer."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 2, 16, 8), (3, heads, 12, 8), (3, heads, 12, 8))
    return tuple(torch.randn(shape, generator=generator).requires_grad_(gradients) for shape in shapes)


@pytest.mark.slow
@MODES
def test_flex_attention_costs_the_same_as_attention(mode: Mode) -> None:
    """The MACs are those of attention, forward and backward, without a real run. Torch's switches are restored."""
    before = dict(vars(flex))
    inputs = operands(gradients=mode == "training")
    profile = profiler.profile(Flex(), inputs, mode=mode)
    plain = profiler.profile(Attention(), inputs, mode=mode)
    assert (profile.status, profile.trace.real_run) == ("complete", "")
    assert counted(profile, "forward") == counted(plain, "forward")
    assert counted(profile, "backward").macs == counted(plain, "backward").macs
    assert profile.shares["kind"].tolist()[0] == "attention"
    assert dict(vars(flex)) == before


@pytest.mark.slow
def test_grouped_query_heads_each_have_their_products() -> None:
    """Two query heads that share one key head cost as much as two heads."""
    profile = profiler.profile(Flex(enable_gqa=True), operands(heads=1))
    assert profile.total == profiler.profile(Attention(), operands()).total


@pytest.mark.slow
def test_a_score_mod_costs_its_operations() -> None:
    """There is a multiply and an add for each of the 3·2·16·12 scores; indexing is free."""
    plain, biased = profiler.profile(Flex(), operands()), profiler.profile(Biased(), operands())
    scores = 3 * 2 * 16 * 12
    assert biased.total - plain.total == OpCount(multiplies=scores, adds=scores)
    assert (biased.status, biased.shares["kind"].tolist()[0]) == ("complete", "attention")


class Scored(Flex):
    """Its scores are ``modify(self, score, b, h, i, j)``; it has a number for each batch, head and pair."""

    def __init__(self, modify: Callable[..., Any], **options: Any) -> None:
        super().__init__(**options)
        self.modify = modify
        self.for_batch, self.for_head = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))
        self.for_pair = nn.Parameter(torch.zeros(16, 12))

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Any:
        def score_mod(*given: Any) -> Any:
            return self.modify(self, *given)

        return flex.flex_attention(q, k, v, score_mod=score_mod, **self.options)


SCORES = 3 * 2 * 16 * 12

SCORE_MODS: dict[str, tuple[Callable[..., Any], OpCount, OpCount]] = {
    # The cost of one score forward and backward. The gradient of a captured number is a sum over its scores.
    "slope": (
        lambda self, score, b, h, i, j: score + self.for_head[h] * (i - j),
        OpCount(multiplies=1, adds=1),
        OpCount(multiplies=1, adds=1),
    ),
    "query alone": (
        lambda self, score, b, h, i, j: score + torch.sin(i.float()),
        OpCount(adds=1, transcendentals=1),
        OpCount(),
    ),
    "pair alone": (lambda self, score, b, h, i, j: score + (i * 0.5 - j), OpCount(multiplies=1, adds=2), OpCount()),
    "table": (
        lambda self, score, b, h, i, j: score + self.for_pair[i, j] * 2,
        OpCount(multiplies=1, adds=1),
        OpCount(multiplies=1, adds=1),
    ),
    "temperature": (
        lambda self, score, b, h, i, j: score * torch.exp(self.for_batch[b]),
        OpCount(multiplies=1, transcendentals=1),
        OpCount(multiplies=3, adds=1),
    ),
}


@pytest.mark.slow
@MODES
@pytest.mark.parametrize("name", SCORE_MODS)
def test_work_that_depends_on_a_position_is_counted_for_each_score(mode: Mode, name: str) -> None:
    """A kernel does it for each score, also if it depends only on the head, the batch or the pair."""
    function, forward, backward = SCORE_MODS[name]
    inputs = operands(gradients=mode == "training")
    plain = profiler.profile(Flex(), inputs, mode=mode)
    scored = profiler.profile(Scored(function), inputs, mode=mode)
    assert counted(scored, "forward") - counted(plain, "forward") == SCORES * forward
    gradient = SCORES * backward if mode == "training" else ZERO
    assert counted(scored, "backward") - counted(plain, "backward") == gradient
    assert (scored.status, scored.trace.real_run) == ("complete", "")


@pytest.mark.slow
def test_work_that_depends_on_no_position_is_counted_once() -> None:
    """There is one exponential for each head, since the captured tensor is transformed as a whole."""
    plain = profiler.profile(Flex(), operands())
    scored = profiler.profile(Scored(lambda self, score, b, h, i, j: score + torch.exp(self.for_head)[h]), operands())
    assert scored.total - plain.total == OpCount(adds=SCORES, transcendentals=2)


@pytest.mark.slow
def test_a_mask_mod_is_counted_once_for_each_score() -> None:
    """A comparison of integers is free; arithmetic with a number of each head costs its operations for each score."""

    def masked(mask_mod: Callable[..., Any]) -> OpCount:
        mask = flex.create_block_mask(mask_mod, 3, 2, 16, 12, device="cpu")
        return total_of(trace(Flex(block_mask=mask), operands()))

    reach = torch.tensor([0.5, 2.0])
    causal = masked(lambda b, h, i, j: i >= j)
    sloped = masked(lambda b, h, i, j: (i - j) * reach.to(i.device)[h] >= 0)
    assert causal == profiler.profile(Flex(), operands()).total
    assert sloped - causal == SCORES * OpCount(multiplies=1, comparisons=1)


@pytest.mark.slow
def test_the_gradient_of_a_score_mod_is_counted() -> None:
    """The factor takes a multiply for each score; the bias takes sums over the batch, heads and distances."""
    inputs = operands(gradients=True)
    plain = counted(profiler.profile(Flex(), inputs, mode="training"), "backward")
    biased = counted(profiler.profile(Biased(), inputs, mode="training"), "backward")
    scores = 3 * 2 * 16 * 12
    assert (biased - plain).multiplies == scores
    assert (biased - plain).adds == scores
    assert biased.macs == plain.macs


@pytest.mark.slow
@MODES
@pytest.mark.parametrize("network", [Flex, Biased])
def test_flex_attention_costs_the_same_on_meta_and_for_real(network: type[Flex], mode: Mode) -> None:
    """This holds with a causal block mask that hides half of the scores too, since the count is dense."""
    gradients = mode == "training"
    mask = flex.create_block_mask(lambda b, h, i, j: i >= j, 3, 2, 16, 12, device="cpu")
    totals = {
        total_of(trace(network(), operands(gradients=gradients), mode)),
        total_of(trace_for_real(network(), operands(gradients=gradients), mode, reason="test")),
        total_of(trace_for_real(network(block_mask=mask), operands(gradients=gradients), mode, reason="test")),
    }
    assert len(totals) == 1


def test_flex_attention_computes_the_values_and_gradients_of_torch() -> None:
    """The results and gradients with a bias and a causal mask equal those of torch without the profiler."""
    mask = flex.create_block_mask(lambda b, h, i, j: i >= j, 3, 2, 16, 12, device="cpu")
    seen: list[Any] = []

    class Keeps(Biased):
        def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Any:
            result = super().forward(q, k, v)
            seen.append((result.detach(), torch.autograd.grad(result.square().sum(), (q, k, v, self.bias))))
            return super().forward(q, k, v)

    inputs = operands(gradients=True)
    network = Keeps(block_mask=mask)
    trace_for_real(network, inputs, "training", reason="test")
    q, k, v = inputs
    scores = q @ k.mT / 8**0.5
    distances = torch.arange(16)[:, None] - torch.arange(12)
    scores = (network.bias[distances + 32] + scores * 2).masked_fill(distances < 0, -torch.inf)
    result = scores.softmax(-1) @ v
    torch.testing.assert_close(seen[0][0], result.detach())
    expected = torch.autograd.grad(result.square().sum(), (q, k, v, network.bias))
    for found, gradient in zip(seen[0][1], expected, strict=True):
        torch.testing.assert_close(found, gradient)
