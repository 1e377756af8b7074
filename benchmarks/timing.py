"""CPU and wall time of things that take turns: each repeat runs every thing once, one after the other.

Two times of one repeat were taken within a short time of each other, so that their ratio holds on a machine that other
people use too.
"""

from __future__ import annotations

import gc
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Samples = dict[str, list[float]]
"""The seconds of every repeat by clock: ``cpu`` and ``wall``."""

CLOCKS = ("cpu", "wall")

FEWEST = 3
"""The number of repeats that are made even if they take long."""


@dataclass
class Clock:
    """Measures one run of a thing; ``lap`` notes the time since the start under a name of its own."""

    laps: dict[str, dict[str, float]] = field(default_factory=dict)
    _start: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """Start after a garbage collection, which would otherwise fall into the time of any of the things."""
        gc.collect()
        self._start = time.process_time(), time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the seconds since the start."""
        now = time.process_time(), time.perf_counter()
        self.laps[name] = {clock: end - begin for clock, begin, end in zip(CLOCKS, self._start, now, strict=True)}

    def note(self, name: str, cpu: float, wall: float) -> None:
        """Note seconds that were measured elsewhere, in another process."""
        self.laps[name] = {"cpu": cpu, "wall": wall}


Thing = Callable[[Clock], object]
"""Something that is measured: it prepares itself, starts the clock, and notes one or more laps."""


def plain(name: str, run: Callable[[], object], before: Callable[[], object] | None = None) -> Thing:
    """``run`` as a thing with one lap; ``before`` runs before the clock starts."""

    def thing(clock: Clock) -> None:
        if before is not None:
            before()
        clock.start()
        result = run()
        clock.lap(name)
        del result

    return thing


def take_turns(things: Sequence[Thing], repeats: int, at_most: float = float("inf")) -> dict[str, Samples]:
    """The samples of all laps.  After ``at_most`` seconds no more than ``FEWEST`` repeats are made."""
    samples: dict[str, Samples] = {}
    begin = time.perf_counter()
    for done in range(1, repeats + 1):
        for thing in things:
            clock = Clock()
            thing(clock)
            for name, seconds in clock.laps.items():
                into = samples.setdefault(name, {which: [] for which in CLOCKS})
                for which in CLOCKS:
                    into[which].append(seconds[which])
        if done >= FEWEST and time.perf_counter() - begin > at_most:
            break
    return samples


def process(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Thing:
    """A command as a thing: the CPU time of its process and of all that it started and waited for, and its wall time.

    Raises RuntimeError if it fails.
    """

    def thing(clock: Clock) -> None:
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as running:
            assert running.stderr is not None
            errors = running.stderr.read()
            _, status, used = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begin
        if running.returncode:
            last = (errors.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{' '.join(command)}: exit code {running.returncode}: {last}")
        clock.note(name, used.ru_utime + used.ru_stime, wall)

    return thing
