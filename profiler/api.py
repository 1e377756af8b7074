"""The public functions that need torch: from a network, or a config that names one, to a :class:`Profile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from types import FunctionType
from typing import Any

import torch
from torch import nn

from profiler.config import Config
from profiler.crosschecks.calling import installed_version
from profiler.crosschecks.counters import COUNTERS, DISTRIBUTIONS, IN_OWN_PROCESS, ON_META
from profiler.crosschecks.process import FromFunction, FromObject, Source, count_in_process
from profiler.errors import NeedsDataError, ProfilerError, TraceError, UncountedError, no_exit
from profiler.files import NAME_EXPECTED, folder_name, is_folder_name
from profiler.formatting import bytes_text, thousands
from profiler.models.constructed_inputs import Constructor
from profiler.models.naming import called
from profiler.models.real_copies import BYTES_LIMIT, real_size
from profiler.models.sizes import ABSENT, given_inputs, sizes_hinted
from profiler.profiles import Profile
from profiler.records import ROOT, CounterRecord, Mode, Trace
from profiler.subjects import Subject, configured, given, next_step_told, packed, part_of
from profiler.tables import total_count
from profiler.traces import trace, trace_for_real
from profiler.tracing import Inputs, unaffected_by_caller
from profiler.tracing.depth import room_for_deep_networks
from profiler.tracing.state import kept_state

MACS_LIMIT = 500 * 10**9
"""Above this many MACs no other counter is asked, since it would run the network for real."""

LONG_RUN = 20 * 10**9
"""Above this many MACs a counter runs in a process of its own, so that it can be given up."""


def profile(
    model: nn.Module,
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
) -> Profile:
    """What one call of ``model`` on ``inputs`` costs, layer by layer.

    ``inputs`` is a tensor, a tuple or list of positional arguments, a mapping of keyword arguments, or both as
    ``(args, kwargs)``, a tuple of exactly a tuple or list and a dict with names as keys; anything else (a packed
    sequence, an object of one's own) is the one argument.  It may be a function that is given ``model`` and returns
    one of them, too.  Only shapes and dtypes matter, and the values of integers; tensors may be on meta.
    ``input_size`` in their place is the size of a floating input, ``(1, 3, 224, 224)``, batch included, or a list of
    sizes for several.

    The network is not run on data: a copy of it is traced on the meta device, on copies of the inputs, and both come
    back exactly as they were.  Only where what it does depends on its data (``.item()``, ``nonzero``) is a copy run
    on the CPU, on copies of the inputs or on seeded random ones; the report says so.

    ``mode="inference"`` counts a forward pass in eval mode; ``"training"`` a forward pass in train mode and the
    backward pass that autograd runs, and a step of ``optimizer`` (``"sgd"``, ``"momentum"``, ``"adam"``,
    ``"adamw"``) where one is named.  ``method`` is what is called in place of the forward, a dotted path from the
    module (``"encode"``).  ``part`` profiles that module alone (``"backbone.layer3"``), on what the whole network calls
    it with first.  ``exclude`` leaves out modules by name (``"aux*"``) or type: see :meth:`Profile.excluding`.

    With ``strict`` an operation without a rule raises
    :class:`~profiler.errors.UncountedError`.  Raises :class:`~profiler.errors.TraceError` where the network
    refuses its inputs; the message names the module and the shapes.
    """
    if not isinstance(model, nn.Module):
        raise ProfilerError(f"profile expects a torch.nn.Module, not {type(model).__name__}{_to_be_called(model)}")
    if mode not in ("inference", "training"):
        raise ProfilerError(f"mode: found {mode!r}, expected 'inference' or 'training'")
    if optimizer is not None and mode != "training":
        raise ProfilerError(f"optimizer: found {optimizer!r} in mode {mode!r}, expected it in mode 'training' only")
    if name is not None and not is_folder_name(name):
        raise ProfilerError(f"name: found {name[:60]!r}, expected {NAME_EXPECTED}")
    known, target = called(model)
    inputs = given_inputs(model, inputs, input_size)
    with sizes_hinted(model, inputs):
        subject = given(model, inputs, method)
        if part:
            subject = part_of(subject, part, mode)
        result = _profile(subject, name or folder_name(known), target, mode, optimizer)
    result = replace(result, method=method, part=part or "")
    result = result.excluding(*((exclude,) if isinstance(exclude, str) else exclude))
    return _checked(result, strict)


def _to_be_called(builder: Any) -> str:
    """What to do with a class or function that was given in the place of the network that it builds."""
    return f"; call it first: {builder.__name__}(…)" if isinstance(builder, type | FunctionType) else ""


def profile_config(config: Config, *, strict: bool = False, crosscheck: bool = True) -> Profile:
    """What the network of ``config`` costs; with ``crosscheck``, what the counters that it names say as well.

    Raises as :func:`profile` does, and :class:`~profiler.errors.TargetError` where the network cannot be built.
    """
    subject = configured(config)
    with next_step_told(config):
        result = _profile(subject, config.name, config.model.target, config.mode, config.optimizer)
    result = replace(
        result,
        method=config.method,
        part=config.part or "",
        cache=0 if config.cache is None else config.cache.length,
    ).excluding(*config.exclude)
    result = _checked(result, strict)
    result = result.by(config.convention).seen_as(*config.views)
    return result.crosscheck(config.crosscheck) if crosscheck else result


def crosscheck(
    model: nn.Module | Config, inputs: Inputs | Constructor | None = None, *, against: Sequence[str] = ("fvcore",)
) -> Profile:
    """The profile of a network with what the counters named in ``against`` say of it.

    ``model`` is a network, with its ``inputs`` as for :func:`profile`, or a config.  The comparison is the
    profile's ``agreement`` table, one row a layer and counter: our MACs, the counter's figure, the difference,
    and the reason; ``profiler.unexplained(table)`` gives the rows that have none.  A counter that fails or is
    skipped says so in the profile's ``counters``.
    """
    if isinstance(model, Config):
        return profile_config(model.model_copy(update={"crosscheck": tuple(against)}))
    if inputs is None:
        raise ProfilerError("crosscheck of a network needs its inputs")
    return profile(model, inputs).crosscheck(against)


def _profile(subject: Subject, name: str, target: str, mode: Mode, optimizer: str | None) -> Profile:
    def ask(profile: Profile, counters: Sequence[str]) -> Profile:
        return _counted_by(profile, counters, subject)

    traced = _trace(subject, mode, optimizer)
    return Profile(name, target, mode, traced, _environment(), part_calls=subject.part_calls(), ask=ask)


def _checked(result: Profile, strict: bool) -> Profile:
    if strict:
        check_complete(result)
    return result


@no_exit("the network")
@room_for_deep_networks()
@unaffected_by_caller()
def _trace(subject: Subject, mode: Mode, optimizer: str | None) -> Trace:
    """The trace on meta; where the network, or what one of its operations costs, needs data, that of a real run."""
    model, inputs = subject.static()
    size = real_size(model)
    too_large = f"a real run would take {bytes_text(size)}, above the limit of {bytes_text(BYTES_LIMIT)}"
    try:
        on_meta = trace(model, inputs, mode, optimizer)
    except NeedsDataError as error:
        if size > BYTES_LIMIT:
            raise TraceError(f"{error}; {too_large}") from error
        return trace_for_real(*subject.real(True), mode, optimizer, reason=str(error))
    if not on_meta.data_dependent or size > BYTES_LIMIT:
        return on_meta
    reason = f"what {' and '.join(on_meta.data_dependent)} costs depends on its data"
    try:
        return trace_for_real(*subject.real(True), mode, optimizer, reason=reason)
    except TraceError:
        return on_meta


def check_complete(result: Profile) -> None:
    """Raise :class:`UncountedError` where an operation without a rule ran."""
    if result.complete:
        return
    table = result.uncounted
    reasons = [f"{item.module or ROOT}: {item.reason}" for item in result.trace.unseen]
    if len(table):
        ops = "; ".join(
            f"{op} ({calls} calls in {modules})"
            for op, calls, modules in zip(table["op"], table["calls"], table["modules"], strict=True)
        )
        reasons.insert(0, f"{len(table)} operations have no rule: {ops}")
    raise UncountedError(f"{result.name}: strict mode: {'; '.join(reasons)}")


@no_exit("the network, when it was made for a counter,")
@room_for_deep_networks()
def _counted_by(result: Profile, counters: Sequence[str], subject: Subject) -> Profile:
    unknown = [name for name in counters if name not in COUNTERS]
    if unknown:
        raise ProfilerError(f"counter {unknown[0]!r} is not known, expected one of {', '.join(COUNTERS)}")
    return result.with_counters(*(_ask(name, result, subject) for name in dict.fromkeys(counters)))


@kept_state()
def _ask(counter: str, result: Profile, subject: Subject) -> CounterRecord:
    """What a counter says of the network; a record says so where it is not asked, or fails."""
    reason = _reason_to_skip(result, for_real=counter not in ON_META)
    if reason:
        return CounterRecord(counter, installed_version(DISTRIBUTIONS.get(counter, counter)), "skipped", reason)
    if counter in ON_META:
        return COUNTERS[counter](*subject.static())
    if counter in IN_OWN_PROCESS or total_count(result.trace.whole).macs > LONG_RUN:
        record = count_in_process(counter, _source(subject))
        if counter in IN_OWN_PROCESS or record.status != "skipped":
            return record
    model, inputs = subject.real(False)
    return COUNTERS[counter](model.eval(), inputs)


def _source(subject: Subject) -> Source:
    """How another process gets the network: from the config if there is one, else as it is."""
    if subject.config is None:
        model, inputs = subject.real(False)
        return FromObject(model.eval(), inputs)
    config = subject.config
    return FromFunction("profiler.subjects:real_network", (packed(config), str(config.base)))


def _reason_to_skip(result: Profile, *, for_real: bool) -> str:
    """Why the network is not run once more, or not ``for_real``, if it should not be."""
    size = sum(record.bytes for record in result.trace.whole.parameters)
    macs = total_count(result.trace.whole).macs
    if result.trace.real_run:
        return "the network's work depends on its data, so two runs cannot be compared"
    if result.mode == "training":
        return "the cross-check compares forward passes in inference mode"
    if for_real and size > BYTES_LIMIT:
        return f"a real copy would take {bytes_text(size)}, above the limit of {bytes_text(BYTES_LIMIT)}"
    if for_real and macs > MACS_LIMIT:
        return f"a real run would take {thousands(macs)} MACs, above the limit of {thousands(MACS_LIMIT)}"
    return ""


def _environment() -> Mapping[str, str]:
    # Without the local part: the build of torch ("+cpu") makes no difference to a count.
    return {"profiler": _version("static-flop-profiler"), "torch": torch.__version__.partition("+")[0]}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
