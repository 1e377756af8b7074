"""The commands, as users type them."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pandas as pd
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from torch import nn

from profiler import catalog, load_profile
from profiler.cli import cli, commands, main
from profiler.crosschecks.counter import Reported

ROOT = Path(__file__).parents[1]
ALEXNET = str(ROOT / "configs" / "alexnet.yaml")
RESNET18 = str(ROOT / "configs" / "resnet18.yaml")

CONFIG = """
name: tiny
model:
  target: net.py:Net
inputs:
  - shape: [1, 3, 8, 8]
"""

NET = """
from torch import nn


def Net(width=4, kind="good"):
    layers = {
        "good": [nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, 2)],
        "empty": [],
        "narrow": [nn.Conv2d(3, width, 3), nn.Linear(7, 2)],
    }
    return nn.Sequential(*layers[kind])
"""


@dataclass(frozen=True)
class Result:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str


def run(*arguments: str, width: int = 100) -> Result:
    """Run the command in this process."""
    result = CliRunner(env={"COLUMNS": str(width), "NO_COLOR": "1"}).invoke(cli, arguments, prog_name="profiler")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config and the network of the config."""
    (tmp_path / "tiny.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    return tmp_path


def test_profile_compares_linear_layers_with_convolutions() -> None:
    """The output has totals, shares and the sentence that compares the two for AlexNet."""
    result = run("profile", ALEXNET)
    assert result.code == 0
    assert "Linear layers hold 95.96 % of the parameters and do 8.21 % of the multiplies" in result.out
    assert "655,566,528" in result.out
    assert "fvcore" in result.out


@pytest.mark.slow
def test_a_report_fits_eighty_columns() -> None:
    """No line is longer than the terminal is wide."""
    for source in (ALEXNET, RESNET18):
        result = run("profile", source, "--no-crosscheck", width=80)
        assert max(map(len, result.out.splitlines())) <= 80


EVERY_TABLE = ("layers", "shares", "modules", "operations", "parameters", "uncounted", "crosscheck")


@pytest.mark.slow
def test_profile_writes_every_table(tmp_path: Path) -> None:
    """CSV has plain digits and full fractions; there are Markdown, the summary, and a profile that can be loaded."""
    result = run("profile", ALEXNET, "--output", str(tmp_path), "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    written = {path.name for path in (tmp_path / "alexnet").iterdir()}
    assert written == {
        "profile.json",
        "summary.md",
        *(f"{name}.{ending}" for name in EVERY_TABLE for ending in ("csv", "md")),
        *("shares.svg", "depth.svg"),  # the pictures of a single network that the config names
    }
    layers = pd.read_csv(tmp_path / "alexnet" / "layers.csv").set_index("layer")
    assert layers.multiplies["features.0"] == 70276800
    assert layers.formula["features.0"] == "(3·11·11)·(64·55·55)"
    with (tmp_path / "alexnet" / "shares.csv").open(encoding="utf-8", newline="") as file:
        shares = {row["kind"]: row for row in csv.DictReader(file)}
    assert float(shares["linear"]["multiplies_share"]) == 58621952 / 714188480
    assert list(shares)[-1] == "total"
    loaded = load_profile(tmp_path / "alexnet" / "profile.json")
    assert loaded.total.macs == 714188480


@pytest.mark.slow
def test_the_config_decides_what_is_written(folder: Path) -> None:
    """It sets formats and tables; ``--format`` overrides the formats."""
    path = folder / "tiny.yaml"
    path.write_text(CONFIG + "report: {formats: [csv], tables: [layers, shares]}\n", encoding="utf-8")
    assert run("profile", str(path), "-o", str(folder / "a"), "-q").code == 0
    assert {item.name for item in (folder / "a" / "tiny").iterdir()} == {"layers.csv", "shares.csv"}
    assert run("profile", str(path), "-o", str(folder / "b"), "-q", "--format", "json").code == 0
    assert {item.name for item in (folder / "b" / "tiny").iterdir()} == {"profile.json"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("csv", "layer,type,kind,calls,input_shape,output_shape,parameters,parameters_share,multiplies"),
        ("markdown", "# tiny"),
        ("json", "{"),
    ],
)
def test_one_format_can_be_printed(folder: Path, name: str, start: str) -> None:
    """It goes to standard output, for a pipe."""
    assert run("profile", str(folder / "tiny.yaml"), "--format", name).out.startswith(start)


def test_a_target_needs_no_config() -> None:
    """A name and an input shape suffice."""
    result = run("profile", "torchvision:squeezenet1_1", "--input", "1x3x64x64", "--no-crosscheck", "--format", "json")
    assert result.code == 0
    assert json.loads(result.out)["target"] == "torchvision:squeezenet1_1"


RESNET = ("profile", "torchvision:resnet18", "--input", "1x3x32x32", "--format", "json")


def counters(*arguments: str) -> list[str]:
    """The counters that ran, read from the one profile that a command prints as JSON."""
    result = run(*arguments)
    assert (result.code, result.err) == (0, "")
    return [record["counter"] for record in json.loads(result.out)["counters"]]


@pytest.mark.slow
def test_no_counter_runs_by_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for a target and a config without counters; nothing of the network runs for real."""

    def refuse(*_: object) -> None:
        raise AssertionError("a real copy was made")

    monkeypatch.setattr("profiler.subjects.build_real_model", refuse)
    assert counters(*RESNET) == []
    assert counters("profile", str(folder / "tiny.yaml"), "--format", "json") == []


@pytest.mark.slow
def test_the_command_line_chooses_counters(folder: Path) -> None:
    """It names one or several, which replace those of a config, or none."""
    assert counters(*RESNET, "--crosscheck", "fvcore") == ["fvcore"]
    path = folder / "counters.yaml"
    path.write_text(CONFIG + "crosscheck: [fvcore]\n", encoding="utf-8")
    words = ("profile", str(path), "--format", "json")
    assert counters(*words) == ["fvcore"]
    assert counters(*words, "--crosscheck", "torch,fvcore") == ["torch", "fvcore"]
    assert counters(*words, "--no-crosscheck") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crosscheck", "fvcor"], "'fvcor' is not a counter, expected some of fvcore, torch"),
        (["--crosscheck", ""], "'' is not a counter"),
        (["--crosscheck", "fvcore", "--no-crosscheck"], "give one of them"),
    ],
)
def test_a_wrong_option_for_counters_is_refused(options: list[str], message: str) -> None:
    """The error comes before anything is profiled."""
    result = run("profile", "torchvision:no-such-network", *options)
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.split())


@pytest.mark.slow
def test_a_saved_profile_is_not_counted_again(folder: Path) -> None:
    """There is no network to run counters on; the profile can still be shown with the records that it has."""
    assert run("profile", str(folder / "tiny.yaml"), "-o", str(folder), "-q", "--crosscheck", "torch").code == 0
    saved = str(folder / "tiny" / "profile.json")
    assert counters("profile", saved, "--no-crosscheck", "--format", "json") == ["torch"]
    result = run("profile", saved, "--crosscheck", "fvcore")
    assert (result.code, result.out) == (2, "")
    assert "--crosscheck needs a network" in result.err


@pytest.mark.slow
def test_a_saved_profile_is_shown_without_torch(tmp_path: Path) -> None:
    """Loading, comparing and rendering need no torch, and nothing else that takes long to import."""
    assert run("profile", ALEXNET, "--output", str(tmp_path), "--quiet", "--no-crosscheck").code == 0
    saved = str(tmp_path / "alexnet" / "profile.json")
    slow = {"torch", "numpy", "pandas", "pydantic", "matplotlib", "joblib", "profiler.config", "profiler.rules"}
    code = (
        "import sys\nfrom profiler.cli import cli\n"
        f"cli(['compare', {saved!r}, {saved!r}], standalone_mode=False)\n"
        f"sys.exit(' '.join({slow!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == ""
    assert "alexnet" in result.stdout


@pytest.mark.slow
def test_depth_limits_the_tree_and_keeps_the_totals() -> None:
    """At depth 1, the blocks are shown with the work of everything inside."""
    result = run("profile", RESNET18, "--depth", "1", "--no-crosscheck")
    assert "layer4" in result.out
    assert "layer4.0" not in result.out


@pytest.mark.slow
def test_compare_shows_networks_side_by_side(folder: Path) -> None:
    """There is one row for each network, with the ratio to the first."""
    result = run("compare", ALEXNET, RESNET18, "--format", "csv")
    rows = result.out.splitlines()
    assert rows[0].startswith("network,input,parameters,multiplies,adds,macs,flops")
    assert [row.split(",")[0] for row in rows[1:]] == ["alexnet", "resnet18"]


@pytest.mark.slow
def test_crosscheck_exits_with_zero_if_all_is_explained() -> None:
    """fvcore agrees on every contraction of ResNet-18; its batch norms have a reason."""
    result = run("crosscheck", RESNET18)
    assert result.code == 0
    assert "counts batch norm" in result.out


@pytest.mark.slow
def test_crosscheck_exits_with_one_if_something_is_unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is planted in fvcore's figures."""
    from profiler.crosschecks.counters import fvcore

    def wrong(model: nn.Module, inputs: object) -> Reported:
        reported = fvcore.run(model, inputs)
        first = replace(reported.figures[0], figure=reported.figures[0].figure + 1)
        return replace(reported, figures=(first, *reported.figures[1:]))

    monkeypatch.setattr(fvcore, "COUNTER", replace(fvcore.COUNTER, run=wrong))
    result = run("crosscheck", RESNET18)
    assert result.code == 1
    assert "1 differences are unexplained" in result.err


@pytest.mark.slow
def test_crosscheck_exits_with_one_if_nothing_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A skipped cross-check compares nothing."""
    monkeypatch.setattr("profiler.crosschecking.BYTES_LIMIT", 10)
    result = run("crosscheck", RESNET18)
    assert result.code == 1
    assert "nothing to compare with: fvcore skipped" in result.err


@pytest.mark.slow
def test_report_writes_a_folder_and_checks_it(folder: Path) -> None:
    """There is an index page, the comparison, and each network's tables; ``--check`` sees outdated files."""
    output = folder / "reports"
    config = str(folder / "tiny.yaml")
    assert run("report", config, "--output", str(output)).code == 0
    assert (output / "README.md").is_file()
    assert (output / "tiny" / "layers.csv").is_file()
    assert run("report", config, "--output", str(output), "--check").code == 0
    (output / "tiny" / "shares.csv").write_text("kind\n", encoding="utf-8")
    (output / "old.csv").write_text("", encoding="utf-8")
    result = run("report", config, "--output", str(output), "--check")
    assert result.code == 1
    assert "tiny/shares.csv, old.csv (no longer written)" in result.err


@pytest.mark.slow
def test_models_lists_the_targets() -> None:
    """A pattern selects from them, and families are shown."""
    result = run("models", "torchvision:resnet*")
    assert "torchvision:resnet50" in result.out
    assert run("models", "no-such-network").code == 1


BAD: dict[str, tuple[Sequence[str], str]] = {
    "missing file": (["none.yaml"], "none.yaml: no such file"),
    "not a source": (["none"], "none: expected a config (.yaml), a saved profile (.json) or a target"),
    "broken yaml": (["broken.yaml"], "broken.yaml: line 2, column"),
    "unknown key": (["key.yaml"], "key.yaml: modle: unknown key, did you mean 'mode' or 'model'?"),
    "unknown target": (["target.yaml"], "torchvision has no network 'resnet51', did you mean"),
    "refused kwargs": (["kwargs.yaml"], "kwargs.yaml: target net.py:Net: refuses depth=3"),
    "refused shape": (["shape.yaml"], "shape.yaml: module 1 (Linear) on 1×4×6×6 raised"),
    "unknown dtype": (["dtype.yaml"], "dtype.yaml: dtype: found 'flaot32', expected a floating dtype"),
    "empty network": (["empty.yaml"], "empty.yaml: Sequential ran no operation"),
    "wrong depth of inputs": (["inputs.yaml"], "inputs.yaml: inputs"),
    "no input": (["torchvision:resnet18:x"], "torchvision:resnet18:x"),
    "bad input": (["torchvision:resnet18", "--input", "1xtwo"], "--input 1xtwo: two has no value, expected --size"),
    "no profile": (["bad.json"], "bad.json: expected a saved profile"),
    "one name twice": (["tiny.yaml", "tiny.yaml"], "name: 'tiny' is also the name of"),
}
LISTS_ALL_TARGETS = ("not a source",)
"""The message proposes one of the targets of every source, which takes seconds."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in LISTS_ALL_TARGETS else []) for case in BAD]
)
def test_bad_input_is_an_error_of_one_line(case: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 2, the line is on the error stream, there is no traceback, and nothing is written."""
    files = {
        "broken.yaml": "name: a\nmodel: {target: [}\n",
        "key.yaml": CONFIG.replace("model:", "modle:"),
        "target.yaml": CONFIG.replace("net.py:Net", "torchvision:resnet51"),
        "kwargs.yaml": CONFIG.replace("net.py:Net", "net.py:Net\n  kwargs: {depth: 3}"),
        "shape.yaml": CONFIG.replace("net.py:Net", "net.py:Net\n  kwargs: {kind: narrow}"),
        "empty.yaml": CONFIG.replace("net.py:Net", "net.py:Net\n  kwargs: {kind: empty}"),
        "dtype.yaml": CONFIG + "dtype: flaot32\n",
        "inputs.yaml": CONFIG.replace("  - shape: [1, 3, 8, 8]", "  shape: [1, 3, 8, 8]"),
        "bad.json": "{",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    arguments, message = BAD[case]
    result = run("profile", *arguments, "--output", "out")
    assert result.code == 2
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert message in line
    assert "Traceback" not in result.err
    assert not (folder / "out").exists()


def test_debug_shows_the_traceback(folder: Path) -> None:
    """It shows where an error comes from."""
    result = run("profile", str(folder / "none.yaml"), "--debug")
    assert result.code == 2
    assert "Traceback" in result.err


@pytest.mark.parametrize("kind", ["a file", "read-only"])
def test_an_output_that_cannot_be_written_is_an_error_before_any_work(folder: Path, kind: str) -> None:
    """The place is checked before anything is profiled."""
    place = folder / "place"
    if kind == "a file":
        place.write_text("", encoding="utf-8")
    else:
        place.mkdir()
        place.chmod(stat.S_IRUSR | stat.S_IXUSR)
        if os.access(place, os.W_OK):
            pytest.skip("this user may write everywhere")
    result = run("profile", str(folder / "tiny.yaml"), "--output", str(place))
    assert result.code == 2
    assert "--output: cannot be written" in result.err
    assert len(result.err.splitlines()) == 1


def test_strict_fails_on_an_operation_without_a_rule(folder: Path) -> None:
    """The exit code is 1; without ``--strict`` the profile is partial and says so."""
    (folder / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "@torch.library.custom_op('profiler_cli::odd', mutates_args=())\n"
        "def odd(x: torch.Tensor) -> torch.Tensor:\n    return x.clone()\n"
        "odd.register_fake(torch.empty_like)\n"
        "class Net(nn.Module):\n    def forward(self, x):\n        return odd(x)\n",
        encoding="utf-8",
    )
    result = run("profile", str(folder / "tiny.yaml"), "--no-crosscheck")
    assert result.code == 0
    assert "partial" in result.out
    assert "profiler_cli::odd" in result.out
    strict = run("profile", str(folder / "tiny.yaml"), "--no-crosscheck", "--strict")
    assert strict.code == 1
    assert "profiler_cli::odd" in strict.err


def test_a_crash_while_writing_leaves_no_half_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written under a temporary name and renamed."""
    from profiler.errors import OutputError
    from profiler.files import write_text

    target = folder / "kept.txt"
    target.write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        write_text(target, "new")
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in folder.iterdir() if path.suffix == ".tmp"] == []


@pytest.mark.slow
def test_help_does_not_load_torch() -> None:
    """Help has to be instant."""
    code = (
        "import sys\nfrom profiler.cli import cli\n"
        "for words in (['--help'], ['profile', '--help']):\n    cli(words, standalone_mode=False)\n"
        "sys.exit(bool({'torch', 'pandas', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "crosscheck" in result.stdout


@pytest.mark.slow
def test_a_command_is_loaded_when_it_is_called() -> None:
    """The list of commands loads no command, and a command loads no other one."""
    code = (
        "import sys\nfrom profiler.cli import cli\n"
        "def loaded():\n    return [name for name in sys.modules if name.startswith('profiler.cli.commands.')]\n"
        "cli(['--help'], standalone_mode=False)\nbefore = loaded()\n"
        "cli(['models', '--help'], standalone_mode=False)\nprint(before, loaded())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[] ['profiler.cli.commands.models']"


@pytest.mark.parametrize(
    ("words", "found"), [("profiler re", {"rewrite", "report", "reprice"}), ("profiler compare --str", {"--strict"})]
)
def test_a_shell_completes_commands_and_options(words: str, found: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Click completes them; a wrong command before the cursor is no error."""
    number = str(words.count(" "))
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", number)
    completion = BashComplete(cli, {}, "profiler", "_PROFILER_COMPLETE").complete()
    assert {line.split(",")[1] for line in completion.splitlines()} == found
    monkeypatch.setenv("COMP_WORDS", "profiler wrong --str")
    assert BashComplete(cli, {}, "profiler", "_PROFILER_COMPLETE").complete() is not None


def test_a_new_command_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed last with the first line of its docstring, is called by its name, and has ``--debug``."""
    (tmp_path / "a_greeting.py").write_text(
        '"""Greet.\n\nWith more words.\n"""\n'
        "import click\nfrom profiler.cli.delivery import print_document\nfrom profiler.cli.ending import Command\n"
        "@click.command(cls=Command, help=__doc__)\n@click.argument('name')\n"
        "def command(name):\n    print('apart')\n    print_document(f'Hello {name}\\n')\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    catalog.commands.cache_clear()
    try:
        listed = run("--help").out
        result = run("a-greeting", "you", "--debug")
    finally:
        catalog.commands.cache_clear()
    assert [line.split() for line in listed.splitlines() if "a-greeting" in line] == [["a-greeting", "Greet."]]
    assert (result.code, result.out, result.err) == (0, "Hello you\n", "apart\n")
    sys.modules.pop("profiler.cli.commands.a_greeting")


def test_the_list_of_commands_has_the_first_sentence_of_each() -> None:
    """It is read from the files, and equals what click shows for the loaded command."""
    context = click.Context(cli)
    listed = " ".join(run("--help").out.split())
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert f" {name} {command.get_short_help_str(1000)}" in listed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], None),
        (["nope"], "profiler: no such command 'nope'; see: profiler --help"),
        (["profile"], "profiler: missing argument 'SOURCE…'; see: profiler profile --help"),
        (["compare", "--jobs", "0", "x"], "profiler: invalid value for '--jobs': found '0', expected a whole number"),
        (["check", "x", "--tolerance", "1%"], "profiler: --tolerance needs --baseline; see: profiler check --help"),
        (["diff", "--nope\nx"], "profiler: no such option '--nope"),
    ],
)
def test_a_wrong_argument_is_a_message_of_one_line(
    words: list[str], message: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where the right ones are listed; the exit code is 2."""
    monkeypatch.setattr(sys, "argv", ["profiler", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    if message:
        assert printed.err.startswith(message)
        assert printed.err.count("\n") == 1
        assert not printed.out


def test_a_wrong_name_gets_the_nearest_proposal() -> None:
    """This holds for a command, an option, and the value of an option."""
    for words, near in (
        (["profil"], "no such command 'profil', did you mean 'profile'?"),
        (["croscheck", "x"], "no such command 'croscheck', did you mean 'crosscheck' or 'check'?"),
        (["profile", "--outptu", "x"], "--output"),
        (["profile", "x:y", "--crosscheck", "fvcor"], "torchprofile, did you mean 'fvcore'?"),
        (["profile", "x:y", "--convention", "papr"], "paper, did you mean 'paper'?"),
        (["operators", "--status", "rule"], "uncounted, did you mean 'ruled'?"),
    ):
        result = run(*words)
        assert result.code == 2
        assert near in " ".join(result.err.split())
    assert "did you mean" not in run("zzzzzz").err


@pytest.mark.slow
def test_the_module_runs_the_command() -> None:
    """``python -m profiler`` runs the same command."""
    result = subprocess.run([sys.executable, "-m", "profiler", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("profiler, version")
