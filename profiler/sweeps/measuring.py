"""Points → their figures, in the process that profiles them: networks are built once for points that share them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiler.config import Config
from profiler.errors import FOREIGN_ERRORS, ProfilerError
from profiler.printable import one_line

if TYPE_CHECKING:
    from torch import nn

    from profiler.profiles import Profile

FAILED = "failed"
"""The status of a point that has no figures."""


@dataclass(frozen=True, slots=True)
class Task:
    """A point as another process gets it: its number, its config, and the folder that relative paths start from.

    A point without a config has its ``error`` already.
    """

    number: int
    config: Config | None
    base: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The number of a point, its status, and its figures as JSON; or the reason why it has none."""

    number: int
    status: str
    figures: str = ""
    error: str = ""


def measured(tasks: Iterable[Task]) -> Iterator[Result]:
    """The result of each task; an error is the result of its task and ends nothing."""
    networks = Networks()
    for task in tasks:
        yield _measured(task, networks)


def measure_group(place: int, tasks: Sequence[Task]) -> tuple[int, list[Result]]:
    """The results of tasks that are sent to a process together; ``place`` is returned with them."""
    return place, list(measured(tasks))


def _measured(task: Task, networks: Networks) -> Result:
    if task.config is None:
        return Result(task.number, FAILED, error=task.error)
    try:
        profile = networks.profile(task.config, task.base)
        return Result(task.number, profile.status, json.dumps(figures_of(profile), separators=(",", ":")))
    except ProfilerError as error:
        reason = str(error)
    except (*FOREIGN_ERRORS, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}"
    networks.forget()
    return Result(task.number, FAILED, error=reason_text(reason))


def reason_text(reason: str) -> str:
    """The reason on one line, without addresses of objects, which differ from run to run."""
    return one_line(re.sub(r" at 0x[0-9a-fA-F]+", "", reason))


class Networks:
    """The last network that was built, for points that differ in other things than the network."""

    def __init__(self) -> None:
        self._key: object = None
        self._network: nn.Module | None = None

    def forget(self) -> None:
        """The next point builds its network: a network that failed may have been left half changed."""
        self._key = self._network = None

    def profile(self, config: Config, base: str = "") -> Profile:
        """The profile of a point; relative paths in its config start from ``base``.

        Raises the errors of ``profile_config``.
        """
        from profiler.api import profile_subject
        from profiler.subjects import configured

        if config.path is None and base and Path(base) != Path.cwd():  # in a process with another current folder
            config._path = Path(base) / "sweep.yaml"
        shared = not config.rewrites and config.cache is None  # those steps may change the network
        subject = configured(config, self._build) if shared else configured(config)
        return profile_subject(config, subject)

    def _build(self, target: str, kwargs: Mapping[str, Any], *, base: Path, dtype: str) -> nn.Module:
        from profiler.models.building import build_model

        key = (target, repr(kwargs), base, dtype)
        if self._network is None or key != self._key:
            self.forget()  # the old one need not be in memory together with the new one
            self._network = build_model(target, kwargs, base=base, dtype=dtype)
            self._key = key
        return self._network


def figures_of(profile: Profile) -> dict[str, Any]:
    """The totals of a network, and for each kind of work its row in the table of shares.

    A figure that says nothing of this network is missing: causal MACs of a network without a causal mask.
    """
    from profiler.measures import measures

    totals = {}
    for measure in measures():
        value = profile.figure(measure.name) if profile.knows(measure.name) else None
        says_nothing = value and not measure.always and measure.words(profile) is None
        totals[measure.name] = None if says_nothing else value
    kinds = {}
    for row in profile.tabulated("shares").records():
        kind = row.pop("kind")
        if kind not in ("total", "excluded"):
            kinds[kind] = row
    return {"totals": totals, "kinds": kinds}
