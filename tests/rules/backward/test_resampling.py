"""The gradients of pools, resampling and look-ups cost one add for each value that is sent back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from profiler.errors import UncountedError
from profiler.opcount import OpCount, total
from profiler.rules import REGISTRY
from profiler.traces import trace_for_real
from tests.rules.counting import Tally, assert_counted, spec
from tests.rules.recorded import calls_of
from tests.rules.registered import count_of, terms_of
from tests.rules.test_pooling import adaptive_windows

N, C = 2, 3


def test_max_pools() -> None:
    """Each gradient goes to one place."""
    g, x = spec(N, C, 4, 4), spec(N, C, 8, 8)
    for op in ("max_pool2d_with_indices_backward", "adaptive_max_pool2d_backward", "max_pool2d_backward"):
        assert count_of(op, g, x, out=x) == OpCount(adds=N * C * 4 * 4)
    assert count_of("mkldnn_max_pool2d_backward", g, g, x, [2, 2], [2, 2], out=x) == OpCount(adds=N * C * 4 * 4)
    g, x = spec(N, C, 2, 4, 4), spec(N, C, 4, 8, 8)
    assert count_of("mkldnn_max_pool3d_backward", g, g, x, [2, 2, 2], out=x) == OpCount(adds=N * C * 2 * 4 * 4)


def test_average_pools() -> None:
    """Each gradient is divided by the window size and goes to the whole window."""
    g, x = spec(N, C, 4, 4), spec(N, C, 8, 8)
    n = N * C * 4 * 4
    pooled = count_of("avg_pool2d_backward", g, x, [2, 3], [2, 2], [0, 0], False, True, None, out=x)
    assert pooled == OpCount(divides=n, adds=n * 2 * 3)


@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_adaptive_average_pool(sizes: tuple[int, int], outs: tuple[int, int]) -> None:
    """It is sent to as many places as the true windows hold."""
    tally = Tally()
    image = tally.array(*sizes)
    gradient = [[tally.number(0.0) for _ in row] for row in image]
    for window in adaptive_windows(gradient, [*sizes], [*outs]):
        g = tally.number(1.0) / float(len(window))
        for place in window:
            place + g
    g_spec, x = spec(1, *outs), spec(1, *sizes)
    assert_counted(terms_of("_adaptive_avg_pool2d_backward", g_spec, x, out=x), tally)
    g_spec, x = spec(1, 1, *outs), spec(1, 1, *sizes)
    assert_counted(terms_of("adaptive_avg_pool3d_backward", g_spec, x, grad_input=x, out=x), tally)


@pytest.mark.parametrize(
    ("op", "dims", "taps"),
    [("linear1d", 1, 2), ("bilinear2d", 2, 2), ("trilinear3d", 3, 2), ("bicubic2d", 2, 4)],
)
def test_resizing(op: str, dims: int, taps: int) -> None:
    """A gradient is weighed along one axis after the other, and added to each value that it came from."""
    tally = Tally()

    def spread(g: Any, axes: int) -> None:
        for _ in range(taps):
            part = g * 0.5
            if axes > 1:
                spread(part, axes - 1)
            else:
                tally.number(0.0) + part

    for g in tally.array(6):
        spread(g, dims)
    grad, x = spec(1, 6, *[1] * dims), spec(1, 6, *[4] * dims)
    assert_counted(terms_of(f"upsample_{op}_backward", grad, None, None, False, out=x), tally)


def test_antialiased_resizing_costs_as_many_multiplies_back() -> None:
    """There is an add for each multiply."""
    x, y = spec(1, 5, 4, 6), spec(1, 5, 2, 3)
    forward = count_of("_upsample_bilinear2d_aa", x, [2, 3], False, out=y)
    backward = count_of("_upsample_bilinear2d_aa_backward", y, [2, 3], [1, 5, 4, 6], False, out=x)
    assert backward == OpCount(multiplies=forward.multiplies, adds=forward.multiplies)


def test_grid_sampler() -> None:
    """Positions and weights are recomputed, the gradient of the input is spread, and the grid gets two slopes."""
    g, x, grid = spec(1, 3, 2, 2), spec(1, 3, 5, 5), spec(1, 2, 2, 2)
    points, results = 2 * 2, 3 * 2 * 2
    positions = OpCount(multiplies=1, adds=2, divides=1) * (points * 2)
    weights = OpCount(adds=2) * (points * 2)
    spread = OpCount(multiplies=2 + 4, adds=4) * results
    # (b − a) of two rows, weighed along the other axis, times g, summed over the channels; then the units
    slopes = OpCount(adds=2 + 1 + 1, multiplies=2 + 1) * (results * 2) + OpCount(multiplies=points * 2)
    arguments = (g, x, grid, 0, 0, False)
    cost = count_of("grid_sampler_2d_backward", *arguments, (True, True), out=(x, grid))
    assert cost == positions + weights + spread + slopes
    only_input = count_of("grid_sampler_2d_backward", *arguments, (True, False), out=(x, None))
    assert only_input == positions + weights + spread
    with pytest.raises(UncountedError, match="bicubic"):
        terms_of("grid_sampler_2d_backward", g, x, grid, 2, 0, False, (True, True), out=(x, grid))


def test_copies_and_look_ups() -> None:
    """Values that padding, unfolding or a look-up repeated are summed."""
    g, x = spec(5, 4), spec(9, 4)
    indices = spec(5, dtype="int64")
    assert count_of("reflection_pad1d_backward", g, spec(5, 2), [1, 1], out=spec(5, 2)) == OpCount(adds=20)
    assert count_of("embedding_dense_backward", g, indices, 9, -1, False, out=x) == OpCount(adds=20)
    scaled = count_of("embedding_dense_backward", g, indices, 9, -1, True, out=x)
    assert scaled == OpCount(adds=20, divides=20)
    assert REGISTRY.find("aten::select_backward") is not None


def test_embedding_bags() -> None:
    """There are two bags of five rows in all, of width four."""
    g, x, i = spec(2, 4), spec(9, 4), spec(5, dtype="int64")
    bags = (g, i, i, i, i, 9, False)
    assert count_of("_embedding_bag_dense_backward", *bags, 0, None, out=x) == OpCount(adds=20)
    assert count_of("_embedding_bag_dense_backward", *bags, 0, spec(5), out=x) == OpCount(adds=20, multiplies=20)
    assert count_of("_embedding_bag_dense_backward", *bags, 1, None, out=x) == OpCount(adds=20, divides=8)
    assert count_of("_embedding_bag_dense_backward", *bags, 2, None, out=x) == OpCount(adds=8)
    weights = count_of("_embedding_bag_per_sample_weights_backward", g, x, i, i, i, 0, out=spec(5))
    assert weights == OpCount(multiplies=20, adds=15)


class Bag(nn.EmbeddingBag):
    """One operator computes its gradients, and chooses how to sum."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        indices, bags = torch.tensor([1, 2, 2, 4, 0]), torch.tensor([0, 3])
        return super().forward(indices, bags, *inputs)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bags_in_training(mode: str, sparse: bool, weighted: bool) -> None:
    """A dense gradient sums the rows, a sparse one lists them; weights and means cost the same."""
    if (sparse and mode == "max") or (weighted and mode != "sum"):
        return
    inputs = (torch.ones(5, requires_grad=True),) if weighted else ()
    calls = trace_for_real(Bag(6, 4, mode=mode, sparse=sparse), inputs, "training", reason="test").calls
    (found,) = (call.count for call in calls if call.op == "aten::_embedding_bag_backward")
    sums = 0 if sparse else 2 * 4 if mode == "max" else 5 * 4
    assert found == OpCount(adds=sums, multiplies=5 * 4 if weighted else 0, divides=2 * 4 if mode == "mean" else 0)


def test_gradients_of_nested_tensors_add_nothing() -> None:
    """A row goes to its place, and the gradient of a sum to its whole row."""
    for op in ("_nested_select_backward", "_nested_sum_backward"):
        entry = REGISTRY.find(f"aten::{op}")
        assert entry is not None
        assert entry.cost is None


def test_affine_grid() -> None:
    """There are six sums over the points: four of products with coordinates, and two of offsets."""
    cost = count_of("affine_grid_generator_backward", spec(1, 3, 5, 2), [1, 1, 3, 5], False, out=spec(1, 2, 3))
    assert cost == OpCount(multiplies=4 * 15, adds=6 * 14)


def small_network(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    x = F.batch_norm(x, None, None, w, w, True)
    x = F.max_pool2d(F.silu(x), 2)
    x = F.interpolate(F.avg_pool2d(F.hardswish(x), 2), scale_factor=2, mode="bilinear")
    x = F.group_norm(F.gelu(F.pad(x, (1, 1, 1, 1), mode="reflect")), 2, w, w)
    x = F.adaptive_avg_pool2d(F.elu(x), 3).flatten(1)
    return F.cross_entropy(F.layer_norm(x, x.shape[1:]), torch.zeros(2, dtype=torch.long, device="meta"))


@pytest.mark.slow
def test_the_backward_pass_of_a_network_is_counted() -> None:
    """Each operator that autograd runs for a network of many kinds of layers has a rule."""
    x = torch.empty(2, 4, 16, 16, device="meta", requires_grad=True)
    w = torch.empty(4, device="meta", requires_grad=True)
    _, forward = calls_of(small_network, x, w)
    _, calls = calls_of(lambda: torch.autograd.backward(small_network(x, w)))
    backward = calls[len(forward) :]
    assert {call.op for call in calls if call.status == "uncounted"} == set()
    assert total(term for call in backward for term in call.terms).flops > 0
