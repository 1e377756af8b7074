"""A counter's name and a network → the record of what the counter reports of one call of it."""

from __future__ import annotations

from typing import Any

from torch import nn

from profiler.crosschecks.calling import failure, installed_version
from profiler.crosschecks.counter import CannotRun, find_counter
from profiler.errors import FOREIGN_ERRORS
from profiler.models.torchvision_ops import with_operators
from profiler.records import CounterRecord


def run_counter(name: str, model: nn.Module, inputs: Any) -> CounterRecord:
    """Run the counter of this name in this process on one call of ``model``, in eval mode; returns its record.

    Whatever the counter raises becomes a record with the status ``"failed"``.
    """
    counter = find_counter(name)
    version = installed_version(counter.distribution)
    try:
        reported = with_operators(lambda: counter.run(model, inputs))
    except CannotRun as error:
        return CounterRecord(name, version, "skipped", str(error))
    except FOREIGN_ERRORS as error:
        return CounterRecord(name, version, "failed", failure(error))
    return CounterRecord(
        counter=name,
        version=version,
        status="ok",
        figures=reported.figures,
        unsupported=reported.unsupported,
        uncalled=reported.uncalled,
        seen=reported.seen,
        factor=reported.factor,
    )
