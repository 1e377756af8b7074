"""Causal masks of ``torch.nn.attention.bias`` are counted as attention with that mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.bias import CausalBias, causal_lower_right, causal_upper_left

import profiler
from profiler.records import Mode

MAKERS = {"upper left": causal_upper_left, "lower right": causal_lower_right}


class Attention(nn.Module):
    """Attention of 2 heads of size 8; the mask is made in the forward, held by the module, or passed in."""

    def __init__(self, make: Callable[..., Any] | None = None, bias: Any = None) -> None:
        super().__init__()
        self.make = make
        self.bias = bias

    def forward(self, query: torch.Tensor, keys: torch.Tensor, bias: Any = None) -> torch.Tensor:
        if self.make is not None:
            bias = self.make(query.shape[-2], keys.shape[-2])
        return F.scaled_dot_product_attention(query, keys, keys, attn_mask=self.bias if bias is None else bias)


def heads(length: int) -> torch.Tensor:
    """One sequence of 2 heads of size 8."""
    return torch.zeros(1, 2, length, 8, requires_grad=True)


def scores_left(variant: str, queries: int, keys: int) -> int:
    """The number of scores of a head that the mask leaves, counted one by one."""
    offset = keys - queries if variant == "lower right" else 0
    return sum(column <= row + offset for row in range(queries) for column in range(keys))


@pytest.mark.filterwarnings("ignore:Lower right causal bias will produce NaNs")
@pytest.mark.parametrize("variant", MAKERS)
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (4, 6), (6, 4), (1, 6)])
@pytest.mark.parametrize("place", ["made", "held", "given"])
def test_the_mask_hides_scores_by_its_alignment(variant: str, queries: int, keys: int, place: str) -> None:
    """All products are counted; the causal MACs leave out those that the mask hides."""
    make = MAKERS[variant]
    mask = make(queries, keys)
    model = Attention(make if place == "made" else None, mask if place == "held" else None)
    given = (heads(queries), heads(keys)) + ((mask,) if place == "given" else ())
    profile = profiler.profile(model, given)
    dense = 2 * 2 * queries * keys * 8
    hidden = 2 * (queries * keys - scores_left(variant, queries, keys))
    assert profile.total.macs == dense
    assert profile.causal_macs == (dense - 2 * hidden * 8 if hidden else None)
    assert profile.layers["kind"].tolist() == ["attention"]
    assert profile.total.comparisons == 2 * queries * (keys - 1)
    assert profile.complete


@pytest.mark.parametrize("variant", MAKERS)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_it_costs_as_much_as_attention_with_a_boolean_mask(variant: str, mode: Mode) -> None:
    """A boolean mask of the same form costs the same, forward and backward, and has the same kind."""

    class Masked(nn.Module):
        def forward(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
            mask = torch.ones(4, 6, dtype=torch.bool).tril()
            return F.scaled_dot_product_attention(query, keys, keys, attn_mask=mask)

    inputs = (heads(4), heads(6))
    profile = profiler.profile(Attention(MAKERS[variant]), inputs, mode=mode)
    assert profile.total == profiler.profile(Masked(), inputs, mode=mode).total
    assert profile.total.macs == (1 if mode == "inference" else 3) * (2 * 2 * 4 * 6 * 8)
    assert set(profile.operations.query("macs > 0")["kind"]) == {"attention"}


def test_the_mask_and_its_class_are_unchanged() -> None:
    """Afterwards torch makes masks itself again, also if the forward raised."""
    mask = causal_lower_right(4, 6)
    profiler.profile(Attention(None, mask), (heads(4), heads(6)))
    with pytest.raises(profiler.ProfilerError):
        profiler.profile(Attention(causal_lower_right), (heads(4), torch.zeros(1, 2, 6, 9)))
    assert "__new__" not in vars(CausalBias)
    assert (mask.seq_len_q, mask.seq_len_kv, mask.device.type) == (4, 6, "cpu")
