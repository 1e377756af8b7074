"""The public functions that need torch: from a network, or a config that names one, to a :class:`Profile`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from profiler.config import Config
from profiler.counters import COUNTERS
from profiler.counters.real import BYTES_LIMIT, MACS_LIMIT, real_copy, real_inputs
from profiler.errors import ProfilerError, UncountedError
from profiler.formatting import bytes_text, thousands
from profiler.models.building import build_model, build_real_model
from profiler.models.inputs import build_inputs
from profiler.profiles import Profile
from profiler.records import CounterRecord, Mode
from profiler.tracing import Inputs, call_arguments, trace


def profile(
    model: nn.Module, inputs: Inputs, *, mode: Mode = "inference", strict: bool = False, name: str | None = None
) -> Profile:
    """What one call of ``model`` on ``inputs`` costs, layer by layer.

    ``inputs`` is a tensor, a tuple of positional arguments or a mapping of keyword arguments; only their shapes
    and dtypes matter, so they may be on meta.  The network is not run on data: a copy of it is traced on the meta
    device, and the model comes back exactly as it was.

    ``mode="inference"`` counts a forward pass in eval mode; ``"training"`` a forward pass in train mode and the
    backward pass that autograd runs.  With ``strict`` an operation without a rule raises
    :class:`~profiler.errors.UncountedError`.  Raises :class:`~profiler.errors.TraceError` where the network
    refuses its inputs; the message names the module and the shapes.
    """
    if not isinstance(model, nn.Module):
        raise ProfilerError(f"profile expects a torch.nn.Module, not {type(model).__name__}")
    if mode not in ("inference", "training"):
        raise ProfilerError(f"mode: found {mode!r}, expected 'inference' or 'training'")
    kind = type(model)
    result = Profile(
        name=name or kind.__name__,
        target=f"{kind.__module__}:{kind.__qualname__}",
        mode=mode,
        trace=trace(model, inputs, mode),
        environment=_environment(),
    )
    if strict:
        check_complete(result)
    return result


def profile_config(config: Config, *, strict: bool = False, crosscheck: bool = True) -> Profile:
    """What the network of ``config`` costs; with ``crosscheck``, what the counters that it names say as well."""
    model = build_model(config.model.target, config.model.kwargs, base=config.base, dtype=config.dtype)
    result = Profile(
        name=config.name,
        target=config.model.target,
        mode=config.mode,
        trace=trace(model, _config_inputs(config, "meta"), config.mode),
        environment=_environment(),
    )
    if strict:
        check_complete(result)
    if not crosscheck:
        return result

    def real() -> tuple[nn.Module, Any]:
        twin = build_real_model(config.model.target, config.model.kwargs, base=config.base, dtype=config.dtype)
        return twin.eval(), _config_inputs(config, "cpu")

    return _counted_by(result, config.crosscheck, real)


def crosscheck(
    model: nn.Module | Config, inputs: Inputs | None = None, *, against: Sequence[str] = ("fvcore",)
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
    result = profile(model, inputs)

    def real() -> tuple[nn.Module, Any]:
        arguments, options = call_arguments(inputs)
        return real_copy(model), real_inputs(options or arguments)

    return _counted_by(result, against, real)


def _config_inputs(config: Config, device: str) -> tuple[Any, ...] | dict[str, Any]:
    arguments, options = build_inputs(config.inputs, dtype=config.dtype, device=device)
    return options if isinstance(config.inputs, Mapping) else arguments


def check_complete(result: Profile) -> None:
    """Raise :class:`UncountedError` where an operation without a rule ran."""
    if result.complete:
        return
    table = result.uncounted
    ops = "; ".join(
        f"{op} ({calls} calls in {modules})"
        for op, calls, modules in zip(table["op"], table["calls"], table["modules"], strict=True)
    )
    raise UncountedError(f"{result.name}: strict mode: {len(table)} operations have no rule: {ops}")


def _counted_by(result: Profile, counters: Sequence[str], real: Callable[[], tuple[nn.Module, Any]]) -> Profile:
    unknown = [name for name in counters if name not in COUNTERS]
    if unknown:
        raise ProfilerError(f"counter {unknown[0]!r} is not known, expected one of {', '.join(COUNTERS)}")
    reason = _reason_to_skip(result)
    records = []
    for name in counters:
        if reason:
            records.append(CounterRecord(name, _version(name), "skipped", reason))
        else:
            model, inputs = real()
            records.append(COUNTERS[name](model, inputs))
    return result.with_counters(*records)


def _reason_to_skip(result: Profile) -> str:
    """Why the network is not run for real, if it should not be."""
    size = sum(record.bytes for record in result.trace.parameters)
    if result.mode == "training":
        return "the cross-check compares forward passes in inference mode"
    if size > BYTES_LIMIT:
        return f"a real copy would take {bytes_text(size)}, above the limit of {bytes_text(BYTES_LIMIT)}"
    if result.total.macs > MACS_LIMIT:
        return f"a real run would take {thousands(result.total.macs)} MACs, above the limit of {thousands(MACS_LIMIT)}"
    return ""


def _environment() -> Mapping[str, str]:
    # Without the local part: the build of torch ("+cpu") makes no difference to a count.
    return {"profiler": _version("static-flop-profiler"), "torch": torch.__version__.partition("+")[0]}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
