"""The profiles of networks in ``configs/``, each made once in a test run, without other counters."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import profiler
from profiler.config import load_config
from profiler.profiles import Profile

CONFIGS = Path(__file__).parents[1] / "configs"


@cache
def of_config(name: str) -> Profile:
    """The profile of ``configs/NAME.yaml``."""
    return profiler.profile_config(load_config(CONFIGS / f"{name}.yaml"), crosscheck=False)
