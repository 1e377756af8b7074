"""What a network raises to end the program becomes an error that says so; an interrupt stays an interrupt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import profiler
from profiler.cli import cli
from profiler.errors import ProfilerError, TargetError, TraceError
from profiler.records import Mode


class Raises(nn.Module):
    """Raises a given exception in one of its methods."""

    def __init__(self, error: BaseException, where: str = "forward") -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.error = error
        self.where = where

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        if self.where == "forward":
            raise self.error
        return y

    def train(self, mode: bool = True) -> Any:
        if getattr(self, "where", "") == "train":
            raise self.error
        return super().train(mode)


class Ends(BaseException):
    """An exception that is no ``Exception``."""


@pytest.mark.parametrize("where", ["forward", "train"])
@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("bye"), GeneratorExit()])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_network_cannot_end_the_program(error: BaseException, mode: Mode, where: str) -> None:
    """The error names what was raised."""
    with pytest.raises(TraceError, match=type(error).__name__):
        profiler.profile(Raises(error, where), torch.zeros(2, 4), mode=mode)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Ends()])
def test_an_interrupt_stays_an_interrupt(error: BaseException) -> None:
    """An interrupt does not come from the network; neither does a ``BaseException`` of another library."""
    with pytest.raises(type(error)):
        profiler.profile(Raises(error), torch.zeros(2, 4))


def test_the_module_that_ends_the_program_is_named() -> None:
    """The message names it, as it does for any other error."""
    with pytest.raises(TraceError, match=r"module 1 \(Raises\) on 2×4 raised SystemExit: 3"):
        profiler.profile(nn.Sequential(nn.Linear(4, 4), Raises(SystemExit(3))), torch.zeros(2, 4))


def test_a_lazy_network_cannot_end_the_program() -> None:
    """The run that gives its parameters their shapes catches this too."""
    with pytest.raises(TraceError, match="SystemExit"):
        profiler.profile(nn.Sequential(nn.LazyLinear(4), Raises(SystemExit(0))), torch.zeros(2, 4))


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.exit(0)\n",
        "import sys\nfrom torch import nn\nclass Net(nn.Linear):\n    def __init__(self): sys.exit(0)\n",
        "import sys\nfrom torch import nn\nclass Net(nn.Linear):\n"
        "    def __init__(self): super().__init__(4, 4)\n    def forward(self, x): sys.exit(0)\n",
        "from torch import nn\nclass Ends(BaseException): pass\nclass Net(nn.Linear):\n"
        "    def __init__(self): super().__init__(4, 4)\n    def forward(self, x): raise Ends('over')\n",
    ],
)
def test_the_command_says_so_in_one_line(code: str, tmp_path: Path) -> None:
    """The exit code is 2 whether the code ends on import, while the network is built, or while it runs."""
    (tmp_path / "net.py").write_text(code)
    result = CliRunner().invoke(cli, ["profile", f"{tmp_path}/net.py:Net", "--input", "2x4"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "SystemExit" in result.stderr or "Ends was raised" in result.stderr


def test_a_counter_that_ends_the_program_is_reported_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record says so, and the profile is complete."""

    class Leaves(nn.Linear):
        """Ends the program in every run except the profiler's own."""

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            if not input.is_meta:
                sys.exit(1)
            return super().forward(input)

    (record,) = profiler.crosscheck(Leaves(4, 4), torch.zeros(2, 4)).counters
    assert record.status == "failed"
    assert "SystemExit" in record.message


def test_a_builder_that_ends_the_program_is_named(tmp_path: Path) -> None:
    """The Python API names it too."""
    (tmp_path / "net.py").write_text("def net(): raise GeneratorExit\n")
    with pytest.raises(TargetError, match="GeneratorExit"):
        profiler.profile_config(profiler.load_config(_config(tmp_path)))
    assert issubclass(TargetError, ProfilerError)


def _config(folder: Path) -> Path:
    path = folder / "net.yaml"
    path.write_text("model: {target: 'net.py:net'}\ninputs: [{shape: [2, 4]}]\ncrosscheck: false\n")
    return path
