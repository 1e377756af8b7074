"""Networks that are spread over processes: a replica of one process is counted; sharded parameters are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import profiler
from profiler.errors import TraceError
from profiler.records import Mode

pytestmark = [
    pytest.mark.skipif(not dist.is_available(), reason="this torch has no torch.distributed"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

X = torch.zeros(2, 4)


@pytest.fixture(scope="module", autouse=True)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone, which finds itself by a file."""
    place: Path = tmp_path_factory.mktemp("world") / "meeting"
    dist.init_process_group("gloo", init_method=f"file://{place}", world_size=1, rank=0)
    yield
    dist.destroy_process_group()


def network() -> nn.Sequential:
    """Two linear layers, with a norm that has buffers between them."""
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "times"), [("inference", (1, 1)), ("training", (2, 3))])
@pytest.mark.parametrize("held", [False, True])
def test_a_replica_costs_what_the_network_inside_costs(mode: Mode, times: tuple[int, int], held: bool) -> None:
    """This holds for a root and for a part; communication between processes is no work of the network."""
    wrapped: Any = DistributedDataParallel(network())
    model = nn.Sequential(wrapped) if held else wrapped
    prefix = "0." if held else ""
    profile = profiler.profile(model, X, mode=mode)
    layers = profile.layers.query("macs > 0")
    first, last = times
    assert dict(zip(layers["layer"], layers["macs"], strict=True)) == {
        f"{prefix}module.0": first * 2 * 8 * 4,
        f"{prefix}module.3": last * 2 * 3 * 8,
    }
    assert profile.total == profiler.profile(network(), X, mode=mode).total
    assert profile.parameters_total == (4 * 8 + 8) + 2 * 8 + (8 * 3 + 3)
    assert profile.complete
    assert profile.never_ran == ()
    types = {record.name: record.type for record in profile.trace.modules}
    assert types[prefix.rstrip(".")] == "DistributedDataParallel"


def test_the_replica_is_unchanged() -> None:
    """It trains as before, and nothing of it has moved."""
    wrapped: Any = DistributedDataParallel(network())
    before = {name: value.clone() for name, value in wrapped.state_dict().items()}
    profiler.profile(wrapped, X, mode="training")
    assert all(torch.equal(value, before[name]) for name, value in wrapped.state_dict().items())
    wrapped(X).sum().backward()
    assert all(parameter.grad is not None for parameter in wrapped.parameters())


def test_ties_across_a_replica_are_kept() -> None:
    """A parameter inside and outside of the wrapper counts once."""
    inner = nn.Linear(4, 4)
    outer = nn.Linear(4, 4)
    outer.weight = inner.weight
    wrapped: Any = DistributedDataParallel(inner)
    assert profiler.profile(nn.Sequential(wrapped, outer), X).parameters_total == 4 * 4 + 4 + 4


def sharded(how: str) -> nn.Module:
    """A network whose parameters are sharded over the processes by one of the ways."""
    from torch.distributed import fsdp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import parallel

    tensor_parallel: Any = parallel
    data_parallel: Any = fsdp
    by_column = {"0": tensor_parallel.ColwiseParallel()}
    mesh: Any = init_device_mesh("cpu", (1,))
    wrapped: Any = {
        "tensor parallel": lambda: tensor_parallel.parallelize_module(network(), mesh, by_column),
        "fully_shard": lambda: data_parallel.fully_shard(network(), mesh=mesh),
        "FSDP": lambda: data_parallel.FullyShardedDataParallel(network(), device_id=torch.device("cpu")),
    }[how]()
    model: nn.Module = wrapped
    return model


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("how", ["tensor parallel", "fully_shard", "FSDP"])
def test_sharded_parameters_are_refused_with_advice(how: str, mode: Mode) -> None:
    """One line names the parameter or the module and says what to profile instead."""
    with pytest.raises(
        TraceError, match="profile the network before fully_shard, FSDP or parallelize_module"
    ) as caught:
        profiler.profile(sharded(how), X, mode=mode)
    assert "\n" not in str(caught.value)
    assert ("(root)" if how == "FSDP" else "0.weight") in str(caught.value)
