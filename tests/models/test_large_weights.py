"""Networks with large weights in files: the numbers and results are the same, and the weights take no memory."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from profiler.models import large_weights
from profiler.models.large_weights import LargeWeightsInFiles
from tests import forking

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(large_weights.DONT_NEED is None, reason="the system does not map files as is needed")


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits: some thousand bytes are large here, and a part is smaller than a layer; both exceed a page."""
    monkeypatch.setattr(large_weights, "LARGE", 2**15)
    monkeypatch.setattr(large_weights, "PART", 2**14)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, tuple[int, ...]]]] = {
    "linear": lambda: (nn.Linear(120, 200), (3, 120)),
    "linear without bias": lambda: (nn.Linear(120, 200, bias=False), (2, 3, 120)),
    "one row is more than a part": lambda: (nn.Linear(6000, 3), (2, 6000)),
    "convolution": lambda: (nn.Conv2d(16, 50, 7), (2, 16, 9, 8)),
    "one image": lambda: (nn.Conv2d(16, 50, 7, padding=1, stride=2), (16, 9, 8)),
    "1d": lambda: (nn.Conv1d(30, 70, 9), (2, 30, 20)),
    "3d": lambda: (nn.Conv3d(10, 40, 3, dilation=2), (1, 10, 6, 5, 7)),
    "groups": lambda: (nn.Conv2d(64, 128, 5, groups=2), (1, 64, 6, 6)),
    "transposed": lambda: (nn.ConvTranspose2d(64, 16, 5), (1, 64, 6, 6)),
    "embedding": lambda: (nn.Sequential(nn.Linear(1, 1), nn.Embedding(500, 40)), ()),
}


@pytest.fixture(params=[torch.no_grad, torch.inference_mode])
def without_gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both modes, since the dispatcher sees a layer whole in one and decomposed in the other."""
    with request.param():
        yield


def built(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    return NETWORKS[name]()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("without_gradients")
def test_weights_and_results_are_the_same(name: str) -> None:
    """Random weights equal those of ordinary layers, and so do the results."""
    with torch.inference_mode(False), torch.no_grad():
        plain, shape = built(name)
    with LargeWeightsInFiles() as files:
        with torch.inference_mode(False), torch.no_grad():
            network, _ = built(name)
        assert any(files.holds(parameter) for parameter in network.parameters())
        for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        if shape:
            x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
            torch.testing.assert_close(network(x), plain(x))
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)  # after the weights are in files, too


@pytest.mark.usefixtures("without_gradients")
def test_results_are_exact_on_whole_numbers() -> None:
    """Without rounding there is no difference at all, whatever the order of the sums."""
    with LargeWeightsInFiles() as files:
        weight = torch.empty(200, 100)
        weight.copy_(torch.arange(20_000).reshape(200, 100) % 7 - 3)
        assert files.holds(weight)
        x = (torch.arange(500).reshape(5, 100) % 5).float()
        wanted = x.double() @ weight.double().t()
        assert torch.equal(nn.functional.linear(x, weight).double(), wanted)
        assert torch.equal((x @ weight.t()).double(), wanted)
        assert torch.equal(torch.addmm(torch.ones(200), x, weight.t()).double(), wanted + 1)


def test_a_deep_copy_is_independent() -> None:
    """Deep copies, which rewrites make, are in files as well; a write to one does not change the other."""
    with LargeWeightsInFiles() as files, torch.no_grad():
        network, _ = built("linear")
        copied = copy.deepcopy(network)
        (weight, _), (other, _) = network.parameters(), copied.parameters()
        assert torch.equal(weight, other)
        assert files.holds(other)
        before = weight.sum().item()
        other.zero_()
        assert weight.sum().item() == before
        assert other.abs().sum().item() == 0


@pytest.mark.usefixtures("without_gradients")
def test_weights_in_memory_stay_in_memory() -> None:
    """The pages of a weight in memory must not be freed, also if the input is in a file."""
    with LargeWeightsInFiles() as files:
        x = torch.empty(100, 200).fill_(1)
        weight = torch.ones(300, 200)
        assert files.holds(x)
        assert not files.holds(weight)
        for _ in range(2):
            assert torch.equal(nn.functional.linear(x, weight), torch.full((100, 300), 200.0))
            assert torch.equal(x @ weight.t(), torch.full((100, 300), 200.0))
        assert weight.sum().item() == 300 * 200


@pytest.mark.usefixtures("without_gradients")
def test_views_free_only_pages_of_their_file() -> None:
    """An expanded view has more elements than its file; no memory beyond the file is freed."""
    beside = torch.ones(2**16)
    with LargeWeightsInFiles():
        x = torch.empty(1, 2**14).fill_(2)
        assert x.expand(50, -1).sum().item() == 2 * 50 * 2**14
        assert x[:, 5000:].sum().item() == 2 * (2**14 - 5000)
        assert x.t().sum().item() == 2 * 2**14
    assert beside.sum().item() == 2**16


def test_small_and_meta_tensors_stay_where_they_are() -> None:
    """So do tensors in files that were made elsewhere."""
    with LargeWeightsInFiles() as files:
        assert not files.holds(torch.empty(10))
        assert torch.empty(1000, 1000, device="meta").is_meta
        with torch.device("meta"):
            assert torch.empty(1000, 1000).is_meta
    assert not files.holds(torch.empty(1000, 1000))


def test_with_a_full_disk_tensors_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk causes no error."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with LargeWeightsInFiles() as files, torch.no_grad():
        network, shape = built("linear")
        assert not any(files.holds(parameter) for parameter in network.parameters())
        assert network(torch.ones(shape)).shape == (3, 200)


def test_no_file_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the files is left, however the process ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with LargeWeightsInFiles() as files, torch.no_grad():
        network, _ = built("linear")
        assert files.holds(next(network.parameters()))
        assert list(tmp_path.iterdir()) == []


MEMORY = """
import resource, sys
from profiler.config import load_config
from profiler.rewriting import rewrite_config

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
found = rewrite_config(load_config(sys.argv[1])).equivalence
assert found.passed and found.values == 10, found
print(peak() - before)
"""


@pytest.mark.parametrize(
    "hidden", [pytest.param(1024, marks=pytest.mark.slow), pytest.param(4096, marks=pytest.mark.exhaustive)]
)
def test_rewriting_a_large_network_takes_little_memory(hidden: int, tmp_path: Path) -> None:
    """The course's Net1 has 1.4 GB at its full width; it and its rewritten form together take less than both weights.

    Beside the weights there are the results of its convolutions and what else is imported.
    """
    text = (ROOT / "configs" / "net1_as_net2.yaml").read_text(encoding="utf-8")
    config = tmp_path / "net1.yaml"
    config.write_text(text.replace("zoo:Net1\n", f"zoo:Net1\n  kwargs: {{hidden: {hidden}}}\n"), encoding="utf-8")
    assert str(hidden) in config.read_text(encoding="utf-8")
    ended = forking.run([sys.executable, "-c", MEMORY, str(config)])
    assert ended.returncode == 0, ended.stderr
    largest = 4 * (256 * 18 * 18 * hidden + hidden * hidden)
    assert int(ended.stdout) <= 1.5 * largest
