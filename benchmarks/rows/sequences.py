"""Networks of transformers whose forward is a Python loop over the sequence, as a target without options."""

from __future__ import annotations

from benchmarks.profiling import ALONE, WITH_TABLES, profiling, warm_up
from benchmarks.results import Result, ratio, seconds
from benchmarks.row import Options, Row
from benchmarks.timing import Clock, plain, take_turns

CLASSES = ("MambaForCausalLM", "RwkvForCausalLM")


def measure(subject: str, options: Options) -> Result:
    """The building of the target's default network, the bare forward pass on its default inputs, and a profile."""
    warm_up()
    import torch
    from torch.utils._pytree import tree_map_only

    from profiler.config import quick_config
    from profiler.subjects import configured
    from profiler.tracing import call_arguments

    clock = Clock()
    clock.start()
    model, inputs = configured(quick_config(f"transformers:{subject}", ())).static()
    clock.lap("build")

    arguments, named = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), call_arguments(inputs))

    def forward() -> object:
        with torch.no_grad():
            return model(*arguments, **named)

    samples = {"build": {which: [spent] for which, spent in clock.laps["build"].items()}}
    things = (plain("forward", forward), profiling(model, inputs))
    samples.update(take_turns(things, options.repeats, options.seconds))
    return Result("sequences", subject, samples)


ROW = Row(
    "Networks of transformers that loop over the sequence in Python, by default",
    CLASSES,
    measure,
    (
        ratio(WITH_TABLES, "forward", label="profile / forward"),
        ratio(ALONE, "forward", label="profile, no tables / forward"),
        seconds(WITH_TABLES, label="seconds of a profile"),
        seconds("build"),
    ),
    quick=(),
    repeats=1,
    limit=1800,
)
