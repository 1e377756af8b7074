"""Convolutions of one element as linear layers."""

from __future__ import annotations

from profiler.records import OpCall
from profiler.views._convolutions import convolution_of


def view(call: OpCall) -> str:
    """A convolution whose kernel has the size one, in one group, is a linear layer at each position."""
    convolution = convolution_of(call)
    pointwise = convolution is not None and convolution.groups == 1 and set(convolution.kernel) == {1}
    return "linear" if pointwise else call.kind
