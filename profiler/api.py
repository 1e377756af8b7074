"""The public functions that need torch: from a network, or a config that names one, to a :class:`Profile`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from profiler.calls import mode_of
from profiler.config import DEFAULT_COUNTERS, Config
from profiler.devices import find_device
from profiler.energy import find_energy_model
from profiler.environment import environment
from profiler.errors import FOREIGN_ERRORS, NeedsDataError, ProfilerError, TraceError, UncountedError, no_exit
from profiler.files import NAME_EXPECTED, folder_name, is_folder_name
from profiler.formatting import bytes_text, plural
from profiler.memory import MemoryRecord
from profiler.models.constructed_inputs import Constructor, is_constructor
from profiler.models.naming import called
from profiler.models.real_copies import BYTES_LIMIT, real_size
from profiler.models.sizes import ABSENT, given_inputs, sizes_hinted
from profiler.models.transformers_caches import prefill_inputs
from profiler.profiles import Profile
from profiler.records import ROOT, Mode, Trace
from profiler.subjects import Subject, advice_of_source, called_code, configured, given, network_and_inputs, part_of
from profiler.traces import live_memory, trace, trace_for_real
from profiler.tracing import Inputs, unaffected_by_caller
from profiler.tracing.attempts import without_data
from profiler.tracing.callables import CallableNetwork
from profiler.tracing.depth import room_for_deep_networks
from profiler.tracing.object_copies import map_inputs
from profiler.tracing.private import without_compiler
from profiler.tracing.scripts import script_type
from profiler.tracing.walking import named_modules


def profile(
    model: nn.Module | Callable[..., Any],
    inputs: Inputs | Constructor = ABSENT,
    *,
    input_size: Sequence[int] | Sequence[Sequence[int]] | None = None,
    mode: Mode = "inference",
    strict: bool = False,
    name: str | None = None,
    optimizer: str | None = None,
    method: str = "forward",
    part: str | None = None,
    exclude: Sequence[str] | str = (),
    memory: bool = False,
) -> Profile:
    """The profile of one call of ``model`` on ``inputs``: its cost, layer by layer.

    ``inputs`` is a tensor, a tuple or list of positional arguments, a mapping of keyword arguments, or both as
    ``(args, kwargs)``, a tuple of exactly a tuple or list and a dict with names as keys; anything else (a packed
    sequence, any other object) is the only argument.  It may also be a function that takes ``model`` and returns one of
    these.  Only shapes and dtypes matter, and the values of integers; tensors may be on meta.  ``input_size``, in place
    of ``inputs``, is the size of a floating-point input, ``(1, 3, 224, 224)``, batch included, or a list of sizes.

    The network is not run on data: a copy of it is traced on the meta device, on copies of the inputs; the originals
    are not changed.  Only if its work depends on its data (``.item()``, ``nonzero``), a copy is run on the CPU, on
    copies of the inputs or on seeded random ones; the report says so.

    ``mode="inference"`` counts a forward pass in eval mode; ``"training"`` a forward pass in train mode and the
    backward pass that autograd runs, and a step of ``optimizer`` (``"sgd"``, ``"momentum"``, ``"adam"``,
    ``"adamw"``) if one is named.  ``method`` is called in place of the forward; it is a dotted path from the module
    (``"encode"``).  ``part`` profiles that module alone (``"backbone.layer3"``), on the inputs of its first call in the
    whole network.  ``exclude`` leaves out modules by name (``"aux*"``) or type: see :meth:`Profile.excluding`.  With
    ``memory`` a second run at once finds out which tensors are alive when: see :attr:`Profile.peak_activation_bytes`.

    ``model`` may be anything else that can be called: a function, a method, a partial, an object; a training step, a
    loss, ``network.generate``.  Its code runs unchanged, on copies of everything that it reaches: the networks and
    optimizers in its closure and its arguments, in what it is bound to and in the globals that it names.  Networks
    keep their modes, and the operations that run decide what belongs to the backward pass or to an optimizer:
    ``mode``, ``optimizer``, ``method`` and ``part`` are for networks.

    With ``strict`` an operation without a rule raises :class:`~profiler.errors.UncountedError`.  Raises
    :class:`~profiler.errors.TraceError` if the network refuses its inputs; the message names the module and the shapes.
    """
    if not isinstance(model, nn.Module):
        for option, given_here, default in (("mode", mode, "inference"), ("method", method, "forward")):
            _check_of_network(option, given_here, default)
        _check_of_network("optimizer", optimizer, None)
        _check_of_network("part", part, None)
        model, inputs = network_and_inputs(model, inputs, input_size)
        input_size = None
    if mode not in ("inference", "training"):
        raise ProfilerError(f"mode: found {mode!r}, expected 'inference' or 'training'")
    if optimizer is not None and mode != "training":
        raise ProfilerError(f"optimizer: found {optimizer!r} in mode {mode!r}, expected it in mode 'training' only")
    if name is not None and not is_folder_name(name):
        raise ProfilerError(f"name: found {name[:60]!r}, expected {NAME_EXPECTED}")
    known, target = called(model)
    inputs = given_inputs(model, inputs, input_size)
    with sizes_hinted(model, inputs):
        subject = _subject(model, inputs, method, part, mode)
        result = _profile(subject, name or folder_name(known), target, mode, optimizer, memory=memory)
    if isinstance(model, CallableNetwork):
        result = replace(result, mode=mode_of(result.trace))
    else:
        kept = _kept_inputs(inputs) if result.trace.whole.memory is None and not result.trace.real_run else None
        if kept is not None:
            result = replace(result, memory_run=_later(model, kept, result, method, part, optimizer))
    result = replace(result, method=method, part=part or "")
    result = result.excluding(*((exclude,) if isinstance(exclude, str) else exclude))
    return _checked(result, strict)


def _kept_inputs(inputs: Any) -> tuple[Any] | None:
    """A copy of the inputs without their data, for a later run; None if that is not possible."""
    if is_constructor(inputs):
        return None
    try:
        return (map_inputs(inputs, without_data),)
    except (*FOREIGN_ERRORS, ProfilerError):
        return None


def _later(
    model: nn.Module, kept: tuple[Any], result: Profile, method: str, part: str | None, optimizer: str | None
) -> Callable[[], MemoryRecord]:
    """A function that finds the live memory of a profile, as long as its network exists and does not change."""
    network, mode, before = weakref.ref(model), result.mode, _make_of(model)

    def run() -> MemoryRecord:
        found = network()
        if found is None or _make_of(found) != before:
            problem = "no longer exists" if found is None else "has changed"
            raise ProfilerError(
                f"{result.name}: its live memory takes a second run, and the network {problem}; "
                "profile it with memory=True"
            )
        subject = _subject(found, kept[0], method, part, mode)
        return _memory(subject, mode, optimizer, "")

    return run


def _make_of(model: nn.Module) -> list[tuple[Any, ...]]:
    """The names and the classes of a network's modules, with the names and the shapes of their parameters."""
    found: list[tuple[Any, ...]] = []
    for name, module in named_modules(model):
        held = module._parameters
        shapes = [(key, _shape(parameter)) for key, parameter in held.items()] if held else ()
        found.append((name, type(module), shapes))
    return found


def _shape(parameter: nn.Parameter | None) -> Any:
    """The shape of a parameter; None for a missing one, and the class of a lazy one, which has no shape yet."""
    if parameter is None:
        return None
    return type(parameter) if nn.parameter.is_lazy(parameter) else parameter.shape


def _check_of_network(option: str, given_here: object, default: object) -> None:
    if given_here != default:
        raise ProfilerError(f"{option}: found {given_here!r} for a callable, expected it for a torch.nn.Module only")


def _subject(model: nn.Module, inputs: Inputs | Constructor, method: str, part: str | None, mode: Mode) -> Subject:
    if isinstance(model, CallableNetwork):
        return called_code(model, inputs)
    subject = given(model, inputs, method)
    return part_of(subject, part, mode) if part else subject


def _check_network(model: Any) -> None:
    if not isinstance(model, nn.Module):
        hint = f"; call it first: {model.__name__}(…)" if isinstance(model, type) else ""
        raise ProfilerError(f"a cross-check needs a torch.nn.Module, not {type(model).__name__}{hint}")


def _check_profile_of(model: nn.Module, profile: Profile) -> None:
    """Raise :class:`ProfilerError` for a profile of something else: of a callable, or of recorded code."""
    found, expected = profile.trace.whole.modules[0].type, script_type(without_compiler(model))
    if not profile.part and found != expected:
        raise ProfilerError(f"crosscheck: found a profile of {found}, expected one of the network, {expected}")


def profile_config(config: Config, *, strict: bool = False, crosscheck: bool = True) -> Profile:
    """The profile of the network of ``config``; with ``crosscheck``, also the reports of the counters that it names.

    Raises the errors of :func:`profile`, and :class:`~profiler.errors.TargetError` if the network cannot be built.
    """
    subject = configured(config)
    result = profile_subject(config, subject, strict=strict)
    if not crosscheck or not config.crosscheck:
        return result
    from profiler.crosschecking import add_counters  # most profiles are not compared with other counters

    return add_counters(result, config.crosscheck, subject)


def crosscheck(
    model: nn.Module | Config,
    inputs: Inputs | Constructor = ABSENT,
    *,
    input_size: Sequence[int] | Sequence[Sequence[int]] | None = None,
    against: Sequence[str] | str | None = None,
    profile: Profile | None = None,
) -> Profile:
    """The profile of a network with the reports of the counters named in ``against``.

    ``model`` is a network, with its ``inputs`` or ``input_size`` as for :func:`profile`, or a config.  ``against`` is
    by default the config's ``crosscheck``, or fvcore.  The comparison is the profile's ``crosscheck`` table, with one
    row for each layer and counter: our MACs, the counter's figure, the difference, and the reason;
    ``profiler.unexplained(table)`` returns the rows without a reason.  If a counter fails or is skipped, the profile's
    ``counters`` say so.

    ``profile`` is an existing profile of this network and these inputs, to which the reports are added: the counters
    call its ``method`` and run its ``part``.  Raises :class:`~profiler.errors.ProfilerError` for a counter that is not
    known.
    """
    from profiler.crosschecking import add_counters

    names = (against,) if isinstance(against, str) else against
    if isinstance(model, Config):
        subject = configured(model)
        result = profile_subject(model, subject) if profile is None else profile
        return add_counters(result, (model.crosscheck or DEFAULT_COUNTERS) if names is None else names, subject)
    _check_network(model)
    inputs = given_inputs(model, inputs, input_size)
    with sizes_hinted(model, inputs):
        if profile is None:
            subject = _subject(model, inputs, "forward", None, "inference")
            known, target = called(model)
            profile = _profile(subject, folder_name(known), target, "inference", None)
        else:
            _check_profile_of(model, profile)
            subject = _subject(model, inputs, profile.method, profile.part, profile.mode)
    return add_counters(profile, DEFAULT_COUNTERS if names is None else names, subject)


def profile_subject(config: Config, subject: Subject, *, strict: bool = False) -> Profile:
    """The profile of ``subject``, which ``configured`` made of the config, shown as the config says."""
    device = None if config.device is None else find_device(config.device, config.base)
    energy = None if config.energy is None else find_energy_model(config.energy, config.base)
    with advice_of_source(config):
        what = config.name, config.model.target, config.mode, config.optimizer
        result = _profile(subject, *what, memory=config.memory)
    if config.generate is not None:
        network, _ = subject.static()
        result = with_generation(
            result, network, config.generate.prompt, config.generate.new_tokens, config.generate.batch
        )
    result = replace(
        result,
        device=device,
        energy_model=energy,
        throughput=config.throughput,
        method=config.method,
        part=config.part or "",
        cache=0 if config.cache is None else config.cache.length,
    ).excluding(*config.exclude)
    if not (config.memory or result.trace.real_run):
        result = replace(result, memory_run=lambda: _memory(configured(config), config.mode, config.optimizer, ""))
    return _checked(result, strict).with_convention(config.convention).with_views(*config.views)


def with_generation(result: Profile, network: nn.Module, prompt: int, new_tokens: int, batch: int) -> Profile:
    """The profile of a run on a prompt, with the decode steps that follow it."""
    from profiler.generating import generation_of  # most profiles are not of a generation

    def traced(step: Subject) -> Trace:
        return _trace(step, "inference", None)

    found = generation_of(network, prompt, new_tokens, batch, result.trace, traced)
    return replace(result, trace=replace(result.trace, generation=found))


def generation(
    model: nn.Module,
    *,
    prompt: int,
    new_tokens: int,
    batch: int = 1,
    name: str | None = None,
    strict: bool = False,
) -> Profile:
    """The profile of a causal language model of transformers that generates text.

    ``new_tokens`` tokens follow a prompt of ``prompt`` tokens, for ``batch`` texts at once.  The profile is that of
    prefill, the run on the prompt, and its ``generation`` is a table of prefill, decode steps and the whole, with the
    cache of the class of the network.  ``docs/serving.md`` defines the figures.

    Raises :class:`~profiler.errors.TargetError` if the network is no causal language model with a cache, and
    :class:`ProfilerError` for a number that is not positive.
    """
    for what, number in (("prompt", prompt), ("new_tokens", new_tokens), ("batch", batch)):
        if type(number) is not int or number < 1:
            raise ProfilerError(f"{what}: found {number!r}, expected a positive integer")
    if not isinstance(model, nn.Module):
        raise ProfilerError(f"a generation needs a torch.nn.Module, not {type(model).__name__}")
    result = profile(model, prefill_inputs(model, prompt, batch), name=name)
    return _checked(with_generation(result, model, prompt, new_tokens, batch), strict)


def _profile(
    subject: Subject, name: str, target: str, mode: Mode, optimizer: str | None, *, memory: bool = False
) -> Profile:
    traced = _trace(subject, mode, optimizer)
    if memory:
        traced = replace(traced, memory=_memory(subject, mode, optimizer, traced.real_run))
    return Profile(name, target, mode, traced, environment(), part_calls=subject.part_calls())


def _checked(result: Profile, strict: bool) -> Profile:
    if strict:
        check_complete(result)
    return result


@no_exit("the network")
@room_for_deep_networks()
@unaffected_by_caller()
def _trace(subject: Subject, mode: Mode, optimizer: str | None) -> Trace:
    """The trace on meta, or of a real run if the network, or the cost of one of its operations, depends on data."""
    model, inputs = subject.static()
    try:
        on_meta = trace(model, inputs, mode, optimizer)
    except NeedsDataError as error:
        size = real_size(model)
        if size > BYTES_LIMIT:
            too_large = f"a real run would take {bytes_text(size)}, above the limit of {bytes_text(BYTES_LIMIT)}"
            raise TraceError(f"{error}; {too_large}") from error
        return trace_for_real(*subject.real(True), mode, optimizer, reason=str(error))
    if not on_meta.data_dependent or real_size(model) > BYTES_LIMIT:
        return on_meta
    reason = f"what {' and '.join(on_meta.data_dependent)} costs depends on its data"
    try:
        return trace_for_real(*subject.real(True), mode, optimizer, reason=reason)
    except TraceError:
        return on_meta


@no_exit("the network")
@room_for_deep_networks()
@unaffected_by_caller()
def _memory(subject: Subject, mode: Mode, optimizer: str | None, real_run: str) -> MemoryRecord:
    """The storages of a run like the one that was traced."""
    model, inputs = subject.real(True) if real_run else subject.static()
    return live_memory(model, inputs, mode, optimizer, reason=real_run)


def check_complete(result: Profile) -> None:
    """Raise :class:`UncountedError` if the profile is partial."""
    if result.complete:
        return
    table = result.uncounted
    reasons = [f"{item.module or ROOT}: {item.reason}" for item in result.trace.unseen]
    if len(table):
        ops = "; ".join(
            f"{op} ({plural(calls, 'call')} in {modules})"
            for op, calls, modules in zip(table["op"], table["calls"], table["modules"], strict=True)
        )
        have = "has" if len(table) == 1 else "have"
        reasons.insert(0, f"{plural(len(table), 'operation')} {have} no rule: {ops}")
    raise UncountedError(f"{result.name}: strict mode: {'; '.join(reasons)}")
