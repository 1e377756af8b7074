"""Options are the same in all commands: their names, their meaning, and what happens if they are given twice."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from profiler import catalog
from profiler.cli import cli
from tests import sample_profiles

OPTIONS = {
    "--output": "profile compare diff explain check report sweep formula crosscheck rewrite reprice",
    "--format": "profile compare diff explain check report sweep formula crosscheck rewrite reprice",
    "--quiet": "profile compare diff explain check report sweep formula crosscheck rewrite reprice",
    "--strict": "profile compare diff explain report sweep crosscheck",
    "--jobs": "profile compare diff check report sweep",
    "--convention": "profile compare diff explain check report rewrite reprice",
    "--pointwise-as-linear": "profile compare diff explain check report rewrite reprice",
    "--depthwise-apart": "profile compare diff explain check report rewrite reprice",
    "--device": "profile compare check report reprice",
    "--energy": "profile compare check report reprice",
    "--step-time": "profile compare check report reprice",
    "--picture": "profile compare diff rewrite",
    "--no-crosscheck": "profile report",
    "--size": "profile compare diff explain check report sweep formula crosscheck rewrite",
    "--part": "profile compare diff explain check report sweep formula crosscheck rewrite",
    "--exclude": "profile compare diff explain check report sweep formula crosscheck rewrite",
    "--debug": " ".join(catalog.commands()),
}
"""The options that several commands have, with all commands that have them."""

OWN_WORDS = {"--output", "--format", "--jobs"}
"""The options whose help says what is written, or what is profiled."""


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, arguments, prog_name="profiler")


def options(command: str) -> dict[str, click.Option]:
    """The options of a command by their names."""
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    return {param.opts[0]: param for param in found.params if isinstance(param, click.Option)}


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A saved profile."""
    path = tmp_path / "small.json"
    sample_profiles.small().save(path)
    return str(path)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_where_it_makes_sense(name: str) -> None:
    """These commands have it and no others, with the same words in their help and the same kind of value."""
    found = {command: options(command)[name] for command in catalog.commands() if name in options(command)}
    assert set(found) == set(OPTIONS[name].split())
    assert len({(option.multiple, option.is_flag, option.metavar) for option in found.values()}) == 1
    if name not in OWN_WORDS:
        assert len({option.help for option in found.values()}) == 1


def test_every_option_has_help() -> None:
    """Each command explains each of its options, and calls none of them differently from another command."""
    for command in catalog.commands():
        for name, option in options(command).items():
            assert option.help, (command, name)


@pytest.mark.parametrize("arguments", [("--columns", "macs,flops"), ("--columns", "macs", "--columns", "flops,macs")])
def test_names_add_up(saved: str, arguments: tuple[str, ...]) -> None:
    """An option that takes names may be repeated: the names of all are taken, each once."""
    result = run("compare", saved, *arguments, "--format", "csv")
    assert next(csv.reader(io.StringIO(result.stdout))) == ["network", "macs", "flops"]


def test_formats_add_up(saved: str, tmp_path: Path) -> None:
    """A repeated --format is the same as a list; without a folder only one format can be printed."""
    out = tmp_path / "out"
    assert run("compare", saved, "--format", "csv", "--format", "json", "-q", "--output", str(out)).exit_code == 0
    assert {path.suffix for path in out.iterdir()} == {".csv", ".json"}
    result = run("compare", saved, "--format", "csv", "--format", "json")
    assert result.exit_code == 2
    assert "--format without --output prints one format" in result.stderr


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("profile", "--depth", "1"),
        ("compare", "--sort", "macs"),
        ("diff", "--convention", "macs"),
        ("check", "-o", "a"),
    ],
)
def test_one_value_given_twice_is_an_error(saved: str, command: str, option: str, value: str) -> None:
    """None of the values wins silently."""
    result = run(command, saved, saved, option, value, option, value)
    assert result.exit_code == 2
    name = "--output" if option == "-o" else option
    assert f"{name} is given 2 times; give it once" in result.stderr


def test_a_flag_given_twice_is_the_flag(saved: str) -> None:
    """It says the same twice."""
    assert run("profile", saved, "--quiet", "-q").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("compare", "--colums", "macs"), "no such option '--colums', did you mean '--columns'?; see:"),
        (("diff", "--quit"), "no such option '--quit', did you mean '--quiet' or '--input'?; see:"),
        (("profile", "--zzz"), "no such option '--zzz'; see: profiler profile --help"),
        (("profile", "x.yaml", "--top", "0"), "'--top': found '0', expected a whole number of 1 or more; see:"),
        (("sweep", "x.yaml", "--jobs", "many"), "'--jobs': found 'many', expected a whole number of 1 or more; see:"),
    ],
)
def test_errors_about_options_have_one_form(
    arguments: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are one line, and offer the nearest option in the words of all other errors."""
    from profiler.cli import main

    monkeypatch.setattr("sys.argv", ["profiler", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
