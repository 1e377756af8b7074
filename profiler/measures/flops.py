"""The number of FLOPs."""

from profiler.measures import Measure, Whole

PARTS = {"multiplies": True, "adds": True, "divides": False, "transcendentals": False}
"""The figures in the sum, and whether each is named even if it is 0."""


def parts(whole: Whole) -> str:
    """The figures that are added up in this network."""
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
