"""How long a profile takes, beside other counters and beside the network's own forward pass on the meta device.

``python benchmarks/speed.py [NETWORK ...]`` prints one table: for each network (torchvision's, at 224×224) and each
tool the best of several runs as a multiple of that forward pass.  Tools run in turn, each in a process of its own that
measures the forward pass too: every ratio is of two times taken side by side.  Start-up, imports and the building
of the network are left out.  Other counters are called as their own documentation does.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import nn

from profiler.models.building import build_model, build_real_model

NETWORKS = ("resnet50", "vit_b_16", "swin_t")
RUNS = 5

Tool = Callable[[nn.Module, torch.Tensor], object]


def _profiler(model: nn.Module, x: torch.Tensor) -> object:
    return import_module("profiler").profile(model, x)


def _fvcore(model: nn.Module, x: torch.Tensor) -> object:
    analysis = import_module("fvcore.nn").FlopCountAnalysis(model, x)
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def _torch(model: nn.Module, x: torch.Tensor) -> object:
    with import_module("torch.utils.flop_counter").FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops()


def _ptflops(model: nn.Module, x: torch.Tensor) -> object:
    return import_module("ptflops").get_model_complexity_info(
        model, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False, verbose=False
    )


def _thop(model: nn.Module, x: torch.Tensor) -> object:
    return import_module("thop").profile(model, inputs=(x,), verbose=False)


def _torchinfo(model: nn.Module, x: torch.Tensor) -> object:
    return import_module("torchinfo").summary(model, input_data=x, verbose=0)


def _calflops(model: nn.Module, x: torch.Tensor) -> object:
    return import_module("calflops").calculate_flops(
        model, input_shape=tuple(x.shape), print_results=False, print_detailed=False, output_as_string=False
    )


def _torchprofile(model: nn.Module, x: torch.Tensor) -> object:
    return import_module("torchprofile").profile_macs(model, x)


TOOLS: dict[str, Tool] = {
    "profiler": _profiler,
    "torch FlopCounterMode": _torch,
    "torchinfo": _torchinfo,
    "thop": _thop,
    "ptflops": _ptflops,
    "calflops": _calflops,
    "fvcore": _fvcore,
    "torchprofile": _torchprofile,
}
ON_META = ("profiler", "torch FlopCounterMode")
"""The tools that need no real tensors; the others run the network for real, as their users do."""


def measure(tool: str, network: str) -> dict[str, float]:
    """Seconds for the forward pass on meta and for the tool, the best of ``RUNS`` of each, in turn."""
    on_meta = build_model(f"torchvision:{network}").eval()
    x = torch.empty(1, 3, 224, 224, device="meta")
    model, inputs = on_meta, x
    if tool not in ON_META:
        model, inputs = build_real_model(f"torchvision:{network}").eval(), torch.rand(x.shape)
    best = {"forward": float("inf"), "tool": float("inf")}
    for _ in range(RUNS):
        best["forward"] = min(best["forward"], _seconds(_forward, on_meta, x))
        with contextlib.redirect_stdout(io.StringIO()):
            best["tool"] = min(best["tool"], _seconds(TOOLS[tool], model, inputs))
    return best


def _forward(model: nn.Module, x: torch.Tensor) -> object:
    with torch.no_grad():
        return model(x)


def _seconds(tool: Tool, model: nn.Module, x: torch.Tensor) -> float:
    start = time.perf_counter()
    tool(model, x)
    return time.perf_counter() - start


def in_own_process(tool: str, network: str) -> dict[str, Any]:
    """:func:`measure` in a new process; where the tool fails, ``error`` holds the last line that it said."""
    command = [sys.executable, __file__, "--measure", tool, network]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(networks: list[str]) -> None:
    """Print the table."""
    print(f"torch {torch.__version__}; forward pass on meta = 1; best of {RUNS}\n")
    print(f"{'':24}" + "".join(f"{network:>12}" for network in networks))
    for tool in TOOLS:
        row = [in_own_process(tool, network) for network in networks]
        cells = ["failed" if "error" in cell else f"{cell['tool'] / cell['forward']:.2f}" for cell in row]
        print(f"{tool:24}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        warnings.simplefilter("ignore")
        print(json.dumps(measure(sys.argv[2], sys.argv[3])))
    else:
        main(sys.argv[1:] or list(NETWORKS))
