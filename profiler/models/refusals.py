"""An exception of a constructor → a message: what failed, the place in its library, and the next step."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from traceback import walk_tb
from types import CodeType
from typing import Any

import torch

import profiler
from profiler.errors import FOREIGN_ERRORS, TraceError, shown
from profiler.models.sources import Builder

OURS = Path(profiler.__file__).parent
BELOW = Path(torch.__file__).parent
"""Libraries that constructors use; they are not named as the place of a failure."""

STANDARD = Path(textwrap.__file__).parent
"""The folder of the standard library."""

LONGEST = 2000
"""The maximum number of characters that one message quotes of another."""


def refusal(error: BaseException, kwargs: Mapping[str, Any]) -> str:
    """``error``, raised while a network was built from ``kwargs``, as a part of a message.

    Errors of the profiler, such as kwargs that do not fit a signature, are worded as refusals; others name a place.
    """
    items = ", ".join(f"{shown(key)[1:-1]}={shown(value)}" for key, value in kwargs.items())
    given = textwrap.shorten(items, 200) or "no kwargs"
    lines = str(error).strip().splitlines() or [""]
    line = textwrap.shorten(lines[0], LONGEST)
    what = f"{type(error).__name__}: {line}" if line else type(error).__name__
    place = _place(error)
    if place is None:
        return f"refuses {given}: {what}"
    return f"calling its constructor with {given} failed: {what} (in {place})"


def _place(error: BaseException) -> str | None:
    """The innermost line of the network's own library that was running, or None if the profiler raised the error."""
    lines = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    if not lines or _file(lines[-1][0]).is_relative_to(OURS):
        return None
    code, line = next(((code, line) for code, line in reversed(lines) if _is_of_library(code)), (None, 0))
    if code is None:
        return None
    return f"{_file(code).name}, line {line}, {getattr(code, 'co_qualname', code.co_name)}"


def _is_of_library(code: CodeType) -> bool:
    path = _file(code)
    is_standard = path.is_relative_to(STANDARD) and not {"site-packages", "dist-packages"} & set(path.parts)
    return path.is_file() and not (is_standard or path.is_relative_to(OURS) or path.is_relative_to(BELOW))


def _file(code: CodeType) -> Path:
    return Path(code.co_filename)


def next_step(found: Builder, kwargs: Mapping[str, Any]) -> str:
    """The advice of the source of a network, after a semicolon, or nothing."""
    if found.advice is None:
        return ""
    try:
        advice = found.advice(**kwargs)
    except FOREIGN_ERRORS:  # the source may fail on these kwargs too
        return ""
    return f"; {advice}" if advice else ""


def with_next_step(error: TraceError, found: Builder, kwargs: Mapping[str, Any]) -> TraceError:
    """The same error about a network that was built and cannot run, with the advice of its source."""
    return type(error)(f"{error}{next_step(found, kwargs)}")
