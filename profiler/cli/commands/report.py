"""Write the tables of several networks, their comparison, and an index page.

For each network, every table is written as CSV, with a summary in Markdown; report.formats in a config, or --format,
names others.  With html, index.html has the comparison and every network on one page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler import catalog
from profiler.cli.delivery import check_folder, check_formats, check_names
from profiler.cli.ending import Command, fail
from profiler.cli.globs import expanded
from profiler.cli.jobs import in_processes
from profiler.cli.options import (
    Seen,
    WhatToProfile,
    jobs,
    names,
    no_crosscheck,
    quiet,
    seen_on,
    sources,
    strict,
    what_to_profile,
)
from profiler.cli.sources import Source, profile_all, read_sources
from profiler.streams import complain

if TYPE_CHECKING:
    from profiler.config import Config
    from profiler.profiles import Profile
    from profiler.render import Report
    from profiler.render.report import ReportPicture


@click.command(cls=Command, help=__doc__)
@sources
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@names(
    "--format",
    catalog.formats(),
    "a format",
    f"{', '.join(catalog.formats())}: the formats of each network, in place of those in its config; html also writes "
    "one page with all networks.",
    "formats",
)
@quiet
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the folder is not up to date.")
@strict
@jobs
@no_crosscheck
@seen_on
@what_to_profile
def command(
    sources: tuple[str, ...],
    output: Path,
    formats: tuple[str, ...] | None,
    quiet: bool,
    check: bool,
    strict: bool,
    jobs: int,
    no_crosscheck: bool,
    seen: Seen,
    what: WhatToProfile,
) -> None:
    from profiler.files import remove_leftovers, write_files
    from profiler.render import RESERVED_NAMES, collection_files

    found = read_sources(expanded(sources), what)
    if no_crosscheck:
        found = [source.alone() for source in found]
    check_names([(source.typed, source.name) for source in found], RESERVED_NAMES)
    check_folder(output)
    check_formats(name for source in found for name in _wanted(source, formats)[0])
    profiles = [seen.of(profile) for profile in profile_all(found, strict=strict, quiet=quiet, jobs=jobs)]
    wanted = [(profile, *_wanted(source, formats)) for source, profile in zip(found, profiles, strict=True)]
    files = collection_files(wanted, _rewritings(found, jobs, seen), _pictures(found, profiles))
    if check:
        stale = _stale(output, files)
        if stale:
            fail(f"{output} is not up to date: {', '.join(stale)}")
        return
    remove_leftovers(output)
    write_files(output, files)
    if not quiet:
        complain(f"{output}: {len(files)} files")


FORMATS = ("csv", "summary")
"""The formats for a network whose config names none: every table once, and a summary to read."""


def _wanted(source: Source, formats: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """These formats, or those that the config names, and its tables; all tables for a saved profile."""
    if source.config is None:
        return formats or FORMATS, None
    return formats or source.config.report.formats or FORMATS, source.config.report.tables


def _pictures(sources: Sequence[Source], profiles: Sequence[Profile]) -> dict[str, Sequence[ReportPicture]]:
    """The pictures that configs name, by folder; those of several networks are about all of them."""
    names = {source.name: source.config.report.pictures for source in sources if source.config is not None}
    if not any(names.values()):
        return {}
    from profiler.pictures import report_pictures
    from profiler.render.collection import COMPARISON

    found = {profile.name: report_pictures(names.get(profile.name, ()), [profile]) for profile in profiles}
    every = tuple(dict.fromkeys(name for listed in names.values() for name in listed))
    return {**found, COMPARISON: report_pictures(every, profiles, "many")}


def _rewritings(sources: Sequence[Source], jobs: int, seen: Seen) -> list[Report]:
    """The reports on the configs with rewrites, without measured differences, which depend on the machine."""
    configs = [source.config for source in sources if source.config is not None and source.config.rewrites]
    if not configs:
        return []
    from profiler.render import rewriting_report

    reports = []
    with closing(in_processes(_rewritten, configs, jobs)) as results:
        for config, (before, after, *rest) in zip(configs, results, strict=True):
            before, after = seen.of(before), seen.of(after)
            report = rewriting_report(before, after, *rest)
            if config.report.pictures:
                from profiler.pictures import report_pictures

                drawn = report_pictures(config.report.pictures, [before, after], "two")
                report = replace(report, pictures=drawn)
            reports.append(report)
    return reports


def _rewritten(config: Config) -> tuple[Profile, Profile, tuple[str, ...], tuple[str, ...]]:
    """The network before and after its rewrites, what is stated of them, and why something was left."""
    from profiler.rewriting import rewrite_config

    result = rewrite_config(config)
    return result.before, result.after, result.statements(), result.reasons_left()


def _stale(output: Path, files: Mapping[str, str | bytes]) -> list[str]:
    """The files that are out of date or missing, and those that are no longer written."""
    from profiler.files import encoded, is_leftover

    there = {
        path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file() and not is_leftover(path)
    }
    gone = [f"{name} (no longer written)" for name in sorted(there - set(files))]
    return [name for name, content in files.items() if not _is_current(output / name, encoded(content))] + gone


def _is_current(path: Path, content: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() == content
    except OSError:
        return False
