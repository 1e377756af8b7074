"""The option ``--picture`` of commands: files whose names say which pictures they hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from profiler import catalog
from profiler.cli.delivery import check_folder
from profiler.errors import OutputError

if TYPE_CHECKING:
    from profiler.profiles import Profile
    from profiler.render import Report

pictures = click.option(
    "--picture",
    "pictures",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Save a picture (.svg, .png, .pdf); FILE is named after it, such as alexnet-shares.svg: "
    f"{', '.join(catalog.pictures())}. Repeat it for several.",
)


def check_pictures(paths: Sequence[Path], networks: int) -> None:
    """Raise, before any work, for a file that is no picture of this number of networks, or cannot be written."""
    if not paths:
        return
    from profiler.pictures import check_number, picture_of_file

    for path in paths:
        check_number(picture_of_file(path), networks)
        if os.path.isdir(path):
            raise OutputError(f"{path}: --picture: cannot be written: it is a folder")
        check_folder(path.parent, "picture")


def write_pictures(paths: Sequence[Path], profiles: Sequence[Profile], reports: Callable[[], Sequence[Report]]) -> None:
    """Draw the pictures of the profiles; ``reports`` are what the terminal shows of them.  Raises ProfilerError."""
    if not paths:
        return
    from profiler.files import write_bytes
    from profiler.pictures import picture_file, picture_of_file

    for path in paths:
        suffix = path.suffix.lower().removeprefix(".")
        write_bytes(path, picture_file(picture_of_file(path), profiles, suffix, reports).content)
