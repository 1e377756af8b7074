"""The errors that the profiler raises on purpose.

Each message names the thing, the place and the next step in one line, so that the command line can
print it unchanged.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager

FOREIGN_ERRORS = (Exception, SystemExit, GeneratorExit)
"""What the code of a network may raise without a meaning for the profiler itself; an interrupt is not included."""


class ProfilerError(Exception):
    """Something the user can fix; the message says what and where."""


class ConfigError(ProfilerError):
    """A config file that cannot be read or has wrong content."""


class TargetError(ProfilerError):
    """A model target that cannot be found or built."""


class TraceError(ProfilerError):
    """A network that refuses its inputs, or cannot run on the meta device."""


class NeedsDataError(TraceError):
    """What a network does depends on its data, and tensors on the meta device have no data."""


class UncountedError(ProfilerError):
    """An operation without a rule in strict mode, or a rule that cannot give the cost of a call."""


class DataDependentError(UncountedError):
    """A rule needs the values of a tensor whose values are not known, such as most tensors on the meta device."""


class RuleError(ProfilerError):
    """A rule that is registered twice, or fails on its arguments."""


class StoredProfileError(ProfilerError):
    """A saved profile that cannot be read, or has another schema version."""


class ResumeError(ProfilerError):
    """The results of a sweep that are already there, or that belong to another sweep."""


class ClusterError(ProfilerError):
    """A cluster that cannot be reached, or cannot do the work of a sweep."""


class OutputError(ProfilerError):
    """A result that cannot be written to the requested place."""


@contextmanager
def needed_for(what: str, extra: str) -> Iterator[None]:
    """Within it, import the packages of an extra.  Raises :class:`ProfilerError` with the command that installs it."""
    try:
        yield
    except ImportError as error:
        install = f'pip install "static-flop-profiler[{extra}]"'
        raise ProfilerError(f"{what}: {error}; install what it needs with: {install}") from error


@contextmanager
def no_exit(what: str) -> Iterator[None]:
    """Within it, a ``SystemExit`` of foreign code does not end the program; it is raised as a :class:`TraceError`."""
    try:
        yield
    except (SystemExit, GeneratorExit) as error:
        raise TraceError(f"{what} raised {type(error).__name__}: {error}") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``", did you mean 'kwargs'?"`` with the known names nearest to ``name``, or nothing if none is near."""
    lowered = {candidate.lower(): candidate for candidate in known}
    near = [lowered[match] for match in difflib.get_close_matches(name[:100].lower(), lowered, n=3)]
    return f", did you mean {' or '.join(map(repr, near))}?" if near else ""


def shown(value: object, length: int = 60) -> str:
    """A value as an error message shows it: on one line, in at most ``length`` characters.

    Only as much of the value is read as is shown, even if it is very large or contains itself.
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = ""
    for piece in _pieces(value, length):
        text += piece
        if len(text) > length:
            break
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _pieces(value: object, length: int) -> Iterator[str]:
    """``repr(value)`` piece by piece; long strings and numbers are cut to ``length`` characters."""
    if isinstance(value, (str, bytes)):
        yield repr(value[: length + 1])
    elif type(value) is int and value.bit_length() > 4 * length:
        yield f"an integer of about {int(value.bit_length() * 0.30103) + 1} digits"
    elif isinstance(value, Mapping):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key, length)
            yield ": "
            yield from _pieces(item, length)
        yield "}"
    elif isinstance(value, (list, tuple, Set)):
        start, end = ("[", "]") if isinstance(value, list) else ("(", ")") if isinstance(value, tuple) else ("{", "}")
        yield start
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item, length)
        yield ",)" if isinstance(value, tuple) and len(value) == 1 else end
    else:
        yield repr(value)
