"""Whole processes: the command line against ``import torch``, and commands that do not need torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import environment
from benchmarks.results import Result, figure, ratio, seconds
from benchmarks.row import Options, Row
from benchmarks.timing import process, take_turns

ROOT = Path(__file__).parents[2]
ALEXNET, HELP, COMPARE = "profile of AlexNet", "help", "comparison of saved profiles"
TORCH = "torch imported (0: no)"


def measure(subject: str, options: Options) -> Result:
    """The command, ``python -c "import torch"`` and ``python -c pass`` in turn; and whether the command needs torch."""
    with TemporaryDirectory() as folder:
        arguments = _arguments(subject, Path(folder))
        things = (
            process("import torch", (sys.executable, "-c", "import torch"), environment()),
            process("python", (sys.executable, "-c", "pass"), environment()),
            process("command", (sys.executable, "-m", "profiler", *arguments), environment()),
        )
        take_turns(things, 1)  # writes bytecode
        samples = take_turns(things, options.repeats)
        figures = {TORCH: [float(_imports_torch(arguments))]}
    return Result("start", subject, samples, figures)


def _arguments(subject: str, folder: Path) -> tuple[str, ...]:
    if subject == HELP:
        return ("--help",)
    if subject == ALEXNET:
        return "profile", str(ROOT / "configs" / "alexnet.yaml"), "--no-crosscheck"
    networks = ("torchvision:resnet18", "torchvision:resnet50")
    command = (sys.executable, "-m", "profiler", "profile", *networks, "--output", str(folder), "--quiet")
    subprocess.run(command, check=True, env=environment())
    return "compare", *(str(path) for path in sorted(folder.glob("*/profile.json")))


def _imports_torch(arguments: tuple[str, ...]) -> bool:
    command = (sys.executable, "-X", "importtime", "-m", "profiler", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    return any(line.rpartition("|")[2].strip() == "torch" for line in done.stderr.splitlines())


ROW = Row(
    "Commands as whole processes",
    (ALEXNET, HELP, COMPARE),
    measure,
    (
        ratio("command", "import torch", 1.4, 1.2, "command / import torch").only(ALEXNET),
        seconds("command", must=0.3, label="seconds of help").only(HELP),
        seconds("command", must=0.6, label="seconds of a comparison").only(COMPARE),
        figure(TORCH, "", must=0).only(HELP, COMPARE),
        seconds("import torch"),
        seconds("python"),
    ),
    quick=(ALEXNET, HELP, COMPARE),
)
