"""An estimate of the energy of each layer, arithmetic and memory apart."""

from __future__ import annotations

from collections.abc import Iterable

from profiler.calls import Tally
from profiler.columns import FIRST, HEADLINE, Column
from profiler.energy import Energy, EnergyModel, energy_of
from profiler.records import ROOT
from profiler.schema import Table
from profiler.tabulate import Work

COLUMNS = (
    Column("layer", "name", FIRST, refers_to="module"),
    Column("kind", priority=3, meaning="kind of the costliest work that it does"),
    Column("arithmetic", "count", 4, "arithmetic, pJ", bound=True, meaning="picojoules of multiplies and adds"),
    Column("memory", "count", 5, "memory, pJ", bound=True, meaning="picojoules if each byte moved is one of DRAM"),
    Column("memory_sram", "count", 30, "memory as SRAM, pJ", bound=True, meaning="picojoules if it were one of SRAM"),
    Column("energy", "count", HEADLINE, "energy, pJ", bound=True, meaning="an estimate, in picojoules: both together"),
    Column("share", "share", HEADLINE + 1, of="energy", meaning="share of the energy of the network"),
    Column("status", "status", 2, meaning="partial if the energy of some work is not known"),
    Column("reason", "text", 20, width=30, meaning="why some energy is not known"),
)


def table(work: Work) -> Table:
    """One row for each layer that moves something or computes, and a row of the whole network after them.

    There are no rows if the profile is not shown with a model of energy.
    """
    model = work.energy
    if model is None:
        return Table.of("energy", "Energy, an estimate", COLUMNS, ())
    whole = whole_of(work, model)
    rows = []
    for module, group in work.by_module.items():
        found = _energy(group.tallies, model, group.unseen)
        if found.arithmetic or found.bytes or found.reasons:
            rows.append(_row(module or ROOT, work.kinds.get(module, ""), found, whole, model))
    total = "whole network" if work.trace.excluded is None else "without excluded"
    rows.append(_row(total, "", whole, whole, model))
    return Table.of("energy", f"Energy, an estimate by {model.name}", COLUMNS, rows, 1)


def whole_of(work: Work, model: EnergyModel) -> Energy:
    """The energy of everything."""
    return _energy(work.tallies, model, bool(work.trace.unseen))


def _energy(tallies: Iterable[Tally], model: EnergyModel, unseen: bool) -> Energy:
    found = energy_of(tallies, model)
    if unseen:
        found.reasons["some of its work is unseen"] = None
    return found


def _row(name: str, kind: str, found: Energy, whole: Energy, model: EnergyModel) -> tuple[object, ...]:
    total, everything = found.total(model), whole.total(model)
    return (
        name,
        kind,
        round(found.arithmetic),
        round(found.of_bytes(model.dram)),
        round(found.of_bytes(model.sram)),
        round(total),
        float(total / everything) if everything else None,
        "partial" if found.reasons else "complete",
        "; ".join(found.reasons),
    )


def remarks(work: Work) -> tuple[str, ...]:
    """That it is an estimate, where its figures are from, and what is not in it."""
    if work.energy is None:
        return ()
    return (
        f"An estimate: multiplies and adds, and each byte moved as one of DRAM. Source: {work.energy.source}",
        "Control, leakage, and work without a figure in the source (status partial) are not in it.",
    )
