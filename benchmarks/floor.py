"""A forward pass in which no operation is computed: what a profile that runs the network's own code cannot go below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _Replay(TorchDispatchMode):
    """Returns the results of an earlier run in their order; views are made again, which torch requires of them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorded: list[Any] = []
        self.results: Any = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returns = func._schema.returns
        alias = returns[0].alias_info if returns else None
        if alias is not None:
            return args[0] if alias.is_write else func(*args, **(kwargs or {}))
        if self.results is not None:
            return next(self.results)
        self.recorded.append(func(*args, **(kwargs or {})))
        return self.recorded[-1]


def replaying(forward: Callable[[], object]) -> Callable[[], object]:
    """``forward`` with the results of its operations known: it calls the modules, and reaches a dispatch mode."""
    replay = _Replay()
    with replay:
        forward()

    def run() -> object:
        replay.results = iter(replay.recorded)
        with replay:
            return forward()

    return run
