"""The commands.  Only this module prints and decides where files go; torch is loaded when a network is traced."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from profiler import catalog
from profiler.cli.options import WhatToProfile, what_to_profile
from profiler.errors import ConfigError, OutputError, ProfilerError, UncountedError
from profiler.printable import one_line, visible
from profiler.streams import (
    ReaderGone,
    Stopped,
    complain,
    document_apart,
    machine_text,
    screen_width,
    send_the_rest_to_stderr,
    stopped_by_signals,
    write_document,
)

if TYPE_CHECKING:
    from profiler.config import Config
    from profiler.profiles import Profile
    from profiler.render import Report

BAD_INPUT = 2
NOT_AS_IT_SHOULD_BE = 1
"""Exit codes: what was asked for cannot be done; it was done and the answer is not the wanted one."""

BY_A_SIGNAL = 128
"""With the signal's number added, the exit code of a command that a signal ended, as shells have it."""

SIGINT, SIGPIPE = 2, 13

HEIGHT = 25
"""The lines of a terminal as far as anything depends on them; given, so that its size is not asked for twice."""

TABLE_FORMATS = tuple(name for name in catalog.formats() if name != "json")


class _Command(click.Command):
    """A command whose document alone reaches standard output; what networks print goes to standard error."""

    def invoke(self, ctx: click.Context) -> Any:
        with document_apart() as document:
            ctx.obj = document
            try:
                return super().invoke(ctx)
            except Stopped as stopped:  # click would print a blank line first
                _stop(stopped)


class _Commands(click.Group):
    """Lists the commands in the order in which a newcomer needs them."""

    command_class = _Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class _Names(click.ParamType[Any]):
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
                self.fail(f"{name!r} is not {self._what}, expected some of {', '.join(self._known)}", param, ctx)
        return names


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command has which profiles networks."""
    for option in (
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
    ):
        command = option(command)
    return what_to_profile(command)


def _by_whose_count(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how profiles are summed up and sorted into kinds."""
    for option in (
        click.option("--depthwise-apart", is_flag=True, help="Set convolutions that do not mix channels apart."),
        click.option("--pointwise-as-linear", is_flag=True, help="Sort 1×1 convolutions under linear."),
        click.option(
            "--convention",
            type=click.Choice(catalog.conventions()),
            help="By whose count the headline is; the config's by default, which is exact if it says nothing.",
        ),
    ):
        command = option(command)
    return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="SOURCE: a config (.yaml), a saved profile (.json), or a target (torchvision:resnet50, path/to/net.py:Net).",
)
@click.version_option(package_name="static-flop-profiler", prog_name="profiler")
def cli() -> None:
    """Count what a PyTorch network costs, layer by layer, without running it on data."""


@cli.command("profile")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the tables to this folder.")
@click.option(
    "--format", "formats", type=_Names(catalog.formats(), "a format"), help="csv, markdown, json: write or print these."
)
@click.option("--strict", is_flag=True, help="Fail where an operation has no rule.")
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="Show the tree of modules down to depth N.")
@click.option("--no-crosscheck", is_flag=True, help="Do not ask other counters.")
@_by_whose_count
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Save what the terminal shows as an SVG picture (.svg)."
)
@_common
def profile_command(
    sources: tuple[str, ...],
    output: Path | None,
    formats: tuple[str, ...] | None,
    strict: bool,
    depth: int | None,
    no_crosscheck: bool,
    convention: str | None,
    pointwise_as_linear: bool,
    depthwise_apart: bool,
    picture: Path | None,
    what: WhatToProfile,
    quiet: bool,
    debug: bool,
) -> None:
    """Profile networks: what each layer costs.

    With --output, every table goes to a folder of the network's name, in the formats asked for.  With --format
    alone, that one format is printed instead of the tables for people: of several networks, json is a list, and csv
    one table whose first column is the network.
    """
    with _errors_in_one_line(debug):
        _check_one_format(output, formats)
        _check_picture(picture)
        asked = _read_sources(sources, what)
        _check_names(asked, output)
        profiles = _profile_all(asked, strict=strict, crosscheck=not no_crosscheck, quiet=quiet)
        views = _views(pointwise_as_linear=pointwise_as_linear, depthwise_apart=depthwise_apart)
        profiles = [_as_asked(profile, convention, views) for profile in profiles]
        if output is not None:
            _write_profiles(output, asked, profiles, formats, depth)
        if picture is not None:
            _draw(picture, [_terminal_report(profile, depth) for profile in profiles])
        if quiet:
            return
        if output is None and formats is not None:
            _print(_as_format(profiles, formats[0], depth), formats[0])
            return
        for profile in profiles:
            _show(_terminal_report(profile, depth))
        if output is not None:
            complain(f"Written: {', '.join(str(output / profile.name) for profile in profiles)}")


@cli.command("compare")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the comparison to this folder.")
@click.option(
    "--format", "formats", type=_Names(TABLE_FORMATS, "a format"), help="csv, markdown: what to write, or print."
)
@click.option("--strict", is_flag=True, help="Fail where an operation has no rule.")
@_by_whose_count
@_common
def compare_command(
    sources: tuple[str, ...],
    output: Path | None,
    formats: tuple[str, ...] | None,
    strict: bool,
    convention: str | None,
    pointwise_as_linear: bool,
    depthwise_apart: bool,
    what: WhatToProfile,
    quiet: bool,
    debug: bool,
) -> None:
    """Set networks side by side, with ratios to the first."""
    with _errors_in_one_line(debug):
        from profiler.render import comparison_report

        _check_one_format(output, formats)
        _check_folder(output)
        profiles = _profile_all(_read_sources(sources, what), strict=strict, crosscheck=False, quiet=quiet)
        views = _views(pointwise_as_linear=pointwise_as_linear, depthwise_apart=depthwise_apart)
        report = comparison_report([_as_asked(profile, convention, views) for profile in profiles])
        _deliver(report, output, formats, TABLE_FORMATS, quiet=quiet)


@cli.command("crosscheck")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--against", type=_Names(catalog.counters(), "a counter"), help="Which counters to ask: fvcore, torch, thop, …"
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the comparison to this folder.")
@click.option(
    "--format", "formats", type=_Names(catalog.formats(), "a format"), help="csv, markdown, json: write or print these."
)
@_common
def crosscheck_command(
    source: str,
    against: tuple[str, ...] | None,
    output: Path | None,
    formats: tuple[str, ...] | None,
    what: WhatToProfile,
    quiet: bool,
    debug: bool,
) -> None:
    """Compare the MACs of each layer with other counters' figures; every difference has a reason.

    Asks the counters of the config, or fvcore.  Exits with 1 where a difference is unexplained, or where no counter
    could be asked; one that fails or takes too long is reported as that.
    """
    with _errors_in_one_line(debug):
        from profiler.crosschecks import unexplained
        from profiler.render import crosscheck_report

        _check_one_format(output, formats)
        _check_folder(output)
        ((name, item),) = _read_sources((source,), what)
        if isinstance(item, _config_type()):
            item = item.model_copy(update={"crosscheck": against or item.crosscheck or ("fvcore",)})
        elif against is not None:
            raise click.UsageError("--against needs a network; a saved profile holds what its counters said")
        (profile,) = _profile_all([(name, item)], strict=False, crosscheck=True, quiet=quiet)
        _deliver(crosscheck_report(profile), output, formats, catalog.formats(), quiet=quiet, subfolder=profile.name)
        open_rows = unexplained(profile.agreement)
        if len(open_rows):
            _fail(f"{profile.name}: {len(open_rows)} differences are unexplained", NOT_AS_IT_SHOULD_BE)
        if not any(counter.status == "ok" for counter in profile.counters):
            reasons = "; ".join(f"{c.counter} {c.status}: {c.message}" for c in profile.counters) or "none was asked"
            _fail(f"{profile.name}: nothing to compare with: {reasons}", NOT_AS_IT_SHOULD_BE)


@cli.command("rewrite")
@click.argument("source", metavar="CONFIG")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the tables to this folder.")
@click.option(
    "--format", "formats", type=_Names(TABLE_FORMATS, "a format"), help="csv, markdown: what to write, or print."
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def rewrite_command(
    source: str, output: Path | None, formats: tuple[str, ...] | None, quiet: bool, debug: bool
) -> None:
    """Profile a network before and after its config's rewrites, and check that they are equivalent.

    Exits with 1 where the largest difference on real, seeded tensors is above the config's tolerance.
    """
    with _errors_in_one_line(debug):
        from profiler.config import load_config
        from profiler.render import rewriting_report
        from profiler.rewriting import rewrite_config

        _check_one_format(output, formats)
        _check_folder(output)
        result = rewrite_config(load_config(source))
        report = rewriting_report(result.before, result.after, result.findings(), result.reasons_left())
        _deliver(report, output, formats, TABLE_FORMATS, quiet=quiet, subfolder=result.before.name)
        if not result.equivalence.passed:
            _fail(f"{result.before.name}: {result.verdict()}", NOT_AS_IT_SHOULD_BE)


@cli.command("report")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the folder is not up to date.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def report_command(sources: tuple[str, ...], output: Path, check: bool, quiet: bool, debug: bool) -> None:
    """Write the tables of several networks, their comparison, and an index page that sums them up."""
    with _errors_in_one_line(debug):
        from profiler.files import is_leftover, remove_leftovers, write_files
        from profiler.render import RESERVED_NAMES, collection_files

        asked = _read_sources(sources, WhatToProfile())
        _check_names(asked, output, RESERVED_NAMES)
        profiles = _profile_all(asked, strict=False, crosscheck=True, quiet=quiet)
        wanted = [(profile, *_wanted(item)) for (_, item), profile in zip(asked, profiles, strict=True)]
        files = collection_files(wanted, _rewritings(asked))
        if check:
            stale = [name for name, text in files.items() if not _is_current(output / name, text)]
            there = {
                path.relative_to(output).as_posix()
                for path in output.rglob("*")
                if path.is_file() and not is_leftover(path)
            }
            stale += [f"{name} (no longer made)" for name in sorted(there - set(files))]
            if stale:
                _fail(f"{output} is not up to date: {', '.join(stale)}", NOT_AS_IT_SHOULD_BE)
            return
        remove_leftovers(output)
        write_files(output, files)
        if not quiet:
            complain(f"{output}: {len(files)} files")


@cli.command("models")
@click.argument("pattern", required=False)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def models_command(pattern: str | None, debug: bool) -> None:
    """List what can be named as a target; with PATTERN (resnet*, segmentation) those that match."""
    with _errors_in_one_line(debug):
        from profiler.models.targets import list_targets

        found = list_targets(pattern)
        if not found:
            _fail(f"no target matches {pattern!r}; see: profiler models", NOT_AS_IT_SHOULD_BE)
        width = max(len(entry.target) for entry in found)
        _print("".join(f"{visible(entry.target):<{width}}  {visible(entry.family)}\n" for entry in found))
        if pattern is None:
            complain("Also: package.module:callable and path/to/net.py:Net")


@cli.command("operators")
@click.argument("pattern", required=False, default="")
@click.option("--status", type=click.Choice(["ruled", "free", "composite", "uncounted"]), help="Only those.")
@click.option("--namespace", default="aten", show_default=True, help="Whose operators.")
def operators_command(pattern: str, status: str | None, namespace: str) -> None:
    """List the operators of this torch: ruled, free, composite or uncounted.

    A composite operator is made of others, which are counted in its place.  PATTERN is a part of the name.
    """
    with _errors_in_one_line(debug=False):
        from collections import Counter

        from profiler.tracing.coverage import coverage

        found = coverage(namespace)
        lines = [
            f"{entry.status:<10} {entry.op:<60} {entry.kind}".rstrip()
            for entry in found
            if pattern in entry.op and status in (None, entry.status)
        ]
        _print("".join(f"{line}\n" for line in lines))
        totals = Counter(entry.status for entry in found)
        complain(f"{len(found)} operators: " + ", ".join(f"{number} {name}" for name, number in sorted(totals.items())))


def main() -> None:
    """Run the command line, and end with its exit code whatever happens on the way."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = _run_command()
    send_the_rest_to_stderr()
    sys.exit(code)


def _run_command() -> int:
    """Run the command that was typed; its exit code."""
    try:
        with stopped_by_signals():
            result = cli.main(prog_name="profiler", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        complain(text.getvalue().rstrip("\n"))
        return error.exit_code
    except ReaderGone:
        return BY_A_SIGNAL + SIGPIPE
    except (KeyboardInterrupt, click.Abort):
        complain("profiler: interrupted")
        return BY_A_SIGNAL + SIGINT
    except OSError as error:
        if error.filename is not None:
            raise
        # Of the help, which click prints itself.
        complain(f"profiler: standard output: cannot be written: {error.strerror or error}")
        return BAD_INPUT


def _stop(stopped: Stopped) -> NoReturn:
    """Say in one line which signal ended the command, and end it as shells expect."""
    complain("profiler: interrupted" if stopped.number == SIGINT else f"profiler: stopped by {stopped}")
    raise SystemExit(BY_A_SIGNAL + stopped.number)


Asked = tuple[str, Any]
"""A source as it was given, and the config or the saved profile that it stands for."""


def _config_type() -> type[Config]:
    from profiler.config import Config

    return Config


def _read_sources(sources: Sequence[str], what: WhatToProfile) -> list[Asked]:
    """Read every source before anything is profiled, so that a mistake in the last costs nothing."""
    asked = [(source, _read_source(source, what)) for source in sources]
    if what.shapes and not any(_is_target(source) for source in sources):
        raise click.UsageError("--input goes with a target; a config and a saved profile have their own inputs")
    return asked


def _is_target(source: str) -> bool:
    return ":" in source and not source.endswith((".yaml", ".yml", ".json"))


def _read_source(source: str, what: WhatToProfile) -> Any:
    from profiler.config import load_config, quick_config
    from profiler.profiles import load_profile

    if source.endswith(".json"):
        return what.of_saved(load_profile(source))
    if _is_target(source):
        return what.of_network(quick_config(source, what.shapes))
    if source.endswith(".py") or (not source.endswith((".yaml", ".yml")) and not Path(source).exists()):
        from profiler.models.targets import expected_for

        hint = expected_for(source)
        raise ConfigError(f"{source}: expected a config (.yaml), a saved profile (.json) or a target: {hint}")
    return what.of_network(load_config(source))


def _check_names(asked: Sequence[Asked], output: Path | None, reserved: Sequence[str] = ()) -> None:
    """Two networks of one name would write into one folder, on some systems also where only the case differs."""
    if output is None:
        return
    from profiler.files import same_folder

    taken = {same_folder(name): name for name in reserved}
    seen: dict[str, str] = {}
    for source, item in asked:
        key = same_folder(item.name)
        if key in taken:
            raise ConfigError(
                f"{source}: name: {item.name!r} is the name of {taken[key]}, which the report writes itself; "
                "give the network another one"
            )
        if key in seen:
            raise ConfigError(f"{source}: name: {item.name!r} is the name of {seen[key]} too; they share a folder")
        seen[key] = source
    _check_folder(output)


def _check_folder(output: Path | None) -> None:
    """Raise OutputError, before any work, for a place where nothing can be written."""
    if output is None:
        return
    probe = next(folder for folder in (output, *output.absolute().parents) if os.path.lexists(folder))
    if not os.path.isdir(probe) or not os.access(probe, os.W_OK):  # a loop of links is no folder
        raise OutputError(f"{output}: --output: cannot be written, expected a folder that can")


def _check_picture(path: Path | None) -> None:
    """Raise, before any work, for a picture of a format that is not written."""
    if path is None:
        return
    if path.suffix.lower() != ".svg":
        raise OutputError(f"{path}: --picture: expected a name that ends in .svg, the one format that is written")
    if os.path.isdir(path):
        raise OutputError(f"{path}: --picture: cannot be written: is a folder")
    _check_folder(path.parent)


def _profile_all(asked: Sequence[Asked], *, strict: bool, crosscheck: bool, quiet: bool) -> list[Profile]:
    profiles = []
    with _progress(len(asked), quiet) as advance:
        for source, item in asked:
            advance(item.name)
            profiles.append(_profile_one(source, item, strict=strict, crosscheck=crosscheck))
    return profiles


def _profile_one(source: str, item: Any, *, strict: bool, crosscheck: bool) -> Profile:
    if not isinstance(item, _config_type()):
        saved: Profile = item
        if strict and not saved.complete:
            raise UncountedError(f"{source}: strict mode: the saved profile is partial; its summary says why")
        return saved
    from profiler.api import profile_config

    try:
        return profile_config(item, strict=strict, crosscheck=crosscheck)
    except ProfilerError as error:
        raise type(error)(f"{source}: {error}") from error


def _views(**wanted: bool) -> tuple[str, ...]:
    """The views whose option was given."""
    return tuple(name for name, given in wanted.items() if given)


def _as_asked(profile: Profile, convention: str | None, views: Sequence[str]) -> Profile:
    """The profile by the convention and the views of the command line, on top of its own."""
    return (profile if convention is None else profile.by(convention)).seen_as(*views)


@contextlib.contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A bar on the terminal's error stream where there is more than one network to wait for."""
    if quiet or total < 2 or not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=Console(stderr=True, width=screen_width(sys.stderr), height=HEIGHT), transient=True
    ) as progress:
        task = progress.add_task("", total=total)
        started = False

        def advance(name: str) -> None:
            nonlocal started
            progress.update(task, description=visible(name), advance=int(started))
            started = True

        yield advance


def _write_profiles(
    output: Path,
    asked: Sequence[Asked],
    profiles: Sequence[Profile],
    formats: tuple[str, ...] | None,
    depth: int | None,
) -> None:
    from profiler.files import remove_leftovers, write_files
    from profiler.render import profile_report, render_files

    for (_, item), profile in zip(asked, profiles, strict=True):
        wanted_formats, wanted_tables = _wanted(item)
        files = render_files(profile_report(profile, wanted_tables, depth), formats or wanted_formats)
        # What an earlier run left of a cross-check would not be of this profile.
        stale = () if profile.counters else (f"{profile.name}/crosscheck.csv", f"{profile.name}/crosscheck.md")
        remove_leftovers(output / profile.name)
        write_files(output, {f"{profile.name}/{name}": text for name, text in files.items()}, stale=stale)


def _wanted(item: Any) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The formats and tables that a config asks for; all of them for a saved profile."""
    if isinstance(item, _config_type()):
        return item.report.formats, item.report.tables
    return catalog.formats(), None


def _as_format(profiles: Sequence[Profile], name: str, depth: int | None) -> str:
    """One format of profiles as one document: the layers as CSV, the summary as Markdown, the profile as JSON."""
    from profiler.render import profile_report, render_files
    from profiler.render.formats.csv import csv_text
    from profiler.schema import joined

    if name == "csv" and len(profiles) > 1:
        return csv_text(joined("network", {profile.name: profile.layers for profile in profiles}))
    file = {"csv": "layers.csv", "markdown": "summary.md", "json": "profile.json"}[name]
    texts = [render_files(profile_report(profile, depth=depth), (name,))[file] for profile in profiles]
    if name == "json" and len(texts) > 1:
        return "[\n" + ",\n".join(text.rstrip("\n") for text in texts) + "\n]\n"
    return "\n".join(texts)


def _check_one_format(output: Path | None, formats: Sequence[str] | None) -> None:
    if output is None and formats is not None and len(formats) > 1:
        raise click.UsageError("--format without --output prints one format; give --output to write several")


def _deliver(
    report: Report,
    output: Path | None,
    formats: Sequence[str] | None,
    default: Sequence[str],
    *,
    quiet: bool,
    subfolder: str = "",
) -> None:
    """Write a report to ``output`` in the formats asked for, or by default; print it, in one format or for people."""
    from profiler.files import write_files
    from profiler.render import render_files

    if output is not None:
        files = render_files(report, tuple(formats or default))
        write_files(output, {str(PurePosixPath(subfolder, name)): text for name, text in files.items()})
    if quiet:
        return
    if output is None and formats is not None:
        files = render_files(report, tuple(formats))
        last_table = next((text for name, text in reversed(files.items()) if name.endswith(".csv")), "")
        _print(files.get("summary.md") or files.get("profile.json") or last_table, formats[0])
    else:
        _show(report)


def _print(text: str, format_name: str = "") -> None:
    """Print a document, or a part of one: text that holds nothing which acts on a terminal, or a file's."""
    stream: TextIO = click.get_current_context().obj
    write_document(stream, machine_text(stream, text), is_json=format_name == "json")


def _terminal_report(profile: Profile, depth: int | None) -> Report:
    """The tables that a terminal shows of a profile; the others are in the files."""
    from profiler.render import profile_report

    tables = ["shares", "layers" if depth is None else "modules"]
    if len(profile.uncounted):
        tables.append("uncounted")
    if profile.mode == "training":
        tables.append("training")
    if profile.counters:
        tables.append("crosscheck")
    return profile_report(profile, tables, depth)


def _show(report: Report) -> None:
    """Print a report as wide as the terminal is; 100 columns where the output is no terminal."""
    from rich.console import Console

    from profiler.render.terminal import render_terminal

    stream: TextIO = click.get_current_context().obj
    console = Console(file=stream, highlight=False, width=screen_width(stream), height=HEIGHT)
    write_document(stream, render_terminal(report, console))


def _draw(path: Path, reports: Sequence[Report]) -> None:
    from profiler.files import write_text
    from profiler.render.picture import svg_picture

    write_text(path, svg_picture(reports))


def _rewritings(asked: Sequence[Asked]) -> list[Report]:
    """The reports on the configs that have rewrites; without measured differences, which depend on the machine."""
    reports = []
    for _, item in asked:
        if isinstance(item, _config_type()) and item.rewrites:
            from profiler.render import rewriting_report
            from profiler.rewriting import rewrite_config

            result = rewrite_config(item)
            reports.append(rewriting_report(result.before, result.after, result.statements(), result.reasons_left()))
    return reports


def _is_current(path: Path, text: str) -> bool:
    try:
        return path.is_file() and path.read_bytes() == text.encode("utf-8", "backslashreplace")
    except OSError:
        return False


@contextlib.contextmanager
def _errors_in_one_line(debug: bool) -> Iterator[None]:
    """What the user can mend becomes one line on the error stream, without a traceback unless asked for."""
    try:
        yield
    except UncountedError as error:
        _report_error(error, debug, NOT_AS_IT_SHOULD_BE)
    except ProfilerError as error:
        _report_error(error, debug, BAD_INPUT)
    except (Exception, KeyboardInterrupt, SystemExit, ReaderGone):
        raise
    except BaseException as error:
        _report_error(error, debug, BAD_INPUT)


def _report_error(error: BaseException, debug: bool, code: int) -> NoReturn:
    if debug:
        complain("".join(traceback.format_exception(error)).rstrip("\n"))
    kind = "" if isinstance(error, ProfilerError) else f"{type(error).__name__} was raised: "
    _fail(kind + str(error), code)


def _fail(message: str, code: int) -> NoReturn:
    complain(f"profiler: {one_line(message)}")
    raise SystemExit(code)
