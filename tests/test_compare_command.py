"""``profiler compare``, as users type it: patterns, columns, order, baselines, and networks that fail."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from profiler.cli import cli
from profiler.cli.globs import expanded
from profiler.cli.progress import progress, rate
from profiler.errors import ConfigError
from tests import sample_profiles
from tests.sample_profiles import Network


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(cli, ["compare", *arguments], prog_name="profiler")


def rows(result: Result) -> list[dict[str, str]]:
    """The rows of CSV on standard output."""
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with saved profiles of four networks and one that is broken."""
    monkeypatch.chdir(tmp_path)
    for profile in (sample_profiles.alexnet(), sample_profiles.small(), sample_profiles.partial()):
        (tmp_path / profile.name).mkdir()
        profile.save(tmp_path / profile.name / "profile.json")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "profile.json").write_text("{", encoding="utf-8")
    return tmp_path


def test_a_pattern_of_files(folder: Path) -> None:
    """All that match are compared, in the order of their names; what is named twice is compared once."""
    result = run("small/profile.json", "*l*/profile.json", "--format", "csv")
    assert result.exit_code == 0
    assert [row["network"] for row in rows(result)] == ["small", "alexnet", "partial"]


@pytest.mark.parametrize("pattern", ["none/*.json", "torchvision:none*", "*.yaml"])
def test_a_pattern_that_matches_nothing_is_one_line(folder: Path, pattern: str) -> None:
    """The exit code is 2, also if other arguments are networks."""
    result = run("small/profile.json", pattern)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"profiler: {pattern}: matches no ")


def test_a_pattern_of_targets() -> None:
    """The targets that match, in the order of the list; one that is typed too is taken once, where it is typed."""
    found = expanded(["torchvision:vgg16", "torchvision:vgg1?"])
    assert found == ("torchvision:vgg16", "torchvision:vgg11", "torchvision:vgg13", "torchvision:vgg19")


def test_a_name_with_brackets_is_no_pattern_if_it_is_a_file(folder: Path) -> None:
    """Nor is the path of a Python file."""
    (folder / "a[1].json").write_text("", encoding="utf-8")
    assert expanded(["a[1].json", "nets[1].py:Net", "x/y*z.py:Net"]) == ("a[1].json", "nets[1].py:Net", "x/y*z.py:Net")
    with pytest.raises(ConfigError, match="matches no file"):
        expanded(["b[1].json"])


@pytest.mark.parametrize("form", ["csv", "json", "markdown", "terminal"])
def test_a_network_that_fails_leaves_the_others(folder: Path, form: str) -> None:
    """It has a row with the reason in every format, the reason is on standard error, and the exit code is 1."""
    result = run("*/profile.json", *(["--format", form] if form != "terminal" else []))
    assert result.exit_code == 1
    line, last = result.stderr.splitlines()
    assert line.startswith("profiler: broken/profile.json: expected a saved profile (JSON)")
    assert last == "profiler: 1 of 4 networks failed"
    if form == "json":
        broken = json.loads(result.stdout)[1]
        assert (broken["network"], broken["status"], broken["macs"]) == ("broken/profile.json", "failed", None)
        assert broken["reason"] in line
    elif form == "csv":
        assert [row["status"] for row in rows(result)] == ["complete", "failed", "partial", "complete"]
        assert rows(result)[1]["flops"] == ""
    else:
        assert "broken/profile.json" in result.stdout
        assert "1 network of 4 failed" in result.stdout
        assert "alexnet" in result.stdout


def test_nothing_to_compare(folder: Path) -> None:
    """If no network has a profile, there is no table: the exit code is 2."""
    result = run("broken/profile.json", "none.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


def test_strict_is_a_failure_of_the_network(folder: Path) -> None:
    """The others are still there; if all are partial, the exit code is 1 too."""
    result = run("small/profile.json", "partial/profile.json", "--strict", "--format", "csv")
    assert [row["status"] for row in rows(result)] == ["complete", "failed"]
    assert result.exit_code == 1
    alone = run("partial/profile.json", "--strict")
    assert (alone.exit_code, alone.stdout) == (1, "")


def test_order_columns_and_baseline(folder: Path) -> None:
    """The largest first, with the named columns alone, and ratios to the named network."""
    options = ("--columns", "macs, macs_ratio,conv_macs_share", "--baseline", "small", "--sort", "macs")
    result = run("small/profile.json", "alexnet/profile.json", *options, "--format", "csv")
    assert result.exit_code == 0
    assert list(rows(result)[0]) == ["network", "macs", "macs_ratio", "conv_macs_share"]
    assert [row["network"] for row in rows(result)] == ["alexnet", "small"]
    assert float(rows(result)[0]["macs_ratio"]) == 714_188_480 / 5_328
    assert float(rows(result)[1]["conv_macs_share"]) == 3_888 / 5_328
    by_name = run("small/profile.json", "alexnet/profile.json", "--sort", "name", "--top", "1", "--format", "csv")
    assert [row["network"] for row in rows(by_name)] == ["alexnet"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sort", "mac"], "column 'mac' is not known, did you mean 'macs'"),
        (["--columns", "macs,no_such"], "column 'no_such' is not known"),
        (["--columns", "conv_nothing_share"], "did you mean"),
        (["--baseline", "smal"], "did you mean 'small'?"),
    ],
)
def test_an_unknown_name_is_refused_before_any_work(
    folder: Path, options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line lists what is known, with exit code 2."""
    monkeypatch.setattr("profiler.cli.attempts.profile_each", None)
    result = run("small/profile.json", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert message in line


def test_equal_names_are_distinguished(folder: Path) -> None:
    """By the target if that differs, else by the argument, which also names the baseline."""
    (folder / "again").mkdir()
    sample_profiles.small().save(folder / "again" / "profile.json")
    sources = ("small/profile.json", "again/profile.json")
    table = rows(run(*sources, "--format", "csv"))
    assert [(row["network"], row["source"]) for row in table] == [("small", source) for source in sources]
    assert run(*sources, "--baseline", sources[1]).exit_code == 0
    unclear = run(*sources, "--baseline", "small")
    assert unclear.exit_code == 2
    assert "2 networks have this name" in unclear.stderr


@pytest.mark.slow
def test_two_hundred_networks_with_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one has a row; the reasons come once each, and the warnings of many partial networks are few."""
    monkeypatch.chdir(tmp_path)
    texts = [sample_profiles.small().to_json(), sample_profiles.partial().to_json(), "{}", "not JSON"]
    for number in range(200):
        (tmp_path / f"{number:03}.json").write_text(texts[number % 4], encoding="utf-8")
    result = run("*.json", "--format", "markdown")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 100 + 1
    lines = [line for line in result.stdout.splitlines() if line.startswith("| `")]
    assert len(lines) == 200
    assert sum("failed" in line for line in lines) == 100
    assert result.stdout.count("> **Note.**") == 5 + 1 + 1


def test_hostile_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason and an argument stay on one line each, whatever is in them; a pipe in a name is no new column."""
    monkeypatch.chdir(tmp_path)
    name = "evil\u202e\x1b[31m \n|.json"
    (tmp_path / name).write_text("{", encoding="utf-8")
    Network("a & b [c]", (1, 4)).linear("fc", 2).profile().save(tmp_path / "good.json")
    result = run(name, "good.json", "--format", "markdown")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2
    assert not set(result.stdout) & {"\u202e", "\x1b"}
    table = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_quiet_prints_errors_only(folder: Path) -> None:
    """Files are written, and the failure is reported."""
    result = run("*/profile.json", "--quiet", "--output", "out", "--format", "json,markdown")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 2
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "comparison.json",
        "comparison.md",
        "summary.md",
    ]


@pytest.mark.parametrize(("speed", "text"), [(None, ""), (0.0, ""), (3.14, "3.1/s"), (0.1, "10 s each")])
def test_the_rate_of_a_progress_bar(speed: float | None, text: str) -> None:
    """Networks per second, or seconds for each network."""
    assert rate(speed) == text


class Screen(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("quiet", "stream"), [(False, Screen()), (True, Screen()), (False, io.StringIO())])
def test_the_progress_bar(quiet: bool, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the network, how many are done and the time left; there is none with --quiet and without a terminal."""
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress(2, quiet) as advance:
        advance("first\x1b[31m")
        advance("second")
    shown = stream.getvalue()
    if quiet or not stream.isatty():
        assert shown == ""
    else:
        assert "second" in shown
        assert "1/2" in shown
        assert "left" in shown
        assert "first\x1b" not in shown


def test_columns_of_memory_time_and_energy(tmp_path: Path) -> None:
    """A column on live memory is enough for the run that finds it; times and energies need their options."""
    columns = "peak_activation_bytes,memory_needed,time_at_least,bound_by,time_at_least_ratio,energy"
    layer = "from torch import nn\n\n\ndef {0}():\n    return nn.Linear(8, {1})\n"
    (tmp_path / "net.py").write_text(layer.format("small", 16) + layer.format("wide", 32))
    targets = (f"{tmp_path}/net.py:small", f"{tmp_path}/net.py:wide")
    shape = ("--input", "5x8", "--format", "csv", "--columns", columns)
    first, second = rows(run(*targets, *shape, "--device", "h100", "--energy", "horowitz_45nm"))
    assert int(first["peak_activation_bytes"]) == 4 * (5 * 8 + 5 * 16)
    assert int(first["memory_needed"]) == 4 * (5 * 8 + 5 * 16 + (8 + 1) * 16)
    assert first["bound_by"] == "memory"
    assert float(second["time_at_least_ratio"]) == pytest.approx(
        int(second["time_at_least"]) / int(first["time_at_least"])
    )
    moved = 4 * (5 * 8 + (8 + 1) * 16 + 5 * 16)
    assert int(first["energy"]) == round(5 * 16 * 8 * (3.7 + 0.9) + moved * 162.5)
    for column, option in (("energy", "--energy horowitz_45nm"), ("time_at_least", "--device h100")):
        result = run(*targets, "--columns", column)
        assert (result.exit_code, option in result.stderr) == (2, True)


def test_a_device_is_enough_to_show_times(folder: Path) -> None:
    """Without named columns, the times and energies of the options are among the first; bounds are marked."""
    result = run("alexnet/profile.json", "small/profile.json", "--device", "a100", "--energy", "horowitz_45nm")
    assert result.exit_code == 0, result.output
    head = result.stdout.partition("alexnet")[0]
    assert "time at" in head
    assert "energy" in head
    (line,) = [line for line in result.stdout.splitlines() if line.strip().startswith("alexnet")]
    assert line.count("≥") == 1
