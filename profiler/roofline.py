"""The time that a network at least takes on a device: the roofline of each operation, summed up by layer.

An operation takes at least as long as its contractions take at the peak of the tensor units, its other FLOPs at the
peak of the vector units, and its bytes at the bandwidth of memory.  Nothing real is faster; most things are slower.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.calls import Tally
from profiler.devices import Device
from profiler.signatures import Signature
from profiler.traffic import bits_of, packed_weights, traffic_of

if TYPE_CHECKING:
    from profiler.profiles import Profile
    from profiler.schema import Table

BOUNDS = ("tensor", "vector", "memory")
"""What can bound an operation: the arithmetic of contractions, other arithmetic, or memory."""

PICO = 10**12

OF_QUANTIZED = {"qint8": "int8", "quint8": "int8", "uint8": "int8"}
"""The dtype of the arithmetic on quantized elements."""


@dataclass(slots=True)
class LeastTime:
    """The least time of some operations in seconds, by what bounds each, and why the time of others is not known."""

    seconds: dict[str, Fraction] = field(default_factory=lambda: dict.fromkeys(BOUNDS, Fraction(0)))
    reasons: dict[str, None] = field(default_factory=dict)

    @property
    def total(self) -> Fraction:
        """The time of all of them, one after the other."""
        return sum(self.seconds.values(), Fraction(0))

    @property
    def bound_by(self) -> str:
        """What most of the time is spent on."""
        return max(BOUNDS, key=self.seconds.__getitem__) if self.total else ""


@dataclass(slots=True)
class Bound(LeastTime):
    """The same with their figures; ``contracting`` is the time that their contractions take at the peak."""

    contracting: Fraction = Fraction(0)
    flops: int = 0
    bytes: int = 0


def dtype_of(signature: Signature) -> str:
    """The dtype of the arithmetic of an operation: the smallest one of its operands that are not indices or masks.

    The weights in packed objects of quantized layers are operands too.
    """
    found = [spec.dtype for spec in signature.inputs if spec.is_arithmetic]
    found += [spec.dtype for spec in packed_weights(signature)]
    found = found or [spec.dtype for spec in signature.outputs if spec.is_arithmetic]
    smallest = min(found, key=bits_of, default="int8")
    return OF_QUANTIZED.get(smallest, smallest)


def bound_of(tally: Tally, device: Device) -> dict[str, Fraction] | str:
    """The least seconds of one of the calls by each bound, or the reason why they are not known."""
    traffic = traffic_of(tally.call)
    if traffic is None:
        return "the bytes that it moves are not known of a profile of an earlier version"
    if tally.status == "uncounted":
        return f"{tally.op} has no rule"
    contractions = sum(term.count.flops for term in tally.answer.terms if term.contracted)
    others = tally.answer.count.flops - contractions
    dtype = dtype_of(tally.signature)
    found = {"memory": Fraction(traffic.read + traffic.written) / Fraction(device.memory_bandwidth)}
    for unit, flops, peaks in (("tensor", contractions, device.tensor), ("vector", others, device.vector)):
        if flops and dtype not in peaks:
            return f"{device.name} has no {unit} peak of {dtype}"
        found[unit] = Fraction(flops) / Fraction(peaks[dtype]) if flops else Fraction(0)
    return found


def bound(tallies: Iterable[Tally], device: Device) -> Bound:
    """The least time of these calls."""
    whole = Bound()
    for tally in tallies:
        found = bound_of(tally, device)
        if isinstance(found, str):
            whole.reasons[found] = None
        else:
            held = max(BOUNDS, key=found.__getitem__)
            whole.seconds[held] += found[held] * tally.times
            whole.contracting += found["tensor"] * tally.times
        whole.flops += tally.answer.count.flops * tally.times
        traffic = traffic_of(tally.call)
        whole.bytes += 0 if traffic is None else (traffic.read + traffic.written) * tally.times
    return whole


def picoseconds(seconds: Fraction) -> int:
    """The time in whole picoseconds, as tables have it."""
    return round(seconds * PICO)


def roofline(profile: Profile, device: str | Device) -> Table:
    """The roofline of a profile's layers on a device, given by name, by the path of its file, or itself.

    Raises :class:`~profiler.errors.ConfigError` for an unknown device.
    """
    return profile.with_device(device).tabulated("roofline")
