"""The number of bytes that operations read at least."""

from profiler.measures import Measure
from profiler.traffic import traffic_of

MEASURE = Measure(
    "bytes_read",
    "bytes read",
    "bytes that operations read at least, parameters and activations together",
    lambda call: None if (traffic := traffic_of(call)) is None else traffic.read,
    unit="bytes",
    priority=93,
    tables=("layers", "modules", "operations", "shares"),
    listed=False,
    of_memory=True,
    fact=lambda whole: "at least, each operation as one kernel" if whole.knows("bytes_read") else None,
)
