"""The arguments of a command (configs, saved profiles, targets) → profiles."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler.cli.jobs import in_processes
from profiler.cli.options import WhatToProfile
from profiler.cli.progress import progress
from profiler.errors import ConfigError, ProfilerError, UncountedError
from profiler.garbage import lasting_imports

if TYPE_CHECKING:
    from profiler.config import Config
    from profiler.profiles import Profile


@dataclass(frozen=True, slots=True)
class Source:
    """An argument as it was typed, and the config or the saved profile that it means."""

    typed: str
    config: Config | None = None
    saved: Profile | None = None

    @property
    def name(self) -> str:
        """The network's name."""
        source = self.config or self.saved
        assert source is not None
        return source.name

    def against(self, counters: Sequence[str], option: str) -> Source:
        """The same source with ``counters`` to run on its network too; ``option`` is the option that names them."""
        if self.config is None:
            raise click.UsageError(
                f"--{option} needs a network; a saved profile only has the reports of earlier counters"
            )
        return replace(self, config=self.config.model_copy(update={"crosscheck": tuple(counters)}))

    def with_memory(self) -> Source:
        """The same source, whose profile says which tensors are alive; a saved profile has what it has."""
        return self if self.config is None else replace(self, config=self.config.model_copy(update={"memory": True}))

    def alone(self) -> Source:
        """The same source without counters to run; a saved profile keeps its reports."""
        return self if self.config is None else self.against((), "no-crosscheck")

    def profile(self, *, strict: bool = False) -> Profile:
        """The profile of the network, with the reports of the counters in its config.  Raises ProfilerError."""
        if self.config is None:
            assert self.saved is not None
            if strict and not self.saved.complete:
                raise UncountedError(f"{self.typed}: strict mode: the saved profile is partial; its summary says why")
            return self.saved
        if "profiler.api" not in sys.modules:
            with lasting_imports():
                import_module("profiler.api")
        from profiler.api import profile_config

        try:
            return profile_config(self.config, strict=strict)
        except ProfilerError as error:
            raise type(error)(f"{self.typed}: {str(error).removeprefix(f'target {self.typed}: ')}") from error


def read_sources(typed: Sequence[str], what: WhatToProfile) -> list[Source]:
    """Read every source before anything is profiled, so that an error in the last one is found at once."""
    found = [read_source(source, what) for source in typed]
    check_shapes(typed, what)
    return found


def check_shapes(typed: Sequence[str], what: WhatToProfile) -> None:
    """Raise click's UsageError if shapes are given and no source is a target."""
    if what.shapes and not any(is_target(source) for source in typed):
        raise click.UsageError("--input needs a target; a config and a saved profile have their own inputs")


def is_target(source: str) -> bool:
    """Whether the argument is a target, and not the name of a config or a saved profile."""
    return ":" in source and not source.endswith((".yaml", ".yml", ".json"))


def read_source(source: str, what: WhatToProfile) -> Source:
    """The source of one argument.  Raises the errors of configs, targets and saved profiles."""
    if source.endswith(".json"):
        from profiler.profiles import load_profile

        return Source(source, saved=what.of_saved(load_profile(source)))
    from profiler.config import load_config, quick_config

    if is_target(source):
        return Source(source, what.of_network(quick_config(source, what.shapes, what.values_of_sizes())))
    if source.endswith(".py") or (not source.endswith((".yaml", ".yml")) and not Path(source).exists()):
        from profiler.models.targets import expected_for

        hint = expected_for(source)
        raise ConfigError(f"{source}: expected a config (.yaml), a saved profile (.json) or a target: {hint}")
    return Source(source, what.of_network(load_config(source, what.values_of_sizes())))


def profile_all(
    sources: Sequence[Source], *, strict: bool = False, quiet: bool = False, jobs: int = 1
) -> list[Profile]:
    """The profiles of all sources, ``jobs`` at a time, with a progress bar on a terminal unless ``quiet``.

    Saved profiles are not sent to other processes.
    """
    networks = [source for source in sources if source.saved is None]
    profiles = []
    with (
        progress(len(sources), quiet) as advance,
        contextlib.closing(in_processes(partial(Source.profile, strict=strict), networks, jobs)) as profiled,
    ):
        for source in sources:
            advance(source.name)
            profiles.append(next(profiled) if source.saved is None else source.profile(strict=strict))
    return profiles
