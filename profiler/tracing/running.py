"""Runs a network once, on the meta device, under the hooks and the dispatch mode → a recording of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from profiler.errors import FOREIGN_ERRORS, NeedsDataError, ProfilerError, TraceError
from profiler.garbage import without_collection
from profiler.records import ROOT, Mode, ModuleRecord, ParameterRecord, Recording, show_shapes
from profiler.tracing.attempts import Attempt, attempt_for_real, attempt_on_meta, set_training
from profiler.tracing.backward import BackwardScope
from profiler.tracing.callables import CallableNetwork
from profiler.tracing.calls import Inputs
from profiler.tracing.causal_bias import causal_bias_traceable
from profiler.tracing.code_origins import CodeOrigins
from profiler.tracing.copying import has_lazy_parts
from profiler.tracing.describing import Operators
from profiler.tracing.failures import caused_by_missing_data
from profiler.tracing.functions import FunctionWatcher
from profiler.tracing.gradients import Autograd, lacks_graph
from profiler.tracing.lifetimes import LifetimeRecorder, Lifetimes, PassingCodeOrigins, PassingOrigins, PassingScope
from profiler.tracing.makes import Make
from profiler.tracing.noted import Noted, recording_of
from profiler.tracing.objects import returned_tensors, tensors_in
from profiler.tracing.optimizers import make_optimizer
from profiler.tracing.origins import Origins, storage_of
from profiler.tracing.packed import packed_tensors
from profiler.tracing.parameters import parameter_records, parameter_records_of_tree
from profiler.tracing.phases import Phases
from profiler.tracing.private import flex_attention_traceable, without_compiler
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.scope import ModuleScope
from profiler.tracing.scripts import as_written, frozen_weights, has_scripts, script_type
from profiler.tracing.state import kept_state
from profiler.tracing.surroundings import unaffected_by_caller
from profiler.tracing.tensors import SPARSE
from profiler.tracing.threads import RunInThreads
from profiler.tracing.unseen import UnseenWork
from profiler.tracing.walking import each_once, modules_of, named_buffers, named_modules, named_parameters, tensors_of


@dataclass(frozen=True, slots=True)
class Recorded:
    """What hooks and recorders recorded in a run: ``calls`` are those of all its threads."""

    scope: ModuleScope
    recorder: OpRecorder
    calls: list[Noted]


Run = Callable[[Attempt, Origins], Recorded]
"""A function that runs an attempt once, with hooks and a recorder."""


def record(
    model: nn.Module,
    inputs: Inputs,
    mode: Mode = "inference",
    optimizer: str | None = None,
    *,
    operators: Operators,
    prepare: Callable[[nn.Module], None] | None = None,
    lifetimes: Lifetimes | None = None,
    make: Make | None = None,
) -> Recording:
    """Record one call of ``model`` on ``inputs``, on a meta copy; the model itself is not run.

    In ``"inference"`` the copy is in eval mode and no gradients are kept.  In ``"training"`` it is in train
    mode and the backward pass that autograd runs from all floating-point results is recorded as well, and then,
    where one is named, a step of the optimizer (see ``OPTIMIZERS``) as it is from its second step on.
    A :class:`CallableNetwork` runs as its code says, whatever ``mode`` is: its modules stay in the modes that they are
    in, and what is of which phase follows from what runs.
    ``prepare`` is given each copy before it runs, and may change it.  With ``lifetimes`` nothing keeps storages alive
    that would be freed in a real run, and ``lifetimes`` notes when they are.  ``make`` is
    that of the network, if it is known.
    Raises :class:`TraceError` if the network runs nothing, cannot be copied, or refuses its inputs, and
    :class:`NeedsDataError` if the meta device cannot run it.
    """
    model = without_compiler(model)
    make = make if prepare is None and lifetimes is None else None
    if make is None and any(tensor.layout in SPARSE for tensor in tensors_of(modules_of(model))):
        raise NeedsDataError(f"{type(model).__name__} has sparse tensors, which have no elements on the meta device")
    return _record(
        lambda: attempt_on_meta(model, inputs, make), _mode(model, mode), optimizer, operators, prepare, lifetimes, make
    )


def record_for_real(
    model: nn.Module,
    inputs: Inputs,
    mode: Mode = "inference",
    optimizer: str | None = None,
    *,
    operators: Operators,
    reason: str,
    prepare: Callable[[nn.Module], None] | None = None,
    lifetimes: Lifetimes | None = None,
) -> Recording:
    """The same for a network that needs data: runs a copy of ``model`` with its real tensors on real ``inputs``.

    The counts then depend on the values; random numbers are drawn from a fixed seed.
    """
    model = without_compiler(model)
    recorded = _record(
        lambda: attempt_for_real(model, inputs), _mode(model, mode), optimizer, operators, prepare, lifetimes
    )
    return replace(recorded, real_run=reason)


def _mode(model: nn.Module, mode: Mode) -> Mode | None:
    """The mode to run in; None for a callable, whose code decides."""
    return None if isinstance(model, CallableNetwork) else mode


@unaffected_by_caller()
def _record(
    make: Callable[[], Attempt],
    mode: Mode | None,
    optimizer: str | None,
    operators: Operators,
    prepare: Callable[[nn.Module], None] | None = None,
    lifetimes: Lifetimes | None = None,
    known: Make | None = None,
) -> Recording:
    """The recording of the first way of running that the network allows; ``make`` makes new copies for each."""
    gradients: Callable[[], AbstractContextManager[Any]] = torch.no_grad

    def fresh() -> Attempt:
        attempt = make()
        if mode is not None:
            set_training(attempt, mode == "training")
        if prepare is not None:
            prepare(attempt.network)
        return attempt

    if mode == "training":
        return _record_run(fresh, partial(_run_training, optimizer, operators, lifetimes), lifetimes)
    if mode is None:
        gradients = nullcontext
    may_skip = True
    while True:
        autograd = Autograd(may_skip=may_skip)
        try:
            result = _record_run(
                fresh, partial(_run_inference, gradients, autograd, operators, lifetimes, known), lifetimes
            )
        except _GraphError:
            if gradients is not torch.no_grad:
                raise
            gradients = torch.enable_grad  # the network cannot run without gradients
        except TraceError:
            if not autograd.missed:
                raise
        else:
            if not autograd.missed:
                return result
        may_skip = may_skip and not autograd.missed


class _GraphError(TraceError):
    """The network needs a derivative of something that was computed without gradients."""


@kept_state()
def _record_run(make: Callable[[], Attempt], run: Run, lifetimes: Lifetimes | None) -> Recording:
    attempt = make()
    network = attempt.network
    if attempt.make is None and has_lazy_parts(modules_of(network)):
        _make_lazy_parts(attempt)
        attempt = replace(make(), network=network)  # changes of the inputs by the first run do not matter
    kinds = (CodeOrigins, Origins) if lifetimes is None else (PassingCodeOrigins, PassingOrigins)
    origins = kinds[0]() if isinstance(network, CallableNetwork) else kinds[1]()
    if attempt.make is None:
        attempt = replace(attempt, named=named_modules(network, repeated=True))
    written = _know(origins, attempt)
    for tensor in (*tensors_in((attempt.arguments, attempt.options)), *attempt.reached):
        if not origins.is_parameter(tensor):
            origins.add_activation(tensor)
    if lifetimes is not None:
        lifetimes.restart(tensors_in((attempt.arguments, attempt.options)), tensors_of(modules_of(network)))
    with flex_attention_traceable(), causal_bias_traceable(), written:
        recorded = run(attempt, origins)
    if not recorded.calls:
        raise TraceError(
            f"{type(network).__name__} ran no operation: there is nothing to count"
            + ("" if isinstance(network, CallableNetwork) else " in an empty network")
            + "".join(f"; {note.module or ROOT}: {note.reason}" for note in recorded.recorder.unseen.notes)
        )
    if lifetimes is not None:
        lifetimes.finish(network)
    with without_collection():
        modules, parameters = _records(attempt, recorded.scope)
        recorded.scope.let_go()
    return recording_of(recorded.calls, modules, parameters, recorded.recorder.unseen.notes)


def _records(attempt: Attempt, scope: ModuleScope) -> tuple[tuple[ModuleRecord, ...], tuple[ParameterRecord, ...]]:
    """The records of the modules and the parameters of a network after its run, which may have changed both.

    Code that was read adds none; that its modules hold the same ones as before is looked at too.
    """
    make, layers = attempt.make, scope.layers
    if make is not None and make.read and layers is not None and layers.holds_as_before():
        records = scope.records(attempt.named)
        if make.tied:
            return records, parameter_records(attempt.named, plain=True)
        return records, parameter_records_of_tree(attempt.named, make.numbers)
    named = named_modules(attempt.network, repeated=True)
    plain = make is not None and [id(module) for _, module in attempt.named] == [id(module) for _, module in named]
    return scope.records(named), parameter_records(named, plain=plain)


def _know(origins: Origins, attempt: Attempt) -> AbstractContextManager[None]:
    """Record the origins of the tensors of a network; returns a context in which its scripts run as written."""
    if attempt.make is not None:
        origins.add_copies(attempt.named)
        return nullcontext()
    once = each_once(attempt.named)
    for name, parameter in (*named_parameters(once), *frozen_weights(once)):
        origins.add_parameter(name, parameter)
    for packed in packed_tensors(attempt.named):
        origins.add_packed(packed)
    for _, buffer in named_buffers(once):
        origins.know(buffer, storage_of(buffer))
    return as_written(module for _, module in once)


def _make_lazy_parts(attempt: Attempt) -> None:
    """Run the network once without recording: lazy parameters get their shapes from their first inputs."""
    network = attempt.network
    try:
        with torch.no_grad():
            network(*attempt.arguments, **attempt.options)
    except NotImplementedError as error:
        raise NeedsDataError(f"{type(network).__name__} needs data that meta tensors do not have") from error
    except FOREIGN_ERRORS as error:
        raise TraceError(
            f"{type(network).__name__} has lazy parameters, and the run that gives them their shapes raised "
            f"{type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _run_inference(
    gradients: Callable[[], AbstractContextManager[Any]],
    autograd: Autograd,
    operators: Operators,
    lifetimes: Lifetimes | None,
    known: Make | None,
    attempt: Attempt,
    origins: Origins,
) -> Recorded:
    network = attempt.network
    phases = Phases() if isinstance(network, CallableNetwork) else None
    graph = None if phases is None else BackwardScope()
    scope, recorder = _recording(attempt, operators, origins, graph, autograd, phases, lifetimes)
    home = _home(network, recorder)
    threads = RunInThreads(scope, recorder, home)
    watcher = FunctionWatcher(recorder, home)
    steps = nullcontext() if phases is None else phases.followed()
    explained = _explained(network, scope, recorder, threads)
    with gradients(), explained, threads.followed(), steps, autograd, watcher, recorder:
        if phases is None and lifetimes is None:
            scope.layers = recorder.layer_calls(known)
        network(*attempt.arguments, **attempt.options)
    return Recorded(scope, recorder, threads.calls)


def _recording(
    attempt: Attempt,
    operators: Operators,
    origins: Origins,
    graph: BackwardScope | None,
    autograd: Autograd,
    phases: Phases | None = None,
    lifetimes: Lifetimes | None = None,
) -> tuple[ModuleScope, OpRecorder]:
    """Install hooks on the network, and yield a recorder that knows its inputs."""
    direct = attempt.make is None or attempt.make.names_forward
    scope = (ModuleScope if lifetimes is None else PassingScope)(attempt.network, attempt.named, direct=direct)
    unseen = UnseenWork(attempt.network, (attempt.arguments, attempt.options), origins, attempt.copies)
    make = OpRecorder if lifetimes is None else partial(LifetimeRecorder, lifetimes)
    recorder = make(operators, scope, origins, graph, autograd, unseen, phases)
    scope.on_result = recorder.note_result
    if phases is not None:
        phases.on_step = recorder.check_step
    for tensor, real in attempt.values:
        recorder.note_values(tensor, real)
    given = (*tensors_in((attempt.arguments, attempt.options)), *attempt.reached)
    recorder.met_meta = any(tensor.is_meta for tensor in given)
    return scope, recorder


def _home(network: nn.Module, recorder: OpRecorder) -> torch.device:
    """Where the network runs."""
    on_meta = recorder.met_meta or any(parameter.is_meta for parameter in network.parameters())
    return torch.device("meta" if on_meta else "cpu")


def _run_training(
    optimizer: str | None, operators: Operators, lifetimes: Lifetimes | None, attempt: Attempt, origins: Origins
) -> Recorded:
    network = attempt.network
    autograd = Autograd(may_skip=False)
    scope, recorder = _recording(attempt, operators, origins, BackwardScope(), autograd, lifetimes=lifetimes)
    saving = nullcontext() if lifetimes is None else lifetimes.saving(lambda: scope.current[0])
    home = _home(network, recorder)
    threads = RunInThreads(scope, recorder, home)
    watcher = FunctionWatcher(recorder, home)
    explained = _explained(network, scope, recorder, threads)
    with torch.enable_grad(), explained, threads.followed(), recorder.autograd, watcher, saving:
        with recorder:
            result = network(*attempt.arguments, **attempt.options)
        roots = [tensor for tensor in returned_tensors(result) if tensor.requires_grad]
        if not roots:
            raise TraceError(f"{script_type(network)} returns nothing that needs a gradient: there is nothing to train")
        gradients = [torch.ones_like(tensor) for tensor in roots]
        for gradient in gradients:
            origins.add_activation(gradient)
        if lifetimes is not None:
            lifetimes.add_seeds(gradients)
        recorder.in_backward = True
        with recorder:
            torch.autograd.backward(roots, gradients)
        if optimizer is not None:
            _step(make_optimizer(optimizer, network), recorder)
    return Recorded(scope, recorder, threads.calls)


def _step(optimizer: torch.optim.Optimizer, recorder: OpRecorder) -> None:
    """Record the optimizer's second step: the first one creates its state."""
    optimizer.step()
    recorder.in_optimizer = True
    with torch.no_grad(), recorder:
        optimizer.step()


@contextmanager
def _explained(network: nn.Module, scope: ModuleScope, recorder: OpRecorder, threads: RunInThreads) -> Iterator[None]:
    """Convert exceptions of the network to a :class:`TraceError` that names the module and the shapes."""
    try:
        yield
        if threads.lacked_data():
            raise NeedsDataError(f"{script_type(network)} needs data that meta tensors do not have, in another thread")
    except ProfilerError:
        raise
    except FOREIGN_ERRORS as error:
        cause: BaseException = error
        if recorder.failure is not None and isinstance(error, RuntimeError) and has_scripts(network.modules()):
            cause = recorder.failure.error  # TorchScript replaces it by its own exception
        reason = " ".join(str(cause).split()) or "no message"
        where = f"{script_type(network)}"
        if scope.failure is not None:
            failure = scope.failure
            where = f"module {failure.name or ROOT} ({failure.type}) on {show_shapes(failure.inputs)}"
        what = ""
        if recorder.failure is not None:
            what = f" in {recorder.failure.op} of {show_shapes(recorder.failure.inputs)}"
        elsewhere = recorder.moved_with_gradients and lacks_graph(cause)  # gradients of tensors on another device
        lacks_data = caused_by_missing_data(cause, recorder.failure, recorder.function_failure)
        if lacks_data or elsewhere or threads.met_lack_of_data():
            raise NeedsDataError(f"{where} needs data that meta tensors do not have{what}") from error
        lacking = _GraphError if lacks_graph(cause) else TraceError
        raise lacking(f"{where} raised {type(cause).__name__}{what}: {reason}") from error
