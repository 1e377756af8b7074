"""Random numbers during a trace: drawn from a fixed seed; the state of the generators is restored."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

SEED = 0


@contextmanager
def fixed_random_state() -> Iterator[None]:
    """Seed the global generators of torch's CPU, of Python, and of NumPy if it is imported; restore them at the end."""
    python_state = random.getstate()
    numpy = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy is not None else None
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(SEED)
            random.seed(SEED)
            if numpy is not None:
                numpy.random.seed(SEED)
            yield
    finally:
        random.setstate(python_state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)
