"""Files of small networks for sweeps, and what their points must cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from profiler.config import Config

NETWORKS = '''
import os
from torch import nn

def mlp(width=4, depth=1):
    return nn.Sequential(nn.Linear(6, width), *(nn.Linear(width, width) for _ in range(depth)))

class Both(nn.Module):
    """A convolution that costs 9·H² and a linear layer that costs the same at every H."""

    def __init__(self, out=100):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.linear = nn.Linear(16, out, bias=False)

    def forward(self, x):
        return self.linear(self.pool(self.conv(x)).flatten(1))

def dying(width=4):
    if width == 7:
        os._exit(9)
    return nn.Linear(6, width)
'''

SEARCH = """
import time
from collections.abc import Iterator

def candidates() -> Iterator[dict]:
    for width in range(1, {number} + 1):
        time.sleep({pause})
        yield {{"model": {{"target": "nets.py:mlp", "kwargs": {{"width": width}}}}, "inputs": [{{"shape": [2, 6]}}]}}
"""


def write_networks(folder: Path) -> Path:
    """``nets.py`` with the networks above."""
    path = folder / "nets.py"
    path.write_text(NETWORKS)
    return path


def write_search(folder: Path, number: int, pause: float = 0) -> Path:
    """``search.py`` with ``candidates``, which yields ``number`` networks of ``nets.py``, each after some seconds."""
    write_networks(folder)
    path = folder / "search.py"
    path.write_text(SEARCH.format(number=number, pause=pause))
    return path


def config_of(folder: Path, network: str = "mlp", **keys: Any) -> Config:
    """A config of a network in ``nets.py`` with a batch of size B."""
    write_networks(folder)
    data = {"name": network, "model": {"target": f"{folder}/nets.py:{network}"}, "sizes": {"B": 2}}
    return Config.model_validate({**data, "inputs": [{"shape": ["B", 6]}], **keys})


def multiplies_of_mlp(batch: int, width: int, depth: int = 1) -> int:
    """Those of ``mlp``: a layer of 6 × width, and ``depth`` of width × width."""
    return batch * (6 * width + depth * width * width)
