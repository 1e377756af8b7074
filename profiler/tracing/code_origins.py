"""The origins of the tensors of code that changes its parameters while it runs, as an optimizer does."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from profiler.tracing.origins import Origins, storage_of
from profiler.tracing.transforms import physical


class CodeOrigins(Origins):
    """Knows parameters by name in every operation, even after writes to them."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[int, str] = {}

    def add_parameter(self, name: str, tensor: torch.Tensor) -> None:
        self._names[id(tensor)] = name
        super().add_parameter(name, tensor)

    def parameters_read(self, inputs: list[torch.Tensor]) -> tuple[str, ...]:
        self.meet(inputs)
        return super().parameters_read(inputs)

    def meet(self, tensors: Sequence[torch.Tensor]) -> None:
        for tensor in tensors:
            name = self._names.get(id(tensor)) if isinstance(tensor, nn.Parameter) else None
            if name is not None:
                storage = storage_of(tensor)
                memory = self._entry(storage)
                if not memory.known:
                    self.know(tensor, storage)
                memory.roots, memory.is_parameter, memory.is_activation = (name,), True, False


class LiveOrigins(CodeOrigins):
    """Keeps no tensor alive: entries of memory are removed when it is freed.

    A tensor that no recorded operation has created is data.
    """

    def __init__(self) -> None:
        super().__init__()
        self._alive: dict[int, Any] = {}

    def add_parameter(self, name: str, tensor: torch.Tensor) -> None:
        self._names.setdefault(id(tensor), name)

    def know(self, tensor: torch.Tensor, storage: int) -> None:
        self._entry(storage).known = True
        with suppress(RuntimeError, NotImplementedError):  # a tensor without memory
            memory = physical(tensor).untyped_storage()
            if id(memory) == storage:
                self._alive[storage] = weakref.ref(memory, lambda _: self._forget(storage))

    def meet(self, tensors: Sequence[torch.Tensor]) -> None:
        super().meet(tensors)
        for tensor in tensors:
            storage = storage_of(tensor)
            if not self.knows(storage) and not isinstance(tensor, nn.Parameter):
                self.know(tensor, storage)
                self._entry(storage).is_activation = True

    def _forget(self, storage: int) -> None:
        self.memories.pop(storage, None)
        self._alive.pop(storage, None)
