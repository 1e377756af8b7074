"""Profile a network at many sizes, or many networks: one row a point.

--vary B=1,2,4,8 varies a size that --input or a config names; several --vary are a grid, and names with commas vary
together: --vary H,W=128:512:32, where 512 is included.  Arguments of the builder (kwargs.width=64:256:32), dtype,
mode, optimizer, cache, method and part vary too.  A SOURCE may be a pattern, 'torchvision:resnet*', or a function in
a file that yields configs, search.py:candidates.  Crossovers are reported: from which size on one kind of work does
more multiplies than another.

With --output, results are kept in sweep.sqlite as they arrive, and --resume goes on from them.  A point that fails is
a row with its reason; the exit code is then 1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler.cli.delivery import Delivery, check_formats
from profiler.cli.ending import Command, fail
from profiler.cli.options import AtLeast, WhatToProfile, delivered, sources, strict, what_to_profile
from profiler.errors import ConfigError, ProfilerError
from profiler.streams import Stopped, complain

if TYPE_CHECKING:
    from profiler.render import ReportPicture
    from profiler.sweeps.crossings import Crossing
    from profiler.sweeps.points import Points
    from profiler.sweeps.sweeping import Sweep

LARGEST_IN_FULL = 5_000
"""Sweeps of more points are written as CSV alone, unless other formats are requested."""

ROWS_AT_ONCE = 2_000
"""How many rows of a long CSV are in memory at a time."""


@click.command(cls=Command, help=__doc__)
@sources
@click.option("--vary", "axes", multiple=True, metavar="NAME=VALUES", help="What varies; repeat it for a grid.")
@delivered("the table")
@click.option("--jobs", type=AtLeast(min=1), default=1, metavar="N", help="Profile N points at a time, in N processes.")
@click.option("--cluster", metavar="ADDRESS", help="Profile on a running cluster: dask:tcp://HOST:PORT or ray:auto.")
@click.option("--resume", is_flag=True, help="Go on from the results in the folder of --output.")
@click.option("--max-points", type=AtLeast(min=1), metavar="N", help="Allow more points than the default of 1,000,000.")
@strict
@what_to_profile
def command(
    sources: tuple[str, ...],
    axes: tuple[str, ...],
    to: Delivery,
    jobs: int,
    cluster: str | None,
    resume: bool,
    max_points: int | None,
    strict: bool,
    what: WhatToProfile,
) -> None:
    from profiler.sweeps.sweeping import Sweep

    to.check()
    if resume and to.output is None:
        raise ConfigError("--resume: there is nothing to go on from without --output, the folder with the results")
    if cluster is not None and jobs > 1:
        raise ConfigError("--cluster: found --jobs too, expected one of them; the cluster knows its number of workers")
    points = _points(sources, axes, what, max_points)
    with Sweep(points, to.output, resume=resume) as sweep:
        try:
            with _progress(sweep, to.quiet) as advance:
                sweep.run(jobs, cluster, advance)
        except Stopped:
            sweep.store.commit()
            _say_what_is_there(sweep, to)
            raise
        except ProfilerError:
            sweep.store.commit()
            raise
        _deliver(sweep, to)
        found, failed = sweep.counts()
        partial = sweep.partial() if strict else 0
    if failed:
        fail(f"{failed:,} of {found:,} points failed; the column error has the reasons")
    if partial:
        fail(f"strict mode: {partial:,} of {found:,} points are partial, since some of their operations have no rule")


def _points(sources: tuple[str, ...], axes: tuple[str, ...], what: WhatToProfile, most: int | None) -> Points:
    from profiler.cli.globs import expanded
    from profiler.cli.sources import is_target, read_sources
    from profiler.sweeps.axes import parse_axis
    from profiler.sweeps.points import MAX_POINTS
    from profiler.sweeps.sources import is_stream, points_of, sizes_at_first, stream_of

    most = most or MAX_POINTS
    streams = [source for source in sources if is_stream(source)]
    if streams:
        if len(sources) > 1 or axes or what != WhatToProfile():
            raise ConfigError(
                f"{streams[0]}: yields configs of its own, expected no other source and no option for networks"
            )
        return stream_of(streams[0], most)
    parsed = [parse_axis(axis) for axis in axes]
    varied = tuple(f"{name}={size}" for name, size in sizes_at_first(parsed).items())
    given = what.values_of_sizes()
    twice = next((name for axis in parsed for name in axis.names if name in given), None)
    if twice is not None:
        raise ConfigError(f"--size {twice}: the size varies (--vary {twice}), expected one of the two")
    what = replace(what, sizes=(*what.sizes, *varied))
    found = read_sources(expanded(sources), what)
    saved = next((source.typed for source in found if source.config is None), None)
    if saved is not None:
        raise ConfigError(f"{saved}: a saved profile is one point, expected a config or a target")
    named = [(source.typed if is_target(source.typed) else source.name, source.config) for source in found]
    return points_of([(name, config) for name, config in named if config is not None], parsed, most)


def _deliver(sweep: Sweep, to: Delivery) -> None:
    """Write and print the table, the crossovers and what failed."""
    from profiler.sweeps.reporting import sweep_report

    found, _ = sweep.counts()
    if to.output is not None and to.formats is None and found > LARGEST_IN_FULL:
        _write_long(sweep, to.output)
        if not to.quiet:
            complain(f"{to.output / 'sweep.csv'}: {found:,} points")
        return
    if to.output is not None and to.formats is None:
        to = replace(to, formats=_usual_formats())
    missing = 0 if sweep.points.total is None else sweep.points.total - found
    crossings = sweep.crossings()
    to.report(sweep_report(sweep.table(), crossings, sweep.failed(), _pictures(sweep, crossings, to), missing))


def _pictures(sweep: Sweep, crossings: Sequence[Crossing], to: Delivery) -> tuple[ReportPicture, ...]:
    """Cost against size, for the folder of --output."""
    if to.output is None:
        return ()
    from profiler.sweeps.picturing import pictures_of

    return pictures_of(sweep.lines(), crossings)


def _usual_formats() -> tuple[str, ...]:
    """CSV and Markdown, and Parquet where its package is installed."""
    usual = ("csv", "markdown", "parquet") if find_spec("pyarrow") else ("csv", "markdown")
    check_formats(usual)
    return usual


def _write_long(sweep: Sweep, folder: Path) -> None:
    from profiler.files import write_pieces
    from profiler.render.formats.csv import csv_text

    def pieces() -> Iterator[str]:
        for number, part in enumerate(sweep.tables(ROWS_AT_ONCE)):
            text = csv_text(part)
            yield text.partition("\n")[2] if number else text

    write_pieces(folder / "sweep.csv", pieces())


def _say_what_is_there(sweep: Sweep, to: Delivery) -> None:
    found, _ = sweep.counts()
    total = "" if sweep.points.total is None else f" of {sweep.points.total:,}"
    if to.output is None:
        complain(f"profiler: {found:,}{total} points were profiled; --output keeps them, so that --resume can go on")
    else:
        _write_long(sweep, to.output)
        complain(f"profiler: {found:,}{total} points are in {sweep.store.path}; go on with --resume")


@contextlib.contextmanager
def _progress(sweep: Sweep, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar with the rate and the time left on standard error, if it is a terminal; yields what moves it."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield lambda number: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from profiler.cli.progress import rate
    from profiler.streams import HEIGHT, screen_width

    columns = (
        TextColumn("points"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    console = Console(stderr=True, width=screen_width(sys.stderr), height=HEIGHT)
    with Progress(*columns, console=console, transient=True, speed_estimate_period=120) as progress:
        task = progress.add_task("", total=sweep.points.total, completed=sweep.found_before, rate="")

        def advance(number: int) -> None:
            progress.update(task, advance=number, rate=rate(progress.tasks[0].speed))

        yield advance
