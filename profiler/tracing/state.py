"""torch's global settings and random state, which a forward may change: they are restored after a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from profiler.tracing.randomness import fixed_random_state


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (_determinism, lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1])),
    (_anomaly, lambda both: torch.set_anomaly_enabled(*both)),
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    *(
        (partial(read, device), partial(write, device))
        for device in ("cpu", "cuda")
        for read, write in (
            (torch.get_autocast_dtype, torch.set_autocast_dtype),
            (torch.is_autocast_enabled, torch.set_autocast_enabled),
        )
    ),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_num_threads, torch.set_num_threads),
)
"""How each setting is read and written."""


def settings() -> tuple[Any, ...]:
    """All of them, as they are now."""
    return tuple([read() for read, _ in SETTINGS])


@contextmanager
def kept_state() -> Iterator[None]:
    """Within it, random numbers come from a fixed seed and settings may change; all are restored at the end."""
    before = settings()
    try:
        with fixed_random_state():
            yield
    finally:
        for (read, write), value in zip(SETTINGS, before, strict=True):
            if read() != value:
                write(value)
