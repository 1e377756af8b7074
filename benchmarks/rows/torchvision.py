"""All classification networks of torchvision, built and profiled with all tables in one process."""

from __future__ import annotations

from benchmarks.networks import SIZE, bare_forward
from benchmarks.profiling import WITH_TABLES, profiling, warm_up
from benchmarks.results import Result, figure, ratio, seconds
from benchmarks.row import Options, Row
from benchmarks.timing import CLOCKS, Clock, plain

ALL = "80 networks"
LARGER = {"inception_v3": 299}
"""The side of the image of networks that do not take one of 224×224."""


def measure(subject: str, options: Options) -> Result:
    """Build and profile each network; afterwards the bare forward pass of each, so that it warms nothing up."""
    warm_up()
    import torch

    import profiler
    from profiler.models.building import build_model

    torchvision = profiler.import_torchvision()
    names = torchvision.models.list_models(module=torchvision.models)
    images = {name: torch.empty(1, 3, *[LARGER.get(name, SIZE)] * 2, device="meta") for name in names}
    laps: dict[str, dict[str, float]] = {}
    models = []
    for name in names:
        clock = Clock()
        clock.start()
        models.append(build_model(f"torchvision:{name}").eval())
        clock.lap("build")
        _add(laps, clock)
        clock = Clock()
        profiling(models[-1], images[name], cold=False)(clock)
        _add(laps, clock)
    for name, model in zip(names, models, strict=True):
        clock = Clock()
        plain("forward", bare_forward(model, images[name]))(clock)
        _add(laps, clock)
    samples = {name: {which: [seconds[which]] for which in CLOCKS} for name, seconds in laps.items()}
    return Result("torchvision", subject, samples, {"networks": [float(len(names))]})


def _add(laps: dict[str, dict[str, float]], clock: Clock) -> None:
    for name, times in clock.laps.items():
        into = laps.setdefault(name, dict.fromkeys(CLOCKS, 0.0))
        for which in CLOCKS:
            into[which] += times[which]


ROW = Row(
    "All classification networks of torchvision, built and profiled in one process",
    (ALL,),
    measure,
    (
        seconds("build", WITH_TABLES, must=12, wanted=6, label="seconds, built and profiled"),
        seconds("build"),
        ratio(WITH_TABLES, "forward", label="profile / forward"),
        figure("networks", ""),
    ),
    quick=(ALL,),
    repeats=3,
    new_processes=True,
)
