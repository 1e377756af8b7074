"""The tensors that are alive where most bytes are alive, the largest first."""

from __future__ import annotations

from profiler.columns import FIRST, Column
from profiler.records import ROOT
from profiler.schema import Table
from profiler.tabulate import Work

COLUMNS = (
    Column("storage", "name", FIRST, meaning="the module that made it, or what it is"),
    Column("op", "name", 3, meaning="the operation that made it"),
    Column("phase", priority=4),
    Column("at_peak_bytes", "bytes", 1, heading="bytes"),
    Column("at_peak_share", "share", 2, of="at_peak_bytes", heading="share"),
    Column("made_by", "count", 30, heading="made by operation", meaning="its number, from 0"),
)

WORDS = {"input": "(input)", "seed": "(gradient of a result)"}
"""What stands for the module of storages that no operation made."""


def table(work: Work) -> Table:
    """One row for each storage that is alive at the peak; none if the profile was made without ``memory``."""
    record = work.trace.whole.memory
    if record is None:
        return Table.of("peak", SUBJECT, COLUMNS, ())
    alive = record.alive_at(record.at_peak)
    whole = record.peak_activation_bytes
    rows = [
        (
            WORDS.get(storage.role, storage.module or ROOT),
            storage.op,
            storage.phase,
            storage.bytes,
            storage.bytes / whole if whole else 0.0,
            storage.born,
        )
        for storage in alive
    ]
    return Table.of("peak", SUBJECT, COLUMNS, rows)


SUBJECT = "Peak: the tensors that are alive where most bytes are alive"
