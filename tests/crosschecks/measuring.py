"""Runs every counter on every exhibit and network: ``python -m tests.crosschecks.measuring FILE`` writes the figures.

Each counter runs in its own fork, so that no process has to import torch again; only the page needs that speed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from profiler import catalog
from profiler.crosschecks.running import run_counter
from profiler.models.torchvision_ops import import_torchvision
from profiler.records import CounterRecord
from tests.crosschecks.networks import NETWORKS
from tests.museum import MUSEUM

Make = Callable[[], tuple[nn.Module, Any]]

LISTS = ("figures", "unsupported", "seen")


def run_all(make: Make) -> list[CounterRecord]:
    """What each counter reports of the network that ``make`` returns with its inputs."""
    return [CounterRecord.read(item) for item in _in_fork(lambda: _run_all(make))]


def _run_all(make: Make) -> list[dict[str, Any]]:
    model, inputs = make()
    model.eval()
    return [_in_fork(partial(_reported, name, model, inputs)) for name in catalog.counters()]


def _reported(name: str, model: Any, inputs: Any) -> dict[str, Any]:
    return asdict(run_counter(name, model, inputs))


def _in_fork(action: Callable[[], Any]) -> Any:
    """The result of ``action`` in a copy of this process, converted to JSON and back."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as reply:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                Path(reply.name).write_text(json.dumps(action()), encoding="utf-8")
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status:
            raise RuntimeError(f"a measurement ended with status {status}")
        return json.loads(reply.read())


def subjects() -> dict[str, Make]:
    """Every exhibit of the museum and every network, by name."""
    return {**MUSEUM, **{network.name: network.make for network in NETWORKS}}


def measure(names: Iterable[str] | None = None) -> dict[str, list[CounterRecord]]:
    """What every counter reports of the named subjects, by default of all."""
    known = subjects()
    return {name: run_all(known[name]) for name in (known if names is None else names)}


def to_json(records: Mapping[str, Iterable[CounterRecord]]) -> str:
    """One record in each line; a figure is [module, operation, number]."""
    lines = []
    for name, reports in records.items():
        inner = ",\n".join(f"  {json.dumps(_packed(record), ensure_ascii=False)}" for record in reports)
        lines.append(f" {json.dumps(name, ensure_ascii=False)}: [\n{inner}\n ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_json(text: str) -> dict[str, list[CounterRecord]]:
    """Read what :func:`to_json` wrote."""
    return {
        name: [CounterRecord.read(_unpacked(item)) for item in reports] for name, reports in json.loads(text).items()
    }


def _packed(record: CounterRecord) -> dict[str, Any]:
    item = {key: value for key, value in asdict(record).items() if value or key in ("counter", "status")}
    for key in LISTS:
        if key in item:
            item[key] = [list(figure.values()) for figure in item[key]]
    return item


def _unpacked(item: Mapping[str, Any]) -> dict[str, Any]:
    lists = {
        key: [dict(zip(("module", "op", "figure"), figure, strict=True)) for figure in item.get(key, ())]
        for key in LISTS
    }
    return {"version": "", "uncalled": [], **item, **lists}


def main(file: Path, names: list[str]) -> None:
    """Measure the named subjects, or all, and write the records."""
    warnings.simplefilter("ignore")
    import_torchvision()
    file.write_text(to_json(measure(names or None)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
