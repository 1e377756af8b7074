"""Configs are untrusted input: bombs, other files, and mutations of a valid one end in one line."""

from __future__ import annotations

import base64
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

from profiler.cli import cli
from profiler.config import Config, load_config
from profiler.errors import ConfigError, ProfilerError
from profiler.subjects import packed
from tests.mutations import broken_files

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width=4, **options):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x, *more, **options):
        return self.fc(x)
"""

EVERYTHING = """
name: tiny
model: {target: "net.py:Net", kwargs: {width: 4, sizes: [1, 2.5], deep: {a: null, b: text, c: .inf}}}
inputs:
  - {shape: [2, 3], dtype: float32}
  - {shape: [2], dtype: int64, low: 0, high: 7}
  - {shape: [2, 2], dtype: int8, values: [[1, 2], [3, 4]]}
  - [1, 2.5, true, null, text, {mask: {values: [true, false], dtype: bool}}]
mode: training
optimizer: adam
dtype: float32
convention: fvcore
views: [pointwise_as_linear, depthwise_apart]
crosscheck: [fvcore]
report: {formats: [csv, markdown, json], tables: [shares, layers]}
rewrites: []
equivalence: {tolerance: 1.0e-5, measure: largest_relative}
"""


def message_of(folder: Path, text: str | bytes) -> str:
    """The message about a config with ``text``."""
    path = folder / "net.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < len(str(path)) + 700
    return message.removeprefix(f"{path}: ")


def bomb(inside: str, last: str, levels: int = 9) -> str:
    """A config in which ``last`` expands to ``levels`` nested lists of nine aliases each."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join([inside.replace("BOMB", f"{{{', '.join(lines)}, last: {last}}}"), ""])


BOMBS = {
    "kwargs": bomb("model: {target: 'a:b', kwargs: BOMB}\ninputs: []", "*a8"),
    "a list where text is": bomb("model: {target: 'a:b'}\ninputs: []\nname: BOMB", "*a8"),
    "inputs": bomb("model: {target: 'a:b'}\ninputs: BOMB", "*a8"),
    "values": bomb("model: {target: 'a:b', kwargs: BOMB}\ninputs: [{shape: [1], values: *a8}]", "1"),
    "merges": "\n".join(
        ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 10))]
    ),
    "keys": "\n".join(
        ["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)), "? *a8\n: 1"]
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_aliases_is_refused_quickly(tmp_path: Path, name: str) -> None:
    """Its expanded values are counted, and not built."""
    start = time.process_time()
    assert "values, after expanding aliases; expected at most 1,000,000" in message_of(tmp_path, BOMBS[name])
    assert time.process_time() - start < 2


@pytest.mark.parametrize("key", ["name", "mode", "convention", "views", "model", "qqq", "rewrites"])
def test_the_error_about_a_large_value_is_one_line(tmp_path: Path, key: str) -> None:
    """Hundreds of thousands of values are within the limit; the message shows the first few."""
    lists = "kwargs: {a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a], "
    lists += "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b], d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]}"
    start = time.process_time()
    value = "*d" if key in ("views", "rewrites") else "{x: *d}"
    assert message_of(tmp_path, f"model: {{target: 'a:b', {lists}}}\n{key}: {value}\n")
    assert time.process_time() - start < 5


def test_the_error_of_a_builder_with_large_kwargs_is_one_line(tmp_path: Path) -> None:
    """The kwargs are shortened before they are written out."""
    lists = (
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a], c: &c [*b, *b, *b, *b]"
    )
    (tmp_path / "net.yaml").write_text(f"model: {{target: 'torch.nn:Linear', kwargs: {{{lists}}}}}\ninputs: []\n")
    result = CliRunner().invoke(cli, ["profile", str(tmp_path / "net.yaml"), "--no-crosscheck"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert len(result.stderr) < 700


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_other_things_than_files_are_refused(tmp_path: Path) -> None:
    """They are a pipe without a writer, a loop of links, and an impossible name."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for path in (tmp_path / "pipe.yaml", tmp_path / "loop.yaml", "a\x00.yaml", "x" * 5000):
        with pytest.raises(ConfigError, match="expected a"):
            load_config(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """The limit is in the message."""
    assert "larger than 8,388,608 bytes" in message_of(tmp_path, b"#" * (8 * 2**20 + 1))


def test_a_pipe_with_a_writer_is_read() -> None:
    """This is ``cat config | profiler profile /dev/stdin``."""
    if not Path("/dev/fd").exists():
        pytest.skip("has no /dev/fd")
    out, into = os.pipe()
    os.write(into, b"name: piped\nmodel: {target: 'a:b'}\n")
    os.close(into)
    assert load_config(f"/dev/fd/{out}").name == "piped"
    os.close(out)


def test_another_process_gets_the_same_config(tmp_path: Path) -> None:
    """Infinity and number keys of kwargs are the same after sending."""
    path = tmp_path / "net.yaml"
    path.write_text(EVERYTHING.replace("a: null,", "1: one,"))
    config = load_config(path)
    assert unpacked(packed(config)) == config
    assert config.model.kwargs["deep"][1] == "one"
    assert config.model.kwargs["deep"]["c"] == float("inf")


def unpacked(text: str) -> Config:
    """The config that another process reads from ``text``."""
    found = pickle.loads(base64.b85decode(text))
    assert isinstance(found, Config)
    return found


def as_yaml(tree: Any) -> bytes:
    """A tree as YAML."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


MUTATED = broken_files(EVERYTHING.encode(), yaml.safe_load, as_yaml)
SHORT = EVERYTHING[: EVERYTHING.index("mode:")].encode()
PROFILED = broken_files(SHORT, yaml.safe_load, as_yaml)
QUIET = list(HealthCheck)


def read(folder: Path, text: bytes) -> None:
    """Check that a config is read, and is the same in another process, or is refused in one line."""
    path = folder / "net.yaml"
    path.write_bytes(text)
    try:
        config = load_config(path)
    except ProfilerError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    assert repr(unpacked(packed(config))) == repr(config)  # repr, since nan is not itself


def profiled(root: Path, text: bytes) -> None:
    """Run the command on a config: exit code 0 or 2, one line, and nothing written outside of the output folder."""
    folder = root / "outer" / "inner"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(NET)
    (folder / "tiny.yaml").write_bytes(text)
    before = {path for path in root.rglob("*") if folder / "out" not in path.parents}
    command = ["profile", str(folder / "tiny.yaml"), "--no-crosscheck", "--output", str(folder / "out"), "--quiet"]
    result = CliRunner().invoke(cli, command)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 2)
    assert result.stderr.count("\n") == (result.exit_code == 2), result.stderr
    after = {path for path in root.rglob("*") if folder / "out" not in path.parents}
    assert after - before <= {folder / "out"}


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=QUIET)
@given(text=MUTATED)
def test_no_mutation_of_a_config_gives_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    """Each gives a config or one line."""
    read(tmp_path_factory.getbasetemp(), text)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=QUIET)
@given(text=PROFILED)
def test_no_mutated_config_is_profiled_with_a_traceback(tmp_path: Path, text: bytes) -> None:
    """Each gives tables in their folder or one line."""
    profiled(tmp_path, text)


@pytest.mark.exhaustive
@settings(max_examples=10_000, suppress_health_check=QUIET)
@given(text=MUTATED)
def test_no_mutation_of_ten_thousand_is_read_with_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    """Each gives a config or one line."""
    read(tmp_path_factory.getbasetemp(), text)


@pytest.mark.exhaustive
@settings(max_examples=3_000, suppress_health_check=QUIET)
@given(text=PROFILED)
def test_no_mutation_of_thousands_is_profiled_with_a_traceback(tmp_path: Path, text: bytes) -> None:
    """Each gives tables in their folder or one line."""
    profiled(tmp_path, text)


@pytest.mark.parametrize("deep", ["[" * 20000, "{a: " * 20000, "[{" * 20000, "- " * 20000])
def test_too_deep_nesting_is_refused_quickly(tmp_path: Path, deep: str) -> None:
    """The scanner stops at the allowed depth."""
    start = time.process_time()
    assert (
        "nested too deeply" in (message := message_of(tmp_path, f"model:\n  {deep}"))
        or "more than 100 nested lists" in message
    )
    assert time.process_time() - start < 1
