"""Convolutions that do not mix channels as a kind of their own."""

from __future__ import annotations

from profiler.records import OpCall
from profiler.views._convolutions import convolution_of


def view(call: OpCall) -> str:
    """A convolution that does not mix channels is a kind of its own."""
    convolution = convolution_of(call)
    depthwise = convolution is not None and convolution.groups == convolution.channels > 1
    return "depthwise" if depthwise else call.kind
