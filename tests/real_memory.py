"""What storages a real run on the CPU has alive at once: a dispatch mode with weak references, of its own."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def _storages(values: Any) -> dict[int, torch.UntypedStorage]:
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
    return {id(storage): storage for tensor in tensors for storage in [tensor.untyped_storage()]}


class RealStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which storages the results of operations have, and when each of them is freed.

    ``sizes`` and ``spans`` have one item for each storage: its bytes, and the numbers of the first operation after
    which it was alive and of the first one after which it was not.
    """

    def __init__(self, not_counted: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: list[int] = []
        self.spans: list[list[int | None]] = []
        self.ops: list[str] = []
        self._not_counted = _storages(not_counted)
        self.numbers: dict[int, int] = {}
        self._references: list[Any] = []

    def add(self, values: Any) -> None:
        """Count the storages of these tensors from now on."""
        for key, storage in _storages(values).items():
            if key not in self._not_counted and key not in self.numbers:
                number = self.numbers[key] = len(self.sizes)
                self.sizes.append(storage.nbytes())
                self.spans.append([len(self.ops), None])
                self._references.append(weakref.ref(storage, partial(self._end, key, number)))

    def _end(self, key: int, number: int, _: object) -> None:
        del self.numbers[key]
        self.spans[number][1] = len(self.ops)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = _storages((args, kwargs))
        self.add([leaf for leaf in tree_leaves(result) if not _storages(leaf).keys() & read.keys()])
        self.ops.append(func._schema.name)
        return result

    def alive(self, without: Sequence[int] = ()) -> list[int]:
        """The bytes alive after each operation, without the storages of these numbers."""
        changes = [0] * (len(self.ops) + 1)
        for number, (size, (born, died)) in enumerate(zip(self.sizes, self.spans, strict=True)):
            if number not in without:
                changes[born or 0] += size
                if died is not None:
                    changes[died] -= size
        return list(accumulate(changes[:-1]))


def measured(network: nn.Module, inputs: tuple[torch.Tensor, ...], mode: str) -> RealStorages:
    """The storages of a real run of ``network``; in training, of a forward pass and the backward pass of all results.

    The caller holds the inputs, the results and their gradients, which are ones.
    """
    network.train(mode == "training")
    watched = RealStorages([*network.parameters(), *network.buffers()])
    watched.add(inputs)
    if mode == "inference":
        with torch.inference_mode(), watched:
            network(*inputs)
        return watched
    with torch.enable_grad():
        with watched:
            results = network(*inputs)
        roots = [leaf for leaf in leaves_of(results) if leaf.requires_grad]
        seeds = [torch.ones_like(root) for root in roots]
        watched.add(seeds)
        with watched:
            torch.autograd.backward(roots, seeds)
    return watched


def leaves_of(value: Any) -> list[torch.Tensor]:
    """The floating-point tensors in what a network returns."""
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()]


def peak(network: nn.Module, inputs: tuple[torch.Tensor, ...], mode: str) -> int:
    """The most bytes of a real run that are alive at once, without parameters, buffers and gradients of parameters."""
    watched = measured(network, inputs, mode)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    numbers = [watched.numbers[key] for key in _storages(gradients) if key in watched.numbers]
    found = max(watched.alive(numbers))
    network.zero_grad()
    return found
