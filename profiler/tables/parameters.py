"""The parameters of a network; shared ones have one row."""

from __future__ import annotations

from typing import Any

from profiler.columns import FIRST, Column
from profiler.records import EXCLUDED, ROOT, show_shape
from profiler.schema import Table
from profiler.tabulate import Work

COLUMNS = (
    Column("parameter", "name", FIRST),
    Column("module", "name", 3, refers_to="module"),
    Column("kind", priority=4, meaning="kind of the costliest operation that reads it"),
    Column("shape", "shape", 5),
    Column("dtype", priority=6),
    Column("parameters", "count", 1, figure="parameters", meaning="number of elements"),
    Column("bytes", "bytes", 2, figure="bytes"),
    Column("trainable", "flag", 7, meaning="whether it requires a gradient"),
    Column("names", "name", 8, width=20, meaning="all its names"),
)


def table(work: Work) -> Table:
    """One row for each parameter, even if it has several names; buffers are not included."""
    rows: list[tuple[Any, ...]] = []
    sizes: dict[tuple[Any, ...], tuple[str, int, int]] = {}
    for record in work.trace.parameters:
        if record.buffer:
            continue
        facts = record.shape, record.dtype, record.itemsize
        if facts not in sizes:
            sizes[facts] = show_shape(record.shape), record.size, record.bytes
        shape, size, stored = sizes[facts]
        names = record.names
        name, every = names[0], names[0] if len(names) == 1 else "; ".join(names)
        rows.append(
            (name, record.module or ROOT, record.use, shape, record.dtype, size, stored, record.trainable, every)
        )
    if work.trace.excluded is not None:
        held = [record for record in work.trace.excluded.parameters if not record.buffer]
        size, stored = sum(record.size for record in held), sum(record.bytes for record in held)
        rows.append((EXCLUDED, "", "excluded", "", "", size, stored, None, f"{len(held)} parameters"))
    excluded = int(work.trace.excluded is not None)
    return Table.of("parameters", "Parameters, shared ones once", COLUMNS, rows, excluded)
