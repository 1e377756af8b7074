"""The time that each layer at least takes on a device, what bounds it, and what the table means."""

from __future__ import annotations

from profiler.columns import FIRST, Column
from profiler.formatting import share_text
from profiler.records import ROOT
from profiler.roofline import bound, dtype_of
from profiler.schema import Table
from profiler.tables._of_device import KIND, roofline, whole_of
from profiler.tabulate import Work

LAYER = Column("layer", "name", FIRST, refers_to="module")


def table(work: Work) -> Table:
    """One row for each layer that moves something or computes; no rows if the profile is not shown on a device."""
    rows = (
        ((module or ROOT, work.kinds.get(module, "")), group.tallies, group.unseen)
        for module, group in work.by_module.items()
        if group.tallies or group.unseen
    )
    return roofline("roofline", "", (LAYER, KIND), rows, work)


def remarks(work: Work) -> tuple[str, ...]:
    """That it is a lower bound, the ridge points, and the share of the time by kind of work."""
    device = work.device
    if device is None:
        return ()
    whole = whole_of(work, device)
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
        times = {kind: bound(group.tallies, device).total / whole.total for kind, group in work.by_kind.items()}
        order = sorted((kind for kind in times if times[kind]), key=lambda kind: -times[kind])
        notes.append("Time by kind: " + ", ".join(f"{kind} {share_text(float(times[kind]))}" for kind in order) + ".")
    notes += [f"Not known: {reason}." for reason in whole.reasons]
    return tuple(notes)
