"""The versions that a profile is made with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch


def environment() -> Mapping[str, str]:
    """The versions of the profiler and of torch."""
    # Without the local part: the build of torch ("+cpu") makes no difference to a count.
    return {"profiler": _version("static-flop-profiler"), "torch": torch.__version__.partition("+")[0]}


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
