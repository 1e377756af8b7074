"""Other counters, run on the same network: each a function (model, inputs) → CounterRecord in one dict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from profiler.counters.fvcore import count_with_fvcore
from profiler.records import CounterRecord

COUNTERS: dict[str, Callable[[nn.Module, Any], CounterRecord]] = {"fvcore": count_with_fvcore}

__all__ = ["COUNTERS"]
