"""``profiler check`` as people type it: exit codes, messages, baselines, formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from profiler import load_profile
from tests import sample_profiles as nets
from tests.budgets.checks import grown
from tests.test_cli import CONFIG, NET, Result, run

MACS = 4 * 36 * 27 + 10 * 144
PARAMETERS = 4 * 27 + 4 + 10 * 144 + 10


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with saved profiles and a file of budgets."""
    monkeypatch.chdir(tmp_path)
    nets.small().save("small.json")
    nets.alexnet().save("alexnet.json")
    nets.partial().save("partial.json")
    budgets("small: {macs: 6k, parameters: 2k}\nalexnet: {macs: 800M}\n")
    return tmp_path


def budgets(text: str) -> None:
    """Write the file of budgets."""
    Path("budget.yaml").write_text(text, encoding="utf-8")


def check(*arguments: str, width: int = 100) -> Result:
    return run("check", *arguments, width=width)


def test_a_network_within_its_budget(folder: Path) -> None:
    """Exit code 0, and one line for each network that says how much room is left."""
    result = check("small.json", "alexnet.json", "--budget", "budget.yaml")
    assert (result.code, result.err) == (0, "")
    small, alexnet = result.out.splitlines()
    assert small.startswith(f"small: passed: MACs: {MACS:,}, limit <= 6 k, {6000 - MACS} (11.20 %) left; parameters: ")
    assert alexnet.startswith("alexnet: passed: MACs: 714,188,480, limit <= 800 M, ")


def test_a_network_over_its_budget(folder: Path) -> None:
    """Exit code 1, a table of what went over, by how much, and the layers; the other network is there too."""
    budgets("small: {macs: 5k, parameters: 2k}\nalexnet: {macs: 800M}\n")
    result = check("small.json", "alexnet.json", "--budget", "budget.yaml")
    assert (result.code, result.err) == (1, "profiler: 1 of 2 networks is not within its limits\n")
    words = " ".join(result.out.split())
    assert f"small MACs <= 5 k {MACS:,} over {MACS - 5000} 6.56 %" in words
    assert "small MACs conv Conv2d 3,888 72.97 %" in words
    assert "alexnet: passed: " in words
    assert check("small.json", "--budget", "budget.yaml", "--quiet") == Result(
        1, "", "profiler: small is not within its limits\n"
    )


def test_a_pattern_of_networks(folder: Path) -> None:
    """Every entry that matches applies; entries for other networks are named, so that a typo is seen."""
    budgets('"*": {complete: true}\n"s*": {macs: 6k}\nresnet: {macs: 1}\n')
    result = check("small.json", "--budget", "budget.yaml")
    assert (result.code, result.err) == (0, "budget.yaml: resnet: no network of this name was given\n")
    assert "MACs" in result.out
    assert "everything is counted" in result.out


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("mcas: 4G", [], "budget.yaml: mcas: unknown key, did you mean 'macs'? (expected one of parameters, "),
        ("macs: 4.1g", [], "budget.yaml: macs: found '4.1g', expected a number with one of the prefixes"),
        ("macs: -4", [], "budget.yaml: macs: found -4, expected a number"),
        ("{}", [], "budget.yaml: empty, expected limits"),
        ("", [], "budget.yaml: empty, expected limits"),
        ("complete: false", [], "small.json: found a budget without limits, expected --budget, --baseline, or limits"),
        ("modules: {convs*: {macs: 1}}", [], "budget.yaml: modules.'convs*'.macs: matches no module of small, did you"),
        ("alexnet: {macs: 1}", [], "budget.yaml: no budget for small (found those of alexnet)"),
        ("smal: {macs: 1}", [], "budget.yaml: no budget for small, did you mean 'smal'? (found those of smal)"),
        ("macs: 1G", ["--baseline", "none.json"], "none.json: cannot be read"),
        ("macs: 1G", ["--baseline", "none"], "none: no baseline of small, expected small.json or small/profile.json"),
        ("macs: 1G", ["--baseline", "small.json", "--tolerance", "1"], "--tolerance: found '1', expected a percentage"),
    ],
)
def test_bad_input_is_one_line(folder: Path, text: str, options: list[str], message: str) -> None:
    """Exit code 2, nothing on standard output."""
    budgets(text)
    result = check("small.json", "--budget", "budget.yaml", *options)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"profiler: {message}")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small.json"], "small.json: found no budget, expected --budget, --baseline, or limits under a config's key"),
        (["small.json", "--budget", "no.yaml"], "no.yaml: no such file"),
        (["small.json", "--update"], "--update needs --baseline"),
        (["small.json", "--tolerance", "1%"], "--tolerance needs --baseline"),
        (["small.json", "alexnet.json", "--baseline", "a.json"], "one saved profile is the baseline of one network"),
        (
            ["small.json", "small.json", "--baseline", "base", "--update"],
            "name: 'small' is also the name of small.json",
        ),
        (["small.json", "--budget", "budget.yaml", "--format", "junitt"], "did you mean 'junit'?"),
        (["small.json", "--budget", "budget.yaml", "--format", "junit,json"], "give --output to write several"),
    ],
)
def test_bad_options_are_refused(folder: Path, arguments: list[str], message: str) -> None:
    """Exit code 2, before anything is profiled."""
    result = check(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.split())


def test_a_partial_profile_does_not_pass_silently(folder: Path) -> None:
    """A lower bound proves nothing, unless it is accepted."""
    budgets("macs: 6k")
    result = check("partial.json", "--budget", "budget.yaml")
    assert result.code == 1
    assert f"MACs <= 6 k ≥{MACS:,} not proven" in " ".join(result.out.split())
    assert "mylib::odd" in result.out
    result = check("partial.json", "--budget", "budget.yaml", "--accept-partial")
    assert result.code == 0
    assert f"≥{MACS:,}" in result.out
    assert "lower bounds" in result.out
    budgets("complete: false\nmacs: 6k")
    assert check("partial.json", "--budget", "budget.yaml").code == 0


def test_a_baseline_is_written_and_compared(folder: Path) -> None:
    """``--update`` writes it; then the same network passes, and a larger one fails with the layers that grew."""
    result = check("small.json", "--baseline", "base/small.json", "--update")
    assert (result.code, result.out, result.err) == (0, "", "base/small.json: written\n")
    assert load_profile("base/small.json").figure("macs") == MACS
    result = check("small.json", "--baseline", "base/small.json")
    assert (result.code, result.out) == (0, "small: passed: none of 8 figures is above the baseline.\n")
    grown().save("grown.json")
    result = check("grown.json", "--baseline", "base/small.json", "--tolerance", "10%")
    words = " ".join(result.out.split())
    assert result.code == 1
    growth = 2 * 36 * 27 + 10 * 72 + 3 * 10
    assert f"MACs {MACS:,} {MACS + growth:,} over +{growth:,} {growth / MACS:+.2%}".replace("%", " %") in words
    assert "head Linear added +33 +30 +30 +30 +60" in words
    assert check("grown.json", "--baseline", "base/small.json", "--tolerance", "100%").code == 0
    result = check("grown.json", "--baseline", "base/small.json", "--update")
    assert (result.code, result.out) == (0, "")
    assert f"MACs {MACS:,} → {MACS + growth:,}" in result.err
    assert check("grown.json", "--baseline", "base/small.json").code == 0
    result = check("small.json", "--baseline", "base/small.json")
    assert result.code == 0
    assert f"Smaller than the baseline: parameters by {grown().figure('parameters') - PARAMETERS:,}" in result.out


def test_a_folder_of_baselines(folder: Path) -> None:
    """One for each network by its name; the folder that ``profiler profile --output`` writes is one too."""
    assert check("small.json", "alexnet.json", "--baseline", "base", "--update").code == 0
    assert sorted(path.name for path in Path("base").iterdir()) == ["alexnet.json", "small.json"]
    assert check("small.json", "alexnet.json", "--baseline", "base").code == 0
    assert run("profile", "small.json", "--output", "out", "--format", "json", "--quiet").code == 0
    assert check("small.json", "--baseline", "out").code == 0
    assert (
        check("small.json", "--baseline", "out", "--update").err
        == "out/small/profile.json: written: no figure changed\n"
    )
    assert [path.name for path in Path("out").iterdir()] == ["small"]


def test_a_broken_baseline_is_replaced_by_an_update_only(folder: Path) -> None:
    """A comparison with it is refused."""
    Path("base.json").write_text("{}")
    assert check("small.json", "--baseline", "base.json").code == 2
    assert check("small.json", "--baseline", "base.json", "--update").code == 0
    assert check("small.json", "--baseline", "base.json").code == 0


def test_a_budget_is_checked_with_an_update_too(folder: Path) -> None:
    """The baseline is written, and the exit code is that of the budget."""
    budgets("macs: 1k")
    result = check("small.json", "--budget", "budget.yaml", "--baseline", "base.json", "--update")
    assert result.code == 1
    assert Path("base.json").exists()


def test_printed_formats(folder: Path) -> None:
    """One document on standard output, whatever the verdict."""
    budgets("macs: 1k")
    printed = {
        form: check("small.json", "--budget", "budget.yaml", "--format", form)
        for form in ("json", "github", "junit", "markdown", "csv")
    }
    assert {result.code for result in printed.values()} == {1}
    assert json.loads(printed["json"].out)["networks"][0]["name"] == "small"
    assert printed["github"].out.startswith(
        "::error file=small.json,title=small%3A MACs%3A over the limit::MACs: 5,328"
    )
    assert ElementTree.fromstring(printed["junit"].out)[0].get("failures") == "1"
    assert printed["markdown"].out.startswith("# small is not within its limits.\n")
    assert printed["csv"].out.splitlines()[0] == "network,figure,limit,actual,verdict,by,by_share,status"


def test_files_of_a_check(folder: Path) -> None:
    """``--output`` writes the requested formats, and the tables are shown as well."""
    budgets("macs: 1k")
    result = check("small.json", "--budget", "budget.yaml", "--output", "out", "--format", "github,summary,junit,json")
    assert "MACs" in result.out
    assert {path.name for path in Path("out").iterdir()} == {"annotations.txt", "summary.md", "junit.xml", "check.json"}


@pytest.mark.slow
def test_the_file_of_an_annotation(folder: Path) -> None:
    """It is the config, as a path from the current folder; for a target the file of budgets."""
    Path("nets").mkdir()
    config = folder / "nets" / "tiny.yaml"
    config.write_text(CONFIG + "budget: {macs: 1}\n", encoding="utf-8")
    (folder / "nets" / "net.py").write_text(NET, encoding="utf-8")
    for typed in ("nets/tiny.yaml", str(config)):
        assert re.match("::error file=nets/tiny.yaml,title=tiny", check(typed, "--format", "github").out)
    budgets("macs: 1")
    result = check("nets/net.py:Net", "--input", "1x3x8x8", "--budget", "budget.yaml", "--format", "github")
    assert result.out.startswith("::error file=budget.yaml,title=Net")


def test_the_budget_of_a_config(folder: Path) -> None:
    """It is used if no file of budgets is given; options that replace keys of a config work as always."""
    (folder / "net.py").write_text(NET, encoding="utf-8")
    Path("tiny.yaml").write_text(CONFIG + f"budget: {{macs: {4 * 36 * 27 + 2 * 144}}}\n", encoding="utf-8")
    assert check("tiny.yaml").code == 0
    Path("other.yaml").write_text(CONFIG + "budget: {macs: 1}\n", encoding="utf-8")
    assert check("other.yaml").code == 1
    budgets("macs: 1G")
    assert check("other.yaml", "--budget", "budget.yaml").code == 0
    result = check("tiny.yaml", "--exclude", "0")
    assert "MACs: 288" in result.out
