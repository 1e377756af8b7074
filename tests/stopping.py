"""A mode that ends any run at one of its operations."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Stops(TorchDispatchMode):
    """Raises at the n-th operation, whoever runs it."""

    def __init__(self, number: int, error: BaseException) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.left, self.error = number, error

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return func(*args, **(kwargs or {}))
