"""Live memory by torch's MemTracker, and bytes as XLA's cost analysis counts them, beside ours."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import profiler
from profiler.profiles import Profile
from profiler.records import Mode, OpCall
from profiler.signatures import specs_in
from profiler.tracing.objects import returned_tensors
from profiler.traffic import GATHERING, _operands, bytes_of, traffic_of
from tests.tracing.test_lifetimes import LIBRARIES, OWN, without_fast_path

NETWORKS = {**OWN, **LIBRARIES}
"""Functions that make a network and its inputs, by name."""

WAYS = ("inference", "without gradients", "training")
"""The ways to run: in ``torch.inference_mode``, in ``torch.no_grad``, and with a backward pass."""

MemTracker: Any
try:
    from torch.distributed._tools import mem_tracker
except ImportError:
    MemTracker = None
else:
    MemTracker = mem_tracker.MemTracker

MISSING = "this torch has no torch.distributed._tools.mem_tracker.MemTracker"


def profiled(name: str, mode: Mode) -> tuple[Profile, nn.Module, tuple[torch.Tensor, ...]]:
    """The profile of a network with its live memory, the network and its inputs."""
    torch.manual_seed(0)
    network, inputs = NETWORKS[name]()
    return profiler.profile(network, inputs, mode=mode, memory=True, name=name), network, inputs


def tracked(network: nn.Module, inputs: tuple[torch.Tensor, ...], way: str) -> int:
    """The peak of all tensors that MemTracker finds in a real run on the CPU, in bytes."""
    tracker: Any = MemTracker()
    network.train(way == "training").zero_grad()
    tracker.track_external(network, *inputs)
    modes: dict[str, Any] = {"inference": torch.inference_mode, "without gradients": torch.no_grad}
    with without_fast_path(), modes.get(way, contextlib.nullcontext)(), tracker:
        result = network(*inputs)
        if way == "training":
            roots = [tensor for tensor in returned_tensors(result) if tensor.requires_grad]
            torch.autograd.backward(roots, [torch.ones_like(root) for root in roots])
    peaks = tracker.get_tracker_snapshot("peak")
    (peak,) = [found["Total"] for device, found in peaks.items() if device.type == "cpu"]
    return int(peak)


@dataclass(frozen=True, slots=True)
class Peak:
    """The most bytes alive at once, parameters and buffers included: ours, and MemTracker's."""

    network: str
    way: str
    ours: int
    theirs: int

    @property
    def reason(self) -> str:
        """Why they differ; empty if they do not, and ``unexplained`` if no reason is known."""
        if self.ours == self.theirs:
            return ""
        return "decomposed" if self.way == "without gradients" and self.theirs > self.ours else "unexplained"


def peaks(name: str) -> Iterator[Peak]:
    """The peaks of a network in each way to run it."""
    for way in WAYS:
        found, network, inputs = profiled(name, "training" if way == "training" else "inference")
        yield Peak(name, way, found.memory_needed, tracked(network, inputs, way))


SLICES = frozenset(
    f"aten::{name}"
    for name in ("slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "diagonal")
)
"""Views that are slices in XLA."""

NOTHING = frozenset(f"aten::{name}" for name in ("detach", "alias", "dropout", "contiguous", "lift_fresh"))
"""Operators that are no instruction in XLA if they return their operand."""

REASONS = {
    "views": "A view is an instruction of its own there: a reshape, a transpose and a broadcast read their operand and "
    "write their result, a slice moves twice its result. Here it moves nothing.",
    "shared": "An operand counts there as often as it is named, with all of its elements: `x + x` reads `x` twice, and "
    "an expanded tensor is as large as its shape. Here each element of memory counts once.",
    "unread": "Every operand counts there as read. Here an operand of which a kernel only needs the shape, that it "
    "only overwrites, or that no wanted gradient needs does not.",
    "results": "Every result counts there as a new array. Here only the memory that was made or written counts; batch "
    "norm in training also writes its running statistics.",
    "tables": "A look-up moves twice its result and its indices there. Here it reads at most the whole table.",
}
"""Why the bytes differ; the parts add up to the difference of each call."""


def parts(call: OpCall) -> tuple[int, int, Counter[str]]:
    """Our bytes of a call, those of XLA's rule for one instruction, and the difference by its reasons."""
    traffic, signature, event = traffic_of(call), call.signature, call.event
    assert traffic is not None
    assert event.touched is not None
    ours = traffic.read + traffic.written
    inputs = [found.plain for _, value in signature.arguments for found in specs_in(value)]
    named, results = sum(map(bytes_of, inputs)), sum(map(bytes_of, signature.outputs))
    if not (event.makes or event.writes):
        if ours:
            return ours, ours, Counter()
        theirs = 0 if signature.op in NOTHING else 2 * results if signature.op in SLICES else named + results
        return 0, theirs, Counter(views=theirs)
    if signature.op in GATHERING:
        table = signature.argument(GATHERING[signature.op])
        indices = named - (bytes_of(table.plain) if hasattr(table, "plain") else 0)
        theirs = 2 * results + indices
        return ours, theirs, Counter(tables=theirs - ours)
    once = sum(bytes_of(operand.spec, operand.elements) for operand in _operands(signature, event.touched))
    different = Counter(shared=named - once, unread=once - traffic.read, results=results - traffic.written)
    return ours, named + results, different


@dataclass(frozen=True, slots=True)
class Moved:
    """The bytes that a network moves: ours, by XLA's rule, and the difference by its reasons."""

    network: str
    mode: str
    ours: int
    theirs: int
    reasons: dict[str, int]


def moved(name: str, mode: Mode) -> Moved:
    """The bytes of a network, call by call."""
    torch.manual_seed(0)
    network, inputs = NETWORKS[name]()
    found = profiler.profile(network, inputs, mode=mode)
    ours = theirs = 0
    reasons: Counter[str] = Counter()
    for call in found.trace.calls:
        own, other, why = parts(call)
        ours, theirs = ours + own, theirs + other
        reasons.update(why)
    assert ours == found.figure("bytes_read") + found.figure("bytes_written")
    return Moved(name, mode, ours, theirs, {reason: reasons[reason] for reason in REASONS})
