"""The origins of the tensors of a run, by the memory that they share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from profiler.signatures import LOOKUPS
from profiler.tracing.packed import PackedTensor
from profiler.tracing.private import script_object_type
from profiler.tracing.tensors import leaves
from profiler.tracing.transforms import physical


class Origins:
    """Where tensors come from: parameters, the network's inputs, or neither.

    A tensor counts as a parameter if it is one, a view of one, or was computed from parameters and constants alone.
    Storages are distinguished by identity; every result overwrites the entry of its storage, so a new storage with the
    id of a freed one is not confused with it.  ``known`` has the storages of all tensors so far.
    """

    def __init__(self) -> None:
        self._parameters: set[int] = set()
        self._activations: set[int] = set()
        self.known: dict[int, Any] = {}
        self._kept: list[Any] = []
        self._roots: dict[int, tuple[str, ...]] = {}
        self._packed: list[PackedTensor] = []
        self._numbers: dict[int, int] = {}
        self._next_number = itertools.count()

    def add_parameter(self, name: str, tensor: torch.Tensor) -> None:
        """Record that ``tensor`` is the parameter ``name`` of the network."""
        storage = self._keep(tensor)
        self._parameters.add(storage)
        self._roots[storage] = (name,)

    def add_packed(self, packed: PackedTensor) -> None:
        """Record that ``packed`` is a weight of the network in a packed object."""
        self._packed.append(packed)

    def packed_read(self, arguments: Any, module: str) -> list[str]:
        """The parameters in the objects among the arguments of an operation in ``module``.

        Objects cannot be distinguished by their values: a layer reads its own; a module without any reads those below
        it.
        """
        names: dict[str, None] = {}
        for type in {script_object_type(value) for value in leaves(arguments)} - {None}:
            known = [packed for packed in self._packed if packed.type == type]
            own = [packed for packed in known if packed.layer == module]
            below = [packed for packed in known if not module or packed.layer.startswith(f"{module}.")]
            names |= dict.fromkeys(packed.name for packed in own or below or known)
        return list(names)

    def add_activation(self, tensor: torch.Tensor) -> None:
        self._activations.add(self._keep(tensor))

    def is_parameter(self, tensor: torch.Tensor) -> bool:
        """Whether it is, or is computed from, parameters of the network or of other modules."""
        return isinstance(tensor, nn.Parameter) or storage_of(tensor) in self._parameters

    def is_activation(self, tensor: torch.Tensor) -> bool:
        """Whether it is an input of the network, or computed from one."""
        return storage_of(tensor) in self._activations

    def parameters_read(self, inputs: list[torch.Tensor]) -> list[str]:
        """The parameters among ``inputs``, and those from which they are computed."""
        if len(inputs) == 1:
            return list(self._roots.get(storage_of(inputs[0]), ()))
        return list(dict.fromkeys(name for tensor in inputs for name in self._roots.get(storage_of(tensor), ())))

    def numbers_of(self, tensors: Iterable[torch.Tensor]) -> tuple[int, ...]:
        """The numbers of the storages of ``tensors``, each once."""
        return tuple(dict.fromkeys(self._number(storage_of(tensor)) for tensor in tensors))

    def new_numbers_of(self, outputs: Iterable[torch.Tensor], inputs: Iterable[torch.Tensor]) -> tuple[int, ...]:
        """The numbers of the storages of ``outputs`` that are not those of ``inputs``, so they are new."""
        made = dict.fromkeys(map(storage_of, outputs))
        for storage in map(storage_of, inputs):
            made.pop(storage, None)
        for storage in made:
            self._numbers[storage] = next(self._next_number)
        return tuple(self._numbers[storage] for storage in made)

    def _number(self, storage: int) -> int:
        number = self._numbers.get(storage)
        if number is None:
            number = self._numbers[storage] = next(self._next_number)
        return number

    def follow(self, op: str, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Record the origins of the results of the operation ``op``; returns the inputs that were not known."""
        storages = [storage_of(tensor) for tensor in inputs]
        unknown: list[torch.Tensor] = []
        for tensor, storage in zip(inputs, storages, strict=True):
            if storage not in self.known:
                unknown.append(tensor)
        from_activation = any(storage in self._activations for storage in storages)
        from_parameter = not from_activation and any(map(self.is_parameter, inputs))
        roots: tuple[str, ...] = ()
        if from_parameter and op not in LOOKUPS:  # rows of a table are not a parameter
            roots = tuple(dict.fromkeys(name for storage in storages for name in self._roots.get(storage, ())))
        for tensor in outputs:
            storage = storage_of(tensor)
            if storage not in self.known:
                self.know(tensor, storage)
            if storage in storages and not from_activation:
                continue
            (self._activations.add if from_activation else self._activations.discard)(storage)
            (self._parameters.add if from_parameter else self._parameters.discard)(storage)
            if storage not in storages:
                self._roots[storage] = roots
        return unknown

    def know(self, tensor: torch.Tensor, storage: int) -> None:
        """Record ``tensor`` as known.  A meta storage is kept alive, which is free, so that its id is not reused."""
        inner = physical(tensor)
        has_storage = inner.is_meta and inner.layout == torch.strided and type(inner) in (torch.Tensor, nn.Parameter)
        self.known[storage] = inner.untyped_storage() if has_storage else None

    def replace(self, tensor: torch.Tensor, replacement: torch.Tensor) -> None:
        """Record that ``replacement`` replaces ``tensor``."""
        self.follow("", [tensor], [replacement])
        if storage_of(tensor) in self._roots:
            self._roots[self._keep(replacement)] = self._roots[storage_of(tensor)]

    def _keep(self, tensor: torch.Tensor) -> int:
        try:
            self._kept.append(tensor.untyped_storage())
        except (RuntimeError, NotImplementedError):
            self._kept.append(tensor)
        storage = storage_of(tensor)
        self.know(tensor, storage)
        return storage


def storage_of(tensor: torch.Tensor) -> int:
    """The identity of the memory of ``tensor``, which views share; that of the tensor itself if it has no storage."""
    try:
        return id(tensor.untyped_storage())
    except (RuntimeError, NotImplementedError):
        inner = physical(tensor)
        return id(tensor) if inner is tensor else storage_of(inner)
