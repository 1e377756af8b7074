"""The number of FLOPs."""

from profiler.measures import Measure, Whole

PARTS = {"multiplies": True, "adds": True, "divides": False, "transcendentals": False}
"""What they are the sum of, and whether that is named where there is none of it."""


def parts(whole: Whole) -> str:
    """What they are the sum of in this network."""
    return " + ".join(name for name, always in PARTS.items() if always or whole.figure(name))


MEASURE = Measure(
    "flops",
    "FLOPs",
    "multiplies, adds, divides and transcendentals together",
    lambda call: call.count.flops,
    priority=1,
    tables=("layers", "modules", "operations", "shares", "comparison", "rewriting"),
    shares={"layers": 20, "modules": 20, "shares": 1},
    always=True,
    fact=parts,
)
