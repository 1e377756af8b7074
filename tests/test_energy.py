"""The estimate of energy, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import profiler
from profiler.cli import cli
from profiler.energy import EnergyModel, energy, find_energy_model, read_energy_model
from profiler.errors import ConfigError

MODEL = EnergyModel("model", "https://example.org", {"float32": 2.5}, {"float32": 0.5}, 1.0, 100.0)


def layer(dtype: torch.dtype = torch.float32) -> profiler.Profile:
    """A linear layer without a bias."""
    return profiler.profile(
        nn.Linear(5, 7, bias=False, dtype=dtype), torch.empty(3, 5, dtype=dtype, device="meta"), name="layer"
    )


def test_arithmetic_and_memory_apart() -> None:
    """Multiplies and adds have their own energy; each byte is one of DRAM."""
    row = energy(layer(), MODEL).records()[0]
    moved = 4 * (3 * 5 + 5 * 7 + 3 * 7)
    assert row["arithmetic"] == round(3 * 7 * (5 * 2.5 + 4 * 0.5))
    assert row["memory"] == moved * 100
    assert row["memory_sram"] == moved
    assert row["energy"] == row["arithmetic"] + row["memory"]
    assert row["share"] == 1
    assert row["status"] == "complete"


def test_half_precision_saves_energy_by_the_source() -> None:
    """Half the bytes, and less for each multiply and add: 1.1 and 0.4 pJ for 3.7 and 0.9."""
    single, half = (energy(layer(dtype), "horowitz_45nm").records()[-1] for dtype in (torch.float32, torch.float16))
    assert single["arithmetic"] == round(3 * 7 * (5 * 3.7 + 4 * 0.9))
    assert half["arithmetic"] == round(3 * 7 * (5 * 1.1 + 4 * 0.4))
    assert single["memory"] == 2 * half["memory"]


def test_work_without_a_figure_is_marked() -> None:
    """Divides and exponentials are not in the source, so a softmax is partial."""
    found = profiler.profile(nn.Softmax(-1), torch.empty(3, 5, device="meta"))
    row = energy(found, "horowitz_45nm").records()[-1]
    assert row["status"] == "partial"
    assert "no divide of float32" in row["reason"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x", "'source': missing"),
        ("{name: x, source: y, multiply: {}, add: {}, sram: -1, dram: 1}", "sram: found -1"),
        ("{name: x, source: '', multiply: {}, add: {}, sram: 1, dram: 1}", "source: found ''"),
        ("{name: x, source: y, multiply: 2, add: {}, sram: 1, dram: 1}", "multiply: found 2"),
    ],
)
def test_a_bad_model_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The message names the key."""
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_energy_model(path)
    assert message in str(caught.value)


def test_an_unknown_model_lists_those_that_are_known() -> None:
    """The nearest name is offered."""
    with pytest.raises(ConfigError, match="horowitz_45nm"):
        find_energy_model("horowitz")


def test_the_command_shows_the_estimate(tmp_path: Path) -> None:
    """``profile --energy`` names the source and writes the table."""
    layer().save(tmp_path / "p.json")
    arguments = ["profile", str(tmp_path / "p.json"), "--energy", "horowitz_45nm", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "an estimate by Horowitz 2014" in result.output
    assert [path.name for path in (tmp_path / "out").rglob("energy.csv")] == ["energy.csv"]


@pytest.mark.filterwarnings("ignore")
def test_quantization_saves_energy() -> None:
    """A dynamically quantized layer has the arithmetic of int8, and reads weights of one byte."""
    weight = torch.quantize_per_tensor(torch.zeros(7, 5), 0.1, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(weight, None)

    class Quantized(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = torch.ops.quantized.linear_dynamic(x, packed, False)
            return result

    found = [layer(), profiler.profile(Quantized(), torch.zeros(3, 5), name="int8")]
    single, small = (energy(each, "horowitz_45nm").records()[-1] for each in found)
    assert single["arithmetic"] == round(3 * 7 * (5 * 3.7 + 4 * 0.9))
    assert small["arithmetic"] == round(3 * 7 * (5 * 0.2 + 4 * 0.03))
    assert small["memory"] == round((4 * (3 * 5 + 3 * 7) + 7 * 5) * 162.5)
    table = profiler.compare([each.with_energy("horowitz_45nm") for each in found], columns=["energy_ratio"])
    assert table["energy_ratio"].tolist() == [1.0, small["energy"] / single["energy"]]
