"""The number of bytes of parameters that operations read at least."""

from profiler.measures import Measure
from profiler.traffic import traffic_of

MEASURE = Measure(
    "parameter_bytes",
    "bytes of parameters",
    "bytes of parameters among the bytes read",
    lambda call: None if (traffic := traffic_of(call)) is None else traffic.parameters,
    unit="bytes",
    priority=95,
    tables=("layers", "modules", "operations", "shares"),
    listed=False,
    of_memory=True,
    fact=lambda whole: None,
)
