"""The other end of :mod:`profiler.crosschecks.process`: makes the network, runs the counter, writes its record."""

from __future__ import annotations

import importlib
import json
import pickle
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from profiler.crosschecks.calling import failure, installed_version
from profiler.crosschecks.counter import find_counter
from profiler.crosschecks.process import ANSWER, NETWORK, ORDER
from profiler.crosschecks.running import run_counter
from profiler.errors import FOREIGN_ERRORS
from profiler.models.torchvision_ops import with_operators
from profiler.records import CounterRecord


def main(place: str) -> None:
    """Carry out the order in the folder ``place``; whatever the network or the counter raises becomes a record.

    Modules are then looked up where the ordering process looks them up, in the same order.
    """
    folder = Path(place)
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    sys.path[:] = order["path"]
    counter = order["counter"]
    try:
        model, inputs = _network(order, folder)
        record = run_counter(counter, model.eval(), inputs)
    except FOREIGN_ERRORS as error:
        version = installed_version(find_counter(counter).distribution)
        record = CounterRecord(counter, version, "failed", failure(error))
    (folder / ANSWER).write_text(json.dumps(asdict(record)), encoding="utf-8")


def _network(order: Mapping[str, Any], folder: Path) -> tuple[nn.Module, Any]:
    if "function" in order:
        module, _, name = order["function"].partition(":")
        model, inputs = with_operators(lambda: getattr(importlib.import_module(module), name)(*order["arguments"]))
        return model, inputs
    model, inputs = with_operators(lambda: pickle.loads((folder / NETWORK).read_bytes()))
    return model, inputs
