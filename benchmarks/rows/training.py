"""A profile in training mode against one bare forward and backward pass, both on meta."""

from __future__ import annotations

from benchmarks.networks import NETWORKS, bare_step, on_meta
from benchmarks.profiling import AGAIN, ALONE, WITH_TABLES, first_and_again, warm_up
from benchmarks.results import Result, ratio
from benchmarks.row import Options, Row
from benchmarks.timing import plain, take_turns


def measure(network: str, options: Options) -> Result:
    """The bare passes, a profile with nothing in the memo, and the same profile again."""
    warm_up()
    model, x = on_meta(network)
    step = bare_step(model, x)
    step()
    things = (
        plain("forward and backward", step),
        *first_and_again(model, x, mode="training"),
    )
    return Result("training", network, take_turns(things, options.repeats, options.seconds))


ROW = Row(
    "A profile in training mode against one bare forward and backward pass on meta",
    NETWORKS,
    measure,
    (
        ratio(WITH_TABLES, "forward and backward", 0.7, 0.4, "first / forward and backward"),
        ratio(WITH_TABLES + AGAIN, "forward and backward", label="again / forward and backward"),
        ratio(ALONE, "forward and backward", label="first, no tables / forward and backward"),
    ),
    quick=("resnet50",),
    repeats=5,
)
