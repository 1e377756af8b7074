"""The number of comparisons."""

from profiler.measures import Measure

MEASURE = Measure(
    "comparisons",
    "comparisons",
    "comparisons of two numbers; not in the FLOPs",
    lambda call: call.count.comparisons,
    priority=26,
    fact=lambda whole: "not in the FLOPs" if whole.figure("comparisons") else None,
)
