"""The number of MACs that have a padded zero as operand."""

from profiler.formatting import share_text
from profiler.measures import Measure, Whole


def part_of_macs(whole: Whole) -> str | None:
    """What part of the MACs they are, where there are any."""
    figure = whole.figure("macs_on_padding")
    return f"{share_text(figure / whole.figure('macs'))} of the MACs" if figure else None


MEASURE = Measure(
    "macs_on_padding",
    "MACs on padding",
    "MACs with a padded zero as operand",
    lambda call: call.macs_on_padding,
    priority=40,
    tables=("layers",),
    listed=False,
    label="on padding zeros",
    fact=part_of_macs,
)
