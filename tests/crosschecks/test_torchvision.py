"""fvcore's and torch's conventions give what they say of every classification network of torchvision."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from profiler import Profile, profile
from profiler.crosschecks.counters.fvcore import fvcore_figure
from profiler.crosschecks.rows import crosscheck_rows
from profiler.crosschecks.running import run_counter
from profiler.models.building import build_model, build_real_model
from profiler.models.targets import list_targets
from profiler.records import CounterRecord

NETWORKS = [entry.target for entry in list_targets("torchvision:*") if entry.family == "classification"]


def side(target: str) -> int:
    """The side of the image: small where the network takes any."""
    return 96 if is_convolutional(target) else 224


def is_convolutional(target: str) -> bool:
    """Whether all of the network's products are convolutions and linear layers called as modules."""
    return not any(name in target for name in ("vit", "swin"))


def asked(target: str) -> tuple[Profile, nn.Module, tuple[Any, ...]]:
    """What we count of the network, a real copy of it, and its input."""
    image = torch.zeros(1, 3, side(target), side(target))
    result = profile(build_model(target, {}), image.to("meta"))
    return result, build_real_model(target, {}).eval(), (image,)


def check(result: Profile, record: CounterRecord) -> None:
    """Every difference is the sum of named parts."""
    assert record.status == "ok", record.message
    rows = list(crosscheck_rows(result.trace, record))
    assert [row for row in rows if not row.explained] == []
    parts = sum(part.amount for row in rows for part in row.parts)
    assert said(record) - result.total.macs == parts


def said(record: CounterRecord) -> int:
    """The total of a counter."""
    return sum(figure.figure for figure in record.figures)


def test_the_networks_are_found() -> None:
    """All of torchvision's classification networks, of which most are convolutional."""
    assert len(NETWORKS) >= 80
    assert sum(map(is_convolutional, NETWORKS)) >= 60


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", NETWORKS)
def test_fvcore(target: str) -> None:
    """Our rows by fvcore's convention give its total, where it sees the whole network; else named rows are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, model, inputs = asked(target)
        record = run_counter("fvcore", model, inputs)
    check(result, record)
    if is_convolutional(target):
        assert said(record) == sum(fvcore_figure(call) for call in result.trace.calls)


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", NETWORKS)
def test_torch(target: str) -> None:
    """On meta FlopCounterMode's MACs are ours; on the CPU too, but for attention in a fused kernel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, model, inputs = asked(target)
        on_meta = run_counter("torch", model, inputs)
        on_cpu = run_counter("torch-cpu", model, inputs)
    assert said(on_meta) == result.total.macs
    check(result, on_meta)
    check(result, on_cpu)
    if is_convolutional(target):
        assert said(on_cpu) == result.total.macs


@pytest.mark.parametrize(
    "target",
    ["torchvision:squeezenet1_1", pytest.param("torchvision:mobilenet_v3_small", marks=pytest.mark.slow)],
)
def test_small_ones_at_once(target: str) -> None:
    """The same, quickly, for two of them."""
    test_fvcore(target)
    test_torch(target)
