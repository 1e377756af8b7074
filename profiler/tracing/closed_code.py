"""Whether all that a network's code reads from outside is known: then equal networks do equal work on equal inputs.

The code is read, not run.  It starts with the forwards of all modules and goes on with whatever these name: functions,
classes, methods by their names.  ``docs/memo.md`` says what is followed and what is trusted.
"""

from __future__ import annotations

import abc
import builtins
import functools
import itertools
import logging
import operator
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, EnumType
from importlib.util import resolve_name
from operator import is_
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    NoneType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from profiler.tracing.bytecode import Names, OpenCodeError, names_in
from profiler.tracing.drop_layers import PROBABILITIES, is_of_drop_layer
from profiler.tracing.libraries import TRUSTED, Library, library_state, same_items
from profiler.tracing.objects import named, slot_descriptors

LAYERS = "torch.nn.modules."
"""Where torch defines its layers."""

LIBRARY = frozenset(
    {
        *("_collections", "_functools", "_operator", "_warnings", "abc", "collections", "contextlib", "copy"),
        *("dataclasses", "enum", "functools", "itertools", "math", "numbers", "operator", "types", "typing"),
        *("typing_extensions", "warnings"),
    }
)
"""Modules of Python whose functions have results that follow from their arguments, or only write messages."""

WRITES_MESSAGES = frozenset({"critical", "debug", "error", "exception", "info", "warning"})
"""Methods of a logger that write a message and return nothing."""

OF_TORCH = frozenset(
    {
        *("torch", "torch._C", "torch._C._nn", "torch._C._VariableFunctions", "torch._compile", "torch._jit_internal"),
        *("torch._tensor", "torch.amp.autocast_mode", "torch.autograd.grad_mode", "torch.compiler", "torch.functional"),
        *("torch.cuda.amp.autocast_mode", "torch.jit", "torch.jit._script", "torch.jit._trace", "torch.nn.functional"),
        *("torch.nn.init", "torch.nn.parameter", "torch.overrides", "torch.types", "torch.utils._contextlib"),
        *("torch.utils.checkpoint",),
    }
)
"""Modules of torch whose functions depend on their arguments and on the settings that are in the key of a memo."""

OF_TORCH_REFUSED = (
    "get_",
    "set_",
    "manual_",
    "seed",
    "initial_",
    "is_warn",
    "load",
    "save",
    "compile",
    "use_",
    "init_",
    "cond",
)
"""Beginnings of names in ``torch`` of functions that read or change other things."""

READS_SETTINGS = frozenset(
    {
        *("get_autocast_cpu_dtype", "get_autocast_dtype", "get_autocast_gpu_dtype", "get_default_dtype"),
        *("get_float32_matmul_precision", "get_num_threads"),
    }
)
"""Functions of ``torch`` that read settings which are part of each key."""

CONSTANTS = frozenset(
    {
        *(type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes, range, torch.Size),
        *(torch.dtype, torch.device, torch.layout, torch.memory_format),
    }
)
"""Types of values that cannot change."""

BUILTINS = frozenset(
    {
        *(
            "abs",
            "all",
            "any",
            "bool",
            "bytes",
            "callable",
            "complex",
            "dict",
            "divmod",
            "enumerate",
            "filter",
            "float",
        ),
        *("format", "frozenset", "getattr", "hasattr", "int", "isinstance", "issubclass", "iter", "len", "list", "map"),
        *("max", "min", "next", "object", "pow", "property", "range", "repr", "reversed", "round", "set", "slice"),
        *("sorted", "staticmethod", "str", "sum", "super", "tuple", "type", "zip", "NotImplemented", "Ellipsis"),
        *(name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)),
    }
)
"""Builtins without effects, whose results follow from their arguments."""

HIDDEN = frozenset(
    {
        *(
            "__dict__",
            "__globals__",
            "__closure__",
            "__code__",
            "__builtins__",
            "__subclasses__",
            "__bases__",
            "__mro__",
        ),
        *("__defaults__", "__kwdefaults__", "__func__", "__self__", "__wrapped__", "__setattr__", "__delattr__"),
        *("__annotations__", "__annotate__", "__getstate__", "__reduce_ex__", "__type_params__", "__base__"),
        *("f_builtins", "tb_frame", "cr_frame", "ag_frame"),
        *(
            "isEnabledFor",
            "getEffectiveLevel",
            "attrgetter",
            "methodcaller",
            "f_globals",
            "f_locals",
            "f_back",
            "gi_frame",
            "gi_code",
            "__setstate__",
            "__reduce__",
            "__getattribute__",
        ),
    }
)
"""Attributes by which code reaches anything, or finds out what messages are written."""

_OF_TENSORS = frozenset({"to", "type", "float", "double", "half", "bfloat16", "cpu", "cuda", "forward"})

READS_MODULES = frozenset(
    {
        *("named_parameters", "named_buffers", "named_modules", "named_children", "parameters", "buffers", "modules"),
        *(
            "children",
            "get_buffer",
            "get_submodule",
            "extra_repr",
            "training",
            "forward",
        ),
    }
)

CHANGES_MODULES = (
    frozenset([*(name for name in dir(nn.Module) if not name.startswith("__")), *vars(nn.Module())])
    - READS_MODULES
    - _OF_TENSORS
)
"""Methods of every module that change it, and its inner attributes."""

CHANGES_TENSORS = frozenset(
    {
        *("as_strided_", "rename_", "requires_grad_", "resize_", "resize_as_", "set_", "squeeze_", "swapaxes_"),
        *("swapdims_", "t_", "transpose_", "unsqueeze_"),
    }
)
"""Methods of tensors that change their metadata."""

OF_MEMORY = frozenset(
    {
        *("_base", "_is_view", "_typed_storage", "_version", "data_ptr", "is_inference", "is_set_to", "is_shared"),
        *("output_nr", "retains_grad", "storage", "untyped_storage"),
    }
)
"""Attributes of tensors that say more than their metadata."""

OF_MODULES = frozenset(
    {
        *("__call__", "__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getattr__"),
        *("__getattribute__", "__setattr__", "__delattr__", "__new__", "train", "eval", "children", "named_children"),
        *("modules", "named_modules", "parameters", "named_parameters", "buffers", "named_buffers", "training"),
        *("__copy__", "_apply", "to", "__getnewargs__", "__getnewargs_ex__"),
    }
)
"""Attributes of every module that a class of others may not have changed."""

OF_MAKING = frozenset({"__init__", "__setstate__", "___needs_generation_tag_patch", "smart_apply"})
"""Attributes of the class of all modules by which modules are made; transformers adds the last one."""

_REFUSED = frozenset({"smart_apply"}) | HIDDEN | CHANGES_MODULES | CHANGES_TENSORS | OF_MEMORY

_OF_NEW_OBJECTS = frozenset({"__init__", "__new__", "__post_init__"})

_NOT_CALLED = frozenset(
    {
        *("__init_subclass__", "__dir__", "__sizeof__", "__slotnames__", "__dict__"),
        *("__weakref__", "__doc__", "__module__", "__annotations__", "__qualname__", "__slots__", "__match_args__"),
        *("__dataclass_fields__", "__dataclass_params__", "__abstractmethods__", "__orig_bases__", "__parameters__"),
        *("__static_attributes__", "__firstlineno__", "__annotate__", "__annotations_cache__"),
        *(
            "__annotate_func__",
            "__constants__",
            "__jit_unused_properties__",
            "__replace__",
            "__jit_ignored_attributes__",
        ),
    }
)
"""Attributes of classes that the code of a network does not call unless it names them."""

_OF_C = (
    *(BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType),
    *(GetSetDescriptorType, MemberDescriptorType),
)

_CONTAINERS = (list, dict, MappingProxyType)

_MISSING = object()


def _functions_of(space: ModuleType, kinds: tuple[type, ...]) -> tuple[dict[str, Any], list[str], list[Any]]:
    """A namespace of torch, with the names of torch's functions of these kinds in it and the functions themselves."""
    found = {name: value for name, value in vars(space).items() if isinstance(value, kinds) and _is_of_torch(value)}
    return vars(space), list(found), list(found.values())


def _is_of_torch(function: Any) -> bool:
    return not isinstance(function, FunctionType) or function.__globals__["__name__"].partition(".")[0] == "torch"


_functions = (_functions_of(F, (FunctionType, BuiltinFunctionType)), _functions_of(torch, (BuiltinFunctionType,)))
"""The functions that layers call, as they were when the profiler was imported.

Those of ``torch`` that are written in Python are not among them: torch itself replaces some, such as ``manual_seed``.
"""

_of_tensors: tuple[tuple[Mapping[str, Any], list[str], list[Any]], ...] = tuple(
    [(vars(kind), list(vars(kind)), list(vars(kind).values())) for kind in (torch.Tensor, nn.Parameter)]
)
"""The attributes of the classes of tensors, as they were when the profiler was imported."""

_were_replaced = not all(map(_is_of_torch, itertools.chain(vars(F).values(), vars(torch.Tensor).values())))
"""Whether someone had replaced functions of ``torch.nn.functional`` or of tensors before the profiler was imported."""


def torch_is_intact() -> bool:
    """Whether the functions of torch that layers and networks call are those of torch."""
    return (
        not _were_replaced
        and all(all(map(is_, map(space.get, names), values)) for space, names, values in (*_functions, *_of_tensors))
        and all(map(_has_no_others, _of_tensors))
    )


def _has_no_others(known: tuple[Mapping[str, Any], list[str], list[Any]]) -> bool:
    """Whether nobody has given a class of tensors further attributes; those that torch adds become known."""
    space, names, values = known
    if len(space) == len(names):
        return True
    new = {name: value for name, value in space.items() if name not in names}
    if not all(_may_be_added(name, value) for name, value in new.items()):
        return False
    names += new
    values += new.values()
    return True


def _may_be_added(name: str, value: Any) -> bool:
    """Whether torch or Python itself adds an attribute to a class: a function of torch, or data (``__slotnames__``)."""
    if isinstance(value, FunctionType):
        return _is_of_torch(value)
    is_data = not callable(value) and not hasattr(type(value), "__get__")
    return is_data and name.startswith("__") and name.endswith("__")


@dataclass(slots=True)
class ClosedCode:
    """Code of which everything that it reads from outside is known, as it was when it was read.

    ``functions`` are its functions with all that they consist of, ``classes`` its classes with their attributes,
    ``globals`` the names that it reads, each with its namespace and its value, and ``libraries`` the state of libraries
    that it calls.  ``kinds`` are the names and the bases of classes.  ``registered`` changes when a class is registered
    with an abstract one, if the code names one.  ``named`` are the names of attributes and of builtins that it reads,
    without those that only drop layers read, of their own.
    """

    functions: dict[FunctionType, tuple[Any, ...]] = field(default_factory=dict)
    classes: dict[type, dict[str, Any]] = field(default_factory=dict)
    globals: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = field(default_factory=dict)
    libraries: dict[str, Library] = field(default_factory=dict)
    kinds: dict[type, tuple[Any, ...]] = field(default_factory=dict)
    registered: Any = None
    named: frozenset[str] = frozenset()

    @property
    def unchanged(self) -> bool:
        """Whether all of it still is what it was."""
        return self.unchanged_apart_from_libraries and all(library.unchanged for library in self.libraries.values())

    @property
    def unchanged_apart_from_libraries(self) -> bool:
        """The same without the libraries, which takes less time."""
        return (
            all(space.get(name, _MISSING) is value for space, name, value in self.globals.values())
            and all(same_items(definition(kind), values) for kind, values in self.classes.items())
            and all(_same(_parts_of(function), parts) for function, parts in self.functions.items())
            and all(_same(_names_of(kind), names) for kind, names in self.kinds.items())
            and self.registered in (None, abc.get_cache_token())
        )

    def add(self, other: ClosedCode) -> None:
        """Add all that other code reads; both must be unchanged."""
        self.functions |= other.functions
        self.classes |= other.classes
        self.globals |= other.globals
        self.libraries |= other.libraries
        self.kinds |= other.kinds
        if other.registered is not None:
            self.registered = other.registered


def closed_code(kinds: Iterable[type[nn.Module]], found: Iterable[Any]) -> ClosedCode:
    """The code of a network: ``kinds`` are the classes of its modules, ``found`` functions and classes in attributes.

    Raises :class:`OpenCodeError` if something that the code reads is not known.
    """
    reader = _Reader()
    for kind in kinds:
        reader.module_class(kind)
    for value in found:
        reader.value(value, "an attribute")
    return reader.closed()


@functools.cache
def layer_definition(kind: Any) -> tuple[tuple[type, dict[str, Any]], ...] | None:
    """The class of a layer and its bases, with what they defined when the class was first met; None for other classes.

    The bases of a layer are classes of torch, and all their functions are defined where they are.
    """
    found = []
    for base in kind.__mro__[:-1]:
        values = definition(base)
        functions = [value for value in values.values() if isinstance(value, FunctionType)]
        own = all(function.__globals__.get("__name__") == base.__module__ for function in functions)
        if not (base.__module__.startswith(LAYERS) and own):
            return None
        found.append((base, values))
    return tuple(found)


def definition(kind: type) -> dict[str, Any]:
    """The attributes of a class, for that of all modules without those by which modules are made.

    torch's compiler and transformers change these.
    """
    if kind is not nn.Module:
        return dict(vars(kind))
    return {name: value for name, value in vars(kind).items() if name not in OF_MAKING}


def frozen(value: Any, found: dict[int, Any], mutable: list[Any]) -> Any:
    """A hashable value that is equal for values which code cannot distinguish by their contents.

    Functions and classes in ``value`` are added to ``found`` by their ids, and objects whose contents may change to
    ``mutable``.  Raises :class:`OpenCodeError` for an object of which the contents are not known.
    """
    kind: Any = type(value)
    if kind in CONSTANTS:
        return (kind, value) if kind is not float or value else (kind, str(value))  # 0.0 and -0.0 are equal
    if kind is tuple:
        return kind, tuple([frozen(item, found, mutable) for item in value])
    if kind is list or kind is dict or kind is OrderedDict or kind is set:
        mutable.append(value)
        items = value if kind in (list, set) else [part for item in value.items() for part in item]
        return kind, tuple([frozen(item, found, mutable) for item in items])
    if kind is frozenset:
        return kind, tuple([frozen(item, found, mutable) for item in value])
    if isinstance(value, Enum):
        found[id(kind)] = kind
        return kind, value.name
    if kind is FunctionType or isinstance(value, type) or kind is BuiltinFunctionType:
        found[id(value)] = value
        return kind, value
    if kind is functools.partial and not value.__dict__:
        found[id(value.func)] = value.func
        return kind, value.func, frozen(value.args, found, mutable), frozen(value.keywords, found, mutable)
    if isinstance(value, tuple) and not named(value) and hasattr(kind, "_fields"):
        found[id(kind)] = kind
        return kind, tuple([frozen(item, found, mutable) for item in tuple.__iter__(value)])
    if isinstance(value, nn.Module) or not _is_plain_class(kind):
        raise OpenCodeError(f"a {kind.__name__}")
    mutable.append(value)
    found[id(kind)] = _Held(kind)
    if "__slotnames__" not in vars(kind):
        object.__reduce_ex__(value, 4)  # a copy notes the names of its slots in the class, which is compared
    return kind, tuple([(name, frozen(item, found, mutable)) for name, item in named(value).items()])


@dataclass(frozen=True, slots=True)
class _Held:
    """The class of an object that exists: code calls its methods, and does not make new ones by that."""

    kind: type


_COPIES = (
    *("__copy__", "__deepcopy__", "__getattr__", "__getattribute__", "__getnewargs__", "__getnewargs_ex__"),
    *("__getstate__", "__new__", "__reduce__", "__reduce_ex__", "__setstate__"),
)
"""Methods that decide what a copy of an object is."""


def _has_usual_copies(kind: type) -> bool:
    """Whether objects of a class are copied by their attributes; trusted libraries have their own ways to do it."""
    for name in _COPIES:
        found = getattr(kind, name, None)
        own = isinstance(found, FunctionType) and _root(found.__globals__.get("__name__")) in TRUSTED
        if found is not getattr(object, name, None) and not own:
            return False
    return True


def _is_plain_class(kind: type) -> bool:
    """Whether objects of a class are what their attributes are."""
    own = kind.__mro__[:-1]
    return (
        type(kind) in (type, abc.ABCMeta)
        and bool(own)
        and all(base.__flags__ & 1 << 9 for base in own)  # a class written in Python
        and not slot_descriptors(kind)
        and _has_usual_copies(kind)
        and kind.__basicsize__ <= object.__basicsize__ + 16  # its attributes and weak references to it
    )


def _parts_of(function: FunctionType) -> tuple[Any, ...]:
    """All that a function consists of."""
    cells = tuple([_content(cell) for cell in function.__closure__ or ()])
    by_name = (function.__kwdefaults__ or {}, function.__dict__)
    named_parts = [part for items in by_name for part in (*items, *items.values())]
    names = function.__name__, function.__qualname__, function.__doc__
    return function.__code__, function.__defaults__, function.__globals__, *names, *named_parts, *cells


def _names_of(kind: type) -> tuple[Any, ...]:
    """What a class is apart from its attributes."""
    members = vars(kind)["_member_map_"].values() if type(kind) is EnumType else ()
    held = [part for member in members for item in named(member).items() for part in item]
    return kind.__name__, kind.__qualname__, kind.__bases__, *held


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _same(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    return len(first) == len(second) and all(map(is_, first, second))


class _Reader:
    """Reads code, beginning with the forwards of modules."""

    def __init__(self) -> None:
        self._functions: dict[FunctionType, tuple[Any, ...]] = {}
        self._held: dict[type, None] = {}
        self._made: dict[type, None] = {}
        self._attributes = {"forward"}
        self._named: set[str] = set()
        self._globals: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self._layers: dict[type, dict[str, Any]] = {}
        self._libraries: set[str] = set()
        self._registered: Any = None
        self._waiting: list[FunctionType] = []
        self._looked_at: set[tuple[type | FunctionType, str]] = set()

    def closed(self) -> ClosedCode:
        """All that is reached from what was given."""
        while self._waiting or self._members():
            while self._waiting:
                self._read(self._waiting.pop())
        classes = {kind: definition(kind) for kind in self._held} | self._layers
        libraries = {name: library_state(name) for name in self._libraries}
        kinds = {kind: _names_of(kind) for kind in self._held}
        named = frozenset(self._named | (set(PROBABILITIES.values()) if libraries else set()))  # they are not read
        return ClosedCode(self._functions, classes, self._globals, libraries, kinds, self._registered, named)

    def module_class(self, kind: type[nn.Module]) -> None:
        """The class of a module of the network."""
        of_kind: Any = kind
        layer = layer_definition(of_kind)
        if layer is not None:
            if not all(same_items(definition(base), values) for base, values in layer):
                raise OpenCodeError(f"{kind.__name__} was changed")
            self._layers.update(layer)
            return
        if kind.__module__.startswith(LAYERS):
            raise OpenCodeError(f"{kind.__name__} was changed")
        for name in OF_MODULES:
            found = getattr(kind, name, None)
            of_module = found is getattr(nn.Module, name, None) or self._is_of_library(found)
            if not (of_module or (isinstance(found, FunctionType) and _is_of_layers(found))):
                raise OpenCodeError(f"{kind.__name__} has its own {name}")
        self._hold(kind)

    def _hold(self, kind: type) -> None:
        """A class of which an object exists."""
        for base in kind.__mro__:
            if base in self._held or base is object:
                continue
            if base.__module__.startswith(LAYERS):
                self.module_class(base)
            elif self._is_of_library(base) or _is_of_python(base):
                continue
            elif _is_named_tuple(base):
                self._layers[base] = definition(base)
            elif _root(base.__module__) == "torch" or type(base) not in (type, abc.ABCMeta, EnumType):
                raise OpenCodeError(f"the class {base.__name__}")
            else:
                self._held[base] = None
                for item in _names_of(base)[3:]:
                    if item is not base:
                        self.value(item, base.__name__)

    def value(self, value: Any, where: str) -> None:
        """A value that code reads ``where`` it says."""
        kind = type(value)
        if kind in CONSTANTS or isinstance(value, _OF_C):
            if kind is BuiltinFunctionType and (value in (getattr, hasattr) or not _is_trusted(value)):
                raise OpenCodeError(f"{value.__name__} in {where}")
            return
        if isinstance(value, _Held):
            self._hold(value.kind)
        elif isinstance(value, type):
            self._class(value, where)
        elif kind is FunctionType:
            self._function(value, where)
        elif isinstance(value, (staticmethod, classmethod)):
            self.value(value.__func__, where)
        elif kind is property:
            for function in (value.fget, value.fset, value.fdel):
                self.value(function, where)
        elif isinstance(value, Enum):
            self._hold(kind)
        elif kind is tuple or kind is frozenset or isinstance(value, functools.partial):
            found: dict[int, Any] = {}
            mutable: list[Any] = []
            try:
                frozen(value, found, mutable)
            except OpenCodeError as error:
                raise OpenCodeError(f"{error} in {where}") from None
            if mutable:
                raise OpenCodeError(f"a {type(mutable[0]).__name__} in {where}")
            for item in found.values():
                self.value(item, where)
        elif _root(kind.__module__) not in ("typing", "typing_extensions") and kind not in (GenericAlias, UnionType):
            raise OpenCodeError(f"a {kind.__name__} in {where}")

    def _class(self, kind: type, where: str) -> None:
        """A class that code names, and of which it may make objects."""
        if kind in _BY_NAME:
            raise OpenCodeError(f"{kind.__name__} in {where}")
        if _is_of_python(kind):
            return
        if _is_named_tuple(kind):
            self._layers[kind] = definition(kind)
            return
        if (kind.__module__ in OF_TORCH and _is_in_its_module(kind)) or kind.__module__.startswith(LAYERS):
            if kind.__module__.startswith(LAYERS):
                self.module_class(kind)
            if kind is torch.Generator or _reads_or_changes(kind.__name__):
                raise OpenCodeError(f"{kind.__name__} in {where}")
            return
        if self._is_of_library(kind):
            return
        if issubclass(kind, (torch.Tensor, torch.autograd.Function)):
            raise OpenCodeError(f"the class {kind.__name__} in {where}")
        self._hold(kind)
        if type(kind) is abc.ABCMeta:
            self._registered = abc.get_cache_token()
        for base in kind.__mro__:
            if base in self._held:
                self._made[base] = None

    def _is_of_library(self, value: Any) -> bool:
        """Whether a function or a class belongs to a library that is trusted as a whole."""
        module = (
            value.__globals__.get("__name__") if isinstance(value, FunctionType) else getattr(value, "__module__", "")
        )
        root = _root(module)
        if root in TRUSTED:
            self._libraries.add(root)
        return root in TRUSTED

    def _function(self, function: FunctionType, where: str) -> None:
        if function in self._functions or self._is_of_library(function):
            return
        if _is_trusted(function):
            for cell in function.__closure__ or ():
                inner = _content(cell)
                if isinstance(inner, (FunctionType, type, functools.partial)):
                    self.value(inner, where)
                elif _root(type(inner).__module__) not in ("torch", "builtins") or isinstance(inner, _CONTAINERS):
                    raise OpenCodeError(f"a {type(inner).__name__} in {where}")
            if function.__closure__:
                self._functions[function] = _parts_of(function)
            return
        root = _root(function.__globals__.get("__name__"))
        if root == "torch" or root in LIBRARY or root in sys.stdlib_module_names:
            raise OpenCodeError(f"{function.__module__}.{function.__qualname__} in {where}")
        self._functions[function] = _parts_of(function)
        self._waiting.append(function)

    def _read(self, function: FunctionType) -> None:
        """Follow all that a function names."""
        where = f"{function.__module__}.{function.__qualname__}"
        code: CodeType = function.__code__
        names = names_in(code)
        if names.problem:
            raise OpenCodeError(names.problem)
        given = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        for value in (*given, *map(_content, function.__closure__ or ())):
            if value is not _MISSING:
                self.value(value, where)
        refused = (names.attributes & _REFUSED) - self._own_names(names)
        if refused:
            raise OpenCodeError(f"{min(refused)} in {where}")
        self._attributes |= names.attributes
        if not is_of_drop_layer(function):
            self._named |= names.attributes
            self._named.update(read[0] for read in names.read)
        if "__class__" in names.attributes or ("type",) in names.read:
            self._made |= self._held
            self._attributes.add("__init_subclass__")
        for level, module, name in names.imports:
            package = function.__globals__.get("__package__") or ""
            found = sys.modules.get(resolve_name("." * level + module, package) if level else module)
            if found is None:
                raise OpenCodeError(f"{where} imports {module}")
            self._chain((vars(found), found.__name__), (name,), where)
        for read in names.read:
            self._chain((function.__globals__, where), read, where)

    def _own_names(self, names: Names) -> frozenset[str]:
        """Names of methods of modules that are found in ``torch`` itself (``torch.eval``-like names)."""
        return frozenset(name for read in names.read if read[0] in ("torch", "F", "nn") for name in read[1:])

    def _chain(self, space: tuple[dict[str, Any], str], chain: tuple[str, ...], where: str) -> None:
        """Follow a global, and attributes of modules up to the first object that is no module."""
        names, _ = space
        for place, name in enumerate(chain):
            value = names.get(name, _MISSING)
            if value is _MISSING and place == 0:
                self._globals[id(names), name] = names, name, _MISSING
                names = vars(builtins)
                value = names.get(name, _MISSING)
                if name not in BUILTINS and value is not _MISSING:
                    raise OpenCodeError(f"{name} in {where}")
                self._globals[id(names), name] = names, name, value  # a name that does not exist is an error each time
                return
            if value is _MISSING:
                raise OpenCodeError(f"{name} in {where}")
            self._globals[id(names), name] = names, name, value
            if not isinstance(value, ModuleType):
                if _is_refused(names, name):
                    raise OpenCodeError(f"{name} in {where}")
                if type(value) is logging.Logger and self._writes_message(value, chain[place + 1 :]):
                    return
                self.value(value, f"{where} ({name})")
                return
            names = vars(value)
        raise OpenCodeError(f"the module {chain[-1]} in {where}")

    def _writes_message(self, logger: logging.Logger, attributes: tuple[str, ...]) -> bool:
        """Whether code that names these ``attributes`` of a logger only writes a message."""
        if len(attributes) != 1 or attributes[0] not in WRITES_MESSAGES:
            return False
        (name,) = attributes
        method, own = vars(logging.Logger).get(name), vars(logger)
        if name in own or not isinstance(method, FunctionType) or method.__globals__ is not vars(logging):
            return False
        self._globals[id(own), name] = own, name, _MISSING
        self._layers[logging.Logger] = definition(logging.Logger)
        return True

    def _members(self) -> bool:
        """Follow the attributes of classes whose names occur; whether there was a new one."""
        before = len(self._looked_at)
        for function in list(self._functions):
            for name, value in function.__dict__.items():
                if name in self._attributes and (function, name) not in self._looked_at:
                    self._looked_at.add((function, name))
                    self.value(value, f"{function.__qualname__}.{name}")
        for kind in list(self._held):
            for name, value in list(vars(kind).items()):
                if (kind, name) in self._looked_at or not self._may_be_called(kind, name):
                    continue
                self._looked_at.add((kind, name))
                self.value(value, f"{kind.__name__}.{name}")
        return len(self._looked_at) > before

    def _may_be_called(self, kind: type, name: str) -> bool:
        if name in self._attributes:
            return True
        if name in _OF_NEW_OBJECTS:
            return kind in self._made
        return name.startswith("__") and name.endswith("__") and name not in _NOT_CALLED


def _root(module: Any) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


def _is_trusted(function: Callable[..., Any]) -> bool:
    """Whether a function is one of torch or of Python whose result follows from its arguments."""
    if isinstance(function, FunctionType):
        module = function.__globals__.get("__name__") or ""
    else:
        owner = getattr(function, "__self__", None)
        owner = owner if isinstance(owner, (type, ModuleType)) or owner is None else type(owner)
        module = function.__module__ or getattr(owner, "__module__", None) or getattr(owner, "__name__", "")
        if isinstance(function, BuiltinFunctionType) and module == "builtins":
            return function.__name__ in BUILTINS
        if isinstance(function, BuiltinFunctionType) and not isinstance(
            function.__self__, (type, ModuleType, NoneType)
        ):
            return module == "torch._C"  # a method of an object that may change
    if _root(module) == "torch" and _reads_or_changes(function.__name__):
        return False
    return module in OF_TORCH or module.startswith(LAYERS) or _root(module) in LIBRARY


def _is_of_layers(function: FunctionType) -> bool:
    return str(function.__globals__.get("__name__")).startswith(LAYERS)


_BY_NAME = (operator.attrgetter, operator.methodcaller)
"""Classes whose objects read attributes by their names."""


def _is_of_python(kind: type) -> bool:
    """Whether a class is one of Python whose objects have no effects of their own."""
    return (_root(kind.__module__) in LIBRARY or kind.__module__ == "builtins") and _is_in_its_module(kind)


def _is_in_its_module(kind: type) -> bool:
    """Whether a class is where it says: code may give its classes the names of other modules."""
    written_in_c = not kind.__flags__ & 1 << 9
    return written_in_c or getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind


def _is_named_tuple(kind: type) -> bool:
    """Whether a class is a named tuple without methods of its own."""
    functions = [value for value in vars(kind).values() if isinstance(value, (FunctionType, property))]
    names = {function.__module__ for function in functions if isinstance(function, FunctionType)}
    made = all(name == "collections" or name.startswith("namedtuple_") for name in names)
    return (
        kind.__bases__ == (tuple,)
        and hasattr(kind, "_fields")
        and made
        and {name for name in vars(kind) if not name.startswith("_")} == set(kind._fields)
        and not any(isinstance(value, property) for value in functions)
    )


def _is_refused(space: dict[str, Any], name: str) -> bool:
    """Whether a name in a namespace of torch is one of those that read or change other things."""
    return _root(space.get("__name__")) == "torch" and _reads_or_changes(name)


def _reads_or_changes(name: str) -> bool:
    """Whether a function of torch of this name reads or changes other things than its arguments."""
    return name.lstrip("_").startswith(OF_TORCH_REFUSED) and name not in READS_SETTINGS
