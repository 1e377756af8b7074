"""The least time of generated tokens on a device, and MFU, HFU, days and device-hours of a run of training."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.checkpoint import checkpoint

import profiler
from profiler.cli import cli
from profiler.config import load_config
from profiler.devices import Device
from profiler.errors import ConfigError, ProfilerError, StoredProfileError
from profiler.formatting import rate_text
from profiler.generations import FIGURES, Piece, Series, Span, StepOperation
from profiler.profiles import Profile, load_profile
from profiler.serving import least_time
from profiler.tables.utilization import remarks, tokens_of
from profiler.throughput import Throughput

DEVICE = Device("slow", {"float32": 1000.0}, {"float32": 100.0}, 10.0, 1e9, 1.0)

# The time of steps


def operation(lines: Mapping[str, tuple[int, ...]], times: int = 1, **more: Any) -> StepOperation:
    """An operation of each step with these figures; the others are 0."""
    figures = tuple(Series(lines.get(name, (0,))) for name in FIGURES)
    return StepOperation("aten::mm", "matmul", "float32", "counted", times, figures, **more)


def test_the_time_of_steps_is_the_sum_of_the_largest_bound_of_each() -> None:
    """Where lines cross, each step has the larger one: the closed form equals a loop over all steps."""
    numbers = random.Random(5)
    for _ in range(40):
        flops, contracted = (numbers.randrange(5000), numbers.randrange(400)), (numbers.randrange(50), 3)
        read, written = (numbers.randrange(400), numbers.randrange(9)), (numbers.randrange(90), 0)
        flops = flops[0] + contracted[0], flops[1] + contracted[1]
        times, start, count = numbers.randrange(1, 4), numbers.randrange(5), numbers.randrange(1, 300)
        figures = {"flops": flops, "contracted_flops": contracted, "bytes_read": read, "bytes_written": written}
        span = Span(10, 500, (operation(figures, times),), Series((0,)))
        expected = Fraction(0)
        for n in range(start, start + count):
            at = {name: line[0] + line[1] * n for name, line in figures.items()}
            tensor, vector = at["contracted_flops"], at["flops"] - at["contracted_flops"]
            moved = at["bytes_read"] + at["bytes_written"]
            expected += times * max(Fraction(tensor, 1000), Fraction(vector, 100), Fraction(moved, 10))
        assert least_time([Piece(span, start, count)], DEVICE).total == expected


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (StepOperation("mylib::odd", "uncounted", "float32", "uncounted", 1, (Series((0,)),) * 6), "mylib::odd has no"),
        (operation({}, moves=False), "the bytes that aten::mm moves are not known"),
        (StepOperation("aten::mm", "matmul", "float16", "counted", 1, (Series((8,)),) * 6), "slow has no tensor peak"),
    ],
)
def test_a_time_that_is_not_known_has_a_reason(found: StepOperation, reason: str) -> None:
    """The time is that of the other operations."""
    other = operation({"bytes_read": (20,)})
    time = least_time([Piece(Span(1, 1, (found, other), Series((0,))), 0, 1)], DEVICE)
    assert time.total == 2
    assert time.bound_by == "memory"
    assert any(reason in line for line in time.reasons)


def test_a_figure_that_is_not_linear_has_no_time() -> None:
    """The closed form is one of lines."""
    curved = operation({"flops": (1, 2, 3)})
    with pytest.raises(ProfilerError, match="figures that are linear"):
        least_time([Piece(Span(1, 9, (curved,), Series((0,))), 0, 9)], DEVICE)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.023456, "0.02346"),
        (12.5, "12.5"),
        (1234.5, "1,234"),
        (238300.0, "238,300"),
        (9.894e14, "989,400,000,000,000"),
    ],
)
def test_a_rate_has_four_digits_or_those_in_front_of_the_point(rate: float, text: str) -> None:
    """Larger ones have an exponent."""
    assert rate_text(rate) == text
    assert rate_text(2.5e17) == "2.5e+17"
    assert rate_text(None) == "unknown"


# Training

BATCH, LENGTH, WIDTH, INNER, OUT = 2, 5, 8, 16, 4


class Recomputing(nn.Module):
    """Two linear layers in a checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, INNER, bias=False)
        self.second = nn.Linear(INNER, OUT, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = checkpoint(lambda y: self.second(self.first(y)), x, use_reentrant=False)
        return found


@cache
def step() -> Profile:
    """One training step with SGD."""
    return profiler.profile(
        Recomputing(), torch.empty(BATCH, LENGTH, WIDTH, device="meta"), mode="training", optimizer="sgd", name="step"
    )


def measured(**given: Any) -> Profile:
    """The step on two slow devices, at 40 tokens per second unless something else is given."""
    return step().with_device(DEVICE).with_throughput(**{"tokens_per_second": 40, "devices": 2, **given})


FIRST, SECOND = BATCH * LENGTH * WIDTH * INNER, BATCH * LENGTH * INNER * OUT
"""The MACs of the two layers."""


def test_mfu_is_without_and_hfu_with_what_is_recomputed() -> None:
    """The input needs no gradient; the first layer is run again, the second is not."""
    model = 2 * ((FIRST + SECOND) + (FIRST + 2 * SECOND))
    tokens = BATCH * LENGTH
    mfu, hfu, *_ = measured().tabulated("utilization").records()
    assert (mfu["figure"], mfu["convention"], mfu["flops"]) == ("MFU", "contractions", model)
    assert (hfu["figure"], hfu["convention"], hfu["flops"]) == ("HFU", "contractions", model + 2 * FIRST)
    assert mfu["flops_per_token"] == model / tokens
    assert mfu["flops_per_second"] == model / tokens * 40 / 2
    assert mfu["utilization"] == pytest.approx(model / tokens * 40 / 2 / 1000)
    assert [row["status"] for row in measured().tabulated("utilization").records()] == ["complete"] * 4


def test_all_operations_have_every_flop() -> None:
    """The hardware's include the optimizer's step, the model's do not."""
    _, _, mfu, hfu = measured().tabulated("utilization").records()
    assert (mfu["convention"], hfu["convention"]) == ("all operations", "all operations")
    assert hfu["flops"] == step().total.flops
    parts = step().tabulated("training").records()[-1]
    assert mfu["flops"] == hfu["flops"] - parts["recompute_flops"] - parts["optimizer_flops"]


def test_a_step_time_is_the_same_as_its_tokens_per_second() -> None:
    """A step of the profiled tokens, and one of more tokens."""
    tokens = BATCH * LENGTH
    same = measured(tokens_per_second=None, step_time=tokens / 40)
    assert same.tabulated("utilization").records() == measured().tabulated("utilization").records()
    larger = measured(tokens_per_second=None, step_time="100", tokens_per_step="4k")
    assert larger.tabulated("utilization").records() == measured().tabulated("utilization").records()
    assert larger.tabulated("training_run").records()[0]["seconds_per_step"] == 100


def test_a_budget_takes_days_and_device_hours() -> None:
    """Tokens ÷ tokens per second, and that times the devices."""
    (row,) = measured(token_budget="1G").tabulated("training_run").records()
    assert row["days"] == pytest.approx(10**9 / 40 / 86400)
    assert row["device_hours"] == pytest.approx(10**9 / 40 / 3600 * 2)
    assert (row["tokens_per_second"], row["tokens_per_second_per_device"], row["devices"]) == (40, 20, 2)
    (without,) = measured().tabulated("training_run").records()
    assert (without["days"], without["device_hours"], without["token_budget"]) == (None, None, None)


def test_a_dtype_without_a_peak_has_no_utilization() -> None:
    """The FLOPs per second are known, and the reason names the dtype."""
    other = Device("other", {"float64": 1.0}, {}, 1.0, 1.0, 1.0)
    row = measured().with_device(other).tabulated("utilization").records()[0]
    assert (row["utilization"], row["status"], row["peak"]) == (None, "partial", None)
    assert row["reason"] == "other has no tensor peak of float32"
    assert row["flops_per_second"] is not None


def test_tokens_are_positions_or_samples() -> None:
    """Two and three dimensions are batch × positions; images are samples."""
    assert tokens_of(step().trace) == BATCH * LENGTH
    images = profiler.profile(nn.Conv2d(3, 4, 3), torch.empty(6, 3, 8, 8, device="meta"), mode="training")
    assert tokens_of(images.trace) == 6
    lines = list(remarks(images.with_device(DEVICE).with_throughput(step_time=1).work))
    assert "The profiled step has 6 tokens (the samples of the batch)" in lines[1]
    assert len(step().tabulated("utilization")) == 0
    assert len(step().with_device(DEVICE).tabulated("training_run")) == 0


def test_a_saved_profile_keeps_its_throughput(tmp_path: Path) -> None:
    """Exactly, also a fraction; a changed file is refused."""
    path = tmp_path / "step.json"
    found = measured(tokens_per_second=None, step_time=0.1, tokens_per_step=12, token_budget="15.6T")
    found.save(path)
    assert load_profile(path).throughput == found.throughput
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"throughput": {"step_time": "1/0"}}))
    with pytest.raises(StoredProfileError, match=r"throughput\.step_time: found '1/0'"):
        load_profile(path)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("238.3k", 238300),
        ("15.6T", 15600 * 10**9),
        ("780e9", 780 * 10**9),
        ("1.5 B", 15 * 10**8),
        (4.8, Fraction(24, 5)),
    ],
)
def test_a_number_may_have_a_prefix(text: Any, number: Any) -> None:
    """It is exact, whatever way it is written."""
    assert Throughput.read(tokens_per_second=text).tokens_per_second == number


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "throughput: found neither of them, expected either tokens_per_second or step_time"),
        ({"tokens_per_second": 4, "step_time": 3}, "throughput: found both, expected either"),
        ({"tokens_per_second": 0}, "throughput.tokens_per_second: found 0, expected a positive number"),
        ({"step_time": -1}, "throughput.step_time: found -1"),
        ({"step_time": True}, "throughput.step_time: found true"),
        ({"step_time": float("nan")}, "throughput.step_time: found nan"),
        ({"step_time": "1e999"}, "throughput.step_time: found '1e999'"),
        ({"step_time": "4 parsecs"}, "throughput.step_time: found '4 parsecs'"),
        ({"step_time": 1, "devices": 1.5}, "throughput.devices: found 1.5, expected an integer"),
        ({"step_time": 1, "token_budget": "0.5"}, "throughput.token_budget: found 0.5, expected an integer"),
        ({"tokens_per_second": 1, "tokens_per_step": 5}, "throughput.tokens_per_step: expected it with step_time only"),
        ({"step_time": 1, "gpus": 5}, "throughput.gpus: unknown key"),
    ],
)
def test_a_bad_throughput_is_one_line(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    """In Python and in a config, the message names the key."""
    with pytest.raises(ProfilerError) as caught:
        Throughput.read(**given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    path = tmp_path / "bad.yaml"
    data = {"model": {"target": "torchvision:alexnet"}, "mode": "training", "throughput": given}
    path.write_text(json.dumps(data).replace("NaN", ".nan"))
    with pytest.raises(ConfigError, match=r"bad\.yaml: throughput"):
        load_config(path)


def test_a_throughput_is_one_of_training(tmp_path: Path) -> None:
    """A config and a profile of inference are refused."""
    path = tmp_path / "run.yaml"
    path.write_text("{model: {target: 'torchvision:alexnet'}, throughput: {step_time: 1}}")
    with pytest.raises(ConfigError, match="expected mode: training where throughput is given"):
        load_config(path)
    path.write_text("{model: {target: 'torchvision:alexnet'}, mode: training, throughput: 5}")
    with pytest.raises(ConfigError, match="throughput: found 5, expected a mapping"):
        load_config(path)
    found = profiler.profile(nn.Linear(2, 2), torch.empty(1, 2, device="meta"))
    with pytest.raises(ProfilerError, match="mode inference, expected mode training"):
        found.with_throughput(step_time=1)


def test_the_command_shows_the_run(tmp_path: Path) -> None:
    """From a saved profile with options, with the files; without a device or with bad numbers it ends with 2."""
    path = tmp_path / "step.json"
    step().save(path)
    given = ["--device", "h100", "--step-time", "0.5", "--devices", "16", "--token-budget", "1M"]
    result = CliRunner().invoke(
        cli, ["profile", str(path), *given, "--output", str(tmp_path / "out"), "--format", "csv"]
    )
    assert result.exit_code == 0, result.output
    assert "Utilization of the devices in training on 16 × NVIDIA H100 SXM" in result.output
    (_, mfu, *_) = (tmp_path / "out" / "step" / "utilization.csv").read_text().splitlines()
    assert mfu.startswith(f"MFU,contractions,{2 * (2 * FIRST + 3 * SECOND)},")
    days = (tmp_path / "out" / "step" / "training_run.csv").read_text().splitlines()[1]
    assert f",{10**6 / (BATCH * LENGTH / 0.5) / 86400}," in days
    bad = [
        (["--step-time", "2"], "expected --device NAME"),
        (["--device", "h100", "--devices", "3"], "expected either tokens_per_second or step_time"),
        (["--device", "h100", "--step-time", "x"], "throughput.step_time: found 'x'"),
    ]
    for options, message in bad:
        refused = CliRunner().invoke(cli, ["profile", str(path), *options])
        assert (refused.exit_code, message in refused.output) == (2, True), refused.output


def test_runs_of_training_are_compared() -> None:
    """MFU, HFU, days and device-hours are columns on request."""
    found = profiler.compare([measured(token_budget="1G")], columns=("mfu", "hfu", "days", "device_hours"))
    rows = measured().tabulated("utilization").records()
    assert (found["mfu"][0], found["hfu"][0]) == (rows[0]["utilization"], rows[1]["utilization"])
    assert found["days"][0] == pytest.approx(10**9 / 40 / 86400)
    assert found["device_hours"][0] == pytest.approx(10**9 / 40 / 3600 * 2)


def test_a_config_has_a_throughput_and_options_replace_it(tmp_path: Path) -> None:
    """The key of the config, and the speed of the command line in place of its speed."""
    net = tmp_path / "net.py"
    net.write_text("from torch import nn\n\ndef net():\n    return nn.Linear(8, 4, bias=False)\n")
    path = tmp_path / "run.yaml"
    run = {"tokens_per_second": "1k", "devices": 4}
    data = {"model": {"target": "net.py:net"}, "inputs": [{"shape": [2, 5, 8]}], "mode": "training", "device": "h100"}
    path.write_text(json.dumps(data | {"throughput": run}))
    assert profiler.profile_config(load_config(path)).throughput == Throughput(Fraction(1000), devices=4)
    result = CliRunner().invoke(cli, ["profile", str(path), "--step-time", "1", "--format", "json"])
    assert json.loads(result.stdout)["throughput"] == {"step_time": "1", "devices": 4}
