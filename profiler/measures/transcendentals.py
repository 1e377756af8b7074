"""The number of transcendentals."""

from profiler.measures import Measure

MEASURE = Measure(
    "transcendentals",
    "transcendentals",
    "square roots, exponentials, logarithms, sines and similar functions",
    lambda call: call.count.transcendentals,
    priority=29,
)
