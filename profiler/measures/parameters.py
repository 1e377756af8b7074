"""The number of parameters."""

from profiler.measures import Measure

MEASURE = Measure(
    "parameters",
    "parameters",
    "elements of parameters; shared ones count once, buffers do not count",
    held=lambda record: 0 if record.buffer else record.size,
    priority=4,
    tables=("layers", "modules", "shares", "comparison", "rewriting"),
    shares={"layers": 21, "modules": 21, "shares": 4},
    always=True,
)
