"""Runs the commands of docs/budgets.md and writes their outputs into it: ``python -m tests.budgets_page``."""

from __future__ import annotations

import contextlib
import re
import shlex
import tempfile
from pathlib import Path

from click.testing import CliRunner

from profiler.cli import cli

PAGE = Path(__file__).parents[1] / "docs" / "budgets.md"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+)\n(.*)", re.DOTALL)


def files(text: str) -> dict[str, str]:
    """The files of a page by their names: blocks whose first line is a comment with a name, the last of that name."""
    found = (FILE.fullmatch(block[2]) for block in BLOCK.finditer(text))
    return {match[1]: match[2] for match in found if match is not None}


def page(text: str) -> str:
    """The page with the outputs of its commands, each run with the files that the page has shown before it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return BLOCK.sub(_block, text)


def _block(block: re.Match[str]) -> str:
    language, content = block.groups()
    file = FILE.fullmatch(content)
    if file is not None and language in ("python", "yaml"):
        path = Path(file[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file[2], encoding="utf-8")
    if language != "console":
        return block[0]
    commands = [line.removeprefix("$ ") for line in content.splitlines() if line.startswith("$ ")]
    return "```console\n" + "".join(map(_run, commands)) + "```"


def _run(command: str) -> str:
    """The command, its output, and its exit code if it is not 0."""
    program, *arguments = shlex.split(command)
    assert program == "profiler", command
    result = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(cli, arguments, prog_name=program)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    ending = f"exit code {result.exit_code}\n" if result.exit_code else ""
    return f"$ {command}\n{result.output.rstrip()}\n{ending}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
