"""Whole sweeps: their tables, their errors, and how they go on after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import profiler
from profiler.cli import cli
from profiler.config import Config
from profiler.errors import ConfigError
from profiler.sweeps.axes import parse_axis
from profiler.sweeps.points import Grid
from profiler.sweeps.sweeping import Sweep
from tests.sweeps.networks import config_of, multiplies_of_mlp, write_networks, write_search


def run(*arguments: object) -> Result:
    """``profiler sweep`` in this process."""
    return CliRunner().invoke(cli, ["sweep", *map(str, arguments)])


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of ``sweep.csv`` in a folder, as texts."""
    import csv

    with open(folder / "sweep.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_point_costs_what_its_profile_says(tmp_path: Path) -> None:
    """Sizes and kwargs vary; totals, the figures of each kind, and shares are those of the tables of a profile."""
    config = config_of(tmp_path)
    frame = profiler.sweep(config, {"B": [1, 3], "kwargs.width": [4, 5], "dtype": ["float32", "float16"]})
    assert list(frame.columns[:4]) == ["target", "B", "kwargs.width", "dtype"]
    assert list(frame["B"]) == [1] * 4 + [3] * 4
    expected = [multiplies_of_mlp(batch, width) for batch in (1, 3) for width in (4, 5) for _ in range(2)]
    assert list(frame["multiplies"]) == expected
    assert list(frame["linear_multiplies"]) == expected
    assert list(frame["linear_multiplies_share"]) == [1.0] * 8
    assert set(frame["status"]) == {"complete"}
    assert set(frame["error"]) == {""}
    one = profiler.profile_config(config)
    again = profiler.sweep(config, {})
    for name in ("parameters", "multiplies", "adds", "macs", "flops", "macs_on_padding"):
        assert list(again[name]) == [one.figure(name)]
    assert again["causal_macs"].isna().all()


def test_modes_and_optimizers_vary(tmp_path: Path) -> None:
    """Training costs more than inference, and a step of an optimizer more than none."""
    frame = profiler.sweep(
        config_of(tmp_path), {"mode,optimizer": [["inference", None], ["training", None], ["training", "adam"]]}
    )
    assert list(frame["mode"]) == ["inference", "training", "training"]
    flops = list(frame["flops"])
    assert flops[0] < flops[1] < flops[2]


@pytest.mark.slow
def test_a_failing_point_is_a_row_and_the_exit_code_is_1(tmp_path: Path) -> None:
    """Its reason is one line, its figures are missing, and the other points are there."""
    write_networks(tmp_path)
    path = tmp_path / "net.yaml"
    path.write_text("model: {target: 'nets.py:mlp'}\nsizes: {B: 2, n: 6}\ninputs: [{shape: [B, n]}]\n")
    result = run(path, "--vary", "n=6,7", "--vary", "B=1,2", "--output", tmp_path / "out", "--format", "csv")
    assert result.exit_code == 1, result.stderr
    assert result.stderr.splitlines()[-1] == "profiler: 2 of 4 points failed; the column error has the reasons"
    rows = rows_of(tmp_path / "out")
    assert [(row["n"], row["B"], row["status"]) for row in rows] == [
        ("6", "1", "complete"),
        ("6", "2", "complete"),
        ("7", "1", "failed"),
        ("7", "2", "failed"),
    ]
    assert [row["multiplies"] for row in rows[:2]] == [str(multiplies_of_mlp(1, 4)), str(multiplies_of_mlp(2, 4))]
    for row in rows[2:]:
        assert (row["multiplies"], row["linear_multiplies_share"]) == ("", "")
        assert "7" in row["error"]
        assert "\n" not in row["error"]


def test_the_network_is_built_once_for_points_that_differ_in_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again for other kwargs; what comes back is what profiles of new networks say."""
    from profiler.models import building

    built: list[Any] = []
    original = building.build_model

    def counted(*args: Any, **kwargs: Any) -> Any:
        built.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(building, "build_model", counted)
    frame = profiler.sweep(config_of(tmp_path), {"B": [1, 2, 3], "kwargs.width": [4, 5]})
    assert len(built) == 2
    assert list(frame["multiplies"]) == [multiplies_of_mlp(batch, width) for batch in (1, 2, 3) for width in (4, 5)]


def test_several_networks_are_rows_one_after_the_other(tmp_path: Path) -> None:
    """A kind of work that one of them does not do has zeros there."""
    folder = write_networks(tmp_path).parent
    frame = profiler.sweep([f"{folder}/nets.py:mlp", f"{folder}/nets.py:Both"], {"B": [1, 2]}, shapes=["Bx6"])
    assert list(frame["target"]) == [f"{folder}/nets.py:mlp"] * 2 + [f"{folder}/nets.py:Both"] * 2
    assert list(frame["status"]) == ["complete"] * 2 + ["failed"] * 2
    images = profiler.sweep([f"{folder}/nets.py:Both", config_of(tmp_path)], {"B": [1, 2]}, shapes=["Bx1x8x8"])
    assert list(images["conv_multiplies"]) == [9 * 64, 2 * 9 * 64, 0, 0]
    assert list(images["conv_multiplies_share"])[2:] == [0.0, 0.0]


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on(tmp_path: Path) -> None:
    """Only the missing points are profiled, and the table is that of a sweep without an interruption."""
    points = Grid([("mlp", config_of(tmp_path))], [parse_axis("B=1:6")])
    done: list[int] = []

    def stop(number: int) -> None:
        done.append(number)
        if len(done) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Sweep(points, tmp_path / "out") as sweep:
        sweep.run(advance=stop)
    with Sweep(points, tmp_path / "out", resume=True) as sweep:
        assert sweep.counts() == (4, 0)
        more: list[int] = []
        sweep.run(advance=more.append)
        assert len(more) == 2
        resumed = sweep.table()
    with Sweep(points) as whole:
        whole.run()
        assert list(resumed.rows()) == list(whole.table().rows())
    with Sweep(points, tmp_path / "out", resume=True) as finished:
        finished.run(advance=lambda number: pytest.fail("nothing was missing"))


@pytest.mark.slow
def test_candidates_are_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function in a file, on the command line and from Python; its kwargs are a column."""
    write_search(tmp_path, 5)
    monkeypatch.chdir(tmp_path)
    result = run("search.py:candidates", "--output", "out", "--quiet")
    assert result.exit_code == 0, result.stderr
    rows = rows_of(tmp_path / "out")
    assert [row["multiplies"] for row in rows] == [str(multiplies_of_mlp(2, width)) for width in range(1, 6)]
    assert [row["target"] for row in rows] == [f"candidate_{number}" for number in range(5)]
    assert rows[2]["kwargs"] == '{"width": 3}'

    def search() -> Iterator[Config]:
        for width in (2, 3):
            yield config_of(tmp_path, model={"target": f"{tmp_path}/nets.py:mlp", "kwargs": {"width": width}})

    assert list(profiler.sweep(search)["multiplies"]) == [multiplies_of_mlp(2, width) for width in (2, 3)]
    with pytest.raises(ConfigError, match="found values for a function that yields candidates"):
        profiler.sweep(search, {"B": [1]})


@pytest.mark.slow
def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    """Results of the network that the file held before do not mix with those of the new one."""
    write_networks(tmp_path)
    path = tmp_path / "net.yaml"
    path.write_text("model: {target: 'nets.py:mlp'}\nsizes: {B: 2}\ninputs: [{shape: [B, 6]}]\n")
    options = [path, "--vary", "B=1,2", "--output", tmp_path / "out", "--quiet"]
    assert run(*options).exit_code == 0
    refused = run(*options)
    assert refused.exit_code == 2
    assert "has results of an earlier sweep; give --resume to go on from them, or another --output" in refused.stderr
    assert run(*options, "--resume").exit_code == 0
    more = run(path, "--vary", "B=1,2,3", "--output", tmp_path / "out", "--resume")
    assert (more.exit_code, "another sweep: grid differs (['B=1,2'] then, ['B=1,2,3'] now)" in more.stderr) == (2, True)
    with open(tmp_path / "nets.py", "a") as file:
        file.write("\n# changed\n")
    changed = run(*options, "--resume")
    assert (changed.exit_code, changed.stderr.count("\n")) == (2, 1)
    assert "has results of another sweep: the content of the sources differs" in changed.stderr


@pytest.mark.slow
def test_a_long_sweep_is_written_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file equals the one that is written at once."""
    from profiler.cli.commands import sweep as command

    path = tmp_path / "net.yaml"
    config_of(tmp_path)
    path.write_text("model: {target: 'nets.py:mlp'}\nsizes: {B: 2}\ninputs: [{shape: [B, 6]}]\n")
    options = [path, "--vary", "B=1:7", "--quiet"]
    assert run(*options, "--output", tmp_path / "whole").exit_code == 0
    assert {found.name for found in (tmp_path / "whole").iterdir()} == {
        "summary.md",
        "sweep.csv",
        "sweep.md",
        "sweep.parquet",
        "sweep.sqlite",
        "sweep.svg",
    }
    monkeypatch.setattr(command, "LARGEST_IN_FULL", 3)
    monkeypatch.setattr(command, "ROWS_AT_ONCE", 2)
    assert run(*options, "--output", tmp_path / "pieces").exit_code == 0
    assert {found.name for found in (tmp_path / "pieces").iterdir()} == {"sweep.csv", "sweep.sqlite"}
    assert (tmp_path / "pieces" / "sweep.csv").read_bytes() == (tmp_path / "whole" / "sweep.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["torchvision:alexnet", "--vary", "B=1"], "torchvision:alexnet: size 'B': no shape and no kwarg names a size"),
        (
            ["torchvision:alexnet", "--input", "Bx3xHxW", "--vary", "B=1"],
            "--input Bx3xHxW: H has no value, expected --size",
        ),
        (
            ["torchvision:alexnet", "--input", "Bx3", "--vary", "B=1", "--size", "B=2"],
            "--size B: the size varies (--vary B)",
        ),
        (["torchvision:alexnet", "--vary", "kwargs.a=1:"], "--vary kwargs.a=1:: found the range 1: without an end"),
        (["torchvision:alexnet", "--resume"], "--resume: there is nothing to go on from without --output"),
        (["torchvision:alexnet", "--jobs", "2", "--cluster", "ray:auto"], "--cluster: found --jobs too"),
        (["torchvision:alexnet", "--cluster", "slurm:x"], "--cluster 'slurm:x': expected dask:ADDRESS"),
        (["torchvision:alexnet", "--cluster", "dask"], "--cluster 'dask': expected dask:ADDRESS"),
        (["nosuch:alex*"], "nosuch:alex*: matches no target; see: profiler models"),
        (
            ["torchvision:alexnet", "--input", "Bx3x64x64", "--vary", "B=1:2000000"],
            "--vary: found a grid of 2,000,000 points, expected at most 1,000,000; allow more by --max-points 2000000",
        ),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    """The exit code is 2, and nothing is profiled."""
    result = run(*arguments)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.startswith(f"profiler: {message}")
    assert result.stderr.count("\n") == 1


ODD = """
import torch
from torch import nn

@torch.library.custom_op("sweeping::odd", mutates_args=())
def odd(a: torch.Tensor) -> torch.Tensor:
    return a * 2

@odd.register_fake
def _(a):
    return torch.empty_like(a)

class Odd(nn.Module):
    def forward(self, x):
        return odd(x)
"""


@pytest.mark.slow
def test_strict_sweeps_fail_if_a_point_is_partial(tmp_path: Path) -> None:
    """The table is written in any case; the exit code is then 1."""
    (tmp_path / "odd.py").write_text(ODD)
    arguments = (f"{tmp_path / 'odd.py'}:Odd", "--input", "Bx8", "--vary", "B=1,2", "--quiet", "--format", "csv")
    assert run(*arguments, "--output", tmp_path / "out").exit_code == 0
    strict = run(*arguments, "--output", tmp_path / "strict", "--strict")
    assert strict.exit_code == 1
    assert "strict mode: 2 of 2 points are partial" in strict.stderr
    assert [row["status"] for row in rows_of(tmp_path / "strict")] == ["partial", "partial"]
