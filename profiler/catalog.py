"""The names that configs, saved profiles and the command line know, read from files without importing them.

Where one file defines one thing, the file's name is the thing's name: a new file is a new name.  The module is
imported when the thing is used, so a list of names needs neither torch nor pandas.
"""

from __future__ import annotations

import functools
import pkgutil
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent


def names(package: str, first: tuple[str, ...] = (), *, dash: bool = False) -> tuple[str, ...]:
    """The public modules of ``package`` (``"profiler.render.formats"``), whose code is not run.

    Those of ``first`` come in that order, all others after them in the alphabet's.  With ``dash`` a name has a dash
    where its file has an underscore.  A folder that was added to the ``__path__`` of ``package`` is read as well.
    """
    folders = [str(PACKAGE.joinpath(*package.split(".")[1:]))]
    if package in sys.modules:
        folders = list(sys.modules[package].__path__)
    found = [module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]
    if dash:
        found = [name.replace("_", "-") for name in found]
    return (*(name for name in first if name in found), *sorted(set(found).difference(first)))


@functools.cache
def formats() -> tuple[str, ...]:
    """The file formats that a report is written in."""
    return names("profiler.render.formats", ("csv", "markdown", "json"))


@functools.cache
def tables() -> tuple[str, ...]:
    """The tables of a profile."""
    return ("layers", "shares", "modules", "operations", "parameters", "uncounted", "training", "crosscheck")


@functools.cache
def conventions() -> tuple[str, ...]:
    """The conventions by which a headline is counted."""
    return ("exact", "macs", "torchvision", "fvcore", "paper")


@functools.cache
def views() -> tuple[str, ...]:
    """The views by which work is sorted into kinds."""
    return ("pointwise_as_linear", "depthwise_apart")


@functools.cache
def counters() -> tuple[str, ...]:
    """The other counters that a cross-check may run."""
    first = ("fvcore", "torch", "torch-cpu", "ptflops", "thop", "torchinfo", "calflops", "torchprofile")
    return names("profiler.crosschecks.counters", first, dash=True)


@functools.cache
def commands() -> tuple[str, ...]:
    """The commands, in the order in which a newcomer needs them."""
    first = ("profile", "compare", "crosscheck", "rewrite", "report", "models", "operators")
    return names("profiler.cli.commands", first, dash=True)
