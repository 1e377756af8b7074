"""Free operators, and the names of all registered operators."""

from __future__ import annotations

import pytest
import torch

from profiler.opcount import OpCount
from profiler.rules import REGISTRY
from tests.rules.counting import spec
from tests.rules.registered import count_whole_and_decomposed, kind_of


@pytest.mark.skipif(torch.__version__.split("+")[0] != "2.13.0", reason="other releases have other operators")
def test_every_registered_operator_exists() -> None:
    """No ATen entry is misspelled: the pinned torch knows each of them."""
    known = {schema.name for schema in torch._C._jit_get_all_schemas()}
    registered = {entry.op for entry in REGISTRY if entry.op.startswith("aten::")}
    assert len(registered) > 500
    assert sorted(registered - known) == []


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x.permute(2, 0, 1).contiguous().flatten(1).to(torch.float64),
        lambda x: torch.cat([x, x.clone()]).chunk(2, 1)[0].expand(4, 1, 4),
        lambda x: torch.stack(x.unbind(0)).roll(1, 0).flip(1),
        lambda x: torch.nn.functional.pad(x, (1, 1), mode="reflect"),
        lambda x: torch.nn.functional.channel_shuffle(x.unsqueeze(0).expand(2, 2, 2, 4), 2),
        lambda x: torch.nn.functional.pixel_shuffle(x.new_zeros(1, 4, 2, 2), 2),
        lambda x: torch.nn.functional.embedding(torch.zeros(3, dtype=torch.long, device="meta"), x[0]),
        lambda x: x.masked_fill(torch.zeros(2, 2, 4, dtype=torch.bool, device="meta"), 0.0).neg().floor(),
        lambda x: x.gather(2, torch.zeros(2, 2, 4, dtype=torch.long, device="meta")),
        lambda x: torch.empty_like(x).bernoulli_(0.5),
        lambda x: torch.arange(4.0, device="meta") if x.shape else x,
        lambda x: torch.dropout(x, 0.5, False),
        lambda x: x.tril().triu(),
    ],
)
def test_movement_is_free_whole_and_decomposed(run: object) -> None:
    """Views, copies, look-ups, factories, casts, signs and random numbers are known and cost nothing."""
    assert count_whole_and_decomposed(run, (2, 2, 4)) == (OpCount(), OpCount())  # type: ignore[arg-type]


def test_free_is_not_uncounted() -> None:
    """A free entry has no cost function; an unknown operator has no entry."""
    entry = REGISTRY.find("aten::view")
    assert entry is not None
    assert entry.cost is None
    assert kind_of("view", spec(2), [2], out=spec(2)) == "movement"
    assert REGISTRY.find("aten::no_such_operator") is None
