"""Check that networks keep to a budget, and that they did not grow.

A budget limits figures (macs: 4.1G), modules and shares; it is in a file, or under the key budget of a config.  A
baseline is a saved profile, or a folder of them by the names of networks: with --tolerance 1% a figure may be 1 percent
larger than in it.  Exits with 1 if a limit is not kept, and shows the layers that did it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler import catalog
from profiler.cli.delivery import Delivery, check_folder, check_names, main_file, print_document, show
from profiler.cli.ending import Command, fail
from profiler.cli.options import Seen, WhatToProfile, delivered, jobs, seen_on, sources, what_to_profile
from profiler.cli.sources import Source, profile_all, read_sources
from profiler.errors import ConfigError, ProfilerError
from profiler.printable import visible
from profiler.streams import complain

if TYPE_CHECKING:
    from profiler.budgets.model import CheckResult
    from profiler.config.budget import Budget, Budgets
    from profiler.profiles import Profile

FORMATS = tuple(dict.fromkeys((*catalog.formats(), *catalog.check_formats())))
"""The formats of a check: those of every report, and its own."""

WRITTEN = tuple(dict.fromkeys((*catalog.USUAL_FORMATS, *catalog.check_formats())))
"""The formats that are written if none is named."""


@click.command(cls=Command, help=__doc__)
@sources
@click.option("--budget", type=click.Path(path_type=Path), metavar="FILE", help="The file of budgets (.yaml).")
@click.option(
    "--baseline", type=click.Path(path_type=Path), metavar="PATH", help="A saved profile (.json), or a folder of them."
)
@click.option("--tolerance", default="0", metavar="PERCENT", help="The allowed growth over the baseline; 0 by default.")
@click.option("--update", is_flag=True, help="Write the baseline, and compare nothing with it.")
@click.option("--accept-partial", is_flag=True, help="Let lower bounds pass where something is not counted.")
@delivered("the results", FORMATS)
@jobs
@seen_on
@what_to_profile
def command(
    sources: tuple[str, ...],
    budget: Path | None,
    baseline: Path | None,
    tolerance: str,
    update: bool,
    accept_partial: bool,
    to: Delivery,
    jobs: int,
    seen: Seen,
    what: WhatToProfile,
) -> None:
    from profiler.config.budget import load_budgets
    from profiler.limits import parse_tolerance

    to.check()
    allowed = parse_tolerance(tolerance, "--tolerance")
    if baseline is None and (update or allowed):
        raise click.UsageError(f"--{'update' if update else 'tolerance'} needs --baseline")
    budgets = None if budget is None else load_budgets(budget)
    found = [source.alone() for source in read_sources(sources, what)]
    wanted = [_budgets_of(source, budgets) for source in found]
    found = [
        source.with_memory() if any(budget.needs_memory for budget in its) else source
        for source, its in zip(found, wanted, strict=True)
    ]
    places = _places(found, baseline, missing=update)
    _check_work(found, wanted, baseline)
    if baseline is not None and update:
        check_folder(baseline.parent if baseline.suffix == ".json" else baseline, "baseline")
    profiles = [seen.of(profile) for profile in profile_all(found, quiet=to.quiet, jobs=jobs)]
    results = [
        _check(source, profile, its, None if update else place, allowed, accept_partial, budget)
        for source, profile, its, place in zip(found, profiles, wanted, places, strict=True)
    ]
    if budgets is not None and not to.quiet:
        for pattern in budgets.idle([source.name for source in found]):
            complain(f"{budgets.place}: {pattern}: no network of this name was given")
    if update:
        _write(profiles, places, to.quiet)
    if any(result.findings for result in results):
        _deliver(results, to)
    if not all(result.passed for result in results):
        from profiler.budgets.sentences import verdict_line

        fail(verdict_line(results))


def _budgets_of(source: Source, budgets: Budgets | None) -> list[Budget]:
    """The budgets of a network: those of the file if one is given, else that of its config."""
    from profiler.config.budget import parse_budget
    from profiler.errors import did_you_mean

    if budgets is not None:
        found = budgets.of(source.name)
        if not found:
            names = [pattern for pattern, _ in budgets.entries]
            raise ConfigError(
                f"{budgets.place}: no budget for {source.name}{did_you_mean(source.name, names)} "
                f"(found those of {', '.join(names)})"
            )
        return found
    if source.config is None or source.config.budget is None:
        return []
    return [parse_budget(source.config.budget, f"{source.typed}: budget")]


def _check_work(sources: Sequence[Source], wanted: Sequence[Sequence[Budget]], baseline: Path | None) -> None:
    """Raise :class:`ConfigError` for a network of which nothing would be checked."""
    for source, budgets in zip(sources, wanted, strict=True):
        if baseline is None and not any(budget.limits or budget.complete for budget in budgets):
            found = "a budget without limits" if budgets else "no budget"
            raise ConfigError(
                f"{source.typed}: found {found}, expected --budget, --baseline, or limits under a config's key budget"
            )


def _places(sources: Sequence[Source], baseline: Path | None, *, missing: bool) -> list[Path | None]:
    """The file of each network's baseline; with ``missing`` it need not exist."""
    if baseline is None:
        return [None] * len(sources)
    if baseline.suffix == ".json":
        if len(sources) > 1:
            raise click.UsageError("--baseline: one saved profile is the baseline of one network; give a folder")
        return [baseline]
    check_names([(source.typed, source.name) for source in sources])
    return [_place(baseline, source.name, missing) for source in sources]


def _place(folder: Path, name: str, missing: bool) -> Path:
    plain, of_profile = folder / f"{name}.json", folder / name / "profile.json"
    for path in (plain, of_profile):
        if path.is_file():
            return path
    if not missing:
        raise ConfigError(
            f"{folder}: no baseline of {name}, expected {plain.name} or {name}/profile.json; --update writes it"
        )
    return plain


def _check(
    source: Source,
    profile: Profile,
    budgets: Sequence[Budget],
    place: Path | None,
    tolerance: Fraction,
    accept_partial: bool,
    budget: Path | None,
) -> CheckResult:
    from profiler.budgets.baselines import load_baseline
    from profiler.budgets.checking import check_profile

    baseline = None if place is None else load_baseline(place, tolerance)
    file = _file(source, budget or place)
    return check_profile(profile, budgets, baseline, source=source.typed, file=file, accept_partial=accept_partial)


def _file(source: Source, otherwise: Path | None) -> str:
    """Where a reader of an annotation would go: the config, or the file that holds the limits.

    The path is relative to the current folder if it is below it, as GitHub expects.
    """
    path = source.config.path if source.config is not None else Path(source.typed)
    path = path or otherwise
    if path is None:
        return ""
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(Path.cwd()).as_posix() if absolute.is_relative_to(Path.cwd()) else str(path)


def _write(profiles: Sequence[Profile], places: Sequence[Path | None], quiet: bool) -> None:
    """Write the baselines, and say what changed."""
    from profiler.budgets.baselines import changes
    from profiler.profiles import load_profile

    for profile, place in zip(profiles, places, strict=True):
        assert place is not None
        try:
            before = load_profile(place) if place.exists() else None
        except ProfilerError:  # it is replaced
            before = None
        profile.save(place)
        if not quiet:
            complain(f"{place}: written{'' if before is None else f': {changes(before, profile)}'}")


def _deliver(results: Sequence[CheckResult], to: Delivery) -> None:
    """Write the results to the output, print them in one format, or show them.

    If every network passed, a line for each is shown.
    """
    from profiler.files import write_files
    from profiler.render.checking import check_report
    from profiler.render.checks import check_files

    if to.output is not None:
        write_files(to.output, check_files(results, to.formats or WRITTEN))
    if to.printed_format is not None:
        print_document(main_file(check_files(results, (to.printed_format,)), "limits"), to.printed_format)
    elif to.quiet:
        return
    elif all(result.passed for result in results):
        from profiler.budgets.sentences import passed_line

        print_document("".join(f"{visible(passed_line(result))}\n" for result in results))
    else:
        show(check_report(results))
