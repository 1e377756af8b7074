"""The arithmetic intensity: the number of FLOPs for each byte that is moved."""

from profiler.measures import Ratio

RATIO = Ratio(
    "intensity",
    "intensity",
    "FLOPs per byte read or written",
    above="flops",
    below=("bytes_read", "bytes_written"),
    priority=96,
)
