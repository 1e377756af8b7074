"""A network of many modules: the time of its profile with all tables, and how that grows."""

from __future__ import annotations

from benchmarks.networks import bare_forward
from benchmarks.profiling import ALONE, WITH_FRAMES, WITH_TABLES, profiling, warm_up
from benchmarks.results import Result, ratio, seconds
from benchmarks.row import Options, Row
from benchmarks.timing import plain, take_turns

SMALL, LARGE = "2,000 modules", "20,000 modules"
BLOCKS = {SMALL: 400, LARGE: 4000}
"""Each block and the four modules in it are five modules."""


def measure(subject: str, options: Options) -> Result:
    """The bare forward pass and a profile with nothing in the memo, of blocks with two linear layers and two others."""
    warm_up()
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(16)
            self.first = nn.Linear(16, 32)
            self.activation = nn.GELU()
            self.second = nn.Linear(32, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = x + self.second(self.activation(self.first(self.norm(x))))
            return result

    with torch.device("meta"):
        model = nn.Sequential(*(Block() for _ in range(BLOCKS[subject]))).eval()
        x = torch.empty(8, 16)
    forward = bare_forward(model, x)
    forward()
    things = (plain("forward", forward), profiling(model, x))
    return Result("modules", subject, take_turns(things, options.repeats, options.seconds))


ROW = Row(
    "A network of many modules, with all tables",
    (SMALL, LARGE),
    measure,
    (
        seconds(WITH_TABLES, must=8, wanted=4, label="seconds of 20,000 modules").only(LARGE),
        seconds(WITH_TABLES, label="seconds of 2,000 modules").only(SMALL),
        seconds(WITH_FRAMES, label="seconds, with data frames"),
        ratio(WITH_TABLES, "forward", label="profile / forward"),
        ratio(ALONE, "forward", label="profile, no tables / forward"),
    ),
    quick=(SMALL,),
    repeats=3,
    limit=900,
)
