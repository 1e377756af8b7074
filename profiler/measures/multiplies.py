"""The number of multiplies."""

from profiler.measures import Measure

MEASURE = Measure(
    "multiplies",
    "multiplies",
    "multiplications of two numbers",
    lambda call: call.count.multiplies,
    priority=6,
    tables=("layers", "modules", "operations", "shares", "comparison", "rewriting"),
    shares={"shares": 6},
    always=True,
)
