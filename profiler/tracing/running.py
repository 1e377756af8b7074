"""Runs a network once, on the meta device, under the hooks and the dispatch mode → its :class:`Trace`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from profiler.errors import ProfilerError, TraceError
from profiler.parameters import parameter_records
from profiler.records import ROOT, Mode, ParameterRecord, Trace, show_shapes
from profiler.rules import REGISTRY
from profiler.tracing.backward import BackwardScope
from profiler.tracing.copying import copy_to_meta, to_meta
from profiler.tracing.recorder import OpRecorder, Origins
from profiler.tracing.scope import ModuleScope
from profiler.tracing.tensors import map_inputs, tensors_in

Inputs = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
"""What a network is called with: one tensor, positional arguments, or keyword arguments."""


def call_arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """``inputs`` as positional and keyword arguments of a call."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs), {}
    return (inputs,), {}


def trace(model: nn.Module, inputs: Inputs, mode: Mode = "inference") -> Trace:
    """Record what one call of ``model`` on ``inputs`` does, on a meta copy; the model itself is not run.

    In ``"inference"`` the copy is in eval mode and no gradients are kept.  In ``"training"`` it is in train
    mode and the backward pass that autograd runs from all floating-point results is recorded as well.
    Raises :class:`TraceError` where the network has no modules' worth of work to show, cannot be copied, or
    refuses its inputs.
    """
    twin = copy_to_meta(model)
    twin.train(mode == "training")
    origins = Origins()
    for name, parameter in twin.named_parameters():
        origins.add_parameter(name, parameter)
    arguments, options = map_inputs(call_arguments(inputs), _meta_input)
    for tensor in tensors_in((arguments, options)):
        origins.add_activation(tensor)
    with _random_state_kept():
        if mode == "training":
            scope, recorder = _run_training(twin, arguments, options, origins)
        else:
            scope, recorder = _run_inference(twin, arguments, options, origins)
    if not recorder.calls:
        raise TraceError(
            f"{type(model).__name__} ran no operation at all: there is nothing to count in an empty network"
        )
    parameters = tuple(_with_use(record, origins, recorder) for record in parameter_records(twin))
    return Trace(tuple(recorder.calls), scope.modules(), parameters)


def _with_use(record: ParameterRecord, origins: Origins, recorder: OpRecorder) -> ParameterRecord:
    calls = [recorder.calls[index] for index in origins.uses.get(record.names[0], ())]
    if not calls:
        return record
    costliest = max(calls, key=lambda call: (call.count.flops, call.count.comparisons))
    return replace(record, use=costliest.kind)


def _run_inference(twin: nn.Module, arguments: Any, options: Any, origins: Origins) -> tuple[ModuleScope, OpRecorder]:
    scope = ModuleScope(twin)
    recorder = OpRecorder(REGISTRY, lambda: scope.current, origins)
    with torch.inference_mode(), _explained(twin, scope, recorder), recorder:
        twin(*arguments, **options)
    return scope, recorder


def _run_training(twin: nn.Module, arguments: Any, options: Any, origins: Origins) -> tuple[ModuleScope, OpRecorder]:
    graph = BackwardScope()
    scope = ModuleScope(twin, lambda output, place: graph.claim(list(tensors_in(output)), place))
    recorder = OpRecorder(REGISTRY, lambda: scope.current if scope.stack else graph.current, origins)
    with torch.enable_grad(), _explained(twin, scope, recorder), recorder:
        result = twin(*arguments, **options)
        roots = [tensor for tensor in tensors_in(result) if tensor.requires_grad]
        if not roots:
            raise TraceError(f"{type(twin).__name__} gives no result that needs a gradient: there is nothing to train")
        gradients = [to_meta(tensor) for tensor in roots]
        recorder.phase = "backward"
        torch.autograd.backward(roots, gradients)
    return scope, recorder


def _meta_input(tensor: torch.Tensor) -> torch.Tensor:
    return to_meta(tensor).requires_grad_(tensor.requires_grad)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Leaves the random number generators of torch's CPU and of Python as they were."""
    state = random.getstate()
    with ExitStack() as stack:
        stack.callback(random.setstate, state)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        yield


@contextmanager
def _explained(twin: nn.Module, scope: ModuleScope, recorder: OpRecorder) -> Iterator[None]:
    """Turns what the network raises into a :class:`TraceError` that names the module and the shapes."""
    try:
        yield
    except ProfilerError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or "no message"
        where = f"{type(twin).__name__}"
        if scope.failure is not None:
            failure = scope.failure
            where = f"module {failure.name or ROOT} ({failure.type}) on {show_shapes(failure.inputs)}"
        what = ""
        if recorder.failure is not None:
            what = f" in {recorder.failure.op} of {show_shapes(recorder.failure.inputs)}"
        raise TraceError(f"{where} raised {type(error).__name__}{what}: {reason}") from error
