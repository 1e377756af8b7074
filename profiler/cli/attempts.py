"""The arguments of a command → their profiles, where a network that fails is kept with its reason."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from profiler.cli.jobs import attempts
from profiler.cli.options import WhatToProfile
from profiler.cli.progress import progress
from profiler.cli.sources import Source, check_shapes, read_source
from profiler.errors import ProfilerError
from profiler.printable import one_line

if TYPE_CHECKING:
    from profiler.profiles import Profile


@dataclass(frozen=True, slots=True)
class Attempt:
    """One argument as it was typed, with its source if that could be read, and its profile or the error."""

    typed: str
    source: Source | None = None
    profile: Profile | None = None
    error: BaseException | None = None

    def with_memory(self) -> Attempt:
        """The same argument, whose profile says which tensors are alive."""
        return self if self.source is None else replace(self, source=self.source.with_memory())

    def has(self, key: Literal["device", "energy"]) -> bool:
        """Whether its config names a device or a model of energy, or its saved profile has one."""
        if self.source is None:
            return False
        if self.source.config is not None:
            return getattr(self.source.config, key) is not None
        saved = self.source.saved
        return saved is not None and (saved.device if key == "device" else saved.energy_model) is not None

    @property
    def name(self) -> str:
        """The network's name, or the argument if it could not be read."""
        return self.typed if self.source is None else self.source.name

    @property
    def target(self) -> str:
        """What builds the network, if that is known."""
        if self.source is None:
            return ""
        if self.source.config is not None:
            return self.source.config.model.target
        return "" if self.source.saved is None else self.source.saved.target

    @property
    def reason(self) -> str:
        """The error in one line, without the argument."""
        if self.error is None:
            return ""
        kind = "" if isinstance(self.error, ProfilerError) else f"{type(self.error).__name__} was raised: "
        return one_line(kind + str(self.error).removeprefix(f"{self.typed}: "))

    @property
    def details(self) -> str:
        """The traceback of the error."""
        return "" if self.error is None else "".join(traceback.format_exception(self.error)).rstrip("\n")


def read_all(typed: Sequence[str], what: WhatToProfile) -> list[Attempt]:
    """Every source, without counters to run; raises the first error if none can be read."""
    check_shapes(typed, what)
    found = [_read(source, what) for source in typed]
    if all(attempt.source is None for attempt in found):
        for attempt in found:
            if attempt.error is not None:
                raise attempt.error
    return found


def _read(typed: str, what: WhatToProfile) -> Attempt:
    try:
        return Attempt(typed, read_source(typed, what).alone())
    except ProfilerError as error:
        return Attempt(typed, error=error)


def profile_each(
    read: Sequence[Attempt], shown: Callable[[Profile], Profile], *, strict: bool, quiet: bool, jobs: int
) -> list[Attempt]:
    """The same with profiles as ``shown`` returns them, ``jobs`` at a time; an error does not end the others.

    There is a progress bar on a terminal unless ``quiet``.  Saved profiles are not sent to other processes.
    """
    networks = [attempt.source for attempt in read if attempt.source is not None and attempt.source.saved is None]
    found = []
    with (
        progress(len(read), quiet) as advance,
        contextlib.closing(attempts(partial(Source.profile, strict=strict), networks, jobs)) as profiled,
    ):
        for attempt in read:
            advance(attempt.name)
            source = attempt.source
            if source is None:
                found.append(attempt)
                continue
            if source.saved is None:
                outcome = next(profiled)
            else:
                (outcome,) = attempts(partial(Source.profile, strict=strict), [source], 1)
            found.append(_seen(attempt, source, outcome, shown))
    return found


def _seen(
    attempt: Attempt, source: Source, outcome: Profile | BaseException, shown: Callable[[Profile], Profile]
) -> Attempt:
    if isinstance(outcome, BaseException):
        return Attempt(attempt.typed, source, error=outcome)
    try:
        return Attempt(attempt.typed, source, profile=shown(outcome))
    except ProfilerError as error:
        return Attempt(attempt.typed, source, error=error)
