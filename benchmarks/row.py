"""What a row is: a way to measure one or more subjects, and the targets that its figures should hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Result, Target


@dataclass(frozen=True)
class Options:
    """How often and how long to measure; ``ultralytics`` is the folder into which ultralytics-thop was installed."""

    repeats: int
    seconds: float
    ultralytics: Path | None = None


@dataclass(frozen=True)
class Row:
    """``measure`` runs in a process of its own for each subject.

    After ``seconds`` no more than three repeats are made, and the process is ended after ``limit`` seconds.  With
    ``new_processes`` each repeat has a process of its own.  ``quick`` are the subjects of a quick run.
    """

    title: str
    subjects: tuple[str, ...]
    measure: Callable[[str, Options], Result]
    targets: tuple[Target, ...]
    quick: tuple[str, ...]
    repeats: int = 9
    seconds: float = 60
    limit: float = 600
    new_processes: bool = False
