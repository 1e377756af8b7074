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
from profiler.columns import FIRST, HEADLINE, Column
from profiler.devices import Device, find_device
from profiler.records import ROOT
from profiler.schema import Table
from profiler.signatures import Signature
from profiler.tabulate import Work, gathered
from profiler.traffic import bits_of, traffic_of

if TYPE_CHECKING:
    from profiler.profiles import Profile

BOUNDS = ("tensor", "vector", "memory")
"""What can bound an operation: the arithmetic of contractions, other arithmetic, or memory."""

PICO = 10**12

OF_QUANTIZED = {"qint8": "int8", "quint8": "int8", "uint8": "int8"}
"""The dtype of the arithmetic on quantized elements."""

COLUMNS = (
    Column("kind", priority=3, meaning="kind of the costliest work that it does"),
    Column("flops", "count", 9, "FLOPs", bound=True),
    Column("bytes", "bytes", 8, "bytes moved", meaning="bytes read and written at least"),
    Column("intensity", "ratio", 7, meaning="FLOPs per byte"),
    Column("picoseconds", "count", HEADLINE, "picoseconds at least", bound=True, meaning="a lower bound of the time"),
    Column("share", "share", HEADLINE + 1, of="picoseconds", meaning="share of the time of the network"),
    Column("bound_by", priority=4, heading="bound by", meaning="what most of the time is spent on"),
    Column("utilization", "share", 5, meaning="share of the time in which contractions run at their peak"),
    Column("status", "status", 2, meaning="partial if some operation has no known time"),
    Column("reason", "text", 20, width=30, meaning="why some time is not known"),
)


@dataclass(slots=True)
class Bound:
    """The least time of some operations in seconds, by what bounds each, and why the time of others is not known.

    ``contracting`` is the time that their contractions take at the peak.
    """

    seconds: dict[str, Fraction] = field(default_factory=lambda: dict.fromkeys(BOUNDS, Fraction(0)))
    contracting: Fraction = Fraction(0)
    flops: int = 0
    bytes: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    @property
    def total(self) -> Fraction:
        """The time of all of them, one after the other."""
        return sum(self.seconds.values(), Fraction(0))

    @property
    def bound_by(self) -> str:
        """What most of the time is spent on."""
        return max(BOUNDS, key=self.seconds.__getitem__) if self.total else ""


def dtype_of(signature: Signature) -> str:
    """The dtype of the arithmetic of an operation: the smallest one of its operands that are not indices or masks."""
    found = [spec.dtype for spec in signature.inputs if spec.is_arithmetic]
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


def roofline_table(work: Work, device: Device) -> Table:
    """One row for each layer that moves something or computes, and a row ``whole network`` after them."""
    whole = bound(work.tallies, device)
    rows = [
        _row(module or ROOT, work.kinds[module], found, whole)
        for module, group in work.by_module.items()
        if group.tallies and ((found := bound(group.tallies, device)).total or found.reasons)
    ]
    rows.append(_row("whole network", "", whole, whole))
    return _table("roofline", f"Roofline on {device.name}, a lower bound of the time", "layer", rows)


def operations_table(work: Work, device: Device) -> Table:
    """One row for each operation, the slowest first."""
    whole = bound(work.tallies, device)
    groups = gathered(work.tallies, lambda tally: (tally.op, tally.kind))
    found = [(op, kind, bound(group.tallies, device)) for (op, kind), group in groups.items()]
    found = [item for item in found if item[2].total or item[2].reasons]
    rows = [_row(op, kind, it, whole) for op, kind, it in sorted(found, key=lambda item: (-item[2].total, item[0]))]
    rows.append(_row("whole network", "", whole, whole))
    return _table(
        "roofline_operations", f"Roofline of operations on {device.name}, a lower bound of the time", "op", rows
    )


def _table(name: str, subject: str, first: str, rows: list[tuple[object, ...]]) -> Table:
    column = Column(first, "name", FIRST, refers_to="module" if first == "layer" else "")
    return Table.of(name, subject, (column, *COLUMNS), rows, 1)


def _row(name: str, kind: str, found: Bound, whole: Bound) -> tuple[object, ...]:
    total = found.total
    known = bool(total) or not found.reasons
    return (
        name,
        kind,
        found.flops,
        found.bytes,
        found.flops / found.bytes if found.bytes else None,
        round(total * PICO) if known else None,
        float(total / whole.total) if whole.total and known else None,
        found.bound_by,
        float(found.contracting / total) if total else None,
        "partial" if found.reasons else "complete",
        "; ".join(found.reasons),
    )


def remarks(work: Work, device: Device) -> tuple[str, ...]:
    """What the table means: the ridge points, and the share of the time by kind of work."""
    whole = bound(work.tallies, device)
    notes = [
        f"At least: each operation alone, at the peaks and the memory bandwidth of {device.name}; "
        "no real run is as fast."
    ]
    dtypes = dict.fromkeys(
        dtype_of(tally.signature) for tally in work.tallies if any(term.contracted for term in tally.answer.terms)
    )
    for dtype in dtypes:
        ridge = device.ridge(dtype)
        if ridge is not None:
            notes.append(f"Ridge point of {dtype}: {ridge:,.1f} FLOPs per byte; below it, memory bounds a contraction.")
    if whole.total:
        kinds = gathered(work.tallies, lambda tally: tally.kind)
        times = {kind: bound(group.tallies, device).total / whole.total for kind, group in kinds.items()}
        order = sorted((kind for kind in times if times[kind]), key=lambda kind: -times[kind])
        notes.append("Time by kind: " + ", ".join(f"{kind} {float(times[kind]):.1%}" for kind in order) + ".")
    notes += [f"Not known: {reason}." for reason in whole.reasons]
    return tuple(notes)


def roofline(profile: Profile, device: str | Device) -> Table:
    """The roofline of a profile's layers on a device, given by name, by the path of its file, or itself.

    Raises :class:`~profiler.errors.ConfigError` for an unknown device.
    """
    return roofline_table(profile.work, find_device(device) if isinstance(device, str) else device)
