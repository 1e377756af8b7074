"""A profile, first and again, against one bare forward pass and torch's FlopCounterMode, all on meta."""

from __future__ import annotations

from benchmarks.networks import NETWORKS, bare_forward, on_meta
from benchmarks.profiling import AGAIN, ALONE, WITH_FRAMES, WITH_TABLES, first_and_again, warm_up
from benchmarks.results import Result, quicker, ratio
from benchmarks.row import Options, Row
from benchmarks.timing import plain, take_turns


def measure(network: str, options: Options) -> Result:
    """The bare forward pass with and without its operations, FlopCounterMode, a first profile, and the same again."""
    warm_up()
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.floor import replaying

    model, x = on_meta(network)
    forward = bare_forward(model, x)

    def counted() -> object:
        with FlopCounterMode(display=False) as counter:
            forward()
        return counter.get_total_flops()

    forward()
    things = (
        plain("forward", forward),
        plain("calls alone", replaying(forward)),
        plain("FlopCounterMode", counted),
        *first_and_again(model, x),
    )
    return Result("forward", network, take_turns(things, options.repeats, options.seconds))


ROW = Row(
    "A profile with all its tables against one bare forward pass on meta, and against FlopCounterMode",
    NETWORKS,
    measure,
    (
        ratio(WITH_TABLES, "forward", 0.6, 0.3, "first / forward"),
        ratio(WITH_TABLES + AGAIN, "forward", 0.25, 0.1, "again / forward"),
        quicker(WITH_TABLES, "FlopCounterMode", 2.5, 10, "FlopCounterMode / first"),
        quicker(WITH_TABLES + AGAIN, "FlopCounterMode", 5, 10, "FlopCounterMode / again"),
        ratio("calls alone", "forward"),
        ratio("FlopCounterMode", "forward"),
        ratio(ALONE, "forward", label="first, no tables / forward"),
        ratio(ALONE + AGAIN, "forward", label="again, no tables / forward"),
        ratio(WITH_FRAMES, "forward", label="first, data frames / forward"),
        ratio(WITH_FRAMES + AGAIN, "forward", label="again, data frames / forward"),
    ),
    quick=("resnet50", "vit_b_16"),
)
