"""Separate the output of a command from what networks print; and handle signals that end a command.

Standard output holds the command's document and nothing else.  While a command runs, all other output to it, through
Python or directly to the file descriptor, goes to standard error.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TextIO

from profiler.errors import OutputError
from profiler.printable import in_ascii, visible

STANDARD_OUTPUT = 1
STANDARD_ERROR = 2

DEFAULT_WIDTH = 100
"""The number of columns of output that is not a terminal."""

HEIGHT = 25
"""The number of lines of a terminal, which does not matter; it is given to avoid a second query of the size."""


class Stopped(KeyboardInterrupt):
    """A signal to end the process; ``number`` is the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class ReaderGone(BaseException):
    """The reader of the document has closed the pipe; this is not an error."""


@contextlib.contextmanager
def document_apart() -> Iterator[TextIO]:
    """Yield a stream to standard output for the document; everything else that is printed goes to standard error.

    If ``sys.stdout`` is not the standard output of the process (in a notebook, in a test), only what Python prints is
    redirected.
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
    """Redirect standard output to standard error for good: code that runs at the end of the interpreter may print."""
    if sys.stdout is None:  # closed by the caller
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)


def _redirect_descriptor(stream: TextIO) -> TextIO | None:
    """A stream on a copy of standard output's descriptor; the descriptor itself then leads to standard error."""
    try:
        if stream.fileno() != STANDARD_OUTPUT:
            return None
        _flush_c_streams()
        kept = os.dup(STANDARD_OUTPUT)
    except (OSError, ValueError):  # no descriptor
        return None
    try:
        os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)
    except OSError:  # standard error is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), STANDARD_OUTPUT)
    return open(kept, "w", encoding=stream.encoding, errors=stream.errors)


def _flush_c_streams() -> None:
    """Flush the buffers of the C library, so that output of C code does not appear later in the document."""
    import ctypes  # few commands need it

    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)


def _forget_unwritten(stream: TextIO) -> None:
    """Close a stream without an error message, although its reader has closed the pipe."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def write_document(stream: TextIO, text: str, to_ascii: Callable[[str], str] = in_ascii) -> None:
    """Write ``text`` to the document and flush it, so that failures are raised here.

    If the stream can only encode ASCII, ``to_ascii`` spells the text for it.  Control characters are escaped on a
    terminal, except for the colors of a report that was rendered for it.  Raises :class:`OutputError` if it cannot be
    written, BrokenPipeError if the reader has closed the pipe.
    """
    if not _holds_unicode(stream):
        text = to_ascii(text)
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise OutputError(f"standard output: cannot be written: {error.strerror or error}") from error


def write_binary(stream: TextIO, content: bytes, what: str) -> None:
    """Write bytes to the document; ``what`` names them in the message that refuses to write them to a terminal.

    Raises :class:`OutputError` on a terminal or if they cannot be written, :class:`ReaderGone` if the reader has closed
    the pipe.
    """
    buffer = getattr(stream, "buffer", None)
    if stream.isatty() or buffer is None:
        raise OutputError(f"standard output: {what} is binary, expected a file or a pipe; give --output")
    try:
        stream.flush()
        buffer.write(content)
        buffer.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise OutputError(f"standard output: cannot be written: {error.strerror or error}") from error


def machine_text(stream: TextIO, text: str) -> str:
    """The content of a file for ``stream``: unchanged, but without control characters on a terminal."""
    return visible(text, keep="\n") if stream.isatty() else text


def complain(message: str) -> None:
    """Print one or more lines to standard error, with escapes for control characters and what it cannot encode."""
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
    """``COLUMNS`` if it is a positive number, else the columns of the terminal, else ``otherwise``."""
    value = os.environ.get("COLUMNS", "")
    if value.isascii() and value.isdigit() and int(value[:9]):
        return int(value[:9])
    with contextlib.suppress(OSError, ValueError):
        if stream.isatty():
            return os.get_terminal_size(stream.fileno()).columns or otherwise
    return otherwise


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Within it, SIGINT, SIGTERM and SIGHUP raise :class:`Stopped`, so that temporary files are removed.

    A signal that the calling process ignores (``nohup``) stays ignored.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second signal does not interrupt the cleanup
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
