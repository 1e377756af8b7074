"""Work for the tests of ``--jobs``.  A new process imports this module in no time, as it needs no torch."""

from __future__ import annotations

import os
import time

from profiler.errors import TargetError


def square(number: int) -> int:
    """It takes longer for small numbers, and fails for some."""
    time.sleep(0.02 * (5 - number) if number < 5 else 0)
    if number in (3, 7):
        raise TargetError(f"no square of {number}")
    return number * number


def process_of(number: int) -> int:
    """The id of the process that does the work."""
    return os.getpid()


def foreign(number: int) -> int:
    """Raises an error of a class that only exists here."""

    class Foreign(ValueError if number else BaseException):  # type: ignore[misc]
        pass

    raise Foreign("broken")


def dies(number: int) -> int:
    """Ends its process."""
    os._exit(number)


def raise_it(error: type[Exception]) -> None:
    """Raise an error of this class."""
    raise error("broken")
