"""What a command prints and what a network prints, kept apart; and what ends a command from outside.

Standard output holds the command's own document and nothing else.  While a command runs, what anything else writes
there, through Python or straight to the file descriptor, goes to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TextIO

from profiler.errors import OutputError
from profiler.printable import in_ascii, json_in_ascii, visible

STANDARD_OUTPUT = 1
STANDARD_ERROR = 2

DEFAULT_WIDTH = 100
"""The columns of output that is no terminal."""

HEIGHT = 25
"""The lines of a terminal as far as anything depends on them; given, so that its size is not asked for twice."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end; ``number`` is the signal's.  Nothing that a network raises is one."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class ReaderGone(BaseException):
    """Who read the document has closed the pipe: there is nobody left to write for, which is no error."""


@contextlib.contextmanager
def document_apart() -> Iterator[TextIO]:
    """Yields the stream of standard output for the document; everything else that is printed goes to standard error.

    Where ``sys.stdout`` is not the process's own standard output (in a notebook, under a test) only what Python
    prints is redirected.
    """
    stream = sys.stdout
    if stream is None:  # closed by the caller: >&-
        yield io.StringIO()
        return
    stream.flush()
    kept = _redirect_descriptor(stream)
    with contextlib.redirect_stdout(sys.stderr or io.StringIO()):
        try:
            yield stream if kept is None else kept
        finally:
            if kept is not None:
                _flush_c_streams()
                with kept:
                    os.dup2(kept.fileno(), STANDARD_OUTPUT)
                    _forget_unwritten(kept)


def send_the_rest_to_stderr() -> None:
    """From here on nothing reaches standard output any more: what runs when the interpreter ends may print."""
    if sys.stdout is None:  # closed by the caller
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)


def _redirect_descriptor(stream: TextIO) -> TextIO | None:
    """A stream on a copy of standard output's descriptor, which itself leads to standard error from now on."""
    try:
        if stream.fileno() != STANDARD_OUTPUT:
            return None
        _flush_c_streams()
        kept = os.dup(STANDARD_OUTPUT)
    except (OSError, ValueError):  # no descriptor at all
        return None
    try:
        os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)
    except OSError:  # standard error is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), STANDARD_OUTPUT)
    return open(kept, "w", encoding=stream.encoding, errors=stream.errors)


def _flush_c_streams() -> None:
    """What C code has printed and the C library holds back would else come out at the end, in the document."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)


def _forget_unwritten(stream: TextIO) -> None:
    """Let a stream whose reader is gone be closed without another complaint."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def write_document(stream: TextIO, text: str, *, is_json: bool = False) -> None:
    """Write ``text`` to the document and flush it, so that a failure is known here.

    Where the stream can hold ASCII only, signs are spelled out; a terminal gets no character that acts on it, but
    for the colors of a report that was rendered for it.  Raises :class:`OutputError` where it cannot be written,
    BrokenPipeError where the reader has gone.
    """
    if not _holds_unicode(stream):
        text = json_in_ascii(text) if is_json else in_ascii(text)
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise OutputError(f"standard output: cannot be written: {error.strerror or error}") from error


def machine_text(stream: TextIO, text: str) -> str:
    """A file's text for ``stream``: as it is, but without characters that act on a terminal where it is one."""
    return visible(text, keep="\n") if stream.isatty() else text


def complain(message: str) -> None:
    """Print a line or more on standard error, in characters that it can hold and that act on no terminal."""
    stream = sys.stderr
    if stream is None:
        return
    text = visible(message, keep="\n")
    with contextlib.suppress(OSError):
        stream.write((text if _holds_unicode(stream) else in_ascii(text)) + "\n")
        stream.flush()


def _holds_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "utf-8").lower().replace("_", "-").startswith("utf")


def screen_width(stream: TextIO, otherwise: int = DEFAULT_WIDTH) -> int:
    """``COLUMNS`` where it is a positive number, else the terminal's columns, else 100 or what is given."""
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and int(told[:9]):
        return int(told[:9])
    with contextlib.suppress(OSError, ValueError):
        if stream.isatty():
            return os.get_terminal_size(stream.fileno()).columns or otherwise
    return otherwise


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise :class:`Stopped` inside, so that temporary files are removed on the way out.

    A signal that the caller has told us to ignore (``nohup``) stays ignored.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one does not stop the clearing up
        raise Stopped(number)

    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
