"""Other ways to sort the same work into kinds; the counts stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from profiler.errors import ProfilerError, did_you_mean
from profiler.records import OpCall, ParameterRecord, Trace

View = Callable[[OpCall], str]
"""``view(call) -> kind``."""


@dataclass(frozen=True, slots=True)
class _Convolution:
    """The kernel's sizes, the input channels and the groups of a convolution."""

    kernel: tuple[int, ...]
    channels: int
    groups: int


def _convolution(call: OpCall) -> _Convolution | None:
    """What a call convolves, or is the gradient of; transposed convolutions have their channels the other way round."""
    weights = [spec for spec in call.inputs[1:] if len(spec.shape) >= 3]
    if call.kind not in ("conv", "depthwise") or not weights:
        return None
    weight = weights[-1].shape
    axis = 1 - len(weight)
    backward = "backward" in call.op  # (gradient, input, weight)
    channels = call.inputs[1 if backward else 0].shape[axis]
    results = (call.inputs[0] if backward else call.outputs[0]).shape[axis]
    return _Convolution(weight[2:], channels, channels * results // (weight[0] * weight[1]))


def pointwise_as_linear(call: OpCall) -> str:
    """A convolution whose kernel has the size one, in one group, is a linear layer at each position."""
    convolution = _convolution(call)
    pointwise = convolution is not None and convolution.groups == 1 and set(convolution.kernel) == {1}
    return "linear" if pointwise else call.kind


def depthwise_apart(call: OpCall) -> str:
    """A convolution that does not mix channels is a kind of its own."""
    convolution = _convolution(call)
    depthwise = convolution is not None and convolution.groups == convolution.channels > 1
    return "depthwise" if depthwise else call.kind


VIEWS: Mapping[str, View] = {"pointwise_as_linear": pointwise_as_linear, "depthwise_apart": depthwise_apart}
"""The views by the name that configs use."""


def apply_views(trace: Trace, names: Iterable[str]) -> Trace:
    """The same records with the kinds that the views say, one after the other.  Raises :class:`ProfilerError`."""
    calls, parameters = trace.calls, trace.parameters
    for name in names:
        if name not in VIEWS:
            hint = did_you_mean(name, VIEWS)
            raise ProfilerError(f"view {name!r} is not known, expected one of {', '.join(VIEWS)}{hint}")
        view = VIEWS[name]
        seen = tuple(replace(call, kind=view(call)) for call in calls)
        parameters = _seen_parameters(parameters, calls, seen)
        calls = seen
    return replace(trace, calls=calls, parameters=parameters)


def _seen_parameters(
    parameters: Iterable[ParameterRecord], before: Iterable[OpCall], after: Iterable[OpCall]
) -> tuple[ParameterRecord, ...]:
    """The parameters with the kinds ``after`` of those calls of their modules that read tensors of their shape."""
    changed = {
        (old.module, spec.shape, old.kind): new.kind
        for old, new in zip(before, after, strict=True)
        if old.phase == "forward" and new.kind != old.kind
        for spec in old.inputs
        if spec.parameter
    }
    return tuple(
        replace(record, use=changed.get((record.module, record.shape, record.use), record.use)) for record in parameters
    )
