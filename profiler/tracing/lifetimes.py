"""When storages are made and freed in a run on the meta device: as in a real run, if nothing else keeps them.

An ordinary trace keeps storages alive, so that their identities stay distinct.  Here the recorder and the origins only
have weak references, and note when a storage is freed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from profiler.memory import MemoryRecord, Role, Saved, Storage
from profiler.tracing.attention_on_cpu import REPLACED, attention
from profiler.tracing.code_origins import CodeOrigins
from profiler.tracing.origins import Memory, Origins, memory_of, storage_of
from profiler.tracing.private import operator_name, without_modes
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.scope import ModuleScope
from profiler.tracing.tensors import collect

ATTENTION = "aten::scaled_dot_product_attention"
DETACH = "aten::detach"


class Lifetimes:
    """The storages of one run, by weak references; with ``sees_saved`` also those that modules save."""

    def __init__(self, *, sees_saved: bool = True) -> None:
        self._sees_saved = sees_saved
        self.restart((), ())

    def restart(self, inputs: Iterable[torch.Tensor], others: Iterable[torch.Tensor]) -> None:
        """Begin a run with these inputs; ``others`` are parameters and buffers, which are not counted."""
        self.operations = 0
        self._phases: list[tuple[str, int]] = []
        self._storages: list[Storage] = []
        self._alive: dict[int, tuple[Any, int]] = {}
        self._keys: dict[int, set[int]] = {}
        self._others = {id(storage): storage for tensor in others if (storage := memory_of(tensor)) is not None}
        self._saved: dict[str, tuple[dict[int, None], dict[int, int]]] = {}
        for tensor in inputs:
            self._add(tensor, "", "", "forward", "input")

    def add_seeds(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count the gradients of the network's results, which the backward pass starts from."""
        for tensor in tensors:
            self._add(tensor, "", "", "backward", "seed")

    def note(self, name: str, inputs: Any, result: Any, where: Callable[[], tuple[str, str]]) -> None:
        """An operation has run, and its operands are still alive; ``where`` gives its phase and module."""
        made: list[torch.Tensor] = []
        collect(result, made)
        new = [tensor for tensor in made if self._is_new(tensor)]
        if new:
            given: list[torch.Tensor] = []
            collect(inputs, given)
            read = {id(memory_of(tensor)) for tensor in given}
            new = [tensor for tensor in new if id(memory_of(tensor)) not in read]
        if name == DETACH and not new:
            return  # torch calls it for each saved tensor
        phase, module = where()
        for tensor in new:
            self._add(tensor, module, name, phase, "optimizer" if phase == "optimizer" else "result")
        if not self._phases or self._phases[-1][0] != phase:
            self._phases.append((phase, self.operations))
        self.operations += 1

    def stands_for(self, copied: torch.Tensor, tensor: torch.Tensor) -> None:
        """From now on ``copied`` is used in place of ``tensor``: their storages are one, alive while one of them is."""
        storage, original = memory_of(copied), memory_of(tensor)
        if storage is None or original is None:
            return
        known = self._alive.get(id(original))
        if known is None:
            self._others[id(storage)] = storage
        else:
            self._refer(storage, known[1])

    def _is_new(self, tensor: torch.Tensor) -> bool:
        storage = memory_of(tensor)
        if storage is None or id(storage) in self._others:
            return False
        known = self._alive.get(id(storage))
        return known is None or self._storages[known[1]].bytes != storage.nbytes()

    def _add(self, tensor: torch.Tensor, module: str, op: str, phase: str, role: Role) -> None:
        storage = memory_of(tensor)
        if storage is None or id(storage) in self._others:
            return
        number = len(self._storages)
        known = self._alive.get(id(storage))
        if known is not None:
            if self._storages[known[1]].bytes == storage.nbytes():
                return
            self._end(known[1])  # it has another size now
        self._storages.append(Storage(storage.nbytes(), self.operations, None, module, op, phase, role))
        self._refer(storage, number)

    def _refer(self, storage: Any, number: int) -> None:
        key = id(storage)
        self._alive[key] = weakref.ref(storage, lambda _: self._died(key, number)), number
        self._keys.setdefault(number, set()).add(key)

    def _died(self, key: int, number: int) -> None:
        known = self._alive.get(key)
        if known is not None and known[1] == number:
            del self._alive[key]
        keys = self._keys.get(number, set())
        keys.discard(key)
        if not keys and self._storages[number].died is None:
            self._end(number)

    def _end(self, number: int) -> None:
        storage = self._storages[number]
        self._storages[number] = replace(storage, died=max(self.operations, storage.born))

    @contextmanager
    def saving(self, module: Callable[[], str]) -> Iterator[None]:
        """Within it, note each tensor that is saved for the backward pass; ``module`` names the running one."""
        saved = self._saved
        if not self._sees_saved:
            yield
            return

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = memory_of(tensor)
            of_module = saved.setdefault(module(), ({}, {}))
            if storage is not None and id(storage) in self._others:
                of_module[1][id(storage)] = storage.nbytes()
            elif storage is not None and (known := self._alive.get(id(storage))) is not None:
                of_module[0][known[1]] = None
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            yield

    def finish(self, network: nn.Module) -> None:
        """The run is over: the gradients of the network's parameters are known now."""
        for parameter in network.parameters():
            storage = None if parameter.grad is None else memory_of(parameter.grad)
            known = None if storage is None else self._alive.get(id(storage))
            if known is not None:
                self._storages[known[1]] = replace(self._storages[known[1]], role="gradient")

    def record(self, optimizer: str | None) -> MemoryRecord:
        """The record of the run."""
        saved = tuple(Saved(name, tuple(made), sum(held.values())) for name, (made, held) in self._saved.items())
        known = saved if self._sees_saved else None
        return MemoryRecord(self.operations, tuple(self._phases), tuple(self._storages), known, optimizer)


class _Weakly(dict[int, Any]):
    """Storages by their identities, without those that are freed."""

    def __setitem__(self, key: int, storage: Any) -> None:
        super().__setitem__(key, weakref.ref(storage, lambda _: self.pop(key, None)))


class PassingOrigins(Origins):
    """Origins that keep no storage of a result alive: the entry of one that is freed is removed."""

    def __init__(self) -> None:
        super().__init__()
        self._references: dict[int, Any] = {}

    def know(self, tensor: torch.Tensor, storage: int) -> None:
        self._entry(storage).known = True
        self._follow(tensor, storage)

    def memory(self, tensor: torch.Tensor) -> Memory:
        storage = storage_of(tensor)
        self._follow(tensor, storage)
        return self._entry(storage)

    def add_new(
        self, tensor: torch.Tensor, op: str, memories: Sequence[Memory], from_activation: bool, reads_parameter: bool
    ) -> Memory:
        memory = super().add_new(tensor, op, memories, from_activation, reads_parameter)
        memory.kept = None
        self._follow(tensor, storage_of(tensor))
        return memory

    def _follow(self, tensor: torch.Tensor, storage: int) -> None:
        found = memory_of(tensor)
        if found is not None and id(found) == storage and storage not in self._references:
            self._references[storage] = weakref.ref(found, lambda _: self._forget(storage))

    def _forget(self, storage: int) -> None:
        self.memories.pop(storage, None)
        self._references.pop(storage, None)


class PassingScope(ModuleScope):
    """A scope that keeps no error, which would keep the tensors of its frames."""

    def note_failure(self, error: BaseException) -> None:
        return


class PassingCodeOrigins(PassingOrigins, CodeOrigins):
    """The same for a callable."""


class LifetimeRecorder(OpRecorder):
    """Records operations as its base does, keeps no tensor alive, and tells ``lifetimes`` what each one made."""

    replaced = REPLACED

    def __init__(self, lifetimes: Lifetimes, *args: Any) -> None:
        super().__init__(*args)
        self._lifetimes = lifetimes
        self._stand_ins: Any = WeakTensorKeyDictionary()
        self._values.keep_weakly(_Weakly())
        self.unseen.keep_weakly(_Weakly())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if not (result is NotImplemented or self.closed):
            self._lifetimes.note(operator_name(func), (args, kwargs), result, self._phase_and_module)
        return result

    def _meta_copy(self, leaf: torch.Tensor) -> torch.Tensor:
        copied: torch.Tensor | None = self._stand_ins.get(leaf)
        if copied is None:
            with without_modes(), torch.no_grad():
                values = leaf.detach().clone()  # the tensor itself would be kept alive by the one that stands for it
            copied = self._stand_ins[leaf] = self._moved(leaf, values)
            self._lifetimes.stands_for(copied, leaf)
        return copied

    def note_failing_function(self, error: BaseException, func: Any, args: Any) -> None:
        """Nothing is kept of an error: activation checkpointing ends its second run by one."""

    def _note_failure(self, *args: Any) -> None:
        super()._note_failure(*args)
        self.failure = None

    def _phase_and_module(self) -> tuple[str, str]:
        phase, place, _ = self._where()
        return phase, place[0]

    def _look_up(self, func: Any) -> Any:
        known = super()._look_up(func)
        return replace(known, answered=False, plain=False) if known.name == ATTENTION else known

    def _without_values(self, func: Any, known: Any, args: Any, kwargs: Any, key: Any) -> Any:
        if known.name == ATTENTION:
            return attention(*args, **kwargs)
        return super()._without_values(func, known, args, kwargs, key)
