"""fvcore's and torch's conventions give their reports for every classification network of torchvision."""

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
    """The side of the image: small if the network takes any."""
    return 96 if is_convolutional(target) else 224


def is_convolutional(target: str) -> bool:
    """Whether all products of the network are convolutions and linear layers that are called as modules."""
    return not any(name in target for name in ("vit", "swin"))


def subject_of(target: str) -> tuple[Profile, nn.Module, tuple[Any, ...]]:
    """Our profile of the network, a real copy of it, and its input."""
    image = torch.zeros(1, 3, side(target), side(target))
    result = profile(build_model(target, {}), image.to("meta"))
    return result, build_real_model(target, {}).eval(), (image,)


def check(result: Profile, record: CounterRecord) -> None:
    """Check that every difference is the sum of named parts."""
    assert record.status == "ok", record.message
    rows = list(crosscheck_rows(result.trace, record))
    assert [row for row in rows if not row.explained] == []
    parts = sum(part.amount for row in rows for part in row.parts)
    assert total_of(record) - result.total.macs == parts


def total_of(record: CounterRecord) -> int:
    """The total of a counter."""
    return sum(figure.figure for figure in record.figures)


def test_the_networks_are_found() -> None:
    """They are torchvision's classification networks, and most are convolutional."""
    assert len(NETWORKS) >= 80
    assert sum(map(is_convolutional, NETWORKS)) >= 60


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", NETWORKS)
def test_fvcore(target: str) -> None:
    """Our rows by fvcore's convention give its total if it sees the whole network; else named rows are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, model, inputs = subject_of(target)
        record = run_counter("fvcore", model, inputs)
    check(result, record)
    if is_convolutional(target):
        assert total_of(record) == sum(fvcore_figure(call) for call in result.trace.calls)


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", NETWORKS)
def test_torch(target: str) -> None:
    """On meta, FlopCounterMode's MACs equal ours; on the CPU they do too, except for attention in a fused kernel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, model, inputs = subject_of(target)
        on_meta = run_counter("torch", model, inputs)
        on_cpu = run_counter("torch-cpu", model, inputs)
    assert total_of(on_meta) == result.total.macs
    check(result, on_meta)
    check(result, on_cpu)
    if is_convolutional(target):
        assert total_of(on_cpu) == result.total.macs


@pytest.mark.parametrize(
    "target",
    ["torchvision:squeezenet1_1", pytest.param("torchvision:mobilenet_v3_small", marks=pytest.mark.slow)],
)
def test_two_small_networks(target: str) -> None:
    """Both conventions hold for two small networks."""
    test_fvcore(target)
    test_torch(target)
