"""A profile as it is measured: alone, with all its tables, and with all of them as data frames."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.timing import Clock, Thing

if TYPE_CHECKING:
    from torch import nn

    from profiler import Profile

ALONE, WITH_TABLES, WITH_FRAMES = "profile alone", "profile", "profile with data frames"
"""Laps: the profile and its totals; then also every table; then also every table as a data frame of pandas."""


AGAIN = " again"
"""The ending of the laps of a profile that finds the first one in the memo."""


def first_and_again(model: nn.Module, x: Any, **options: Any) -> tuple[Thing, Thing]:
    """A profile with nothing in the memo, and the same one again."""
    return profiling(model, x, **options), profiling(model, x, cold=False, suffix=AGAIN, **options)


def forget() -> None:
    """Clear the memo of operations, so that the next profile is as the first one in a process."""
    try:
        memo: Any = import_module("profiler.tracing.memo")
    except ModuleNotFoundError:  # a version without a memo
        return
    memo.clear()


def make_tables(profile: Profile) -> None:
    """Make every table of the profile, with all its values."""
    from profiler import catalog

    for name in catalog.tables():
        profile.tabulated(name)


def make_frames(profile: Profile) -> None:
    """Make every table of the profile a data frame."""
    from profiler import catalog

    for name in catalog.tables():
        profile.table(name)


def profiling(model: nn.Module, x: Any, *, cold: bool = True, suffix: str = "", **options: Any) -> Thing:
    """A profile as a thing; with ``cold`` the memo is cleared before.  ``suffix`` is added to the names of its laps."""
    import profiler

    def thing(clock: Clock) -> None:
        if cold:
            forget()
        clock.start()
        result = profiler.profile(model, x, **options)
        _ = result.total
        clock.lap(ALONE + suffix)
        make_tables(result)
        clock.lap(WITH_TABLES + suffix)
        make_frames(result)
        clock.lap(WITH_FRAMES + suffix)

    return thing


def warm_up() -> None:
    """Profile a small network, so that imports that happen on first use are not part of a time."""
    import torch
    from torch import nn

    import profiler

    torch.set_num_threads(1)
    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    for mode in ("inference", "training"):
        make_frames(profiler.profile(small, torch.empty(2, 3, 8, 8, device="meta"), mode=mode))
