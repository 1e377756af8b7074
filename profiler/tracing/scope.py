"""Which module is running: forward hooks keep the stack of running modules and note what went in and out."""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from profiler.records import ModuleRecord
from profiler.tracing.scripts import constants_of, script_roots, script_type
from profiler.tracing.tensors import shapes_in

Shapes = tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class Running:
    """A module that is running now, under the name by which it was reached, in its n-th call."""

    name: str
    call: int
    module: nn.Module
    inputs: Shapes = ()


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


class ModuleScope:
    """Hooks on every module of ``model``, which must be the tracer's own copy: they are not taken off.

    A module that several parents hold goes by the name below the parent that called it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.stack: list[Running] = []
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
            for seen in [self._seen.get(name, _Seen())]
        )

    def _attach(self, module: nn.Module) -> None:
        original = module.forward

        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            self._enter(module, (args, kwargs))

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            self._leave(module, output)

        @functools.wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            called_directly = not self.stack or self.stack[-1].module is not module
            if called_directly:
                self._enter(module, (args, kwargs))
            output = None
            try:
                output = original(*args, **kwargs)
                return output
            except Exception as error:
                self._note_failure(error)
                raise
            finally:
                if called_directly:
                    self._leave(module, output)

        module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
        module.register_forward_hook(leave, always_call=True)
        module.__dict__["forward"] = forward

    def _attach_script(self, script: torch.jit.ScriptModule) -> None:
        """A script module calls no hooks, and its submodules' calls are told by markers."""
        original = script.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            depth = len(self.stack)
            self._enter(script, (args, kwargs))
            output = None
            try:
                output = original(*args, **kwargs)
                return output
            except Exception as error:
                self._note_failure(error)
                raise
            finally:
                del self.stack[depth + 1 :]
                self._leave(script, output)

        script.__dict__["forward"] = forward

    def enter_part(self, name: str, inputs: Any) -> None:
        """The script module that runs now calls its submodule ``name``."""
        parent = self.stack[-1].name
        self._push(f"{parent}.{name}" if parent else name, inputs)

    def leave_part(self, outputs: Any) -> None:
        """The submodule that the script module called last is through."""
        self._seen[self.stack.pop().name].outputs.setdefault(shapes_in(outputs))

    def _enter(self, module: nn.Module, inputs: Any) -> None:
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
        self.stack.append(Running(name, seen.calls, self._modules[name], shapes))

    def _leave(self, module: nn.Module, output: Any) -> None:
        if self.stack and self.stack[-1].module is module:
            running = self.stack.pop()
            self._seen[running.name].outputs.setdefault(shapes_in(output))

    def _note_failure(self, error: BaseException) -> None:
        if self._failed_with is not error and self.stack:
            self._failed_with = error
            innermost = self.stack[-1]
            self.failure = Failure(innermost.name, script_type(innermost.module), innermost.inputs)
