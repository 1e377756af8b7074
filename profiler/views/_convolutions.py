"""What a call convolves, as its tensors say."""

from __future__ import annotations

from dataclasses import dataclass

from profiler.records import OpCall


@dataclass(frozen=True, slots=True)
class Convolution:
    """The kernel's sizes, the input channels and the groups of a convolution."""

    kernel: tuple[int, ...]
    channels: int
    groups: int


def convolution_of(call: OpCall) -> Convolution | None:
    """What a call convolves, or is the gradient of; transposed convolutions have their channels the other way round."""
    weights = [spec for spec in call.inputs[1:] if len(spec.shape) >= 3]
    if call.kind not in ("conv", "depthwise") or not weights:
        return None
    weight = weights[-1].shape
    axis = 1 - len(weight)
    backward = call.answer.direction == "backward"  # (gradient, input, weight)
    channels = call.inputs[1 if backward else 0].shape[axis]
    results = (call.inputs[0] if backward else call.outputs[0]).shape[axis]
    return Convolution(weight[2:], channels, channels * results // (weight[0] * weight[1]))
