"""The names that configs, saved profiles and the command line know, read from files without importing them.

Where one file defines one thing, the file's name is the thing's name: a new file is a new name.  The module is
imported when the thing is used, so a list of names needs neither torch nor pandas.
"""

from __future__ import annotations

import functools
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent

USUAL_FORMATS = ("csv", "markdown", "json", "summary")
"""The formats of files if nobody names any; none of them needs an extra."""


def names(package: str, first: tuple[str, ...] = (), *, dash: bool = False) -> tuple[str, ...]:
    """The public modules of ``package`` (``"profiler.render.formats"``); their code is not run.

    Those of ``first`` come in that order, and all others after them in alphabetical order.  With ``dash`` a name has a
    dash where its file has an underscore.  A folder that was added to the ``__path__`` of ``package`` is read too.
    """
    folders = [str(PACKAGE.joinpath(*package.split(".")[1:]))]
    if package in sys.modules:
        folders = list(sys.modules[package].__path__)
    found = [module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]
    if dash:
        found = [name.replace("_", "-") for name in found]
    return (*(name for name in first if name in found), *sorted(set(found).difference(first)))


@functools.cache
def extension(package: str, name: str, attribute: str) -> Any:
    """What the module of that name in ``package`` defines as ``attribute``; the module is imported."""
    return getattr(import_module(f"{package}.{name}"), attribute)


@functools.cache
def formats() -> tuple[str, ...]:
    """The file formats that a report is written in."""
    return names("profiler.render.formats", (*USUAL_FORMATS, "latex", "html", "xlsx", "parquet"))


@functools.cache
def check_formats() -> tuple[str, ...]:
    """The file formats of a check that have a renderer of their own; it can be written in every other format too."""
    return names("profiler.render.checks", ("json", "github", "junit"))


@functools.cache
def measures() -> tuple[str, ...]:
    """The figures that tables show."""
    first = ("parameters", "multiplies", "adds", "divides", "comparisons", "transcendentals", "macs", "flops")
    last = ("bytes_read", "bytes_written", "parameter_bytes")
    found = names("profiler.measures", first)
    return (*(name for name in found if name not in last), *last)


@functools.cache
def ratios() -> tuple[str, ...]:
    """The ratios of figures that tables show."""
    return names("profiler.ratios")


@functools.cache
def tables() -> tuple[str, ...]:
    """The tables of a profile."""
    first = ("shares", "layers", "modules", "operations", "parameters", "uncounted", "training", "crosscheck")
    return names("profiler.tables", first)


@functools.cache
def conventions() -> tuple[str, ...]:
    """The conventions by which a headline is counted."""
    return names("profiler.conventions", ("exact", "macs", "torchvision", "fvcore", "paper"))


@functools.cache
def views() -> tuple[str, ...]:
    """The views by which work is sorted into kinds."""
    return names("profiler.views", ("pointwise_as_linear", "depthwise_apart"))


@functools.cache
def counters() -> tuple[str, ...]:
    """The other counters that a cross-check may run."""
    first = ("fvcore", "torch", "torch-cpu", "ptflops", "thop", "torchinfo", "calflops", "torchprofile")
    return names("profiler.crosschecks.counters", first, dash=True)


@functools.cache
def devices() -> tuple[str, ...]:
    """The devices that come with the profiler."""
    return _yaml_files("devices")


@functools.cache
def energy_models() -> tuple[str, ...]:
    """The models of energy that come with the profiler."""
    return _yaml_files("energy")


def _yaml_files(package: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in PACKAGE.joinpath(package, "files").glob("*.yaml")))


@functools.cache
def pictures() -> tuple[str, ...]:
    """The pictures of profiles."""
    first = ("shares", "depth", "icicle", "training", "rewriting", "landscape", "published", "terminal")
    return names("profiler.pictures", first)


@functools.cache
def commands() -> tuple[str, ...]:
    """The commands, in the order in which a newcomer needs them."""
    first = (
        *("profile", "explain", "compare", "diff", "formula", "sweep", "check", "crosscheck"),
        *("rewrite", "report", "reprice", "models", "operators"),
    )
    return names("profiler.cli.commands", first, dash=True)
