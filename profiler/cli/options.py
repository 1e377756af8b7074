"""The options that commands share; options that belong together are passed to a command as one argument."""

from __future__ import annotations

import functools
import re
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
    from profiler.devices import Device
    from profiler.energy import EnergyModel
    from profiler.profiles import Profile

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


# These classes are generic in click's annotations, but not at run time in click 8.1.
if TYPE_CHECKING:
    _Parameter = click.ParamType[Any]
    _Choice = click.Choice[str]
else:
    _Parameter, _Choice = click.ParamType, click.Choice


class AtLeast(click.IntRange):
    """A whole number of a least size, with an error that says so."""

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        try:
            number = int(value)
        except ValueError:
            number = None
        if number is None or number < (self.min or 0):
            self.fail(f"found {value!r}, expected a whole number of {self.min} or more", param, ctx)
        return number


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


def names(option: str, known: Sequence[str], what: str, help: str, key: str | None = None) -> Decorator:
    """An option whose value is some of the ``known`` names, separated by commas; it may be repeated, and then adds up.

    The command gets them as a tuple under ``key``, or None if the option was not given.
    """
    return click.option(
        option,
        key or option.removeprefix("--").replace("-", "_"),
        type=Names(known, what),
        multiple=True,
        callback=_added_up,
        help=help,
    )


def _added_up(ctx: click.Context, param: click.Parameter, value: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The names of every time that the option was given, each once; None if it was not given."""
    return tuple(dict.fromkeys(name for given in value for name in given)) if value else None


class Numbers(_Parameter):
    """``2048,256,8`` → a tuple of positive integers, at least so many of them as there are required ones."""

    def __init__(self, names: Sequence[str], required: int) -> None:
        self.name = ",".join(names[:required]) + "".join(f"[,{name}]" for name in names[required:])
        self._range = range(required, len(names) + 1)

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        found = value.split(",")
        if len(found) not in self._range or not all(
            re.fullmatch(r"0*[1-9][0-9]{0,17}", one, re.ASCII) for one in found
        ):
            self.fail(f"{value!r} is not {self.name}, expected positive integers with commas between them", param, ctx)
        return tuple(map(int, found))


class OneOf(_Choice):
    """One of some names; the error about an unknown name offers the nearest."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        names = list(self.choices)
        if value not in names:
            self.fail(f"{value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}", param, ctx)
        return str(value)


def _bundled(name: str, make: Callable[..., Any], keys: Sequence[str], options: Sequence[Decorator]) -> Decorator:
    """Pass ``options`` to a command as one argument, ``make`` of their values; the help shows the last option first."""

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
quiet = click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
jobs = click.option(
    "--jobs", type=AtLeast(min=1), default=1, metavar="N", help="Profile N networks at a time, in N processes."
)
no_crosscheck = click.option("--no-crosscheck", is_flag=True, help="Do not run the counters that a config names.")
memory = click.option("--memory", is_flag=True, help="Find out which tensors are alive when, in a second run on meta.")
strict = click.option("--strict", is_flag=True, help="Fail if an operation has no rule.")


def delivered(what: str, formats: Sequence[str] = ()) -> Decorator:
    """``--output``, ``--format`` and ``--quiet`` as one argument ``to``; ``what`` is what is written.

    ``formats`` are the known formats, by default those of every report.
    """
    formats = tuple(formats) or catalog.formats()
    return _bundled(
        "to",
        Delivery,
        ("output", "formats", "quiet"),
        (
            quiet,
            names("--format", formats, "a format", f"{', '.join(formats)}: the formats to write or print.", "formats"),
            click.option("--output", "-o", type=click.Path(path_type=Path), help=f"Write {what} to this folder."),
        ),
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """The convention, the views, the device and the model of energy by which profiles are shown."""

    convention: str | None
    views: tuple[str, ...]
    device: Device | None = None
    energy: EnergyModel | None = None
    throughput: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def read(cls, convention: str | None, device: str | None = None, energy: str | None = None, **others: Any) -> Seen:
        """What the options mean.  Raises ConfigError for a device and a model that cannot be read."""
        speed = {name: others.pop(name, None) for name in SPEED}
        return cls(
            convention,
            tuple(name for name, given in others.items() if given),
            None if device is None else _device(device),
            None if energy is None else _energy_model(energy),
            tuple((name, value) for name, value in speed.items() if value is not None),
        )

    def of(self, profile: Profile) -> Profile:
        """The profile with what the command line names in place of its own, and with the views added to its own."""
        shown = profile if self.convention is None else profile.with_convention(self.convention)
        shown = shown if self.device is None else shown.with_device(self.device)
        shown = shown if self.energy is None else shown.with_energy(self.energy)
        shown = shown if not self.throughput else _with_speed(shown, dict(self.throughput))
        return shown.with_views(*self.views)


def _device(name: str) -> Device:
    from profiler.devices import find_device

    return find_device(name)


def _energy_model(name: str) -> EnergyModel:
    from profiler.energy import find_energy_model

    return find_energy_model(name)


SPEED = {
    "tokens_per_second": "The measured speed of a run of training, of all devices together: 238.3k.",
    "step_time": "The measured seconds of a step of training, in place of --tokens-per-second.",
    "tokens_per_step": "The tokens of that step, if they are not those of the profiled one.",
    "devices": "The number of devices of the run.",
    "token_budget": "The tokens of the whole run, such as 15.6T: shows days and device-hours.",
}
"""The options for the speed of a run of training, with their help."""


def _with_speed(profile: Profile, given: dict[str, Any]) -> Profile:
    """The profile with the options for its speed in place of those of its config.  Raises ProfilerError."""
    from profiler.errors import ProfilerError

    before = {} if profile.throughput is None else profile.throughput.written()
    if "step_time" in given or "tokens_per_second" in given:
        before = {key: value for key, value in before.items() if key not in ("step_time", "tokens_per_second")}
    if profile.device is None:
        raise ProfilerError(
            f"{profile.name}: the speed of a run needs the device that it ran on, expected --device NAME"
        )
    return profile.with_throughput(**{**before, **given})


_VIEWS_HELP = {
    "pointwise_as_linear": "Count 1×1 convolutions under linear.",
    "depthwise_apart": "Give convolutions that do not mix channels a kind of their own.",
}

_KINDS = (
    *(
        click.option(f"--{name.replace('_', '-')}", is_flag=True, help=_VIEWS_HELP.get(name))
        for name in reversed(catalog.views())
    ),
    click.option(
        "--convention",
        type=OneOf(catalog.conventions()),
        help="The convention of the headline; by default that of the config, or exact.",
    ),
)

_MACHINE = (
    *(
        click.option(f"--{name.replace('_', '-')}", metavar="NUMBER", help=words)
        for name, words in reversed(SPEED.items())
    ),
    click.option(
        "--energy",
        metavar="NAME",
        help="Estimate the energy by horowitz_45nm, or by the model in a YAML file.",
    ),
    click.option(
        "--device",
        metavar="NAME",
        help="Show the time that the network at least takes on h100, a100, …, or on the device in a YAML file.",
    ),
)

seen_as = _bundled("seen", Seen.read, ("convention", *catalog.views()), _KINDS)
"""The options for the headline and the kinds of work, as one argument ``seen``."""

seen_on = _bundled(
    "seen", Seen.read, ("convention", "device", "energy", *SPEED, *catalog.views()), (*_MACHINE, *_KINDS)
)
"""The same with those for times, energies and runs of training."""


@dataclass(frozen=True, slots=True)
class WhatToProfile:
    """The options that replace keys of a config."""

    shapes: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    inputs_from: str | None = None
    method: str | None = None
    part: str | None = None
    exclude: tuple[str, ...] = ()
    cache: int | None = None
    generate: tuple[int, ...] | None = None

    def values_of_sizes(self) -> dict[str, int]:
        """The sizes by their names.  Raises ConfigError."""
        from profiler.config.sizes import sizes_of

        return sizes_of(self.sizes)

    def of_network(self, config: Config) -> Config:
        """The config with these options; keys without an option stay.  Raises ConfigError."""
        from profiler.config import with_options

        place = self.inputs_from
        if place is not None:  # relative to the current folder, not to that of the config
            file, colon, name = place.rpartition(":")
            place = f"{Path(file).absolute()}{colon}{name}" if file and Path(file).is_file() else place
        options: dict[str, object] = {
            "inputs": None if place is None else {"from": place},
            "method": self.method,
            "part": self.part,
            "exclude": self.exclude or None,
            "cache": None if self.cache is None else {"length": self.cache},
        }
        if self.generate is not None:
            for option in ("inputs", "cache"):
                if options[option] is not None:
                    raise click.UsageError("--generate makes its own inputs and cache; give no others")
            if self.shapes:
                raise click.UsageError("--generate makes its own inputs; give no --input")
            options["generate"] = dict(zip(("prompt", "new_tokens", "batch"), self.generate, strict=False))
        return with_options(config, {key: value for key, value in options.items() if value is not None})

    def of_saved(self, profile: Profile) -> Profile:
        """The saved profile without the excluded modules.  Raises click's UsageError for any other option."""
        given = {
            "size": self.sizes or None,
            "inputs-from": self.inputs_from,
            "method": self.method,
            "part": self.part,
            "cache": self.cache,
            "generate": self.generate,
        }
        for option, value in given.items():
            if value is not None:
                raise click.UsageError(f"--{option} needs a network; a saved profile describes one finished run")
        return profile.excluding(*self.exclude) if self.exclude else profile


what_to_profile = _bundled(
    "what",
    WhatToProfile,
    ("shapes", "sizes", "inputs_from", "method", "part", "exclude", "cache", "generate"),
    (
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave modules out of the totals, by name (aux*) or type (Dropout).",
        ),
        click.option(
            "--generate",
            type=Numbers(("PROMPT", "NEW", "BATCH"), 2),
            help="A causal language model of transformers writes NEW tokens after a prompt of PROMPT, for BATCH texts.",
        ),
        click.option(
            "--cache",
            type=AtLeast(min=1),
            metavar="TOKENS",
            help="The number of tokens in the cache of a generative class of transformers; one more is then processed.",
        ),
        click.option("--part", metavar="MODULE", help="Profile this module alone, such as backbone.layer3."),
        click.option("--method", metavar="NAME", help="The method to call in place of the forward, such as encode."),
        click.option(
            "--inputs-from",
            metavar="FUNCTION",
            help="The function that makes the inputs from the network: path/to/net.py:make_inputs.",
        ),
        click.option(
            "--size",
            "sizes",
            multiple=True,
            metavar="NAME=NUMBER",
            help="The value of a size that a config or --input names, such as B=8.",
        ),
        click.option(
            "--input",
            "shapes",
            multiple=True,
            metavar="SHAPE",
            help="A target's input: 1x3x224x224, Bx3xHxW with --size, 1x128:int64; repeat it for several inputs.",
        ),
    ),
)
"""The options for what is profiled and on which inputs, as one argument ``what``."""
