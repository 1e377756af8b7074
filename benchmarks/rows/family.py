"""A profile of a network after one of another network of its family, against one bare forward pass on meta."""

from __future__ import annotations

from benchmarks.networks import FAMILIES, bare_forward, on_meta
from benchmarks.profiling import WITH_TABLES, forget, make_tables, profiling, warm_up
from benchmarks.results import Result, ratio
from benchmarks.row import Options, Row
from benchmarks.timing import Clock, plain, take_turns

AFTER = " after another"


def measure(network: str, options: Options) -> Result:
    """The bare forward pass, and a profile when the memo holds a profile of the other network and nothing else."""
    warm_up()
    import profiler

    before, model = on_meta(FAMILIES[network]), on_meta(network)
    forward = bare_forward(*model)
    measured = profiling(*model, cold=False, suffix=AFTER)

    def after_another(clock: Clock) -> None:
        forget()
        make_tables(profiler.profile(*before))
        measured(clock)

    forward()
    things = (plain("forward", forward), after_another)
    return Result("family", network, take_turns(things, options.repeats, options.seconds))


ROW = Row(
    "A profile after one of another network of the same family, against one bare forward pass on meta",
    tuple(FAMILIES),
    measure,
    (ratio(WITH_TABLES + AFTER, "forward", 0.25, 0.1, "after another / forward"),),
    quick=("resnet101",),
)
