"""What the tables of the roofline share: their columns, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from profiler.calls import Tally
from profiler.columns import HEADLINE, Column
from profiler.devices import Device
from profiler.roofline import Bound, bound, picoseconds
from profiler.schema import Table
from profiler.tabulate import Work

KIND = Column("kind", priority=3, meaning="kind of the costliest work that it does")

FIGURES = (
    Column("flops", "count", 9, "FLOPs", bound=True),
    Column("bytes", "bytes", 8, "bytes moved", meaning="bytes read and written at least"),
    Column("intensity", "rate", 7, meaning="FLOPs per byte"),
    Column(
        "time_at_least", "count", HEADLINE, "time at least, ps", bound=True, meaning="a lower bound, in picoseconds"
    ),
    Column("share", "share", HEADLINE + 1, of="time_at_least", meaning="share of the least time of the network"),
    Column("bound_by", priority=4, heading="bound by", meaning="what most of the time is spent on"),
    Column("utilization", "share", 5, meaning="share of the time in which contractions run at their peak"),
    Column("status", "status", 2, meaning="partial if some operation has no known time"),
    Column("reason", "text", 20, width=30, meaning="why some time is not known"),
)

SUBJECT = "Roofline{of} on {device}, a lower bound of the time"

Named = tuple[tuple[str, ...], Iterable[Tally], bool]
"""The cells in front of the figures, the calls of a row, and whether some of their work is unseen."""


def roofline(name: str, of: str, first: Sequence[Column], rows: Iterable[Named], work: Work) -> Table:
    """The rows that move something or compute, and the row of the whole network after them.

    There are no rows without a device; ``rows`` is not called then.
    """
    device = work.device
    if device is None:
        return Table.of(name, SUBJECT.format(of=of, device="a device"), (*first, *FIGURES), ())
    whole = whole_of(work, device)
    found = [(cells, _bound(tallies, device, unseen)) for cells, tallies, unseen in rows]
    found = [(cells, it) for cells, it in found if it.total or it.reasons]
    total = "whole network" if work.trace.excluded is None else "without excluded"
    found.append(((total, *[""] * (len(first) - 1)), whole))
    return Table.of(
        name,
        SUBJECT.format(of=of, device=device.name),
        (*first, *FIGURES),
        [(*cells, *_figures(it, whole)) for cells, it in found],
        1,
    )


def whole_of(work: Work, device: Device) -> Bound:
    """The least time of everything."""
    return _bound(work.tallies, device, bool(work.trace.unseen))


def _bound(tallies: Iterable[Tally], device: Device, unseen: bool) -> Bound:
    found = bound(tallies, device)
    if unseen:
        found.reasons["some of its work is unseen"] = None
    return found


def _figures(found: Bound, whole: Bound) -> tuple[object, ...]:
    total = found.total
    known = bool(total) or not found.reasons
    return (
        found.flops,
        found.bytes,
        found.flops / found.bytes if found.bytes else None,
        picoseconds(total) if known else None,
        float(total / whole.total) if whole.total and known else None,
        found.bound_by,
        float(found.contracting / total) if total else None,
        "partial" if found.reasons else "complete",
        "; ".join(found.reasons),
    )
