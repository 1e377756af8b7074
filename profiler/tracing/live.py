"""User code that is recorded while it runs, on its own objects; its behavior is not changed.

Modules are found by torch's global hooks.  The outermost ones have the names of their classes, those below them their
names there.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parameter import is_lazy

from profiler.records import WHILE_IT_RAN, Recording
from profiler.tracing.backward import BackwardScope
from profiler.tracing.causal_bias import causal_bias_traceable
from profiler.tracing.code_origins import LiveOrigins
from profiler.tracing.describing import Operators
from profiler.tracing.functions import FunctionWatcher
from profiler.tracing.gradients import Autograd
from profiler.tracing.noted import recording_of
from profiler.tracing.objects import tensors_in
from profiler.tracing.origins import storage_of
from profiler.tracing.packed import packed_tensors
from profiler.tracing.parameters import parameter_records
from profiler.tracing.phases import Phases
from profiler.tracing.private import flex_attention_traceable, node_that_runs, without_compiler
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.scope import ModuleScope
from profiler.tracing.scripts import script_type
from profiler.tracing.threads import RunInThreads
from profiler.tracing.unseen import UnseenWork
from profiler.tracing.walking import modules_of, named_modules, named_parameters


class Code(nn.Module):
    """Represents the recorded code: its children are the outermost modules that the code called."""


class _Autograd(Autograd):
    """Lets the code decide whether operators use autograd."""

    def __enter__(self) -> _Autograd:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def follow(self) -> None:
        return

    def in_other_thread(self) -> Autograd:
        return self


class _Unseen(UnseenWork):
    """Ignores values that code reads outside of modules, such as a loss that it prints."""

    def note(self, module: str, reason: str) -> None:
        if module:
            super().note(module, reason)


class _LiveScope(ModuleScope):
    """Adds modules when they run; ``is_ours`` says whether a thread belongs to the recorded code."""

    def __init__(self, origins: LiveOrigins) -> None:
        super().__init__(Code())
        self._origins = origins
        self._numbers: Counter[str] = Counter()
        self.is_ours: Callable[[], bool] = lambda: True
        self.seen_as("").calls = 1

    def _attach(self, module: nn.Module) -> None:
        """Nothing to do: global hooks report its calls."""

    def _attach_script(self, script: nn.Module) -> None:
        """Nothing to do: the script is the caller's own."""

    def begin(self, module: nn.Module, args: Any) -> None:
        """Record that a module is called; the outermost one is added."""
        if not self.is_ours() or without_compiler(module) is not module:
            return
        if not self.knows(module) and not self.stack:
            self._take_in(module)
        self.enter(module, args)

    def end(self, module: nn.Module, args: Any, output: Any) -> None:
        """Record that the module has returned or raised, and with it those that it called and that never returned."""
        if not self.is_ours():
            return
        if any(running.module is module for running in self.stack):
            while self.stack[-1].module is not module:
                self.stack.pop()
            self.leave(module, output)

    def _take_in(self, module: nn.Module) -> None:
        kind = script_type(module)
        self._numbers[kind] += 1
        name = kind if self._numbers[kind] == 1 else f"{kind}_{self._numbers[kind]}"
        self.model._modules[name] = module
        held = [(f"{name}.{inner}" if inner else name, found) for inner, found in named_modules(module, repeated=True)]
        self.add(held)
        for inner, parameter in named_parameters(held):
            self._origins.add_parameter(inner, parameter)
        for packed in packed_tensors(held):
            self._origins.add_packed(packed)
        for tensor in (*module.buffers(), *tensors_in([vars(part) for part in modules_of(module)])):
            if not (is_lazy(tensor) or isinstance(tensor, nn.Parameter)):
                self._origins.know(tensor, storage_of(tensor))


class LiveRun:
    """Records what runs between ``start`` and ``stop``, in this thread and in those that it starts."""

    def __init__(self, operators: Operators) -> None:
        origins = LiveOrigins()
        self._scope = _LiveScope(origins)
        phases = Phases(self._is_ours)
        graph = BackwardScope()
        graph.note(("", 1), None)  # nodes from before have no source
        unseen = _Unseen(self._scope.model, (), origins)
        autograd = _Autograd(may_skip=False)
        self._recorder = OpRecorder(operators, self._scope, origins, graph, autograd, unseen, phases, as_called=True)
        self._scope.on_result = self._recorder.note_result
        self._scope.is_ours = self._is_ours
        self._threads = RunInThreads(self._scope, self._recorder, None)
        self._phases = phases
        self._stack = ExitStack()

    def _is_ours(self) -> bool:
        """Whether this thread belongs to the recorded code; autograd runs nodes in its own threads."""
        return self._threads.includes_this_thread() or (
            node_that_runs() is not None and threading.current_thread().__class__ is threading._DummyThread
        )

    def start(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(flex_attention_traceable())
            stack.enter_context(causal_bias_traceable())
            stack.enter_context(self._threads.followed())
            stack.enter_context(self._phases.followed())
            stack.callback(register_module_forward_pre_hook(self._scope.begin).remove)
            stack.callback(register_module_forward_hook(self._scope.end, always_call=True).remove)
            stack.enter_context(FunctionWatcher(self._recorder, None))
            stack.enter_context(self._recorder)
            self._stack = stack.pop_all()

    def stop(self) -> Recording:
        self._stack.close()
        self._recorder.close()
        scope = self._scope
        named = named_modules(scope.model, repeated=True)
        made = recording_of(
            self._threads.calls, scope.records(named), parameter_records(named), self._recorder.unseen.notes
        )
        return replace(made, real_run=WHILE_IT_RAN)
