"""The time that a network at least takes on a device, and the files of devices."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import profiler
from profiler import catalog
from profiler.cli import cli
from profiler.devices import FOLDER, KEYS, Device, find_device, read_device
from profiler.errors import ConfigError
from profiler.records import Unseen
from profiler.roofline import roofline
from profiler.tables.roofline import remarks

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
    assert row["time_at_least"] == round(max(by_arithmetic, by_memory) * 10**12)
    assert row["intensity"] == pytest.approx(flops / moved)
    assert row["utilization"] == pytest.approx(float(by_arithmetic / max(by_arithmetic, by_memory)))


def test_other_arithmetic_runs_at_the_vector_peak() -> None:
    """A softmax is bound by its divides, adds and exponentials if vector units are slow."""
    found = profiler.profile(nn.Softmax(-1), torch.empty(3, 5, device="meta"))
    device = Device("vector", {}, {"float32": 1.0}, 1e6, 1.0, 1.0)
    row = roofline(found, device).records()[-1]
    assert row["bound_by"] == "vector"
    assert row["time_at_least"] == found.figure("flops") * 10**12


def test_rows_add_up_to_the_network() -> None:
    """The times of layers, of kinds and of operations add up to that of the network, and so do the shares."""
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    found = profiler.profile(network, torch.empty(2, 8, device="meta"))
    found = found.with_device(SLOW)
    for name in ("roofline", "roofline_kinds", "roofline_operations"):
        *rows, whole = found.tabulated(name).records()
        assert sum(row["time_at_least"] for row in rows) == whole["time_at_least"]
        assert sum(row["share"] for row in rows) == pytest.approx(whole["share"]) == pytest.approx(1)


def test_a_dtype_without_a_peak_has_no_time() -> None:
    """The time is missing and the reason names the dtype; nothing is taken for zero."""
    row = roofline(product(4, torch.float16), SLOW).records()[-1]
    assert (row["time_at_least"], row["share"], row["status"]) == (None, None, "partial")
    assert row["reason"] == "slow has no tensor peak of float16"


def test_remarks_say_that_it_is_a_lower_bound() -> None:
    """They name the ridge point and the time by kind."""
    lines = remarks(product(4).with_device(SLOW).work)
    assert lines[0].startswith("At least:")
    assert lines[1:] == (
        "Ridge point of float32: 100.0 FLOPs per byte; below it, memory bounds a contraction.",
        "Time by kind: matmul 100 %.",
    )


@pytest.mark.parametrize("name", catalog.devices())
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


@pytest.mark.parametrize("name", ["devices", "energy"])
def test_the_files_are_among_the_configs(name: str) -> None:
    """``configs/devices`` and ``configs/energy`` are the folders of the package, so that files are found and copied."""
    folder = Path(__file__).parents[1] / "configs" / name
    known = catalog.devices() if name == "devices" else catalog.energy_models()
    assert sorted(path.stem for path in folder.glob("*.yaml")) == sorted(known)


@pytest.mark.parametrize("name", catalog.devices())
def test_every_figure_names_its_source(name: str) -> None:
    """The comment of each figure has the number of a source, and each source has an address."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    head, _, body = text.partition("name: ")
    sources = set(re.findall(r"^# (\[\d\]) .*https://", head, re.MULTILINE))
    figures = [line for line in body.splitlines()[1:] if re.search(r": +[\d.]", line)]
    assert figures
    for line in figures:
        used = set(re.findall(r"\[\d\]", line.partition("#")[2]))
        assert used, line
        assert used <= sources, line


def test_a_config_names_a_device_and_a_model(tmp_path: Path) -> None:
    """By name or by a path from the config's folder; an unknown name is one line."""
    (tmp_path / "mine.yaml").write_text((FOLDER / "h100.yaml").read_text().replace("name: NVIDIA", "name: Mine"))
    (tmp_path / "net.py").write_text("from torch import nn\n\n\ndef net():\n    return nn.Linear(8, 16)\n")
    text = "model: {target: 'net.py:net'}\ninputs: [{shape: [1, 8]}]\nenergy: horowitz_45nm\n"
    (tmp_path / "net.yaml").write_text(text + "device: mine.yaml\n")
    found = profiler.profile_config(profiler.load_config(tmp_path / "net.yaml"))
    assert found.device is not None
    assert found.device.name == "Mine H100 SXM"
    assert found.time_at_least == pytest.approx(found.table("roofline")["time_at_least"].iloc[-1] / 1e12)
    assert found.energy == pytest.approx(found.table("energy")["energy"].iloc[-1] / 1e12)
    (tmp_path / "net.yaml").write_text(text + "device: h10\n")
    with pytest.raises(ConfigError, match=r"device: found 'h10', expected a device .*did you mean 'h100'"):
        profiler.load_config(tmp_path / "net.yaml")


def test_time_and_energy_without_a_device_say_what_is_missing() -> None:
    """They are errors, and not zero."""
    found = product(4)
    with pytest.raises(profiler.ProfilerError, match=r'with_device\("h100"\)'):
        _ = found.time_at_least
    with pytest.raises(profiler.ProfilerError, match=r'with_energy\("horowitz_45nm"\)'):
        _ = found.energy
    assert len(found.tabulated("roofline")) == len(found.tabulated("energy")) == 0


def test_a_saved_profile_keeps_its_device_and_its_model(tmp_path: Path) -> None:
    """All figures of both are in the file; impossible ones are refused with their place."""
    found = product(4).with_device("h100").with_energy("horowitz_45nm")
    found.save(tmp_path / "p.json")
    again = profiler.load_profile(tmp_path / "p.json")
    for name in ("roofline", "roofline_kinds", "roofline_operations", "energy"):
        assert again.tabulated(name).records() == found.tabulated(name).records()
    text = (tmp_path / "p.json").read_text()
    for old, new, place in (
        ('"memory_bandwidth": 3350', '"memory_bandwidth": -3350', "device.memory_bandwidth: found -3350"),
        ('"sram": 1.25', '"sram": 0.0', "energy_model.sram: found 0.0"),
        ('"link"', '"links"', "device.link"),
    ):
        assert old in text
        (tmp_path / "bad.json").write_text(text.replace(old, new, 1))
        with pytest.raises(profiler.ProfilerError, match=place):
            profiler.load_profile(tmp_path / "bad.json")


def test_unseen_and_excluded_work() -> None:
    """Unseen work makes the time partial; without an excluded module the total is that of the rest."""
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
    found = profiler.profile(network, torch.empty(2, 8, device="meta")).with_device(SLOW)
    rest = found.excluding("1").tabulated("roofline").records()
    assert [row["layer"] for row in rest] == ["0", "without excluded"]
    assert rest[-1]["time_at_least"] == found.tabulated("roofline").records()[0]["time_at_least"]
    trace = dataclasses.replace(found.trace, unseen=(Unseen("0", "a kernel"),))
    partial = dataclasses.replace(found, trace=trace).with_energy("horowitz_45nm")
    for name in ("roofline", "energy"):
        rows = partial.tabulated(name).records()
        assert (rows[0]["status"], rows[-1]["status"]) == ("partial", "partial")
        assert "unseen" in rows[0]["reason"]


def test_the_command_writes_the_roofline(tmp_path: Path) -> None:
    """``profile --device`` shows the layers and writes layers and operations."""
    saved = tmp_path / "p.json"
    product(64).save(saved)
    result = CliRunner().invoke(cli, ["profile", str(saved), "--device", "a100", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "a lower bound of the time" in result.output
    written = {path.name for path in (tmp_path / "out").rglob("*.csv")}
    assert {"roofline.csv", "roofline_kinds.csv", "roofline_operations.csv"} <= written


def test_the_command_devices_lists_and_prints_files(tmp_path: Path) -> None:
    """Without a name it lists devices and models; with one it prints the file, and a copy of it is a device."""
    listed = CliRunner().invoke(cli, ["devices"])
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names == [*catalog.devices(), *catalog.energy_models()]
    printed = CliRunner().invoke(cli, ["devices", "h100"])
    path = tmp_path / "mine.yaml"
    path.write_text(printed.stdout)
    assert find_device(str(path)) == find_device("h100")
    assert CliRunner().invoke(cli, ["devices", str(path)]).stdout == printed.stdout
    assert "multiply:" in CliRunner().invoke(cli, ["devices", "horowitz_45nm"]).stdout
    assert CliRunner().invoke(cli, ["devices", "h10"]).exit_code == 2
