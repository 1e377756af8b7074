"""Where a command's results go: to a folder, to standard output in one format, or to the terminal as tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TextIO, TypeVar

import click

from profiler import catalog
from profiler.errors import OutputError
from profiler.printable import html_in_ascii, in_ascii, json_in_ascii
from profiler.streams import machine_text, screen_width, write_binary, write_document

if TYPE_CHECKING:
    from profiler.render import Report


IN_ASCII = {"json": json_in_ascii, "html": html_in_ascii}
"""How a document of that format is written to a stream that only encodes ASCII; in others, signs are spelled out."""

Content = TypeVar("Content", bound=str | bytes)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The values of ``--output``, ``--format`` and ``--quiet``; without ``formats``, the usual ones are written."""

    output: Path | None
    formats: tuple[str, ...] | None
    quiet: bool

    def check(self) -> None:
        """Raise, before any work, if the output cannot be written.

        Without a folder only one format can be printed, and a binary one not on a terminal.
        """
        from profiler.render.formats import is_binary

        binary = [name for name in self.formats or () if name in catalog.formats() and is_binary(name)]
        if self.output is None and self.formats is not None and len(self.formats) > 1:
            raise click.UsageError("--format without --output prints one format; give --output to write several")
        if self.printed_format in binary:
            write_binary(click.get_current_context().obj, b"", f"format {self.printed_format}")
        check_folder(self.output)

    def check_number(self, networks: int) -> None:
        """Raise, before any work, if reports on several networks would be printed in a format that holds one report."""
        from profiler.render.formats import is_alone

        name = self.printed_format
        if networks > 1 and name is not None and is_alone(name):
            raise click.UsageError(f"--format {name} prints one network; give --output to write {networks}")

    @property
    def printed_format(self) -> str | None:
        """The format that is printed in place of the terminal report, if any."""
        return self.formats[0] if self.formats is not None and self.output is None and not self.quiet else None

    def report(self, report: Report, folder: str = "") -> None:
        """Write a report to ``folder`` in the output, or print it, in one format or as the terminal report."""
        from profiler.files import write_files
        from profiler.render import render_files

        if self.output is not None:
            files = render_files(report, self.formats or catalog.USUAL_FORMATS)
            write_files(self.output, {str(PurePosixPath(folder, name)): content for name, content in files.items()})
        if self.printed_format is not None:
            print_document(main_file(render_files(report, (self.printed_format,))), self.printed_format)
        elif not self.quiet:
            show(report)


def check_folder(output: Path | None, option: str = "output") -> None:
    """Raise OutputError, before any work, if nothing can be written there."""
    if output is None:
        return
    probe = next(folder for folder in (output, *output.absolute().parents) if os.path.lexists(folder))
    if not os.path.isdir(probe) or not os.access(probe, os.W_OK):  # a loop of links is not a folder
        raise OutputError(f"{output}: --{option}: cannot be written, expected a writable folder")


def check_formats(names: Iterable[str]) -> None:
    """Raise ProfilerError, before any work, if a package that one of the formats needs is not installed."""
    from profiler.render.formats import find_format

    for name in names:
        find_format(name)


def check_names(names: Sequence[tuple[str, str]], reserved: Sequence[str] = ()) -> None:
    """Raise ConfigError if two networks would write to the same folder; some file systems ignore case.

    ``names`` are the names of the networks, each with its source.
    """
    from profiler.errors import ConfigError
    from profiler.files import same_folder

    taken = {same_folder(name): name for name in reserved}
    seen: dict[str, str] = {}
    for source, name in names:
        key = same_folder(name)
        if key in taken:
            raise ConfigError(
                f"{source}: name: {name!r} is the name of {taken[key]}, which the report writes itself; "
                "give the network another name"
            )
        if key in seen:
            raise ConfigError(
                f"{source}: name: {name!r} is also the name of {seen[key]}; both would write to the same folder"
            )
        seen[key] = source


def main_file(files: Mapping[str, Content], table: str = "") -> Content:
    """The file of a report that is printed if only one is: the whole report, ``table``, or the last file."""
    by_stem = {PurePosixPath(name).stem: name for name in files}
    chosen = next((by_stem[stem] for stem in ("summary", "profile", table) if stem in by_stem), [*files][-1])
    return files[chosen]


def print_document(content: str | bytes, format_name: str = "") -> None:
    """Print a document or a part of one: safe text, or the content of a file in the format ``format_name``.

    Raises :class:`OutputError` for bytes on a terminal.
    """
    stream: TextIO = click.get_current_context().obj
    if isinstance(content, bytes):
        write_binary(stream, content, f"format {format_name}")
    else:
        write_document(stream, machine_text(stream, content), IN_ASCII.get(format_name, in_ascii))


def show(report: Report) -> None:
    """Print a report as wide as the terminal; 100 columns if the output is not a terminal."""
    from profiler.render.screen import on_screen

    stream: TextIO = click.get_current_context().obj
    write_document(stream, on_screen(report, stream, screen_width(stream)))
