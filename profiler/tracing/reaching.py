"""The objects that a callable uses: its closure, its defaults, the globals that it names, the object it is bound to.

Functions in the user's own files are searched, including the functions that they call.  For code in installed packages,
only closures (a library's decorator calls the decorated function) and modules and optimizers among the globals are
searched.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from profiler.tracing.objects import ATOMS, named, slots
from profiler.tracing.private import without_compiler

_INSTALLED = tuple(
    {
        str(Path(place))
        for key, place in sysconfig.get_paths().items()
        if key in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    | {str(Path(torch.__file__).parent)}
)
"""The folders of installed code."""

_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL")

CACHED = type(functools.lru_cache(lambda: None))
"""The type of a function with ``functools.cache``."""

_OF_TORCH = ("torch._C", "torch._library", "torch._ops", "torch.jit", "torch.library", "triton")
"""Modules of operators and kernels, which contain no user objects."""


def of_torch(value: Any) -> bool:
    """Whether it is an operator or a kernel."""
    return f"{type(value).__module__}.".startswith(tuple(f"{name}." for name in _OF_TORCH))


def call_method(value: Any) -> Any:
    """The ``__call__`` method of an object's class, if any."""
    return next((vars(kind)["__call__"] for kind in type(value).__mro__ if "__call__" in vars(kind)), None)


def plain(value: Any) -> Any:
    """A function or module without the wrapper of ``torch.compile`` or ``functools.cache``."""
    if isinstance(value, nn.Module):
        return without_compiler(value)
    while True:
        inner = named(value).get("_torchdynamo_orig_callable") if isinstance(value, types.FunctionType) else None
        if inner is None and isinstance(value, CACHED):
            inner = value.__wrapped__
        if inner is None:
            return value
        value = inner


@functools.cache
def is_own(code: types.CodeType) -> bool:
    """Whether the code is in the user's own files, not in an installed package."""
    return not code.co_filename.startswith(_INSTALLED)


@functools.cache
def globals_named(code: types.CodeType) -> frozenset[str]:
    """The names of globals in the code and in the code of the functions that it defines."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in _GLOBALS}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= globals_named(constant)
    return frozenset(names)


@functools.cache
def attributes_named(code: types.CodeType) -> frozenset[str]:
    """All names in the code, including those of attributes and methods."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(code.co_names).union(*map(attributes_named, inner))


def reached_globals(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function names, with their values; for installed code those that a call surely changes."""
    own = is_own(function.__code__)
    for name in sorted(globals_named(function.__code__)):
        value = function.__globals__.get(name, function)
        if value is not function and (own or isinstance(value, (nn.Module, Optimizer))):
            yield name, value


def names_objects(function: types.FunctionType) -> bool:
    """Whether a user function names a global that it could change, or a function that could."""
    return any(
        not isinstance(value, ATOMS) or (isinstance(value, types.FunctionType) and is_own(value.__code__))
        for _, value in reached_globals(function)
    )


def own_methods(kind: type) -> dict[str, Any]:
    """The methods of a class whose code is in the user's own files, by name, as stored in the class."""
    methods: dict[str, Any] = {}
    for base in kind.__mro__:
        for name, method in vars(base).items():
            if isinstance(function := function_of(method), types.FunctionType) and is_own(function.__code__):
                methods.setdefault(name, method)
    return methods


def function_of(method: Any) -> Any:
    """The function inside a static method or class method."""
    return method.__func__ if isinstance(method, (staticmethod, classmethod)) else method


def _variables(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """All objects that a function uses, by their names in its code."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a variable without a value
            continue
    taken = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    yield from zip(taken[len(taken) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    yield from reached_globals(function)


class Reached:
    """The modules, and the parameters outside of modules, that a call of ``call`` on these arguments uses.

    ``found`` maps dotted names to them: the name of a variable, ``self.net`` for an attribute of the object that a
    method is bound to, ``nets.0`` for an item of a list.
    """

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        self.found: dict[str, nn.Module | nn.Parameter] = {}
        self._seen: dict[int, Any] = {}
        self._named = {"forward"}
        self._methods: list[tuple[str, str, Any]] = []
        self._visit("self", call)
        for name, value in _by_name(call, args, options):
            self._visit(name, value)
        while called := [method for method in self._methods if self._may_be_called(method[1])]:
            self._methods = [method for method in self._methods if method not in called]
            for name, _, function in called:
                self._visit(name, function)

    def _may_be_called(self, method: str) -> bool:
        """Whether the searched code names the method, or Python calls it implicitly."""
        return method in self._named or (method.startswith("__") and method != "__init__")

    def _visit(self, name: str, value: Any) -> None:
        value = plain(value)
        if isinstance(value, type):
            self._named.add("__init__")
            self._visit_class(name, value)
        if id(value) in self._seen or (isinstance(value, ATOMS) and not isinstance(value, types.FunctionType)):
            return
        self._seen[id(value)] = value
        if isinstance(value, (nn.Module, nn.Parameter)):
            self.found[self._free(name)] = value
            for part in value.modules() if isinstance(value, nn.Module) else ():
                self._visit_class(name, type(part))
        elif isinstance(value, types.FunctionType):
            self._named |= attributes_named(value.__code__)
            for inner, item in _variables(value):
                self._visit(inner, item)
        elif isinstance(value, types.MethodType):
            self._visit("self", value.__self__)
            self._visit(name, value.__func__)
        elif isinstance(value, functools.partial):
            self._visit(name, value.func)
            for inner, item in _by_name(value.func, value.args, value.keywords):
                self._visit(inner, item)
        elif not (isinstance(value, (torch.Tensor, Optimizer)) or of_torch(value)):
            for inner, item in _items(value):
                self._visit(f"{name}.{inner}", item)
            self._visit_class(name, type(value))

    def _visit_class(self, name: str, kind: type) -> None:
        """Search the methods that may be called."""
        if id(kind) not in self._seen:
            self._seen[id(kind)] = kind
            for method, value in own_methods(kind).items():
                self._methods.append((name, method, function_of(value)))

    def _free(self, name: str) -> str:
        number, free = 2, name
        while free in self.found:
            free, number = f"{name}_{number}", number + 1
        return free


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """The items of a container or the attributes of an object, by name."""
    if isinstance(value, Mapping):
        yield from ((_part(key), item) for key, item in list(value.items()))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((str(place), item) for place, item in enumerate(value))
    yield from ((_part(key), item) for key, item in {**slots(value), **named(value)}.items())


def _part(key: object) -> str:
    """A key as a part of a dotted name."""
    return str(key).replace(".", "_") or "_"


def _by_name(call: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Arguments by their parameter names."""
    try:
        signature = inspect.signature(call)
        bound = signature.bind_partial(*args, **options).arguments
    except (TypeError, ValueError):  # it has no signature, or does not take these
        yield from ((f"argument_{place}", value) for place, value in enumerate(args))
        yield from options.items()
        return
    for name, value in bound.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            yield from value.items()
        elif signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            yield from ((f"{name}.{place}", item) for place, item in enumerate(value))
        else:
            yield name, value
