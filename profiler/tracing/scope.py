"""Which module is running: what is called in place of each keeps the stack of running modules, with their shapes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import get_ident
from types import MethodType
from typing import Any

import torch
from torch import nn

from profiler.errors import FOREIGN_ERRORS
from profiler.garbage import without_collection
from profiler.quick_records import maker
from profiler.records import ModuleRecord
from profiler.tracing.layer_calls import NOT_ANSWERED, Block, Layer, LayerCalls
from profiler.tracing.objects import OfTheProfiler
from profiler.tracing.packed import holder_types, holds_for_layer
from profiler.tracing.private import call_with_hooks, node_that_runs, unwatch_calls, watch_calls
from profiler.tracing.scripts import constants_of, has_scripts, roots_among, script_type
from profiler.tracing.tensors import nested_tensors, shapes_in, shapes_of
from profiler.tracing.walking import Named, named_modules

Shapes = tuple[tuple[int, ...], ...]

_record = maker(ModuleRecord)


@dataclass(slots=True)
class Running:
    """A running module, under the name by which it was called, in its n-th call.

    ``node`` is the autograd node that called it, in a forward pass that is recomputed.
    """

    name: str
    call: int
    module: nn.Module
    inputs: Shapes = ()
    node: Any = None


class Seen:
    """What was seen of a module under one of its names."""

    __slots__ = ("calls", "inputs", "module", "name", "outputs")

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name = name
        self.module = module
        self.calls = 0
        self.inputs: dict[Shapes, None] = {}
        self.outputs: dict[Shapes, None] = {}


@dataclass(frozen=True, slots=True)
class Failure:
    """The innermost module that was running when the network raised."""

    name: str
    type: str
    inputs: Shapes


class WatchedCall(OfTheProfiler):
    """Is called in place of a module of the network, and calls it: with its hooks.

    A copy of the module is not watched.
    """

    __slots__ = ("_call", "_layer", "_may_be_layer", "_module", "_only", "_scope")

    def __init__(self, scope: ModuleScope, module: nn.Module) -> None:
        self._scope = scope
        self._module = module
        self._call = call_with_hooks(module)
        self._only: Seen | None = None
        self._layer: Layer | Block | None = None
        self._may_be_layer = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scope, module = self._scope, self._module
        seen = self._only
        if seen is None:
            seen = scope.seen_now(module)
            if scope.has_one_name(module):
                self._only = seen
        layers = scope.layers
        if layers is not None and self._may_be_layer:
            return self._call_layer(layers, seen, args, kwargs)
        scope.start(seen, args, kwargs)
        output = None
        try:
            output = self._call(*args, **kwargs)
            return output
        except FOREIGN_ERRORS as error:
            scope.note_failure(error)
            raise
        finally:
            scope.leave(module, output)

    def _call_layer(self, layers: LayerCalls, seen: Seen, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same for a module that may be a layer whose calls are answered."""
        if self._layer is None:
            self._layer = layers.layer_of(self._module)
            self._may_be_layer = self._layer is not None
        key = None
        if self._layer is not None:
            output, key = layers.answer(seen, self._layer, args, kwargs)
            if output is not NOT_ANSWERED:
                return output
        scope, learned = self._scope, key is not None
        before = layers.before()
        scope.learned += learned
        scope.start(seen, args, kwargs)
        output = None
        try:
            output = self._call(*args, **kwargs)
            if key is not None and self._layer is not None:
                layers.learn(self._layer, key, before, output)
            return output
        except FOREIGN_ERRORS as error:
            scope.note_failure(error)
            raise
        finally:
            scope.leave(self._module, output)
            scope.learned -= learned
            if not scope.learned:
                scope.log.clear()

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def __reduce__(self) -> Any:
        return _nothing, ()


def given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a module was called with: a single positional argument, or both kinds of arguments."""
    return (args, kwargs) if kwargs or len(args) != 1 else args[0]


def _nothing() -> None:
    """Replaces a watched call in what is unpickled."""


class WatchedForward:
    """Replaces the forward of a module of the network, so that it is seen too if it is called directly.

    A copy of the module gets its own forward: that of its class, or a copy of the one that was set on it.
    """

    def __init__(self, scope: ModuleScope, module: nn.Module, original: Any) -> None:
        self._scope = scope
        self._module = module
        self._original = self.__wrapped__ = original
        self._was_set = "forward" in module.__dict__
        self.__module__, self.__doc__ = original.__module__, original.__doc__

    def __getattr__(self, name: str) -> Any:
        """The name of the forward, and its other attributes."""
        if "_original" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._original, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scope, module = self._scope, self._module
        stack = scope.stack
        called_directly = not stack or stack[-1].module is not module
        if not called_directly and scope.is_first(stack):
            return self._original(*args, **kwargs)
        around = None if scope.in_thread is None else scope.in_thread()
        if not called_directly and around is None:
            return self._original(*args, **kwargs)
        if called_directly:
            scope.start(scope.seen_now(module), args, kwargs)
        output = None
        try:
            with around or nullcontext():
                output = self._original(*args, **kwargs)
            return output
        except FOREIGN_ERRORS as error:
            scope.note_failure(error)
            raise
        finally:
            if called_directly:
                scope.leave(module, output)

    def let_go(self) -> None:
        """Give the module the forward that it had: that of its class, or the one that was set on it."""
        if self._was_set:
            self._module.__dict__["forward"] = self._original
        else:
            del self._module.__dict__["forward"]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._original, memo)

    def __reduce__(self) -> Any:
        method = self._original
        bound_to_module = isinstance(method, MethodType) and method.__self__ is self._module
        return (_bound, (method.__func__, self._module)) if bound_to_module else (_itself, (method,))


def _bound(function: Any, module: nn.Module) -> Any:
    return MethodType(function, module)


def _itself(value: Any) -> Any:
    return value


class ModuleScope(OfTheProfiler):
    """Watches every module of ``model``, which must be the tracer's own copy: it stays watched.

    ``named`` are its modules under all their names.  Without ``direct`` no code calls the forward of a module directly.
    With ``layers`` calls of modules may be answered without running them.  While calls run that are ``learned``,
    ``log`` has the shapes with which modules were called and those that they returned, in order.  A module that several
    parents hold has the name below the parent that called it.
    """

    def __init__(self, model: nn.Module, named: Sequence[Named] | None = None, *, direct: bool = True) -> None:
        self.model = model
        self._direct = direct
        self.named = named_modules(model, repeated=True) if named is None else named
        self.layers: LayerCalls | None = None
        self.log: list[tuple[Seen, bool, Shapes]] = []
        self.learned = 0
        self.on_result: Callable[[str, list[torch.Tensor]], None] | None = None
        self.in_thread: Callable[[], AbstractContextManager[None] | None] | None = None
        self._stacks: dict[int, list[Running]] = {}
        self._first: list[Running] = []
        self._first_thread = get_ident()
        self.failure: Failure | None = None
        self._failed_with: BaseException | None = None
        self._seen: dict[str, Seen] = {}
        self._names: dict[int, str] = {}  # the first name of each module
        self._below: dict[int, dict[str, str]] = {}  # of those with several names, by the name of the parent
        self._modules: dict[str, nn.Module] = {}
        self.script_constants: list[torch.Tensor] = []
        self.add(self.named)

    @without_collection()
    def add(self, modules: Iterable[Named]) -> None:
        """Watch ``modules``, which are those of the network, each under all its names."""
        found, names = {}, self._names
        for name, module in modules:
            self._modules[name] = module
            first = names.setdefault(id(module), name)
            if first != name:
                below = self._below.setdefault(id(module), {first.rpartition(".")[0]: first})
                below.setdefault(name.rpartition(".")[0], name)
            found[id(module)] = module
        if not has_scripts(found.values()):
            for module in found.values():
                self._attach(module)
            return
        for module in found.values():
            if not isinstance(module, torch.jit.ScriptModule):
                self._attach(module)
        for script in roots_among(found.values()):
            self.script_constants += constants_of(script)
            self._attach_script(script)

    @property
    def stack(self) -> list[Running]:
        """The modules that are running in this thread, the innermost one last."""
        thread = get_ident()
        return self._first if thread == self._first_thread else self._stacks.setdefault(thread, [])

    def is_first(self, stack: list[Running]) -> bool:
        """Whether it is the stack of the thread that runs the network, which is traced."""
        return stack is self._first

    @contextmanager
    def stack_of_thread(self, stack: list[Running] | None) -> Iterator[None]:
        """In this thread, the modules of ``stack`` are running; where it is None, those that are."""
        thread = get_ident()
        before = self._stacks.get(thread)
        if stack is not None:
            self._stacks[thread] = list(stack)
        try:
            yield
        finally:
            if stack is not None:
                self._stacks.pop(thread)
                if before is not None:
                    self._stacks[thread] = before

    @property
    def current(self) -> tuple[str, int]:
        """Name and call number of the innermost running module; the network itself when none is."""
        stack = self.stack
        return (stack[-1].name, stack[-1].call) if stack else ("", 1)

    def records(self, named: Sequence[Named]) -> tuple[ModuleRecord, ...]:
        """Every module of the network under all its names, with what was seen of it."""
        holders = holder_types()
        of_packed = not holders.isdisjoint({type(module) for _, module in named})
        types: dict[type, str] = {}
        records: list[ModuleRecord] = []
        for name, module in named:
            if of_packed and holds_for_layer(module, holders):  # packed weights are their layer's
                continue
            kind = type(module)
            if kind not in types or issubclass(kind, torch.jit.ScriptModule):
                types[kind] = script_type(module)
            first, seen = self._names.get(id(module), name), self._seen.get(name)
            if seen is None:
                records.append(_record(name, types[kind], 0, first))
            else:
                shapes = tuple(seen.inputs), tuple(seen.outputs)
                records.append(_record(name, types[kind], seen.calls, first, *shapes))
        return tuple(records)

    def _attach(self, module: nn.Module) -> None:
        watch_calls(module, WatchedCall(self, module))
        if self._direct:
            module.__dict__["forward"] = WatchedForward(self, module, module.forward)

    def let_go(self) -> None:
        """Watch no module any more, and hold nothing that holds this scope.

        Otherwise all objects of a run would exist until Python searches for garbage, which takes long.
        """
        for module in {id(module): module for module in self._modules.values()}.values():
            unwatch_calls(module, WatchedCall)
            forward = module.__dict__.get("forward")
            if isinstance(forward, WatchedForward):
                forward.let_go()
        self.layers = self.on_result = self.in_thread = None

    def _attach_script(self, script: nn.Module) -> None:
        """A script module calls no hooks; markers in its graph report the calls of its submodules."""
        original = script.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            depth = len(self.stack)
            self.start(self.seen_now(script), args, kwargs)
            output = None
            try:
                output = original(*args, **kwargs)
                return output
            except FOREIGN_ERRORS as error:
                self.note_failure(error)
                raise
            finally:
                del self.stack[depth + 1 :]
                self.leave(script, output)

        script.__dict__["forward"] = forward

    def enter_part(self, name: str, inputs: Any) -> None:
        """The script module that runs now calls its submodule ``name``."""
        parent = self.stack[-1].name
        self._push(self.seen_as(f"{parent}.{name}" if parent else name), shapes_in(inputs))

    def leave_part(self, outputs: Any) -> None:
        """The submodule that the script module called last is through."""
        self.seen_as(self.stack.pop().name).outputs.setdefault(shapes_in(outputs))

    def knows(self, module: nn.Module) -> bool:
        """Whether it is a module of the network; one that its forward makes, or copies, is not."""
        return id(module) in self._names

    def has_one_name(self, module: nn.Module) -> bool:
        """Whether only one module holds it."""
        return id(module) not in self._below

    def seen_now(self, module: nn.Module) -> Seen:
        """What was seen of a module of the network, under the name that it has below the running one."""
        below = self._below.get(id(module)) if self._below else None
        name = below.get(self.stack[-1].name) if below and self.stack else None
        return self.seen_as(self._names[id(module)] if name is None else name)

    def seen_as(self, name: str) -> Seen:
        """What was seen of a module under one of its names."""
        seen = self._seen.get(name)
        if seen is None:
            seen = self._seen[name] = Seen(name, self._modules[name])
        return seen

    def start(self, seen: Seen, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module of the network begins to run."""
        self._push(seen, shapes_in(given(args, kwargs)))

    def enter(self, module: nn.Module, inputs: Any) -> None:
        """A module begins to run; work of one that is not the network's belongs to the one that runs already."""
        if self.knows(module):
            self._push(self.seen_now(module), shapes_in(inputs))

    def _push(self, seen: Seen, shapes: Shapes) -> None:
        seen.calls += 1
        seen.inputs.setdefault(shapes)
        if self.learned:
            self.log.append((seen, False, shapes))
        self.stack.append(Running(seen.name, seen.calls, seen.module, shapes, node_that_runs()))

    def leave(self, module: nn.Module, output: Any) -> None:
        """Record that the module has returned or raised."""
        stack = self.stack
        if stack and stack[-1].module is module:
            name = stack.pop().name
            tensors = nested_tensors(output)
            shapes = shapes_of(tensors)
            seen = self._seen[name]
            seen.outputs.setdefault(shapes)
            if self.learned:
                self.log.append((seen, True, shapes))
            if self.on_result is not None:
                self.on_result(name, tensors)

    def note_failure(self, error: BaseException) -> None:
        """Remember the innermost module that was running when ``error`` was raised."""
        if self._failed_with is not error and self.stack:
            self._failed_with = error
            innermost = self.stack[-1]
            self.failure = Failure(innermost.name, script_type(innermost.module), innermost.inputs)
