"""The arguments of a command, in which a pattern stands for all that match it: targets, configs, saved profiles."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from profiler.cli.sources import is_target
from profiler.errors import ConfigError

SPECIAL = "*?["


def expanded(typed: Sequence[str]) -> tuple[str, ...]:
    """The arguments with each pattern replaced by what matches it: targets in the order of ``profiler models``, files
    by name.

    What is named twice through patterns is taken once.  An argument that is the name of a file is no pattern.  Raises
    ConfigError for a pattern that matches nothing.
    """
    found: list[str] = []
    plain = [source for source in typed if not _is_pattern(source)]
    for source in typed:
        if _is_pattern(source):
            found += [name for name in _matching(source) if name not in found and name not in plain]
        else:
            found.append(source)
    return tuple(found)


def _is_pattern(source: str) -> bool:
    if not any(character in source for character in SPECIAL) or Path(source).exists():
        return False
    place = source.rpartition(":")[0]
    return not (is_target(source) and ("/" in place or place.endswith(".py")))


def _matching(pattern: str) -> list[str]:
    if not is_target(pattern):
        names = sorted(glob.glob(pattern, recursive=True))
        if not names:
            raise ConfigError(f"{pattern}: matches no file, expected configs (.yaml) or saved profiles (.json)")
        return names
    from profiler.models.targets import list_targets

    found = [known.target for known in list_targets(pattern)]
    if not found:
        raise ConfigError(f"{pattern}: matches no target; see: profiler models")
    return found
