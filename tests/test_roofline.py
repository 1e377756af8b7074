"""The time that a network at least takes on a device, and the files of devices."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import profiler
from profiler.cli import cli
from profiler.devices import FOLDER, KEYS, Device, devices, find_device, read_device
from profiler.errors import ConfigError
from profiler.roofline import operations_table, remarks, roofline, roofline_table

SLOW = Device("slow", {"float32": 1000.0}, {"float32": 100.0}, 10.0, 1e9, 1.0)
"""A device with a ridge point of 100 FLOPs per byte."""


class Product(nn.Module):
    """The product of two matrices."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b


def product(size: int, dtype: torch.dtype = torch.float32) -> profiler.Profile:
    """The profile of a product of square matrices."""
    matrix = torch.empty(size, size, dtype=dtype, device="meta")
    return profiler.profile(Product(), (matrix, matrix.clone()))


@pytest.mark.parametrize("size", [4, 100, 500, 599, 602, 700, 2000])
def test_a_ladder_of_products_crosses_at_the_ridge_point(size: int) -> None:
    """Below the ridge point memory bounds a product, above it arithmetic; the time is the larger of both."""
    flops, moved = size * size * (2 * size - 1), 3 * 4 * size * size
    row = roofline(product(size), SLOW).records()[-1]
    by_arithmetic, by_memory = Fraction(flops, 1000), Fraction(moved, 10)
    assert row["bound_by"] == ("tensor" if Fraction(flops, moved) > 100 else "memory")
    assert row["picoseconds"] == round(max(by_arithmetic, by_memory) * 10**12)
    assert row["intensity"] == pytest.approx(flops / moved)
    assert row["utilization"] == pytest.approx(float(by_arithmetic / max(by_arithmetic, by_memory)))


def test_other_arithmetic_runs_at_the_vector_peak() -> None:
    """A softmax is bound by its divides, adds and exponentials if vector units are slow."""
    found = profiler.profile(nn.Softmax(-1), torch.empty(3, 5, device="meta"))
    device = Device("vector", {}, {"float32": 1.0}, 1e6, 1.0, 1.0)
    row = roofline(found, device).records()[-1]
    assert row["bound_by"] == "vector"
    assert row["picoseconds"] == found.figure("flops") * 10**12


def test_rows_add_up_to_the_network() -> None:
    """The times of layers and those of operations add up to that of the network, and so do the shares."""
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    found = profiler.profile(network, torch.empty(2, 8, device="meta"))
    for table in (roofline_table(found.work, SLOW), operations_table(found.work, SLOW)):
        *rows, whole = table.records()
        assert sum(row["picoseconds"] for row in rows) == whole["picoseconds"]
        assert sum(row["share"] for row in rows) == pytest.approx(whole["share"]) == pytest.approx(1)


def test_a_dtype_without_a_peak_has_no_time() -> None:
    """The time is missing and the reason names the dtype; nothing is taken for zero."""
    row = roofline(product(4, torch.float16), SLOW).records()[-1]
    assert (row["picoseconds"], row["share"], row["status"]) == (None, None, "partial")
    assert row["reason"] == "slow has no tensor peak of float16"


def test_remarks_say_that_it_is_a_lower_bound() -> None:
    """They name the ridge point and the time by kind."""
    lines = remarks(product(4).work, SLOW)
    assert lines[0].startswith("At least:")
    assert lines[1:] == (
        "Ridge point of float32: 100.0 FLOPs per byte; below it, memory bounds a contraction.",
        "Time by kind: matmul 100.0%.",
    )


@pytest.mark.parametrize("name", devices())
def test_every_device_has_sources(name: str) -> None:
    """Each file is valid, and names an address for its figures."""
    found = find_device(name)
    assert found.name
    assert "https://" in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def test_the_ridge_point_of_a_device() -> None:
    """It is the tensor peak divided by the bandwidth."""
    assert find_device("h100").ridge("bfloat16") == pytest.approx(989.4e12 / 3.35e12)
    assert find_device("m4_max").ridge("float32") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected the keys"),
        ("name: x", "'tensor': missing"),
        ("{name: x, tensor: {}, vector: {}, memory_bandwidth: 1, memory: 1, link: 1, more: 2}", "'more': unknown key"),
        ("{name: x, tensor: {}, vector: {}, memory_bandwidth: 0, memory: 1, link: 1}", "memory_bandwidth: found 0"),
        ("{name: x, tensor: 5, vector: {}, memory_bandwidth: 1, memory: 1, link: 1}", "tensor: found 5"),
        ("{name: x, tensor: {float32: no}, vector: {}, memory_bandwidth: 1, memory: 1, link: 1}", "tensor.float32"),
        ("{name: 3, tensor: {}, vector: {}, memory_bandwidth: 1, memory: 1, link: 1}", "name: found 3"),
    ],
)
def test_a_bad_file_of_a_device_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The message names the key."""
    path = tmp_path / "device.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"device\.yaml") as caught:
        read_device(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_your_own_device_is_a_file(tmp_path: Path) -> None:
    """It is given by its path."""
    path = tmp_path / "mine.yaml"
    keys = dict.fromkeys(KEYS[3:], "5e9")
    lines = [f"{key}: {value}" for key, value in keys.items()]
    path.write_text("\n".join(["name: mine", "tensor: {float32: 1e12}", "vector: {}", *lines]))
    assert find_device(str(path)) == Device("mine", {"float32": 1e12}, {}, 5e9, 5e9, 5e9)


def test_an_unknown_device_lists_those_that_are_known() -> None:
    """The nearest name is offered."""
    with pytest.raises(ConfigError, match="did you mean 'h100'"):
        find_device("h10")


def test_the_command_writes_the_roofline(tmp_path: Path) -> None:
    """``profile --device`` shows the layers and writes layers and operations."""
    saved = tmp_path / "p.json"
    product(64).save(saved)
    result = CliRunner().invoke(cli, ["profile", str(saved), "--device", "a100", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "a lower bound of the time" in result.output
    written = {path.name for path in (tmp_path / "out").rglob("*.csv")}
    assert {"roofline.csv", "roofline_operations.csv"} <= written
