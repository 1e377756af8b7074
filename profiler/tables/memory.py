"""What each module saves for the backward pass, and how many bytes of its tensors are alive at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from profiler.columns import FIRST, Column
from profiler.memory import MemoryRecord, Saved, Storage, peak_of
from profiler.schema import Table
from profiler.tabulate import Work

COLUMNS = (
    Column("module", "name", FIRST, refers_to="module"),
    Column("type", priority=22, meaning="class of the module"),
    Column("at_peak_bytes", "bytes", 1, heading="at the peak", meaning="of its tensors, alive at the network's peak"),
    Column("peak_bytes", "bytes", 2, heading="own peak", meaning="most bytes of its tensors that are alive at once"),
    Column("saved_bytes", "bytes", 3, heading="saved", meaning="activations that it keeps for the backward pass"),
    Column("saved_input_bytes", "bytes", 20, heading="saved inputs", meaning="inputs of the network that it keeps"),
    Column("saved_parameter_bytes", "bytes", 21, heading="saved parameters", meaning="parameters that it keeps"),
)

SUBJECT = "Memory: tensors of each module with everything below it"

TOTAL = "total"


def table(work: Work) -> Table:
    """One row for each module with tensors, with everything below it, and a row of the whole network after them.

    A storage belongs to the module whose operation made it.  A storage that several modules save counts in each of
    them, and once in the total.  The figures are about the whole network, whatever is excluded.  There are no rows if
    the profile was made without ``memory``.
    """
    whole = work.trace.whole
    record = whole.memory
    if record is None:
        return Table.of("memory", SUBJECT, COLUMNS, ())
    at_peak = set(map(id, record.alive_at(record.at_peak)))
    made = _below((storage.module, storage) for storage in record.storages if storage.role == "result")
    saved = _below((each.module, each) for each in record.saved or ())
    rows: list[list[object]] = []
    for module in whole.modules:
        own, kept = made.get(module.name, []), saved.get(module.name, [])
        if module.name and (own or kept):
            alive = sum(storage.bytes for storage in own if id(storage) in at_peak)
            rows.append([module.name, module.type, alive, peak_of(own), *_saved(record, kept)])
    everything = saved.get("", [])
    peak = record.peak_activation_bytes
    rows.append([TOTAL, whole.modules[0].type, peak, peak, *_saved(record, everything)])
    return Table.of("memory", SUBJECT, COLUMNS, rows, 1)


def _saved(record: MemoryRecord, kept: list[Saved]) -> tuple[int | None, int | None, int | None]:
    if record.saved is None:
        return None, None, None
    numbers = {number for each in kept for number in each.storages}
    return (
        record.saved_bytes(numbers),
        record.saved_bytes(numbers, of_inputs=True),
        sum(each.parameter_bytes for each in kept),
    )


T = TypeVar("T", Storage, Saved)


def _below(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    """For the name of each module, and each beginning of it, everything below."""
    found: dict[str, list[T]] = {}
    for name, value in pairs:
        while True:
            found.setdefault(name, []).append(value)
            if not name:
                break
            name = name.rpartition(".")[0]
    return found
