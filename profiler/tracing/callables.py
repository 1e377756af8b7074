"""A callable → a network that calls it, and copies of all objects that it uses; the caller's objects are not run.

The copy of a function is the same code with copies in its closure, in its defaults and of the globals that it names.
Shared objects stay shared in the copy: an optimizer's parameters are those of the copied network.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from abc import ABCMeta
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from profiler.errors import ProfilerError, TraceError
from profiler.tracing.calls import Inputs, call_arguments
from profiler.tracing.object_copies import Change, InputCopy
from profiler.tracing.objects import ATOMS
from profiler.tracing.reaching import (
    Reached,
    call_method,
    function_of,
    is_own,
    names_objects,
    of_torch,
    own_methods,
    plain,
    reached_globals,
)


class CallableNetwork(nn.Module):
    """Calls ``call``; its submodules are the modules that ``call`` uses, under the names that its code has for them."""

    call: Callable[..., Any]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)


class _Names(nn.Module):
    """Holds modules and parameters whose dotted names have the same prefix."""


def check_callable(call: Any) -> None:
    """Raise :class:`ProfilerError` for what cannot be profiled by calling it once."""
    if isinstance(call, type):
        raise ProfilerError(f"profile: found a class; call it first: {call.__name__}(…)")
    if not callable(call):
        raise ProfilerError(f"profile expects a torch.nn.Module or something to call, not {type(call).__name__}")
    inner = inspect.unwrap(call.func if isinstance(call, functools.partial) else call)
    method = call_method(inner)
    for kind, is_one in (
        ("a coroutine", inspect.iscoroutinefunction),
        ("an asynchronous generator", inspect.isasyncgenfunction),
        ("a generator", inspect.isgeneratorfunction),
    ):
        if is_one(inner) or is_one(method):
            raise ProfilerError(f"profile: {name_of(call)} makes {kind}, which a call does not run: give a function")


def network_of(call: Callable[..., Any], inputs: Inputs = ()) -> CallableNetwork:
    """The network that calls ``call``, which is not changed; modules among ``inputs`` are submodules too.

    Raises :class:`ProfilerError` for what cannot be profiled by calling it once.
    """
    check_callable(call)
    args, options = call_arguments(inputs)
    network: CallableNetwork = type(name_of(call), (CallableNetwork,), {})()
    network.__dict__["call"] = call
    for name, found in Reached(call, args, options).found.items():
        _hold(network, name, found)
    return network


def _hold(holder: nn.Module, name: str, found: nn.Module | nn.Parameter) -> None:
    """Register ``found`` below ``holder`` under a dotted name, even if the name is that of a method of modules."""
    part, _, rest = name.partition(".")
    taken = (holder._modules, holder._parameters)
    if rest:
        while any(part in names and not isinstance(names[part], _Names) for names in taken):
            part += "_"
        _hold(cast(nn.Module, holder._modules.setdefault(part, _Names())), rest, found)
        return
    while any(part in names for names in taken):
        part += "_"
    if isinstance(found, nn.Module):
        holder._modules[part] = found
    else:
        holder._parameters[part] = found


def check_arguments(call: Callable[..., Any], inputs: Inputs) -> None:
    """Raise :class:`ProfilerError` if ``call`` does not take these arguments."""
    args, options = call_arguments(inputs)
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # some callables written in C have no signature
        return
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        name = name_of(call)
        hint = "" if signature.parameters else f"; if it builds a network, call it first: {name}(…)"
        raise ProfilerError(f"{name}{signature} does not take the inputs: {error}{hint}") from error


def name_of(call: Any) -> str:
    """``train_step`` for a function or a partial of it, ``Trainer`` for an object, ``lambda`` for one."""
    call = plain(call)
    while isinstance(call, functools.partial):
        call = plain(call.func)
    name: str = getattr(call, "__name__", None) or type(call).__name__
    return "lambda" if name == "<lambda>" else name


def target_of(call: Any) -> str:
    """``module:qualified.name`` of its code."""
    call = plain(call)
    while isinstance(call, functools.partial):
        call = plain(call.func)
    owner = call if hasattr(call, "__qualname__") else type(call)
    return f"{getattr(owner, '__module__', None) or type(call).__module__}:{owner.__qualname__}"


class CallCopy(InputCopy):
    """A copy of a callable with its arguments; unlike the copy of inputs, it copies functions too.

    Raises :class:`TraceError` if it uses an object that cannot be copied and that the call could change.
    """

    def __init__(self, value: Any, change: Change, memo: dict[int, Any]) -> None:
        self._globals: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._cells: dict[int, tuple[Any, types.CellType]] = {}
        self._filled: set[int] = set()
        super().__init__(value, change, memo)

    def copied(self, value: Any) -> Any:
        inner = plain(value)
        if inner is not value:
            return self.copied(inner)
        if isinstance(value, types.FunctionType) and id(value) not in self._memo:
            self._kept.append(value)
            return self._function(value)
        if isinstance(value, types.FunctionType):
            return self._memo[id(value)]
        if isinstance(value, type):
            return self._class(value)
        if type(value) is weakref.ref:
            target = value()
            return value if target is None else weakref.ref(self.copied(target))
        if isinstance(value, (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)):
            raise TraceError(
                f"the callable reaches the {type(value).__name__} {value.__qualname__}, which cannot be copied: "
                "pass its result as an argument"
            )
        if not isinstance(value, ATOMS) and of_torch(value):
            return value
        return super().copied(value)

    def _copy(self, value: Any) -> Any:
        if isinstance(value, types.MethodType):
            return types.MethodType(self.copied(value.__func__), self.copied(value.__self__))
        if isinstance(value, Optimizer):
            self._keep_numbers(value)
            new = super()._copy(value)
            for name, item in vars(value).items():  # a scheduler has replaced the step there
                if name not in value.__getstate__():
                    vars(new)[name] = self.copied(item)
            return new
        return super()._copy(value)

    def copy_methods(self, module: nn.Module) -> None:
        """Make the methods of a copied module use copies too."""
        kind = self._class(type(module))
        if kind is not type(module):
            module.__class__ = kind

    def copy_gradient(self, tensor: torch.Tensor, new: torch.Tensor) -> None:
        """Give ``new``, the copy of ``tensor``, a copy of its gradient."""
        if tensor.is_leaf and tensor.grad is not None:
            new.grad = self.copied(tensor.grad)

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        new = super()._tensor(tensor)
        self.copy_gradient(tensor, new)
        return new

    def _object(self, value: Any) -> Any:
        new = super()._object(value)
        if new is value and Reached(value, (), {}).found:
            raise TraceError(
                f"the callable reaches a module in a {type(value).__name__}, which cannot be copied: "
                "give its class a __deepcopy__"
            )
        kind = self._class(type(value))
        if kind is not type(value) and new is not value:
            new.__class__ = kind
        return new

    def _keep_numbers(self, optimizer: Optimizer) -> None:
        """Keep step counts and tensor learning rates real, since the optimizer reads them."""
        for values in (*optimizer.state.values(), *optimizer.param_groups):
            for value in values.values():
                if isinstance(value, torch.Tensor) and not value.dim() and not value.is_meta:
                    self._kept.append(value)
                    self._memo.setdefault(id(value), value.detach().clone())

    def _class(self, kind: type) -> type:
        """A class whose methods use copied objects → a subclass with copies of these methods."""
        known = self._memo.get(id(kind))
        if known is None:
            self._kept.append(kind)
            self._memo[id(kind)] = kind
            known = self._memo[id(kind)] = self._derived(kind)
        return cast(type, known)

    def _derived(self, kind: type) -> type:
        methods: dict[str, Any] = {}
        for name, method in own_methods(kind).items():
            if not names_objects(function_of(method)):
                continue
            copied = self.copied(function_of(method))
            methods[name] = type(method)(copied) if isinstance(method, (staticmethod, classmethod)) else copied
        if not methods:
            return kind
        if type(kind) not in (type, ABCMeta) or any("__init_subclass__" in vars(base) for base in kind.__mro__[:-1]):
            raise TraceError(
                f"the methods {', '.join(methods)} of {kind.__qualname__} use globals that they may change, and its "
                "methods cannot be copied: make these globals attributes or arguments"
            )
        names = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__, **methods}
        return type(kind)(kind.__name__, (kind,), names)

    def _function(self, function: types.FunctionType) -> types.FunctionType:
        if not (function.__closure__ or is_own(function.__code__) or any(reached_globals(function))):
            return function
        cells = tuple(map(self._cell, function.__closure__ or ()))
        names = self._names(function)
        new = types.FunctionType(function.__code__, names, function.__name__, None, cells)
        self._memo[id(function)] = new
        new.__defaults__ = self.copied(function.__defaults__)
        new.__kwdefaults__ = self.copied(function.__kwdefaults__)
        new.__qualname__, new.__doc__ = function.__qualname__, function.__doc__
        new.__module__ = function.__module__
        new.__dict__.update(self.copied(dict(function.__dict__)))
        for cell, copied in zip(function.__closure__ or (), cells, strict=True):
            self._fill(cell, copied)
        if names is not function.__globals__:
            for name, value in reached_globals(function):
                names[name] = self.copied(value)
        return new

    def _names(self, function: types.FunctionType) -> dict[str, Any]:
        """The globals of the copies of all functions of a module: a separate dictionary."""
        if not any(reached_globals(function)):
            return function.__globals__
        known = self._globals.get(id(function.__globals__))
        if known is None:
            known = self._globals[id(function.__globals__)] = function.__globals__, dict(function.__globals__)
        return known[1]

    def _cell(self, cell: types.CellType) -> types.CellType:
        """The copy of a closure cell, which is still empty."""
        return self._cells.setdefault(id(cell), (cell, types.CellType()))[1]

    def _fill(self, cell: types.CellType, copied: types.CellType) -> None:
        try:
            contents = cell.cell_contents
        except ValueError:  # it has no value yet
            return
        if id(cell) not in self._filled:
            self._filled.add(id(cell))
            copied.cell_contents = self.copied(contents)


def check_not_lazy(network: nn.Module) -> None:
    """Raise :class:`TraceError` for parameters without a shape: a callable is run only once."""
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if is_lazy(tensor):
            raise TraceError(f"{name} has no shape yet: call its module once before the callable is profiled")
