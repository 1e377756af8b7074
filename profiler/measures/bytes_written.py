"""The number of bytes that operations write at least."""

from profiler.measures import Measure
from profiler.traffic import traffic_of

MEASURE = Measure(
    "bytes_written",
    "bytes written",
    "bytes that operations write at least",
    lambda call: None if (traffic := traffic_of(call)) is None else traffic.written,
    unit="bytes",
    priority=94,
    tables=("layers", "modules", "operations", "shares"),
    listed=False,
    of_memory=True,
    fact=lambda whole: "at least" if whole.knows("bytes_written") else None,
)
