"""Which module is running: forward hooks keep the stack of running modules and record inputs and outputs."""

from __future__ import annotations

import copy
import functools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch
from torch import nn

from profiler.errors import FOREIGN_ERRORS
from profiler.records import ModuleRecord
from profiler.tracing.objects import OfTheProfiler
from profiler.tracing.packed import holds_for_layer
from profiler.tracing.private import node_that_runs
from profiler.tracing.scripts import constants_of, script_roots, script_type
from profiler.tracing.tensors import shapes_in

Shapes = tuple[tuple[int, ...], ...]


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


@dataclass(slots=True)
class _Seen:
    calls: int = 0
    inputs: dict[Shapes, None] = field(default_factory=dict)
    outputs: dict[Shapes, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """The innermost module that was running when the network raised."""

    name: str
    type: str
    inputs: Shapes


class _Hook:
    """A hook with which a module can be copied and pickled; an unpickled module is not watched."""

    def __init__(self, scope: ModuleScope) -> None:
        self._scope = scope

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __reduce__(self) -> Any:
        return _no_hook, ()


class EnterHook(_Hook):
    """Tells the scope that a module starts."""

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._scope.enter(module, (args, kwargs))


class LeaveHook(_Hook):
    """Tells the scope that a module has returned."""

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self._scope.leave(module, output)


def _no_hook() -> Any:
    return _ignore


def _ignore(*_: Any) -> None:
    """Replaces a hook."""


class WatchedForward:
    """Replaces the forward of a module of the network, so that calls that bypass the hooks are seen too.

    A copy of the module gets its own forward: that of its class, or a copy of the one that was set on it.
    """

    def __init__(self, scope: ModuleScope, module: nn.Module, original: Any) -> None:
        functools.update_wrapper(self, original)
        self._scope = scope
        self._module = module
        self._original = original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scope, module = self._scope, self._module
        called_directly = not scope.stack or scope.stack[-1].module is not module
        if called_directly:
            scope.enter(module, (args, kwargs))
        output = None
        try:
            with scope.in_thread() if scope.in_thread is not None else nullcontext():
                output = self._original(*args, **kwargs)
            return output
        except FOREIGN_ERRORS as error:
            scope.note_failure(error)
            raise
        finally:
            if called_directly:
                scope.leave(module, output)

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
    """Hooks on every module of ``model``, which must be the tracer's own copy: they are not removed.

    A module that several parents hold has the name below the parent that called it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.on_result: Callable[[str, Any], None] | None = None
        self.in_thread: Callable[[], AbstractContextManager[None]] | None = None
        self._stacks: dict[int, list[Running]] = {}
        self._first: list[Running] = []
        self._first_thread = threading.get_ident()
        self.failure: Failure | None = None
        self._failed_with: BaseException | None = None
        self._seen: dict[str, _Seen] = defaultdict(_Seen)
        self._names: dict[int, list[str]] = defaultdict(list)
        for name, module in model.named_modules(remove_duplicate=False):
            self._names[id(module)].append(name)
        self._modules = dict(model.named_modules(remove_duplicate=False))
        self.script_constants = list(constants_of(model))
        for module in model.modules():
            if not isinstance(module, torch.jit.ScriptModule):
                self._attach(module)
        for script in script_roots(model):
            self._attach_script(script)

    @property
    def stack(self) -> list[Running]:
        """The modules that are running in this thread, the innermost one last."""
        thread = threading.get_ident()
        return self._first if thread == self._first_thread else self._stacks.setdefault(thread, [])

    @contextmanager
    def stack_of_thread(self, stack: list[Running] | None) -> Iterator[None]:
        """In this thread, the modules of ``stack`` are running; where it is None, those that are."""
        thread = threading.get_ident()
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
        return (self.stack[-1].name, self.stack[-1].call) if self.stack else ("", 1)

    def modules(self) -> tuple[ModuleRecord, ...]:
        """Every module in the order of the network, with what was seen of it."""
        return tuple(
            ModuleRecord(
                name=name,
                type=script_type(module),
                calls=seen.calls,
                first_name=next(iter(self._names.get(id(module), ())), name),
                input_shapes=tuple(seen.inputs),
                output_shapes=tuple(seen.outputs),
            )
            for name, module in self.model.named_modules(remove_duplicate=False)
            if not holds_for_layer(module)  # packed weights are their layer's
            for seen in [self._seen.get(name, _Seen())]
        )

    def _attach(self, module: nn.Module) -> None:
        module.register_forward_pre_hook(EnterHook(self), prepend=True, with_kwargs=True)
        module.register_forward_hook(LeaveHook(self), always_call=True)
        module.__dict__["forward"] = WatchedForward(self, module, module.forward)

    def _attach_script(self, script: torch.jit.ScriptModule) -> None:
        """A script module calls no hooks; markers in its graph report the calls of its submodules."""
        original = script.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            depth = len(self.stack)
            self.enter(script, (args, kwargs))
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
        self._push(f"{parent}.{name}" if parent else name, inputs)

    def leave_part(self, outputs: Any) -> None:
        """The submodule that the script module called last is through."""
        self._seen[self.stack.pop().name].outputs.setdefault(shapes_in(outputs))

    def knows(self, module: nn.Module) -> bool:
        """Whether it is a module of the network; one that its forward makes, or copies, is not."""
        return id(module) in self._names

    def enter(self, module: nn.Module, inputs: Any) -> None:
        """A module of the network begins to run; work of any other belongs to the one that runs already."""
        if not self.knows(module):
            return
        names = self._names[id(module)]
        name = names[0]
        if len(names) > 1 and self.stack:
            parent = self.stack[-1].name
            prefix = f"{parent}." if parent else ""
            name = next((n for n in names if n.startswith(prefix) and "." not in n[len(prefix) :]), name)
        self._push(name, inputs)

    def _push(self, name: str, inputs: Any) -> None:
        seen = self._seen[name]
        seen.calls += 1
        shapes = shapes_in(inputs)
        seen.inputs.setdefault(shapes)
        self.stack.append(Running(name, seen.calls, self._modules[name], shapes, node_that_runs()))

    def leave(self, module: nn.Module, output: Any) -> None:
        """Record that the module has returned or raised."""
        if self.stack and self.stack[-1].module is module:
            running = self.stack.pop()
            self._seen[running.name].outputs.setdefault(shapes_in(output))
            if self.on_result is not None:
                self.on_result(running.name, output)

    def note_failure(self, error: BaseException) -> None:
        """Remember the innermost module that was running when ``error`` was raised."""
        if self._failed_with is not error and self.stack:
            self._failed_with = error
            innermost = self.stack[-1]
            self.failure = Failure(innermost.name, script_type(innermost.module), innermost.inputs)
