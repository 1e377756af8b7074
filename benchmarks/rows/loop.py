"""A loop of linear layer and tanh: time against the bare loop on meta, and memory, as the loop grows."""

from __future__ import annotations

import resource

from benchmarks.networks import bare_forward
from benchmarks.profiling import ALONE, WITH_TABLES, profiling, warm_up
from benchmarks.results import Result, figure, ratio, seconds
from benchmarks.row import Options, Row
from benchmarks.timing import plain, take_turns

STEPS = {"1,000 steps": 1000, "10,000 steps": 10_000, "100,000 steps": 100_000}
LARGE = "100,000 steps"
MEMORY = "MiB of a profile"


def measure(subject: str, options: Options) -> Result:
    """The bare loop and a profile with nothing in the memo, and how much the first profile adds to the peak memory."""
    warm_up()
    import torch
    from torch import nn

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(16, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(STEPS[subject]):
                x = torch.tanh(self.linear(x))
            return x

    with torch.device("meta"):
        model, x = Loop().eval(), torch.empty(8, 16)
    forward = bare_forward(model, x)
    samples = take_turns([plain("loop", forward)], 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    samples.update(take_turns([profiling(model, x)], 1))
    figures = {MEMORY: [(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]}
    first = Result("loop", subject, samples, figures)
    if options.repeats < 2:
        return first
    things = (plain("loop", forward), profiling(model, x))
    return first.joined(Result("loop", subject, take_turns(things, options.repeats - 1, options.seconds)))


ROW = Row(
    "A loop of a linear layer and tanh against the bare loop on meta",
    tuple(STEPS),
    measure,
    (
        ratio(WITH_TABLES, "loop", 1.2, 0.7, "profile / loop of 100,000").only(LARGE),
        ratio(WITH_TABLES, "loop", label="profile / loop"),
        ratio(ALONE, "loop", label="profile, no tables / loop"),
        seconds(WITH_TABLES, label="seconds of a profile"),
        figure(MEMORY, "MiB"),
    ),
    quick=("1,000 steps",),
    repeats=3,
    limit=900,
)
