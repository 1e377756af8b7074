"""The number of multiply–accumulate pairs."""

from profiler.measures import Measure

MEASURE = Measure(
    "macs",
    "MACs",
    "multiply–accumulate pairs of contractions; their multiplies and adds are counted as such too",
    lambda call: call.count.macs,
    priority=24,
    tables=("layers", "modules", "operations", "shares", "comparison", "rewriting"),
    shares={"layers": 25, "modules": 25, "shares": 24},
    always=True,
    fact=lambda whole: "multiply–accumulate pairs of contractions",
)
