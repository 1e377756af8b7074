"""The options that say what of a network is profiled, and on what: read from the command line, put into a config."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from profiler.config import Config
    from profiler.profiles import Profile


@dataclass(frozen=True, slots=True)
class WhatToProfile:
    """What was asked for in place of what a config says."""

    shapes: tuple[str, ...] = ()
    inputs_from: str | None = None
    method: str | None = None
    part: str | None = None
    exclude: tuple[str, ...] = ()
    cache: int | None = None

    def of_network(self, config: Config) -> Config:
        """The config with these options; those that were not given stay as it says.  Raises ConfigError."""
        from profiler.config import with_options

        place = self.inputs_from
        if place is not None:  # from the current folder, wherever the config lies
            file, colon, name = place.rpartition(":")
            place = f"{Path(file).absolute()}{colon}{name}" if file and Path(file).is_file() else place
        options: dict[str, object] = {
            "inputs": None if place is None else {"from": place},
            "method": self.method,
            "part": self.part,
            "exclude": self.exclude or None,
            "cache": None if self.cache is None else {"length": self.cache},
        }
        return with_options(config, {key: value for key, value in options.items() if value is not None})

    def of_saved(self, profile: Profile) -> Profile:
        """The saved profile without what is to be excluded.  Raises click's UsageError where more was asked for."""
        asked = {"inputs-from": self.inputs_from, "method": self.method, "part": self.part, "cache": self.cache}
        for option, value in asked.items():
            if value is not None:
                raise click.UsageError(f"--{option} goes with a network; a saved profile is of one run of it")
        return profile.excluding(*self.exclude) if self.exclude else profile


def what_to_profile(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options, as one argument ``what``."""

    @functools.wraps(command)
    def with_what(
        shapes: tuple[str, ...],
        inputs_from: str | None,
        method: str | None,
        part: str | None,
        exclude: tuple[str, ...],
        cache: int | None,
        **others: Any,
    ) -> Any:
        return command(what=WhatToProfile(shapes, inputs_from, method, part, exclude, cache), **others)

    options = (
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave out modules by name (aux*) or type (Dropout); totals are without them.",
        ),
        click.option(
            "--cache",
            type=click.IntRange(min=1),
            metavar="TOKENS",
            help="A generative class of transformers goes on from so many tokens, by default with one.",
        ),
        click.option("--part", metavar="MODULE", help="Profile this module alone, such as backbone.layer3."),
        click.option("--method", metavar="NAME", help="What is called in place of the forward, such as encode."),
        click.option(
            "--inputs-from",
            metavar="FUNCTION",
            help="What makes the inputs, given the network: path/to/net.py:make_inputs.",
        ),
        click.option(
            "--input",
            "shapes",
            multiple=True,
            metavar="SHAPE",
            help="The shape of a target's input, 1x3x224x224 or 1x128:int64; once for each input.",
        ),
    )
    decorated: Callable[..., Any] = with_what
    for option in options:
        decorated = option(decorated)
    return decorated
