"""The pictures of docs/pictures.md: ``python -m tests.pictures_page`` draws them again by the page's own commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from profiler.cli import cli

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "pictures.md"


def commands() -> list[list[str]]:
    """The arguments of each command of the page, whose last argument is the picture."""
    return [shlex.split(line)[1:] for line in re.findall(r"^(profiler .*)$", PAGE.read_text(encoding="utf-8"), re.M)]


def draw(arguments: list[str], folder: Path) -> Path:
    """Run a command, which writes its picture into ``folder`` in place of the repository; return the file."""
    *others, place = arguments
    path = folder / Path(place).name
    given = [str(ROOT / word) if word.startswith("configs/") else word for word in others]
    result = CliRunner().invoke(cli, [*given, str(path), "--quiet"])
    assert result.exit_code == 0, result.output
    return path


if __name__ == "__main__":
    for command in commands():
        draw(command, (ROOT / command[-1]).parent)
