"""How a command ends: its exit code and its one-line error message."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from profiler.errors import ProfilerError, UncountedError
from profiler.printable import one_line
from profiler.streams import ReaderGone, Stopped, complain, document_apart

BAD_INPUT = 2
NOT_AS_IT_SHOULD_BE = 1
"""Exit codes: 1 if a check failed, 2 if the command could not do its work."""

BY_A_SIGNAL = 128
"""Added to a signal's number, the exit code of a command that the signal ended, as in shells."""

SIGINT, SIGPIPE = 2, 13

DEBUG = "profiler.debug"
"""The key for whether tracebacks are shown, in the ``meta`` of a command's context."""


class Command(click.Command):
    """A command whose document goes to standard output; what networks print goes to standard error.

    It has the option ``--debug``; without it, an error that the user can fix is one line.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments.  Raises click's UsageError for an option with one value that is given several times."""
        *_, order = self.make_parser(ctx).parse_args(args=list(args))
        for param in order:
            if isinstance(param, click.Option) and not (param.multiple or param.is_flag) and order.count(param) > 1:
                raise click.UsageError(f"{param.opts[0]} is given {order.count(param)} times; give it once", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        debug = ctx.meta[DEBUG] = ctx.params.pop("debug")
        with document_apart() as document:
            ctx.obj = document
            try:
                with _errors_in_one_line(debug):
                    return super().invoke(ctx)
            except Stopped as stopped:  # click would print a blank line first
                _stop(stopped)


def fail(message: str, code: int = NOT_AS_IT_SHOULD_BE) -> NoReturn:
    """Print a one-line error message, and end the command with ``code``."""
    complain(f"profiler: {one_line(message)}")
    raise SystemExit(code)


@contextlib.contextmanager
def _errors_in_one_line(debug: bool) -> Iterator[None]:
    """An error that the user can fix is printed as one line to standard error, with a traceback only if ``debug``."""
    try:
        yield
    except UncountedError as error:
        _report(error, debug, NOT_AS_IT_SHOULD_BE)
    except ProfilerError as error:
        _report(error, debug, BAD_INPUT)
    except (Exception, KeyboardInterrupt, SystemExit, ReaderGone):
        raise
    except BaseException as error:
        _report(error, debug, BAD_INPUT)


def _report(error: BaseException, debug: bool, code: int) -> NoReturn:
    if debug:
        complain("".join(traceback.format_exception(error)).rstrip("\n"))
    kind = "" if isinstance(error, ProfilerError) else f"{type(error).__name__} was raised: "
    fail(kind + str(error), code)


def _stop(stopped: Stopped) -> NoReturn:
    """Print in one line which signal ended the command, and end it as shells expect."""
    complain("profiler: interrupted" if stopped.number == SIGINT else f"profiler: stopped by {stopped}")
    raise SystemExit(BY_A_SIGNAL + stopped.number)
