"""What a caller has set for all of its own work, and a trace is not to be changed by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from profiler.tracing.private import function_modes_are_active


@contextmanager
def unaffected_by_caller() -> Iterator[None]:
    """Inside, the caller's inference mode is off, in which nothing can be trained, and new tensors are on the CPU.

    Grad mode is set for each run; autocast and the default dtype are part of what the caller asks about.
    """
    # a default device is a mode that is told of functions
    device = torch.device("cpu") if function_modes_are_active() else nullcontext()
    with torch.inference_mode(False), device:
        yield
