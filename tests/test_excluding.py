"""Modules that are left out of a profile: they are reported as excluded, and are in no total."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import profiler
from profiler import catalog
from profiler.cli import cli
from profiler.errors import ConfigError, ProfilerError, StoredProfileError
from profiler.opcount import COUNT_COLUMNS
from profiler.records import EXCLUDED
from profiler.render import comparison_report, profile_report, render_texts


class Net(nn.Module):
    """A body, a head, and two auxiliary heads; one of them shares its weight with the head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout())
        self.head = nn.Linear(4, 5)
        self.aux1 = nn.Sequential(nn.Linear(4, 6), nn.Softmax(-1))
        self.aux2 = nn.Linear(4, 5)
        self.aux2.weight = self.head.weight

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        y = self.body(x)
        return [self.head(y), self.aux1(y), self.aux2(y)]


X = torch.zeros(2, 3)
BODY, HEAD, AUX1, AUX2 = 2 * 3 * 4, 2 * 4 * 5, 2 * 4 * 6, 2 * 4 * 5


def net_profile(*exclude: str, **options: Any) -> profiler.Profile:
    return profiler.profile(Net(), X, exclude=exclude, name="net", **options)


@pytest.mark.slow
def test_excluded_and_shown_work_sum_to_the_whole() -> None:
    """This holds in every table for every count; totals are without the excluded work."""
    whole, without = net_profile(), net_profile("aux*")
    assert without.total.macs == BODY + HEAD
    assert whole.total.macs == BODY + HEAD + AUX1 + AUX2
    assert without.parameters_total == (3 * 4 + 4) + (4 * 5 + 5)  # the weight that the head shares stays
    for name, column in (("layers", "layer"), ("operations", "op"), ("parameters", "parameter")):
        rows = without.table(name)
        assert rows[column].tolist().count(EXCLUDED) == 1
        for figure in ("parameters", *COUNT_COLUMNS):
            if figure in rows:
                assert rows[figure].sum() == whole.table(name)[figure].sum(), (name, figure)
    layers = without.layers.set_index("layer")
    assert layers.macs[EXCLUDED] == AUX1 + AUX2
    assert layers.parameters[EXCLUDED] == (4 * 6 + 6) + 5
    modules = without.modules.set_index("module")
    assert modules.macs_total["(root)"] + modules.macs_total[EXCLUDED] == whole.total.macs
    assert not {"aux1", "aux1.0", "aux2"} & set(modules.index)
    shares = without.table("shares").set_index("kind")
    assert shares.macs["total"] == BODY + HEAD
    assert shares.macs["excluded"] == AUX1 + AUX2
    assert shares.macs_share["excluded"] == (AUX1 + AUX2) / (BODY + HEAD)
    assert without.shares.macs_share.sum() == pytest.approx(1)
    assert without.shares.kind.tolist() == ["linear", "activation", "movement"]
    assert without.exclude == ("aux*",)


@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        (("aux1",), {"aux1", "aux1.0", "aux1.1"}),
        (("aux1.*",), {"aux1.0", "aux1.1"}),
        (("ReLU",), {"body.1"}),
        (("Sequential",), {"body", "body.0", "body.1", "body.2", "aux1", "aux1.0", "aux1.1"}),
        (("*.0",), {"body.0", "aux1.0"}),
        (("aux?", "Dropout"), {"aux1", "aux1.0", "aux1.1", "aux2", "body.2"}),
    ],
)
def test_a_pattern_is_a_name_or_a_type(patterns: tuple[str, ...], gone: set[str]) -> None:
    """It excludes all modules below; a type has to be equal, a name may have wildcards; the network itself stays."""
    excluded = net_profile(*patterns).trace.excluded
    assert excluded is not None
    assert set(excluded.modules) == gone


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("auxx*", r"exclude: 'auxx\*' matches no module and no type of a module, did you mean 'aux[12]'"),
        ("Sequental", "exclude: 'Sequental' matches no module and no type of a module, did you mean 'Sequential'"),
        ("nothing.like.it", "exclude: 'nothing.like.it' matches no module and no type of a module"),
        ("*", "leaves nothing of the network"),
    ],
)
def test_a_pattern_that_names_nothing_or_everything_is_an_error(pattern: str, message: str) -> None:
    """The error is one line, with similar names."""
    with pytest.raises(ProfilerError, match=message):
        net_profile(pattern)


@pytest.mark.slow
def test_one_pattern_may_be_a_text() -> None:
    """A text is one pattern and not a list of letters; the error about another value is one line."""
    assert profiler.profile(Net(), X, exclude="aux*").total == profiler.profile(Net(), X, exclude=["aux*"]).total
    wrong: Any = [nn.Linear]
    with pytest.raises(ProfilerError, match=r"exclude: found <class .*Linear'>, expected the name of a module or of a"):
        profiler.profile(Net(), X, exclude=wrong)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_each_optimizers_steps_are_split_by_layer(optimizer: str) -> None:
    """Its work for an excluded layer equals its work for that layer alone."""
    options: dict[str, Any] = {"mode": "training", "optimizer": optimizer}
    steps = net_profile("aux1", **options).training.set_index("layer").optimizer_flops
    alone = profiler.profile(nn.Linear(4, 6), torch.zeros(2, 4), **options).training.set_index("layer")
    assert steps[EXCLUDED] == alone.optimizer_flops["total"] > 0


@pytest.mark.slow
def test_the_backward_pass_of_an_excluded_module_is_excluded() -> None:
    """So are its parameters' optimizer steps; the table of training has the row of excluded work too."""
    options: dict[str, Any] = {"mode": "training", "optimizer": "adam"}
    whole, without = net_profile(**options), net_profile("aux1", **options)
    assert whole.total.macs - without.total.macs == 3 * AUX1
    rows = without.training.set_index("layer")
    assert rows.forward_macs[EXCLUDED] == AUX1
    assert rows.weight_gradient_macs[EXCLUDED] == AUX1
    both = rows.optimizer_flops["total"] + rows.optimizer_flops[EXCLUDED]
    everything = whole.training.set_index("layer").optimizer_flops["total"]
    assert both == everything
    text = render_texts(profile_report(without), ("markdown",))["summary.md"]
    assert "could not be assigned" not in text


def test_other_counters_are_compared_on_the_rest() -> None:
    """They ran on the whole network; the excluded layers are not in the comparison."""
    without = profiler.crosscheck(Net(), X, against=["fvcore", "torch"], profile=net_profile("aux*"))
    assert set(without.crosscheck.layer) == {"body.0", "head"}
    assert profiler.unexplained(without.crosscheck).empty
    assert without.crosscheck[without.crosscheck.counter == "torch"].figure.sum() == BODY + HEAD


def test_conventions_and_views_leave_out_the_same() -> None:
    """The headline is without it by any convention; a view sorts the shown work."""
    without = net_profile("aux*")
    assert without.with_convention("paper").headline == BODY + HEAD
    assert without.with_convention("fvcore").layers.by_fvcore.sum() == BODY + HEAD + AUX1 + AUX2
    assert without.with_views("pointwise_as_linear").trace == without.trace
    assert without.excluding("Dropout").exclude == ("aux*", "Dropout")


def test_a_saved_profile_holds_the_whole_and_the_exclusion(tmp_path: Path) -> None:
    """The loaded profile is equal; patterns that match nothing are refused; more can be excluded."""
    without = net_profile("aux*")
    path = tmp_path / "net.json"
    without.save(path)
    again = profiler.load_profile(path)
    assert again.trace == without.trace
    assert again.excluding("head").total.macs == BODY
    path.write_text(path.read_text(encoding="utf-8").replace('"aux*"', '"other*"'), encoding="utf-8")
    with pytest.raises(StoredProfileError, match=r"net\.json: exclude: 'other\*' matches no module"):
        profiler.load_profile(path)


@pytest.mark.slow
def test_an_operation_without_a_rule_may_be_excluded() -> None:
    """The rest is complete then, and the row of excluded work is partial."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(Odd()))
    assert profiler.profile(model, X).status == "partial"
    without = profiler.profile(model, X, exclude=["Odd"], strict=True)
    assert without.status == "complete"
    assert without.layers.set_index("layer").status[EXCLUDED] == "partial"
    assert "some of it without a rule" in render_texts(profile_report(without), ("markdown",))["summary.md"]


@torch.library.custom_op("profiler_excluding::odd", mutates_args=())
def odd(x: torch.Tensor) -> torch.Tensor:
    """An operation without a rule."""
    return x.clone()


odd.register_fake(torch.empty_like)


class Odd(nn.Module):
    """A module with that operation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = odd(x)
        return y


@pytest.mark.slow
def test_every_format_names_the_excluded_modules() -> None:
    """They have the row, the note, and the name of the total; a comparison has it too."""
    without = net_profile("aux*")
    files = render_texts(profile_report(without), catalog.USUAL_FORMATS)
    assert files["layers.csv"].splitlines()[-1].startswith("(excluded),,excluded,")
    assert files["shares.csv"].splitlines()[-1].startswith("excluded,3,35,")
    summary = files["summary.md"]
    assert f"Without 4 excluded modules (aux\\*): no total has their 35 parameters, {AUX1 + AUX2} MACs" in summary
    assert "without excluded" in summary
    assert "whole network" not in summary
    assert "4 excluded modules" in render_texts(comparison_report([without]), ("markdown",))["summary.md"]


@pytest.mark.slow
def test_configs_and_the_command_line_exclude(tmp_path: Path) -> None:
    """Both may; the option also works on a saved profile, and adds to what a config excludes."""
    path = tmp_path / "net.yaml"
    text = "model: {target: 'tests.test_excluding:Net'}\ninputs: [{shape: [2, 3]}]\nexclude: [aux*]\n"
    path.write_text(text, encoding="utf-8")
    assert profiler.profile_config(profiler.load_config(path), crosscheck=False).total.macs == BODY + HEAD
    run = CliRunner().invoke
    output = ["--no-crosscheck", "--format", "csv", "--output", str(tmp_path / "out")]
    found = run(cli, ["profile", str(path), "--exclude", "aux1", "--exclude", "head", *output])
    assert found.exit_code == 0, found.output
    layers = (tmp_path / "out" / "net" / "layers.csv").read_text(encoding="utf-8")
    assert "aux2" in layers
    assert "head" not in layers
    net_profile().save(tmp_path / "saved.json")
    found = run(cli, ["profile", str(tmp_path / "saved.json"), "--exclude", "aux*", "--format", "csv"])
    assert found.output.splitlines()[-1].startswith("(excluded),")
    for option, value in (("--method", "encode"), ("--part", "body"), ("--inputs-from", "a:b")):
        found = run(cli, ["profile", str(tmp_path / "saved.json"), option, value])
        assert (found.exit_code, f"{option} needs a network" in found.output) == (2, True)
    for option, value in (("--method", "a..b"), ("--part", ""), ("--inputs-from", "a"), ("--exclude", " ")):
        found = run(cli, ["profile", str(path), option, value])
        assert (found.exit_code, f"{option}: found" in found.output) == (2, True), found.output
    found = run(
        cli, ["profile", str(path), "--part", "body", "--exclude", "ReLU", "--format", "csv", "--no-crosscheck"]
    )
    assert found.output.splitlines()[1].startswith("0,Linear,linear,1,2×3,2×4,")
    path.write_text(f"{text}name: ok\n".replace("[aux*]", "aux*"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"exclude: found 'aux\*', expected a list"):
        profiler.load_config(path)


def test_the_command_line_names_a_method_and_a_function_for_inputs(tmp_path: Path) -> None:
    """This works for a target and for a config."""
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = nn.Linear(4, 6)\n"
        "    def encode(self, x):\n        return self.layer(x)\n"
        "def make(net):\n    return torch.zeros(7, net.layer.in_features)\n",
        encoding="utf-8",
    )
    options = ["--method", "encode", "--inputs-from", f"{file}:make", "--format", "csv", "--no-crosscheck"]
    found = CliRunner().invoke(cli, ["profile", f"{file}:Net", *options])
    assert found.exit_code == 0, found.output
    row = found.output.splitlines()[1].split(",")
    assert (row[0], row[5], str(7 * 4 * 6) in row) == ("layer", "7×6", True)
