"""Other counters, called as their own documentation does, on a network with real tensors.

``python -m benchmarks.peers COUNTER NETWORK`` builds the network, and measures one call for each line that it reads.
Several of them patch torch or change the network, so each runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.timing import Clock, Thing

if TYPE_CHECKING:
    import torch
    from torch import nn


def fvcore(model: nn.Module, x: torch.Tensor) -> object:
    """``FlopCountAnalysis(...).total()``."""
    return import_module("fvcore.nn").FlopCountAnalysis(model, x).total()


def ptflops(model: nn.Module, x: torch.Tensor) -> object:
    """``get_model_complexity_info``; token ids are given by an input constructor."""
    options = {} if x.is_floating_point() else {"input_constructor": lambda size: {"input_ids": x}}
    return import_module("ptflops").get_model_complexity_info(
        model, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False, verbose=False, **options
    )


def thop(model: nn.Module, x: torch.Tensor) -> object:
    """``profile``, of thop and of ultralytics-thop."""
    return import_module("thop").profile(model, inputs=(x,), verbose=False)


def torchinfo(model: nn.Module, x: torch.Tensor) -> object:
    """``summary``."""
    return import_module("torchinfo").summary(model, input_data=x, verbose=0)


def calflops(model: nn.Module, x: torch.Tensor) -> object:
    """``calculate_flops``; token ids are given as arguments."""
    given: dict[str, Any] = {"input_shape": tuple(x.shape)} if x.is_floating_point() else {"args": [x]}
    return import_module("calflops").calculate_flops(
        model, **given, print_results=False, print_detailed=False, output_as_string=False
    )


def torchprofile(model: nn.Module, x: torch.Tensor) -> object:
    """``profile_macs``."""
    return import_module("torchprofile").profile_macs(model, x)


ULTRALYTICS = "ultralytics-thop"
PEERS: dict[str, Callable[[nn.Module, torch.Tensor], object]] = {
    "torchinfo": torchinfo,
    "thop": thop,
    ULTRALYTICS: thop,  # a package of the same name, from a folder of its own
    "ptflops": ptflops,
    "calflops": calflops,
    "fvcore": fvcore,
    "torchprofile": torchprofile,
}


class PeerError(Exception):
    """A counter that failed, with the last line that it printed."""


class Peer:
    """A process that runs one counter on one network on request."""

    def __init__(self, name: str, network: str, environment: dict[str, str]) -> None:
        self.name = name
        command = [sys.executable, "-m", "benchmarks.peers", name, network]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def thing(self) -> Thing:
        """One call of the counter, measured by its own process.  Raises PeerError if it fails."""

        def run(clock: Clock) -> None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write("\n")
                self._process.stdin.flush()
            answer = self._process.stdout.readline()
            if not answer:
                lines = self._process.stderr.read().strip().splitlines() or ["no message"]
                raise PeerError(lines[-1])
            clock.note(self.name, **json.loads(answer))

        return run

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def main(name: str, network: str) -> None:
    """Measure one call of the counter for each line of standard input, after one that is not measured."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what counters print does not cost more than writing it
    import torch

    from benchmarks.networks import real
    from profiler import import_torchvision

    import_torchvision()
    torch.set_num_threads(1)
    model, x = real(network)
    peer = PEERS[name]
    warm = False
    for _ in sys.stdin:
        with contextlib.redirect_stdout(io.StringIO()):
            if not warm:
                peer(model, x)
                warm = True
            clock = Clock()
            clock.start()
            peer(model, x)
            clock.lap(name)
        print(json.dumps(clock.laps[name]), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
