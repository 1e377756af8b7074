"""The options that commands share; those that belong together reach a command as one argument."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from profiler import catalog
from profiler.cli.delivery import Delivery
from profiler.errors import did_you_mean

if TYPE_CHECKING:
    from profiler.config import Config
    from profiler.profiles import Profile

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

TABLE_FORMATS = tuple(name for name in catalog.formats() if name != "json")
"""The formats of what is about several networks; a JSON file is of one."""


# These classes take a type in click's annotations; in click 8.1 they do not when they run.
if TYPE_CHECKING:
    _Parameter = click.ParamType[Any]
    _Choice = click.Choice[str]
else:
    _Parameter, _Choice = click.ParamType, click.Choice


class Names(_Parameter):
    """``csv,markdown`` → a tuple of known names."""

    def __init__(self, known: Sequence[str], what: str) -> None:
        self.name = "NAME,…"
        self._known = known
        self._what = what

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
        for name in names:
            if name not in self._known:
                known = f"{', '.join(self._known)}{did_you_mean(name, self._known)}"
                self.fail(f"{name!r} is not {self._what}, expected some of {known}", param, ctx)
        return names


class OneOf(_Choice):
    """One of some names; the error about another one offers the nearest."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        names = list(self.choices)
        if value not in names:
            self.fail(f"{value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}", param, ctx)
        return str(value)


def _bundled(name: str, make: Callable[..., Any], keys: Sequence[str], options: Sequence[Decorator]) -> Decorator:
    """Gives a command ``options`` (help shows the last one first) as one argument, ``make`` of their values."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_one(**given: Any) -> Any:
            own = {key: given.pop(key) for key in keys}
            return command(**{name: make(**own)}, **given)

        decorated: Callable[..., Any] = with_one
        for option in options:
            decorated = option(decorated)
        return decorated

    return decorate


sources = click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
quiet = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
strict = click.option("--strict", is_flag=True, help="Fail where an operation has no rule.")


def delivered(what: str, formats: Sequence[str] = TABLE_FORMATS) -> Decorator:
    """``--output``, ``--format`` and ``--quiet`` as one argument ``to``; ``what`` is written in these formats."""
    return _bundled(
        "to",
        functools.partial(Delivery, known=tuple(formats)),
        ("output", "formats", "quiet"),
        (
            quiet,
            click.option(
                "--format",
                "formats",
                type=Names(formats, "a format"),
                help=f"{', '.join(formats)}: write or print these.",
            ),
            click.option("--output", "-o", type=click.Path(path_type=Path), help=f"Write {what} to this folder."),
        ),
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """By which convention and views profiles are shown."""

    convention: str | None
    views: tuple[str, ...]

    def of(self, profile: Profile) -> Profile:
        """The profile by the convention and the views of the command line, on top of its own."""
        shown = profile if self.convention is None else profile.with_convention(self.convention)
        return shown.with_views(*self.views)


_VIEWS_HELP = {
    "pointwise_as_linear": "Sort 1×1 convolutions under linear.",
    "depthwise_apart": "Set convolutions that do not mix channels apart.",
}

seen_as = _bundled(
    "seen",
    lambda convention, **views: Seen(convention, tuple(name for name, given in views.items() if given)),
    ("convention", *catalog.views()),
    (
        *(
            click.option(f"--{name.replace('_', '-')}", is_flag=True, help=_VIEWS_HELP.get(name))
            for name in reversed(catalog.views())
        ),
        click.option(
            "--convention",
            type=OneOf(catalog.conventions()),
            help="By whose count the headline is; the config's by default, which is exact if it says nothing.",
        ),
    ),
)
"""The options that say how profiles are summed up and sorted into kinds, as one argument ``seen``."""


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


what_to_profile = _bundled(
    "what",
    WhatToProfile,
    ("shapes", "inputs_from", "method", "part", "exclude", "cache"),
    (
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
    ),
)
"""The options that say what of a network is profiled, and on what, as one argument ``what``."""
