"""Settings of the caller that must not affect a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from profiler.tracing.private import function_modes_are_active


@contextmanager
def unaffected_by_caller() -> Iterator[None]:
    """Within it, the caller's inference mode is off, in which training is not possible, and new tensors are on the CPU.

    Grad mode is set for each run; autocast and the default dtype are kept as the caller has set them.
    """
    # a default device is a torch function mode
    device = torch.device("cpu") if function_modes_are_active() else nullcontext()
    with torch.inference_mode(False), device:
        yield
