"""Profile networks: what each layer costs.

With --output, every table is written to a folder with the network's name, in the requested formats.  With --format
alone, that format is printed instead of the terminal report: with several networks, json is a list, and csv is one
table whose first column is the network.  Other counters, some of which run the network on real tensors, are run only
if a config or --crosscheck names them.  A file for --picture is named after its picture: shares.svg, alexnet-depth.pdf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler import catalog
from profiler.cli.delivery import Delivery, check_formats, check_names, main_file, print_document, show
from profiler.cli.ending import Command
from profiler.cli.globs import expanded
from profiler.cli.options import (
    AtLeast,
    Seen,
    WhatToProfile,
    delivered,
    jobs,
    memory,
    names,
    no_crosscheck,
    seen_on,
    sources,
    strict,
    what_to_profile,
)
from profiler.cli.pictures import check_pictures, pictures, write_pictures
from profiler.cli.sources import Source, profile_all, read_sources
from profiler.streams import complain

if TYPE_CHECKING:
    from profiler.profiles import Profile
    from profiler.render import Report


@click.command(cls=Command, help=__doc__)
@sources
@delivered("the tables")
@strict
@jobs
@click.option("--depth", type=AtLeast(min=0), metavar="N", help="Show the tree of modules down to depth N.")
@click.option("--top", type=AtLeast(min=1), metavar="N", help="Show the N costliest layers, and the others together.")
@names("--crosscheck", catalog.counters(), "a counter", "Run these counters too: fvcore, torch, thop, …", "counters")
@memory
@no_crosscheck
@seen_on
@pictures
@what_to_profile
def command(
    sources: tuple[str, ...],
    to: Delivery,
    strict: bool,
    jobs: int,
    depth: int | None,
    top: int | None,
    counters: tuple[str, ...] | None,
    memory: bool,
    no_crosscheck: bool,
    seen: Seen,
    pictures: tuple[Path, ...],
    what: WhatToProfile,
) -> None:
    to.check()
    if depth is not None and top is not None:
        raise click.UsageError("--depth shows modules and --top shows layers; give one of them")
    if counters is not None and no_crosscheck:
        raise click.UsageError("--crosscheck and --no-crosscheck contradict each other; give one of them")
    found = read_sources(expanded(sources), what)
    check_pictures(pictures, len(found))
    to.check_number(len(found))
    if counters is not None:
        found = [source.against(counters, "crosscheck") for source in found]
    elif no_crosscheck:
        found = [source.alone() for source in found]
    if memory:
        found = [source.with_memory() for source in found]
    if to.output is not None:
        check_names([(source.typed, source.name) for source in found])
        check_formats(
            name for source in found if source.config is not None for name in source.config.report.formats or ()
        )
    profiles = [seen.of(profile) for profile in profile_all(found, strict=strict, quiet=to.quiet, jobs=jobs)]
    if to.output is not None:
        for source, profile in zip(found, profiles, strict=True):
            _write(to.output, source, profile, to.formats, depth, top, seen)
    write_pictures(pictures, profiles, partial(_on_screen, profiles, depth, top))
    if to.printed_format is not None:
        print_document(_as_format(profiles, to.printed_format, depth, top), to.printed_format)
    elif not to.quiet:
        for report in _on_screen(profiles, depth, top):
            show(report)
        if to.output is not None:
            complain(f"Written: {', '.join(str(to.output / profile.name) for profile in profiles)}")


def _write(
    output: Path,
    source: Source,
    profile: Profile,
    formats: Sequence[str] | None,
    depth: int | None,
    top: int | None,
    seen: Seen,
) -> None:
    """Write a profile's tables: those that its config names, in ``formats`` or those of the config."""
    from profiler.files import remove_leftovers, write_files
    from profiler.render import profile_report, render_files

    wanted = None if source.config is None else source.config.report
    tables = None if wanted is None else (*wanted.tables, *_of_options(seen))
    report = profile_report(profile, tables, depth, top)
    if wanted is not None and wanted.pictures:
        from profiler.pictures import report_pictures

        report = replace(report, pictures=report_pictures(wanted.pictures, [profile]))
    files = render_files(report, tuple(formats or (wanted and wanted.formats) or catalog.USUAL_FORMATS))
    # Files of an earlier cross-check do not belong to this profile.
    stale = () if profile.counters else (f"{profile.name}/crosscheck.csv", f"{profile.name}/crosscheck.md")
    remove_leftovers(output / profile.name)
    write_files(output, {f"{profile.name}/{name}": content for name, content in files.items()}, stale=stale)


def _of_options(seen: Seen) -> tuple[str, ...]:
    """The tables that options ask for, whatever a config names."""
    from profiler.render.report import OF_DEVICE, OF_ENERGY

    return (*(OF_DEVICE if seen.device is not None else ()), *(OF_ENERGY if seen.energy is not None else ()))


def _on_screen(profiles: Sequence[Profile], depth: int | None, top: int | None) -> list[Report]:
    """What the terminal shows of each."""
    from profiler.render.screen import screen_report

    return [screen_report(profile, depth, top) for profile in profiles]


def _as_format(profiles: Sequence[Profile], name: str, depth: int | None, top: int | None) -> str | bytes:
    """Profiles as one document in one format: the layers as CSV, the summary as Markdown, the profile as JSON."""
    from profiler.render import profile_report, render_files, render_texts

    if name == "csv" and len(profiles) > 1:
        from profiler.columns import Column
        from profiler.render.formats.csv import csv_text
        from profiler.schema import joined

        layers = {profile.name: profile.tabulated("layers") for profile in profiles}
        return csv_text(joined(Column("network", "name"), layers))
    if name == "html" and len(profiles) > 1:
        from profiler.render.collection import collection_page
        from profiler.render.report import comparison_report

        reports = [profile_report(profile, depth=depth) for profile in profiles]
        return collection_page(comparison_report(profiles), reports)
    if len(profiles) == 1:
        return main_file(render_files(profile_report(profiles[0], depth=depth, top=top), (name,)), "layers")
    texts = [
        main_file(render_texts(profile_report(profile, depth=depth, top=top), (name,)), "layers")
        for profile in profiles
    ]
    if name == "json":
        return "[\n" + ",\n".join(text.rstrip("\n") for text in texts) + "\n]\n"
    return "\n".join(texts)
