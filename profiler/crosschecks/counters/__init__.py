"""Other counters, run on the same network: each a function (model, inputs) → CounterRecord in one dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from profiler.crosschecks.counters.calflops import count_with_calflops
from profiler.crosschecks.counters.fvcore import count_with_fvcore
from profiler.crosschecks.counters.ptflops import count_with_ptflops
from profiler.crosschecks.counters.thop import count_with_thop
from profiler.crosschecks.counters.torchinfo import count_with_torchinfo
from profiler.crosschecks.counters.torchprofile import count_with_torchprofile
from profiler.crosschecks.flop_counter_mode import count_with_torch, count_with_torch_on_cpu
from profiler.records import CounterRecord

CounterFunction = Callable[[nn.Module, Any], CounterRecord]

COUNTERS: dict[str, CounterFunction] = {
    "fvcore": count_with_fvcore,
    "torch": count_with_torch,
    "torch-cpu": count_with_torch_on_cpu,
    "ptflops": count_with_ptflops,
    "thop": count_with_thop,
    "torchinfo": count_with_torchinfo,
    "calflops": count_with_calflops,
    "torchprofile": count_with_torchprofile,
}
"""Name, as a config and ``--against`` have it, → what that counter says of a network in eval mode on real inputs."""

ON_META = ("torch",)
"""The counters that need no real tensors."""

IN_OWN_PROCESS = ("ptflops", "thop", "torchinfo", "calflops", "torchprofile")
"""The counters that patch torch or change the network, or may: each runs in a process of its own."""

DISTRIBUTIONS: Mapping[str, str] = {"torch-cpu": "torch"}
"""The installed package that a counter comes from, where it has another name."""

__all__ = ["COUNTERS", "DISTRIBUTIONS", "IN_OWN_PROCESS", "ON_META", "CounterFunction"]
