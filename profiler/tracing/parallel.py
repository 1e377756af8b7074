"""Networks that are distributed over processes → the work of one process, or an error that says what to profile.

``DistributedDataParallel`` copies the whole network to every process: its replica is counted, without what the
processes exchange.  Parameters of which every process holds a part (``DTensor``, FSDP) need the other processes to run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from profiler.errors import TraceError
from profiler.tracing.walking import Named, named_parameters


def check_whole(modules: Sequence[Named]) -> None:
    """Raise :class:`TraceError` if parameters are sharded over processes; it names the first of them."""
    sharded, tensors = sys.modules.get("torch.distributed.fsdp"), sys.modules.get("torch.distributed.tensor")
    if sharded is not None:
        for name, module in modules:
            if isinstance(module, sharded.FullyShardedDataParallel):
                raise TraceError(_advice(f"module {name or '(root)'} is wrapped in FullyShardedDataParallel"))
    if tensors is not None:
        for name, parameter in named_parameters(modules):
            if isinstance(parameter, tensors.DTensor):
                local, whole = tuple(parameter.to_local().shape), tuple(parameter.shape)
                raise TraceError(_advice(f"parameter {name} is a DTensor: this process holds {local} of its {whole}"))


def _advice(found: str) -> str:
    return (
        f"{found}, so the network only runs together with other processes: profile the network before "
        "fully_shard, FSDP or parallelize_module is applied to it"
    )


def is_distributed(kind: type[nn.Module]) -> bool:
    """Whether modules of a class distribute the module inside over processes."""
    sharded = sys.modules.get("torch.distributed.fsdp")
    return issubclass(
        kind,
        DistributedDataParallel if sharded is None else (DistributedDataParallel, sharded.FullyShardedDataParallel),
    )


def without_processes(
    modules: Iterable[nn.Module], memo: dict[int, Any], copied: Callable[[nn.Module], nn.Module]
) -> None:
    """For each DistributedDataParallel, add a plain wrapper around a copy of the network inside to ``memo``.

    A copy of the original would communicate with other processes, when it is created and when it runs.  ``copied``
    gives the copy of a module, and uses ``memo``.
    """
    for module in modules:
        if type(module) is DistributedDataParallel and id(module) not in memo:
            wrapper = _PlainWrapper()
            wrapper.training = module.training
            memo[id(module)] = wrapper
            wrapper.module = copied(module.module)


class _PlainWrapper(nn.Module):
    """Calls the network inside, as a wrapper in one process does."""

    module: nn.Module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


_PlainWrapper.__name__ = _PlainWrapper.__qualname__ = DistributedDataParallel.__name__
