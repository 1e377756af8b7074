"""No decision depends on the words of a message: an error of a network is reported after one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import NeedsDataError, ProfilerError, TargetError, TraceError
from profiler.models import torchvision_ops
from profiler.models.building import build_model
from profiler.rewrites.registry import REWRITES, Rewritten, rewrite

WORDS = (
    "upgrade your checkpoint",
    "bad metadata field",
    "element 0 of tensors does not require grad and does not have a grad_fn",
    "Cannot copy out of meta tensor; no data!",
    "Tensor.item() cannot be called on meta tensors",
    "unsupported scalarType",
    "unknown device type for autocast in get_autocast_dispatch_key_from_device_type",
    "operator torchvision::nms does not exist",
    "got an unexpected keyword argument 'size'",
)
ERRORS = (RuntimeError, ValueError, TypeError, NotImplementedError, AttributeError)


class Raises(nn.Module):
    """Runs an operation, and raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.error = error
        self.runs = [0]

    def __deepcopy__(self, memo: Any) -> Raises:
        copied = Raises(self.error).to("meta")
        copied.runs = self.runs
        return copied

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs[0] += 1
        self.layer(x)
        raise self.error


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("words", WORDS)
def test_a_forward_that_raises_runs_once(words: str, kind: type[Exception], mode: Any) -> None:
    """It does not run again with gradients or for real, and the error contains the message."""
    model = Raises(kind(words))
    with pytest.raises(TraceError) as caught:
        profiler.profile(model, torch.ones(2, 3), mode=mode)
    assert model.runs == [1]
    assert not isinstance(caught.value, NeedsDataError)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("words", WORDS)
def test_a_callable_that_raises_runs_once(tmp_path: Path, words: str, kind: type[Exception]) -> None:
    """A file records how often it ran."""
    runs = tmp_path / "runs"

    def call(x: torch.Tensor) -> None:
        with runs.open("a") as file:
            file.write("x")
        (x @ x.T).sum()
        raise kind(words)

    with pytest.raises(TraceError) as caught:
        profiler.profile(call, torch.ones(2, 3))
    assert runs.read_text() == "x"
    assert not isinstance(caught.value, NeedsDataError)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("words", WORDS)
def test_a_constructor_that_raises_runs_once(tmp_path: Path, words: str, kind: type[Exception]) -> None:
    """It does not run again off the meta device, or with torchvision's operators."""
    (tmp_path / "net.py").write_text(
        "from pathlib import Path\nimport torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(2, 3)\n"
        f"        with open({str(tmp_path / 'runs')!r}, 'a') as file:\n"
        "            file.write('x')\n"
        f"        raise {kind.__name__}({words!r})\n"
    )
    with pytest.raises(TargetError) as caught:
        build_model("net.py:Net", base=tmp_path)
    assert (tmp_path / "runs").read_text() == "x"
    assert words in str(caught.value)


def test_torchs_own_refusals_are_recognized(tmp_path: Path) -> None:
    """A refusal that a library wraps in its own message leads to the CPU: torch raised the cause."""
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        try:\n"
        "            self.values = torch.ones(3).tolist()\n"
        "        except Exception as error:\n"
        "            raise ValueError('cannot be built') from error\n"
    )
    network: Any = build_model("net.py:Net", base=tmp_path)
    assert network.values == [1.0, 1.0, 1.0]


def test_autocast_on_meta_needs_data() -> None:
    """If torch's own autocast on the meta device is requested, there is a real run."""

    class Asks(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.get_autocast_dtype(x.device.type)
            return super().forward(x)

    assert profiler.profile(Asks(3, 4), torch.ones(2, 3)).total.macs == 2 * 3 * 4


@pytest.mark.parametrize("words", WORDS)
def test_other_errors_cause_no_second_try_with_torchvision(words: str) -> None:
    """An action that raises the exact words of torch runs once."""
    runs = 0

    def action() -> None:
        nonlocal runs
        runs += 1
        raise RuntimeError(words)

    with pytest.raises(RuntimeError):
        torchvision_ops.with_operators(action)
    assert runs == 1


def _raising(words: str) -> Callable[..., Rewritten]:
    def raising(model: nn.Module, inputs: Any, *, size: int = 0) -> Rewritten:
        raise TypeError(words)

    return raising


@pytest.mark.parametrize("words", WORDS)
def test_a_type_error_inside_a_rewrite_is_raised_unchanged(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Invalid options are refused before the rewrite runs; its own error is raised unchanged."""
    monkeypatch.setitem(REWRITES, "raising", _raising(words))
    with pytest.raises(TypeError, match=r".") as caught:
        rewrite(nn.Linear(3, 3), "raising", size=1)
    assert str(caught.value) == words
    with pytest.raises(ProfilerError, match="unexpected keyword argument 'sizes'"):
        rewrite(nn.Linear(3, 3), "raising", sizes=1)
