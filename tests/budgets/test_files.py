"""Files of budgets and the key ``budget`` of a config."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from profiler import catalog
from profiler.config import load_config
from profiler.config.budget import figures, load_budgets
from profiler.errors import ConfigError

MODEL = "model: {target: 'torchvision:resnet18'}\n"


def written(folder: Path, text: str) -> Path:
    """A file of budgets with this text."""
    path = folder / "budget.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    """The message that refuses the file, without its name."""
    with pytest.raises(ConfigError) as caught:
        load_budgets(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def test_a_budget_has_every_figure(tmp_path: Path) -> None:
    """Those of the catalog of measures, and the trainable parameters."""
    names = (*catalog.measures(), "trainable")
    budgets = load_budgets(written(tmp_path, "".join(f"{name}: 1k\n" for name in names)))
    ((pattern, budget),) = budgets.entries
    assert pattern == "*"
    assert tuple(limit.figure for limit in budget.limits) == names
    assert {limit.limit.most for limit in budget.limits} == {1000}
    assert set(names) >= {"macs", "parameters", "flops", "multiplies", "adds", "trainable"}


def test_modules_and_shares(tmp_path: Path) -> None:
    """Each has its place in the file; a share without a figure is one of the headline."""
    text = """
complete: false
modules:
  "backbone.*": {macs: 1.2G, trainable: ">= 1"}
shares:
  attention: "<= 40 %"
  conv: {parameters: "10 %..20 %"}
"""
    ((_, budget),) = load_budgets(written(tmp_path, text)).entries
    assert budget.complete is False
    rows = [(limit.key, limit.figure, limit.scope, limit.of, limit.limit.text) for limit in budget.limits]
    assert rows == [
        ("modules.'backbone.*'.macs", "macs", "modules", "backbone.*", "<= 1.2 G"),
        ("modules.'backbone.*'.trainable", "trainable", "modules", "backbone.*", ">= 1"),
        ("shares.attention", "headline", "share", "attention", "<= 40 %"),
        ("shares.conv.parameters", "parameters", "share", "conv", "10 %..20 %"),
    ]
    assert budget.limits[2].limit.most == Fraction(2, 5)


def test_budgets_of_several_networks(tmp_path: Path) -> None:
    """Keys are names and patterns; a network has to keep to all that match its name."""
    text = "resnet18: {macs: 2G}\n'resnet*': {complete: true}\nvgg16: {macs: 16G}\n"
    budgets = load_budgets(written(tmp_path, text))
    assert [len(budget.limits) for budget in budgets.of("resnet18")] == [1, 0]
    assert [budget.complete for budget in budgets.of("resnet50")] == [True]
    assert budgets.of("alexnet") == []
    assert budgets.idle(["resnet18", "alexnet"]) == ["vgg16"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty, expected limits, such as macs: 4.1G"),
        ("{}", "empty, expected limits"),
        ("- macs", "found ['macs'], expected limits"),
        ("mcas: 4G", "mcas: unknown key, did you mean 'macs'?"),
        ("macs: 4G\nresnet18: {macs: 1}", "resnet18: unknown key"),
        ("5: 4G", "5: unknown key (expected one of parameters"),
        ("macs: lots", "macs: found 'lots', expected a number such as"),
        ("macs: 4.1g", "macs: found '4.1g', expected a number with one of the prefixes"),
        ("complete: 1", "complete: found 1, expected true or false"),
        ("modules: {}", "modules: empty, expected patterns of names with limits"),
        ("modules: [a]", "modules: found ['a'], expected patterns"),
        ("modules: {'a*': {}}", "modules.'a*': empty, expected limits, such as {macs: 1G}"),
        ("modules: {'a*': 4G}", "modules.'a*': found '4G', expected limits"),
        ("modules: {5: {macs: 1}}", "modules.5: found 5, expected the name of modules as text"),
        ("modules: {a: {complete: true}}", "modules.a.complete: unknown key"),
        ("modules: {a: {parameter: 1}}", "modules.a.parameter: unknown key, did you mean 'parameters' or"),
        ("shares: {atention: '<= 4 %'}", "shares.atention: unknown kind of work, did you mean 'attention'"),
        ("shares: {attention: 4}", "shares.attention: found 4, expected a percentage"),
        ("shares: {attention: {}}", "shares.attention: empty, expected limits"),
        ("shares: {attention: {trainable: 4 %}}", "shares.attention.trainable: unknown key"),
        ("a: {macs: 1}\nb: {mac: 1}", "b.mac: unknown key, did you mean 'macs'"),
        ("a: {}", "a: empty, expected limits"),
        ("a: {modules: {x: {macs: y}}}", "a.modules.x.macs: found 'y', expected a number"),
        ("macs: 1\nmacs: 2", "line 2, column 1: the key 'macs' is given twice"),
        ("macs: 010", "line 1, column 7: found '010', which YAML reads as octal"),
        ("macs: 1e400", "macs: found '1e400', expected a number"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """It names the file, the key, what was found and what was expected."""
    found = refusal(written(tmp_path, text))
    assert found.startswith(message), found


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """So is a folder."""
    assert refusal(tmp_path / "none.yaml").startswith("no such file")
    assert refusal(tmp_path).startswith("found a folder")


def test_a_config_may_have_a_budget(tmp_path: Path) -> None:
    """Its values stay as they were written, so that a config has plain values only."""
    path = tmp_path / "net.yaml"
    path.write_text(MODEL + "budget: {macs: 2G, shares: {conv: '<= 99 %'}}\n", encoding="utf-8")
    assert load_config(path).budget == {"macs": "2G", "shares": {"conv": "<= 99 %"}}
    path.write_text(MODEL, encoding="utf-8")
    assert load_config(path).budget is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{mcas: 2G}", "budget.mcas: unknown key, did you mean 'macs'?"),
        ("{modules: {a: {macs: x}}}", "budget.modules.a.macs: found 'x', expected a number"),
        ("{}", "budget: empty, expected limits"),
        ("4G", "budget: found '4G', expected limits"),
    ],
)
def test_a_bad_budget_in_a_config_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The message has the place in the config."""
    path = tmp_path / "net.yaml"
    path.write_text(f"{MODEL}budget: {text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_new_measures_can_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """No list of figures is kept."""
    monkeypatch.setattr(catalog, "measures", lambda: ("bytes_moved",))
    assert figures() == ("bytes_moved", "trainable")
