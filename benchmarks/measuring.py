"""Rows are measured, each subject in a process of its own, which answers with its samples as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from benchmarks import rows
from benchmarks.machine import environment
from benchmarks.results import Result
from benchmarks.row import Options, Row

ROOT = Path(__file__).parents[1]
ORDER = ("forward", "family", "training", "peers", "start", "torchvision", "llama", "modules", "loop", "sequences")


def find_rows() -> dict[str, Row]:
    """All rows by name, in the order of ``ORDER`` and then by name."""
    names = {module.name for module in iter_modules(rows.__path__)}
    ordered = [name for name in ORDER if name in names] + sorted(names.difference(ORDER))
    return {name: import_module(f"benchmarks.rows.{name}").ROW for name in ordered}


def measure(
    name: str, row: Row, subjects: Sequence[str], repeats: int | None, ultralytics: Path | None
) -> Iterator[Result]:
    """The results of one row, subject by subject."""
    for subject in subjects:
        begun = time.strftime("%Y-%m-%d %H:%M"), os.getloadavg()[0]
        times = repeats or row.repeats
        options = Options(1 if row.new_processes else times, row.seconds, ultralytics)
        result = _in_new_process(name, subject, options, row.limit)
        for _ in range(times - 1 if row.new_processes else 0):
            result = result.joined(_in_new_process(name, subject, options, row.limit))
        yield replace(result, when=begun[0], load=begun[1])


def _in_new_process(name: str, subject: str, options: Options, limit: float) -> Result:
    """The result of one row on one subject; if it fails or takes too long, the result says so."""
    given = json.dumps([options.repeats, options.seconds, options.ultralytics and str(options.ultralytics)])
    command = [sys.executable, "-m", "benchmarks.measuring", name, subject, given]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(PYTHONPATH=paths)
    ) as running:
        try:
            answer, errors = running.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return Result(name, subject, failed={"": f"more than {limit:.0f} s"})
        finally:
            running.kill()
    if running.returncode:
        return Result(name, subject, failed={"": (errors.strip().splitlines() or ["no message"])[-1]})
    return Result(**json.loads(answer))


def main(name: str, subject: str, given: str) -> None:
    """Measure one row on one subject in this process, and print the result; other output goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    repeats, seconds, ultralytics = json.loads(given)
    options = Options(repeats, seconds, ultralytics and Path(ultralytics))
    result = find_rows()[name].measure(subject, options)
    with suppress(BrokenPipeError):
        print(json.dumps(asdict(result)), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
