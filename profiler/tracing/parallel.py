"""Networks that are distributed over processes → the work of one process, or an error that says what to profile.

``DistributedDataParallel`` copies the whole network to every process: its replica is counted, without what the
processes exchange.  Parameters of which every process holds a part (``DTensor``, FSDP) need the other processes to run.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from profiler.errors import TraceError


def check_whole(model: nn.Module) -> None:
    """Raise :class:`TraceError` if parameters are sharded over processes; it names the first of them."""
    tensors, sharded = sys.modules.get("torch.distributed.tensor"), sys.modules.get("torch.distributed.fsdp")
    for name, module in model.named_modules():
        if sharded is not None and isinstance(module, sharded.FullyShardedDataParallel):
            raise TraceError(_advice(f"module {name or '(root)'} is wrapped in FullyShardedDataParallel"))
    for name, parameter in model.named_parameters():
        if tensors is not None and isinstance(parameter, tensors.DTensor):
            local = tuple(parameter.to_local().shape)
            raise TraceError(
                _advice(f"parameter {name} is a DTensor: this process holds {local} of its {tuple(parameter.shape)}")
            )


def _advice(found: str) -> str:
    return (
        f"{found}, so the network only runs together with other processes: profile the network before "
        "fully_shard, FSDP or parallelize_module is applied to it"
    )


def without_processes(model: nn.Module, memo: dict[int, Any]) -> None:
    """For each DistributedDataParallel, add a plain wrapper around a copy of the network inside to ``memo``.

    A copy of the original would communicate with other processes, when it is created and when it runs.
    """
    for module in model.modules():
        if type(module) is DistributedDataParallel and id(module) not in memo:
            wrapper = _PlainWrapper()
            wrapper.training = module.training
            memo[id(module)] = wrapper
            wrapper.module = copy.deepcopy(module.module, memo)


class _PlainWrapper(nn.Module):
    """Calls the network inside, as a wrapper in one process does."""

    module: nn.Module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


_PlainWrapper.__name__ = _PlainWrapper.__qualname__ = DistributedDataParallel.__name__
