"""The number of adds."""

from profiler.measures import Measure

MEASURE = Measure(
    "adds",
    "adds",
    "additions and subtractions of two numbers",
    lambda call: call.count.adds,
    priority=11,
    tables=("layers", "modules", "operations", "shares", "comparison", "rewriting"),
    shares={"shares": 11},
    always=True,
)
