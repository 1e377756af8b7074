"""A saved profile is priced again without its network: by fixed rules, and by the same rules to the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import nn

import profiler
from profiler.cli import cli
from profiler.profiles import Profile
from profiler.rules import REGISTRY

VERSION_1 = Path(__file__).parent / "golden" / "stored" / "version_1.json"


def three_an_element(x: Any, *_: Any, out: Any) -> list[profiler.Term]:
    """A custom rule for relu."""
    return [profiler.each(out.shape, "own", multiplies=3)]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


def saved(profile: Profile, folder: Path) -> Path:
    profile.save(folder / "profile.json")
    return folder / "profile.json"


class Everything(nn.Module):
    """Attention, a mapped layer, padding, values that a rule reads, and a table of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        x = self.table(numbers)
        x = self.attention(x, x, x, need_weights=False)[0] * 0.5
        x = torch.func.vmap(self.head)(x)
        x = F.conv1d(F.pad(x, (1, 1)), x.new_ones(4, x.shape[1], 3))
        return torch.segment_reduce(x.sum((0, 2)), "sum", lengths=torch.tensor([1, 3]))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_same_rules_give_the_same_profile(tmp_path: Path, mode: Any) -> None:
    """The saved file has every signature, with values that matter."""
    profile = profiler.profile(Everything(), torch.tensor([[1, 2, 3], [4, 5, 6]]), mode=mode)
    assert profile.status == "complete"
    assert profile.priced_again() == profile
    path = saved(profile, tmp_path)
    assert profiler.load_profile(path) == profile
    assert profiler.load_profile(path, reprice=True) == profile


def test_a_fixed_rule_is_used(tmp_path: Path) -> None:
    """Counts, kinds and uses of parameters change; views and exclusions stay."""
    profile = profiler.profile(network(), torch.zeros(1, 2, 6, 6)).with_views("depthwise_apart").excluding("4")
    path = saved(profile, tmp_path)
    with profiler.rules_replaced({"aten::relu": three_an_element, "aten::batch_norm": None}):
        again = profiler.load_profile(path, reprice=True)
    elements = 4 * 6 * 6
    assert again.total.multiplies - profile.total.multiplies == 3 * elements - 2 * elements
    assert again.total.comparisons == 0
    assert (again.views, again.exclude) == (profile.views, profile.exclude)
    kinds = dict(zip(again.parameters["parameter"], again.parameters["kind"], strict=True))
    assert (kinds["1.weight"], kinds["0.weight"]) == ("movement", "conv")


def test_an_operation_whose_rule_is_gone_keeps_its_cost(tmp_path: Path) -> None:
    """A user's rules need not be registered when a profile is read."""
    with profiler.rules_replaced({"mylib::none": three_an_element}):
        profile = profiler.profile(network(), torch.zeros(1, 2, 6, 6))
    path = saved(profile, tmp_path)
    entry = REGISTRY.find("aten::relu")
    assert entry is not None
    REGISTRY.remove("aten::relu")
    try:
        assert profiler.load_profile(path, reprice=True) == profile
    finally:
        REGISTRY.add(entry)


def test_an_operation_gets_its_new_rule(tmp_path: Path) -> None:
    """A partial profile is complete once there is a rule."""

    def fails(x: Any, *_: Any, out: Any) -> list[profiler.Term]:
        raise ValueError("not today")

    with profiler.rules_replaced({"aten::relu": fails}):
        profile = profiler.profile(network(), torch.zeros(1, 2, 6, 6))
    (reason,) = profile.uncounted["reason"]
    assert reason == "its rule failed on 1×4×6×6: ValueError: not today"
    again = profiler.load_profile(saved(profile, tmp_path), reprice=True)
    assert (profile.status, again.status) == ("partial", "complete")
    assert again.total.comparisons == 4 * 6 * 6


def test_a_profile_of_version_1_is_not_priced_again() -> None:
    """It has only the tensors, which is not all that a rule may read."""
    with profiler.rules_replaced({"aten::relu": three_an_element}):
        assert profiler.load_profile(VERSION_1, reprice=True) == profiler.load_profile(VERSION_1)


@pytest.mark.slow
def test_the_command_says_what_changed(tmp_path: Path) -> None:
    """There is a line for each operator on stderr, the report on stdout, and files if requested."""
    profile = profiler.profile(network(), torch.zeros(1, 2, 6, 6))
    path = saved(profile, tmp_path)
    same = CliRunner().invoke(cli, ["reprice", str(path)])
    assert (same.exit_code, same.stderr) == (0, "Sequential: the cost of every operation is unchanged\n")
    assert "Layers:" in same.stdout
    with profiler.rules_replaced({"aten::relu": three_an_element}):
        result = CliRunner().invoke(cli, ["reprice", str(path), str(VERSION_1), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert f"Sequential: aten::relu: 1 call, 0 FLOPs before, {3 * 4 * 6 * 6} now\n" in result.stderr
    number = len(profiler.load_profile(VERSION_1).trace.signatures)
    assert f"version_1: {number} of {number} signatures were saved without arguments; " in result.stderr
    assert "their costs are unchanged\n" in result.stderr
    written = profiler.load_profile(tmp_path / "out" / "Sequential" / "profile.json")
    assert written.total.multiplies == profile.total.multiplies + 3 * 4 * 6 * 6
    missing = CliRunner().invoke(cli, ["reprice", str(tmp_path / "none.json")])
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
