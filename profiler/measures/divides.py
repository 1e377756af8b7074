"""The number of divides."""

from profiler.measures import Measure

MEASURE = Measure("divides", "divides", "divisions of two numbers", lambda call: call.count.divides, priority=28)
