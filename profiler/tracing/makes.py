"""The make of a network: equal for networks that do equal work on equal inputs, and that are equal in all tables.

It is known for networks whose code is closed (:mod:`~profiler.tracing.closed_code`), and consists of the classes of
their modules, the attributes, and the metadata of parameters and buffers, each under its name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.closed_code import CONSTANTS, ClosedCode, closed_code, frozen
from profiler.tracing.drop_layers import SHOWS, drop_layers, is_probability
from profiler.tracing.noticed import NOTICED, is_noticed
from profiler.tracing.private import has_global_hooks, has_own_hooks
from profiler.tracing.walking import Named, named_modules

PLAIN = frozenset({torch.Tensor, nn.Parameter})

STRIDED = torch.strided

NOT_COMPARED = frozenset(vars(nn.Module()))
"""Attributes of every module: those that are compared apart, hooks, which there may not be, and the mode of the run."""

LARGEST = 2**15
"""The maximum number of makes of modules that are kept."""

MOST_KINDS = 2**10
"""The maximum number of kinds of networks whose code is known to be closed or not."""


@dataclass(frozen=True, slots=True)
class Make:
    """The make of a network.

    ``named`` are the modules of the network, each once with its first name, and ``numbers`` are those of their makes;
    attributes that are noticed (:mod:`~profiler.tracing.noticed`) are no part of these.  ``key`` stands for the whole
    network, with what is shared in it.  ``changing`` names for each module the attributes whose contents may change.
    ``tree`` says that each module has one name and each tensor memory of its own, and ``tied`` that some of these
    tensors have several names.  ``storages`` are the ids of the storages of its tensors.  If all code of the network
    was ``read``, it adds no hooks, modules and tensors; else it is partly that of a library.  ``names_forward`` says
    that some of it may call the forward of a module directly.
    """

    key: Any
    named: list[Named]
    numbers: tuple[int, ...]
    changing: tuple[tuple[str, ...], ...]
    tree: bool
    tied: bool
    storages: frozenset[int]
    read: bool
    names_forward: bool


@dataclass(frozen=True, slots=True)
class _Code:
    """Code that was read: the ``problem`` if it is open, else the names of what it reads.

    The names are those of attributes and globals, without those that only drop layers read.  With ``libraries`` some
    code was not read, that of libraries that are trusted as a whole.
    """

    problem: str
    named: frozenset[str] = frozenset()
    libraries: bool = False


class Makes:
    """The numbers of makes that were met, and the code of networks that was read; threads share them.

    All numbers hold as long as nothing has changed that any of the code reads from outside.  Then they are forgotten,
    and no number is given again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[Any, int] = {}
        self._next = 0
        self._own_names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._code: dict[Any, _Code] = {}
        self._outside = ClosedCode()

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._numbers.clear()
        self._own_names.clear()
        self._code.clear()
        self._outside = ClosedCode()

    @property
    def unchanged(self) -> bool:
        """Whether what the code reads from outside is what it was; libraries are looked at before each run only."""
        return self._outside.unchanged_apart_from_libraries

    def of(self, model: nn.Module, *, training: bool) -> Make:
        """The make of a network that runs in train mode, or in eval mode.

        Raises :class:`OpenCodeError` if equal networks may do different work.
        """
        if has_global_hooks():
            raise OpenCodeError("hooks of all modules")
        named = named_modules(model)
        drops = {} if training else drop_layers({type(module) for _, module in named})
        make, code = self._of(named, drops)
        if drops and not code.named.isdisjoint({*drops.values(), *SHOWS}):
            make, _ = self._of(named, {})  # other code reads the probabilities of drop layers too
        return make

    def _of(self, named: list[Named], drops: Mapping[type, str]) -> tuple[Make, _Code]:
        """The make of a network with these modules; the probabilities of ``drops`` are no part of it."""
        modules = [module for _, module in named]
        found: dict[int, Any] = {}
        known: dict[int, int] = {}
        tensors: list[torch.Tensor] = []
        parts_of: dict[int, tuple[Any, list[Any]]] = {}
        mutable: list[Any] = []
        changing: list[tuple[str, ...]] = []
        with self._lock:
            if not self._outside.unchanged:
                self._forget()
            for module in reversed(modules):
                names: list[str] = []
                parts = self._parts(module, known, tensors, found, parts_of, names, mutable, drops)
                number = self._numbers.get(parts)
                if number is None:
                    if len(self._numbers) >= LARGEST:
                        self._numbers.clear()
                    self._next += 1
                    number = self._numbers[parts] = self._next
                known[id(module)] = number
                changing.append(tuple(names))
            code = self._read(frozenset(map(type, modules)), found)
        numbers = tuple([known[id(module)] for module in modules])
        storages = [tensor.untyped_storage() for tensor in tensors]
        distinct = frozenset(map(id, storages))
        tied = len(distinct) < len(storages)
        tree = 1 + sum(1 for _ in _held(modules)) == len(modules) and (not tied or _share_whole(modules, distinct))
        shared: Any = () if tree and not tied else (pattern(storages), pattern(tensors), pattern(_held(modules)))
        if len(set(map(id, mutable))) < len(mutable):
            shared = (shared, pattern(mutable))
        noticed = tuple(
            [module.__dict__[NOTICED] for module in modules if NOTICED in module.__dict__ and is_noticed(module)]
        )
        if noticed:
            shared = (shared, NOTICED, noticed)
        make = Make(
            (numbers[0], shared),
            named,
            numbers,
            tuple(reversed(changing)),
            tree,
            tied,
            distinct,
            read=not code.libraries,
            names_forward=code.libraries or "forward" in code.named,
        )
        return make, code

    def _parts(
        self,
        module: nn.Module,
        known: dict[int, int],
        tensors: list[torch.Tensor],
        found: dict[int, Any],
        parts_of: dict[int, tuple[Any, list[Any]]],
        changing: list[str],
        mutable: list[Any],
        drops: Mapping[type, str],
    ) -> tuple[Any, ...]:
        """All that the make of a module follows from; ``known`` has the numbers of the modules that it holds.

        ``parts_of`` has what it follows from of attributes that are objects, with the objects in them that may change,
        by the ids of the attributes.  The names of attributes whose contents may change are added to ``changing``, and
        the objects to ``mutable``.  ``drops`` are classes with the names of probabilities that do not matter.
        """
        held = module.__dict__
        if has_own_hooks(held):
            raise OpenCodeError(f"hooks of a {type(module).__name__}")
        names = tuple(held)
        own = self._own_names.get(names)
        if own is None:
            own = self._own_names[names] = tuple([name for name in names if name not in NOT_COMPARED])
        values = [held[name] for name in own]
        kinds = tuple(map(type, values))
        parts: list[Any] = [type(module), own, kinds]
        probability = drops.get(type(module)) if drops else None
        if probability is not None and probability in own and is_probability(held[probability]):
            values[own.index(probability)] = None
        if NOTICED in held and is_noticed(module):
            values[own.index(NOTICED)] = None
        if float in kinds:  # 0.0 and -0.0 are equal
            values = [value if type(value) is not float or value else str(value) for value in values]
        if not CONSTANTS.issuperset(kinds):
            for place, kind in enumerate(kinds):
                if kind in CONSTANTS:
                    continue
                value = values[place]
                if kind is tuple or kind is list:
                    inside = tuple(map(type, value))
                    if CONSTANTS.issuperset(inside) and not (float in inside and 0.0 in value):
                        values[place] = inside, tuple(value)
                        if kind is list:
                            mutable.append(value)
                            changing.append(own[place])
                        continue
                part = parts_of.get(id(value))
                if part is None:
                    part = parts_of[id(value)] = _frozen(value, found, objects := list[Any]()), objects
                values[place] = part[0]
                if part[1]:
                    mutable += part[1]
                    changing.append(own[place])
        parts += values
        for name, tensor in held["_parameters"].items():
            parts.append(name)
            if tensor is not None:
                parts += of_tensor(tensor)
                tensors.append(tensor)
        parts.append(...)
        for name, tensor in held["_buffers"].items():
            parts.append(name)
            if tensor is not None:
                parts += of_tensor(tensor)
                tensors.append(tensor)
        for name, child in held["_modules"].items():
            try:
                parts += (name, 0 if child is None else known[id(child)])
            except KeyError:
                raise OpenCodeError("modules that contain themselves") from None
        return tuple(parts)

    def _read(self, kinds: frozenset[type[nn.Module]], found: dict[int, Any]) -> _Code:
        """Read the code of a network; raises :class:`OpenCodeError`."""
        key = kinds, frozenset(found.values())
        code = self._code.get(key)
        if code is None:
            try:
                closed = closed_code(kinds, found.values())
            except OpenCodeError as error:
                code = _Code(str(error))
            else:
                self._outside.add(closed)
                code = _Code("", closed.named, bool(closed.libraries))
            if len(self._code) >= MOST_KINDS:
                self._code.clear()
            self._code[key] = code
        if code.problem:
            raise OpenCodeError(code.problem)
        return code


MAKES = Makes()
"""Those of this process."""


def _frozen(value: Any, found: dict[int, Any], mutable: list[Any]) -> Any:
    try:
        return frozen(value, found, mutable)
    except RecursionError:
        raise OpenCodeError("an attribute that contains itself") from None


def of_tensor(tensor: torch.Tensor) -> tuple[Any, ...]:
    """The metadata of a parameter, a buffer or an input.

    Raises :class:`OpenCodeError` for tensors that are not plain, and for those with attributes that may change.
    """
    kind, dtype = type(tensor), tensor.dtype
    if kind not in PLAIN or tensor.layout is not STRIDED or tensor.is_quantized or tensor.is_nested:
        raise OpenCodeError("a tensor that is not plain")
    if tensor.grad_fn is not None or tensor.is_neg() or (dtype.is_complex and tensor.is_conj()):
        raise OpenCodeError("a tensor that was computed")
    attributes = tensor.__dict__
    if attributes and not CONSTANTS.issuperset(map(type, attributes.values())):
        raise OpenCodeError("a tensor with attributes")
    return (
        kind,
        tensor.shape,
        tensor.stride(),
        tensor.storage_offset(),
        dtype,
        tensor.requires_grad,
        tensor.is_meta,
        tuple(attributes.items()) if attributes else (),
    )


def _held(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The modules that each of ``modules`` holds."""
    return (child for module in modules for child in module._modules.values() if child is not None)


def _share_whole(modules: Iterable[nn.Module], storages: frozenset[int]) -> bool:
    """Whether modules that share memory hold the same tensor, as a parameter or as a buffer."""
    parameters, buffers = (
        {id(tensor) for module in modules for tensor in getattr(module, held).values() if tensor is not None}
        for held in ("_parameters", "_buffers")
    )
    return parameters.isdisjoint(buffers) and len(parameters) + len(buffers) == len(storages)


def pattern(objects: Iterable[Any]) -> tuple[int, ...]:
    """For each of the objects the place at which it occurred first."""
    first: dict[int, int] = {}
    return tuple([first.setdefault(id(item), place) for place, item in enumerate(objects)])
