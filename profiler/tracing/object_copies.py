"""Copies of a network's inputs of any class, with a change of every tensor in them.

Objects are copied as ``copy.deepcopy`` copies them; identity, sharing and cycles are kept.  Objects that cannot be
copied (a lock, an open file) are shared.
"""

from __future__ import annotations

import copy
import copyreg
import types
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode

from profiler.errors import FOREIGN_ERRORS, ProfilerError, TraceError
from profiler.tracing.causal_bias import is_causal_bias
from profiler.tracing.objects import ATOMS, OfTheProfiler, named, slot_descriptors, slots, tensors_in

Change = Callable[[torch.Tensor], torch.Tensor]
"""A tensor → a new one that replaces it."""

HANDLES = ("asyncio", "concurrent", "multiprocessing", "queue", "socket", "subprocess", "tempfile", "threading")
"""Modules of the standard library whose objects are handles to something outside, which a copy would also affect."""


def map_inputs(value: Any, change: Change) -> Any:
    """A copy of ``value`` with ``change`` applied to every tensor inside; see :class:`InputCopy`."""
    return InputCopy(value, change).result


class InputCopy(OfTheProfiler):
    """A copy of ``value``, the ``result``, with ``change`` applied to every tensor inside.

    Shared objects and tensors stay shared in the copy.  Tensors that share memory do so in the copy too, if ``change``
    keeps their shapes, unless ``keep_memory`` is false.  In packed sequences only the data is changed: their lengths
    have to stay.  ``tensors`` are the changed tensors, each with its replacement.  ``memo`` maps the ids of objects
    that were copied before to their copies, like that of ``copy.deepcopy``.  Raises :class:`TraceError` if an object
    with tensors cannot be copied.
    """

    def __init__(
        self, value: Any, change: Change, memo: dict[int, Any] | None = None, *, keep_memory: bool = True
    ) -> None:
        self.tensors: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._change = change
        self._memo: dict[int, Any] = {} if memo is None else memo
        self._kept: list[Any] = []
        self._memory = SharedMemory(tensors_in(value) if keep_memory else ())
        try:
            self.result = self.copied(value)
        except RecursionError as error:
            raise TraceError("the inputs are nested too deeply to be copied") from error

    def copied(self, value: Any) -> Any:
        """The copy of one object."""
        if isinstance(value, ATOMS):
            return value
        if id(value) not in self._memo:
            self._kept.append(value)  # kept alive, so that its id is not reused
            self._memo[id(value)] = self._copy(value)
        return self._memo[id(value)]

    def _copy(self, value: Any) -> Any:
        if is_causal_bias(value):
            return value
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if type(value) is tuple:
            return self._tuple(value)
        if type(value) is list:
            items: list[Any] = []
            self._memo[id(value)] = items
            items.extend(map(self.copied, value))
            return items
        if type(value) is dict:
            mapping: dict[Any, Any] = {}
            self._memo[id(value)] = mapping
            mapping.update((self.copied(key), self.copied(item)) for key, item in value.items())
            return mapping
        if isinstance(value, PackedSequence):
            return self._packed(value)
        if isinstance(value, types.MethodType):
            return types.MethodType(value.__func__, self.copied(value.__self__))
        if isinstance(value, torch.Generator):
            return value.clone_state()
        if isinstance(value, torch.jit.ScriptModule):
            return copy.deepcopy(value)
        return self._object(value)

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        items = tuple(map(self.copied, value))
        if id(value) in self._memo:  # it holds itself
            return self._memo[id(value)]
        return items if any(item is not old for item, old in zip(items, value, strict=True)) else value

    def _packed(self, value: PackedSequence) -> PackedSequence:
        indices = {name: getattr(value, name) for name in ("batch_sizes", "sorted_indices", "unsorted_indices")}
        own: Any = {name: None if tensor is None else tensor.clone() for name, tensor in indices.items()}
        return value._replace(data=self.copied(value.data), **own)

    def _object(self, value: Any) -> Any:
        """The copy of an object by the first method that works; the object itself if none does."""
        if _is_handle(type(value)) and not _holds_tensors(value):
            return value
        for way in (self._by_its_own_method, self._by_reduction, self._by_attributes):
            try:
                return way(value)
            except (RecursionError, ProfilerError):
                raise
            except FOREIGN_ERRORS as error:  # the object's own code may raise anything
                self._memo.pop(id(value), None)
                reason = error
        if _holds_tensors(value):
            raise TraceError(
                f"the inputs hold tensors in a {type(value).__name__} that cannot be copied: "
                f"{type(reason).__name__}: {' '.join(str(reason).split())}; give its class a __deepcopy__"
            ) from reason
        return value

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        if is_lazy(tensor):
            return copy.deepcopy(tensor)
        new = self._memory.placed(tensor, self._change(tensor))
        if isinstance(tensor, nn.Parameter) and type(new) is torch.Tensor:
            new = nn.Parameter(new.detach(), requires_grad=tensor.requires_grad)
        self._memo[id(tensor)] = new
        if type(tensor) in (torch.Tensor, nn.Parameter) and named(tensor):
            new.__dict__.update(self.copied(named(tensor)))
        self.tensors.append((tensor, new))
        return new

    def _by_its_own_method(self, value: Any) -> Any:
        """By the ``__deepcopy__`` of its class, unless its result still has the original's tensors."""
        method = getattr(type(value), "__deepcopy__", None)
        if method is None:
            raise TypeError("it has no __deepcopy__")
        for tensor in _tensors_of(value):
            self.copied(tensor)
        with _ChangeCopies(self):
            result = method(value, self._memo)
        ours = {_memory(new) for _, new in self.tensors}
        if any(_memory(tensor) not in ours for tensor in _tensors_of(result)):
            raise TypeError("its __deepcopy__ shares tensors")
        return result

    def _by_reduction(self, value: Any) -> Any:
        """By its pickle protocol."""
        reduce = copyreg.dispatch_table.get(type(value))
        reduced: Any = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(reduced, str):  # the name of a global
            return value
        filled: list[Any] = [*reduced, None, None, None, None]
        make, arguments, state, items, pairs, set_state = filled[:6]
        result = make(*(self.copied(argument) for argument in arguments))
        self._memo[id(value)] = result
        if state is not None:
            self._set_state(result, self.copied(state), set_state)
        for item in items or ():
            result.append(self.copied(item))
        for key, item in pairs or ():
            result[self.copied(key)] = self.copied(item)
        return result

    def _set_state(self, result: Any, state: Any, set_state: Any) -> None:
        if set_state is not None:
            set_state(result, state)
        elif hasattr(type(result), "__setstate__"):
            result.__setstate__(state)
        else:
            own, in_slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
            named(result).update(own or {})
            for name, item in (in_slots or {}).items():
                setattr(result, name, item)

    def _by_attributes(self, value: Any) -> Any:
        """By its attributes, without running its own code: a new instance of its class with copies of them."""
        kind = type(value)
        base: Any = next(base for base in kind.__mro__ if base in _BASES)
        items = (map(self.copied, tuple.__iter__(value)),) if base is tuple else ()
        result = base.__new__(kind, *items)
        self._memo[id(value)] = result
        if base in (dict, OrderedDict):
            for key, item in base.items(value):
                base.__setitem__(result, self.copied(key), self.copied(item))
        elif base in (list, deque):
            base.extend(result, map(self.copied, base.__iter__(value)))
        elif base is set:
            set.update(result, map(self.copied, set.__iter__(value)))
        descriptors = slot_descriptors(kind)
        for name, item in slots(value).items():
            with suppress(AttributeError, TypeError):  # one of a class written in C may be read-only
                descriptors[name].__set__(result, self.copied(item))
        named(result).update(self.copied(dict(named(value))))
        return result

    def fresh(self, tensor: torch.Tensor) -> torch.Tensor:
        """The replacement of a clone."""
        new = self._change(tensor)
        self._kept.append(tensor)
        self.tensors.append((tensor, new))
        return new


class _ChangeCopies(TorchFunctionMode):
    """While it is active, functions that copy tensors (``copy.deepcopy``, ``clone``) change them."""

    def __init__(self, inputs: InputCopy) -> None:
        super().__init__()
        self._inputs = inputs

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__:
            return self._inputs.copied(args[0])
        if func in (torch.Tensor.clone, torch.clone):
            return self._inputs.fresh(args[0])
        return func(*args, **(kwargs or {}))


class SharedMemory:
    """Groups of tensors in the same memory, and new memory for their copies to share."""

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        distinct = {id(tensor): tensor for tensor in tensors if _is_plain(tensor)}
        counts = Counter(map(_memory, distinct.values()))
        self._shared = {memory for memory, count in counts.items() if count > 1}
        self._new: dict[Any, torch.UntypedStorage] = {}

    def placed(self, tensor: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """``new``, the copy of ``tensor``, in the memory that the copies of tensors which share its memory have."""
        memory = _memory(tensor)
        if memory not in self._shared or not _is_plain(tensor) or new.shape != tensor.shape:
            return new
        if memory not in self._new:
            size = tensor.untyped_storage().nbytes()
            storage: Any = torch.UntypedStorage  # torch gives it no types
            self._new[memory] = storage(size, device=new.device)
        with torch.no_grad():
            placed = torch.empty(0, dtype=new.dtype, device=new.device)
            placed.set_(self._new[memory], tensor.storage_offset(), tensor.size(), tensor.stride())
            if not new.is_meta:
                placed.copy_(new)
        return placed.requires_grad_(new.requires_grad)


def _is_plain(tensor: torch.Tensor) -> bool:
    return type(tensor) is torch.Tensor and tensor.layout == torch.strided and not tensor.is_nested


def _memory(tensor: torch.Tensor) -> Any:
    """The identity of the memory of ``tensor``; that of the tensor itself if it has no storage."""
    try:
        return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):
        return id(tensor)


def _holds_tensors(value: Any) -> bool:
    return any(True for _ in _tensors_of(value))


def _tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in ``value``; those of a module are its parameters and buffers."""
    if isinstance(value, nn.Module):
        yield from value.parameters()
        yield from value.buffers()
    else:
        yield from tensors_in(value)


def _is_handle(kind: type) -> bool:
    """Whether objects of a class are handles to something outside: they have a finalizer, or are from such a module."""
    return hasattr(kind, "__del__") or kind.__module__.partition(".")[0] in HANDLES


_BASES = (OrderedDict, dict, list, deque, set, tuple, object)
