"""The command line: each command is a file in ``commands/``, which is loaded when the command is called."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from profiler import catalog
from profiler.cli.ending import BAD_INPUT, BY_A_SIGNAL, SIGINT, SIGPIPE
from profiler.errors import did_you_mean, shown
from profiler.garbage import end_without_search
from profiler.printable import one_line
from profiler.streams import ReaderGone, complain, send_the_rest_to_stderr, stopped_by_signals

__all__ = ["cli", "main"]


class _Commands(click.Group):
    """The commands, by the names of their files; listing them reads the files and does not import them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(catalog.commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in catalog.commands():
            return None
        command: click.Command = import_module(_module(cmd_name)).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not (ctx.resilient_parsing or name.startswith("-") or name in catalog.commands()):
            ctx.fail(f"no such command {shown(name)}{did_you_mean(name, catalog.commands())}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(name)) for name in names])


def _module(command: str) -> str:
    return f"profiler.cli.commands.{command.replace('-', '_')}"


def _first_sentence(command: str) -> str:
    """The first sentence of a command's help, its file's docstring."""
    loader: Any = getattr(find_spec(_module(command)), "loader", None)
    text = (loader.get_source(_module(command)) or "").partition('"""')[2].partition('"""')[0]
    return click.Command(command, help=text).get_short_help_str(limit=1000)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="SOURCE: a config (.yaml), a saved profile (.json), or a target (torchvision:resnet50, path/to/net.py:Net).",
)
@click.version_option(package_name="static-flop-profiler", prog_name="profiler")
def cli() -> None:
    """Count what a PyTorch network costs, layer by layer, without running it on data."""


def main() -> None:
    """Run the command line, and exit with its exit code in any case."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = _run_command()
    send_the_rest_to_stderr()
    if "torch" not in sys.modules:
        end_without_search()
    sys.exit(code)


def _with_hint(error: click.ClickException) -> str:
    """The message about an option that a command does not have, with the nearest ones, as other errors have them."""
    if not isinstance(error, click.NoSuchOption):
        return ""
    options = [] if error.ctx is None else [name for param in error.ctx.command.params for name in param.opts]
    return f"no such option {shown(error.option_name)}{did_you_mean(error.option_name, options)}"


def _wrong_usage(error: click.ClickException) -> str:
    """What is wrong with the arguments, and which command shows those that there are."""
    message = _with_hint(error) or error.format_message().rstrip(".").replace(". (", " (")
    if message[1:2].islower():  # a sentence of click's
        message = message[0].lower() + message[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message}; see: {context.command_path} --help" if context else message


def _run_command() -> int:
    """Run the command and return its exit code."""
    try:
        with stopped_by_signals():
            result = cli.main(prog_name="profiler", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except click.ClickException as error:
        complain(f"profiler: {one_line(_wrong_usage(error))}")
        return error.exit_code
    except ReaderGone:
        return BY_A_SIGNAL + SIGPIPE
    except (KeyboardInterrupt, click.Abort):
        complain("profiler: interrupted")
        return BY_A_SIGNAL + SIGINT
    except OSError as error:
        if error.filename is not None:
            raise
        # This happens for the help, which click prints itself.
        complain(f"profiler: standard output: cannot be written: {error.strerror or error}")
        return BAD_INPUT
