"""The origins of the tensors of a run, by the memory that they share."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from profiler.signatures import LOOKUPS
from profiler.tracing.packed import PackedTensor
from profiler.tracing.private import script_object_type
from profiler.tracing.tensors import PLAIN, leaves
from profiler.tracing.transforms import physical
from profiler.tracing.walking import Named

Numbers = tuple[int, ...]
"""The numbers of storages, each once."""


@dataclass(slots=True, eq=False)
class Memory:
    """What is known about one storage.

    ``roots`` are the names of the parameters that its values are computed from, and ``constant`` are the values, if
    they are known as a :class:`~profiler.tracing.constants.Constant`.  A meta storage is ``kept`` alive,
    which is free, so that its id is not reused.  For any other one there is a ``weak`` reference to the storage; when
    that is freed, the entry is removed.  One that only has a ``number`` is not ``known``: no operation has made it.
    """

    number: int = -1
    known: bool = False
    is_parameter: bool = False
    is_activation: bool = False
    roots: tuple[str, ...] = ()
    kept: Any = None
    constant: Any = None
    weak: Any = None


class Origins:
    """Where tensors come from: parameters, the network's inputs, or neither.

    A tensor counts as a parameter if it is one, a view of one, or was computed from parameters and constants alone.
    Storages are distinguished by identity; every result overwrites the entry of its storage, so a new storage with the
    id of a freed one is not confused with it.
    """

    def __init__(self) -> None:
        self.memories: dict[int, Memory] = {}
        self._kept: list[Any] = []
        self._packed: list[PackedTensor] = []
        self._next_number = itertools.count()

    def add_parameter(self, name: str, tensor: torch.Tensor) -> None:
        """Record that ``tensor`` is the parameter ``name`` of the network."""
        memory = self._keep(tensor)
        memory.is_parameter, memory.roots = True, (name,)

    def add_copies(self, named: Iterable[Named]) -> None:
        """Record the parameters and buffers of modules, which are new plain tensors on meta, by their first names."""
        memories = self.memories
        for prefix, module in named:
            held = module.__dict__
            for name, tensor in held["_parameters"].items():
                if tensor is not None:
                    storage = tensor.untyped_storage()
                    roots = (f"{prefix}.{name}" if prefix else name,)
                    memories.setdefault(id(storage), Memory(-1, True, True, False, roots, storage))
            for tensor in held["_buffers"].values():
                if tensor is not None:
                    storage = tensor.untyped_storage()
                    memories.setdefault(id(storage), Memory(-1, True, False, False, (), storage))

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
        """Record that ``tensor`` is an input of the network, or data from elsewhere."""
        self._keep(tensor).is_activation = True

    def knows(self, storage: int) -> bool:
        """Whether the storage belongs to a parameter, an input, or a result of an operation."""
        memory = self.memories.get(storage)
        return memory is not None and memory.known

    def is_parameter(self, tensor: torch.Tensor) -> bool:
        """Whether it is, or is computed from, parameters of the network or of other modules."""
        if isinstance(tensor, nn.Parameter):
            return True
        memory = self.memories.get(storage_of(tensor))
        return memory is not None and memory.is_parameter

    def is_activation(self, tensor: torch.Tensor) -> bool:
        """Whether it is an input of the network, or computed from one."""
        memory = self.memories.get(storage_of(tensor))
        return memory is not None and memory.is_activation

    def parameters_read(self, inputs: list[torch.Tensor]) -> tuple[str, ...]:
        """The parameters among ``inputs``, and those from which they are computed."""
        return roots_of([self.memory(tensor) for tensor in inputs])

    def memory(self, tensor: torch.Tensor) -> Memory:
        """The entry of the storage of ``tensor``."""
        storage = storage_of(tensor)
        memory = self._entry(storage)
        if memory.kept is None and memory.weak is None and not (memory.known and tensor.is_meta):
            found = memory_of(tensor)
            if tensor.is_meta:
                memory.kept = found  # no operation has made it; its id is not reused either
            else:
                self._forget_with(memory, found, storage)
        return memory

    def _forget_with(self, memory: Memory, found: Any, storage: int) -> None:
        """Remove the entry ``memory`` when the storage ``found`` is freed: another one may get its id."""
        if found is None:
            return
        memories = self.memories

        def forget(reference: Any) -> None:
            entry = memories.get(storage)
            if entry is not None and entry.weak is reference:
                del memories[storage]

        memory.weak = weakref.ref(found, forget)

    def new_number(self) -> int:
        """The number of a storage that does not have one."""
        return next(self._next_number)

    def numbers_of(self, tensors: Iterable[torch.Tensor]) -> Numbers:
        """The numbers of the storages of ``tensors``, each once."""
        return self.numbers([self.memory(tensor) for tensor in tensors])

    def numbers(self, memories: Sequence[Memory]) -> Numbers:
        """The numbers of ``memories``, each once."""
        found = []
        for memory in memories:
            number = memory.number
            if number < 0:
                number = memory.number = next(self._next_number)
            found.append(number)
        return (found[0],) if len(found) == 1 else tuple(dict.fromkeys(found))

    def new_numbers_of(self, outputs: Iterable[torch.Tensor], inputs: Iterable[torch.Tensor]) -> Numbers:
        """The numbers of the storages of ``outputs`` that are not those of ``inputs``, so they are new."""
        return self.new_numbers([self.memory(tensor) for tensor in outputs], [self.memory(tensor) for tensor in inputs])

    def new_numbers(self, made: Iterable[Memory], read: Sequence[Memory]) -> Numbers:
        """New numbers for the ones of ``made`` that are not in ``read``."""
        new: dict[Memory, int] = {}
        for memory in made:
            if memory not in read and memory not in new:
                memory.number = new[memory] = next(self._next_number)
        return tuple(new.values())

    def meet(self, tensors: Sequence[torch.Tensor]) -> None:
        """Called with the inputs of an operation before their origins are looked up."""

    def follow(self, op: str, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Record the origins of the results of the operation ``op``; returns the inputs that were not known."""
        self.meet(inputs)
        memories = [self.memory(tensor) for tensor in inputs]
        unknown = [tensor for tensor, memory in zip(inputs, memories, strict=True) if not memory.known]
        of_activation = any(memory.is_activation for memory in memories)
        of_parameter = any(map(self.is_parameter, inputs))
        self.derive(op, memories, outputs, of_activation, of_parameter)
        return unknown

    def derive(
        self,
        op: str,
        memories: Sequence[Memory],
        outputs: Iterable[torch.Tensor],
        from_activation: bool,
        reads_parameter: bool,
    ) -> list[Memory]:
        """Record the origins of the ``outputs`` of ``op``, which read ``memories``; returns their memories."""
        from_parameter = reads_parameter and not from_activation
        roots = roots_of(memories) if from_parameter and op not in LOOKUPS else ()  # rows of a table are no parameter
        made = []
        for tensor in outputs:
            storage = storage_of(tensor)
            memory = self._entry(storage)
            made.append(memory)
            is_read = memory in memories
            if not memory.known or (memory.kept is None and not is_read):  # it may be that of a freed storage
                self.know(tensor, storage)
            if is_read and not from_activation:
                continue
            memory.is_activation, memory.is_parameter = from_activation, from_parameter
            if not is_read:
                memory.roots = roots
        return made

    def add_new(
        self, tensor: torch.Tensor, op: str, memories: Sequence[Memory], from_activation: bool, reads_parameter: bool
    ) -> Memory:
        """The same as :meth:`derive` for a single new tensor on meta."""
        from_parameter = reads_parameter and not from_activation
        roots = roots_of(memories) if from_parameter and op not in LOOKUPS else ()
        storage = tensor.untyped_storage()
        memory = self.memories[id(storage)] = Memory(-1, True, from_parameter, from_activation, roots, storage)
        return memory

    def know(self, tensor: torch.Tensor, storage: int) -> None:
        """Record ``tensor`` as known.  A meta storage is kept alive."""
        inner = physical(tensor)
        has_storage = inner.is_meta and inner.layout is torch.strided and type(inner) in PLAIN
        memory = self._entry(storage)
        memory.known = True
        memory.kept = inner.untyped_storage() if has_storage else None
        if not inner.is_meta and memory.weak is None:
            self._forget_with(memory, memory_of(tensor), storage)

    def replace(self, tensor: torch.Tensor, replacement: torch.Tensor) -> None:
        """Record that ``replacement``, which has new memory, replaces ``tensor``."""
        self.memories.pop(storage_of(replacement), None)
        self.follow("", [tensor], [replacement])
        roots = self.memory(tensor).roots
        if roots:
            self._keep(replacement).roots = roots

    def _entry(self, storage: int) -> Memory:
        memory = self.memories.get(storage)
        if memory is None:
            memory = self.memories[storage] = Memory()
        return memory

    def _keep(self, tensor: torch.Tensor) -> Memory:
        try:
            self._kept.append(tensor.untyped_storage())
        except (RuntimeError, NotImplementedError):
            self._kept.append(tensor)
        storage = storage_of(tensor)
        self.know(tensor, storage)
        return self.memories[storage]


def roots_of(memories: Iterable[Memory | None]) -> tuple[str, ...]:
    """The names of the parameters that any of ``memories`` is computed from, each once."""
    found: tuple[str, ...] = ()
    for memory in memories:
        if memory is not None and memory.roots:
            found = tuple(dict.fromkeys((*found, *memory.roots))) if found else memory.roots
    return found


def storage_of(tensor: torch.Tensor) -> int:
    """The identity of the memory of ``tensor``, which views share; that of the tensor itself if it has no storage."""
    try:
        return id(tensor.untyped_storage())
    except (RuntimeError, NotImplementedError):
        inner = physical(tensor)
        return id(tensor) if inner is tensor else storage_of(inner)


def memory_of(tensor: torch.Tensor) -> Any:
    """The storage of a tensor, or of the one that it wraps; None if it has none."""
    inner = physical(tensor)
    try:
        return inner.untyped_storage()
    except (RuntimeError, NotImplementedError):
        return None
