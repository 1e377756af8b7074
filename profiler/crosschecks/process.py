"""A counter in a separate process: what it patches there, and how it ends, does not affect this process.

The process gets a function to import that makes the network, or the network itself as a pickle.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

import profiler
from profiler.crosschecks.calling import MESSAGE_LENGTH, failure, installed_version
from profiler.crosschecks.counter import find_counter
from profiler.errors import FOREIGN_ERRORS
from profiler.files import temporary_folder
from profiler.records import CounterRecord

TIME_LIMIT = 300.0
"""The seconds after which a counter is stopped."""

START = """\
import sys
sys.path.append(sys.argv.pop(1))
from profiler.crosschecks.worker import main
main(sys.argv[1])
"""
"""The profiler's folder is last on the path; ``-P`` keeps the current folder off the front."""

LEFT_BEHIND = 3600.0
"""The maximum number of seconds of a run; an older folder belongs to a killed process."""

ORDER = "order.json"
NETWORK = "network.pickle"
ANSWER = "answer.json"


@dataclass(frozen=True, slots=True)
class FromFunction:
    """The result of ``module:function`` for ``arguments``, which have to fit into JSON: a network and its inputs.

    The inputs are a tuple of positional or a mapping of keyword arguments.
    """

    function: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class FromObject:
    """A network in memory and its real inputs, a tuple or a mapping; both have to be picklable."""

    model: nn.Module
    inputs: Any


Source = FromFunction | FromObject


def count_in_process(counter: str, source: Source, *, limit: float | None = None) -> CounterRecord:
    """What ``counter`` says of one call of the network, in eval mode.

    Nothing that goes wrong there is raised here: a counter that is not installed, or a network that cannot be sent,
    gives a record with the status ``"skipped"``; one that raises, crashes, or takes longer than ``limit`` seconds
    (default ``TIME_LIMIT``) gives ``"failed"``.
    """
    limit = TIME_LIMIT if limit is None else limit
    distribution = find_counter(counter).distribution
    installed = installed_version(distribution)
    if not installed:
        return CounterRecord(counter, "", "skipped", f"not installed; pip install {distribution}")
    with temporary_folder("counter", LEFT_BEHIND) as folder:
        try:
            _write_order(folder, counter, source)
        except FOREIGN_ERRORS as error:  # pickling runs the code of whatever the network holds
            return CounterRecord(
                counter, installed, "skipped", f"the network cannot be sent to another process: {failure(error)}"
            )
        return _run(folder, counter, installed, limit)


def _write_order(folder: Path, counter: str, source: Source) -> None:
    order: dict[str, Any] = {"counter": counter, "path": [str(Path(place).absolute()) for place in sys.path]}
    match source:
        case FromFunction(function, arguments):
            order |= {"function": function, "arguments": list(arguments)}
        case FromObject(model, inputs):
            (folder / NETWORK).write_bytes(pickle.dumps((model, inputs)))
    (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")


def _run(folder: Path, counter: str, installed: str, limit: float) -> CounterRecord:
    root = str(Path(profiler.__file__).parents[1])
    command: Sequence[str] = (sys.executable, "-P", "-W", "ignore", "-c", START, root, str(folder))
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return CounterRecord(counter, installed, "failed", f"took longer than {limit:g} s")
    answer = folder / ANSWER
    if ended.returncode == 0 and answer.exists():
        return CounterRecord.read(json.loads(answer.read_text(encoding="utf-8")))
    last = (ended.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    how = f"exit code {ended.returncode}" if ended.returncode >= 0 else f"signal {-ended.returncode}"
    return CounterRecord(counter, installed, "failed", f"ended with {how}: {last}"[:MESSAGE_LENGTH])
