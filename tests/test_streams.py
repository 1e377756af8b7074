"""What commands print and leave behind under difficult outputs, names or circumstances.

The tests use real processes, pipes and signals.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import pytest
from click.testing import CliRunner

from profiler import load_profile
from profiler.cli import cli
from profiler.errors import OutputError
from profiler.files import is_leftover, remove_leftovers, temporary_folder, write_text
from profiler.streams import screen_width, write_binary
from tests import sample_profiles as nets

NOISY = """
import ctypes, atexit, os, sys, threading
import torch
from torch import nn

print("printed while imported")
atexit.register(lambda: print("printed at the end"))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        print("printed while built")
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        print("printed while run")
        sys.__stdout__.write("written to the first stdout")
        os.write(1, b"written to the descriptor\\n")
        libc = ctypes.CDLL(None)
        libc.printf(b"printed by C, and held back by it\\n")
        return self.fc(x)
"""

CONFIG = """
model: {target: "net.py:Net"}
inputs: [{shape: [1, 4]}]
crosscheck: []
"""

NEEDS_POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and descriptors of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with saved profiles, and a config whose network prints in every way."""
    for profile in (nets.alexnet(), nets.small(), nets.many(60)):
        profile.save(tmp_path / f"{profile.name}.json")
    (tmp_path / "net.py").write_text(NOISY, encoding="utf-8")
    (tmp_path / "noisy.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def start(
    folder: Path,
    arguments: Sequence[str],
    environment: dict[str, str] | None = None,
    program: Sequence[str] = ("-m", "profiler"),
    **options: object,
) -> subprocess.Popen[bytes]:
    """Start the command in a separate process, in the folder."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "100", **(environment or {})}
    command = [sys.executable, *program, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, cwd=folder, env=env, **pipes)  # type: ignore[call-overload,no-any-return]


def run(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of the command."""
    process = start(folder, arguments, environment)
    out, err = process.communicate(timeout=600)
    return process.returncode, out.decode(), err.decode()


def invoke(folder: Path, *arguments: str, width: str = "100") -> tuple[int, str, str]:
    """The same in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner(env={"COLUMNS": width, "NO_COLOR": "1"}).invoke(cli, arguments, prog_name="profiler")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json", "csv"])
def test_the_output_of_a_network_is_not_in_the_document(folder: Path, name: str) -> None:
    """Python's print, the descriptor, C code and code at exit all go to standard error."""
    code, out, err = run(folder, "profile", "noisy.yaml", "--format", name)
    assert code == 0, err
    if name == "json":
        assert json.loads(out)["name"] == "noisy"
    else:
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [int(row["multiplies"]) for row in rows if row["layer"] == "fc"] == [4 * 2]
    for line in (
        "printed while imported",
        "printed while built",
        "printed while run",
        "written to the first stdout",
        "written to the descriptor",
        "printed by C, and held back by it",
        "printed at the end",
    ):
        assert line in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json", "csv", "markdown"])
def test_several_networks_are_one_document(folder: Path, name: str) -> None:
    """It is a JSON list of profiles, one CSV table, or one Markdown text."""
    code, out, _ = invoke(folder, "profile", "alexnet.json", "small.json", "--format", name)
    assert code == 0
    if name == "json":
        documents = json.loads(out)
        assert [document["name"] for document in documents] == ["alexnet", "small"]
        (folder / "one.json").write_text(json.dumps(documents[1]), encoding="utf-8")
        assert load_profile(folder / "one.json").total.multiplies == 4 * 6 * 6 * 3 * 3 * 3 + 144 * 10
    elif name == "csv":
        rows = list(csv.reader(io.StringIO(out)))
        assert rows[0][:2] == ["network", "layer"]
        assert {len(row) for row in rows} == {len(rows[0])}
        assert list(dict.fromkeys(row[0] for row in rows[1:])) == ["alexnet", "small"]
    else:
        assert [line for line in out.splitlines() if line.startswith("# ")] == ["# alexnet", "# small"]


@pytest.mark.slow
def test_one_network_is_no_list(folder: Path) -> None:
    """A lone profile is no JSON list, and its CSV has no column for the name."""
    assert json.loads(invoke(folder, "profile", "small.json", "--format", "json")[1])["name"] == "small"
    assert invoke(folder, "profile", "small.json", "--format", "csv")[1].startswith("layer,")


@pytest.mark.slow
@NEEDS_POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "arguments", [["profile", "alexnet.json"], ["profile", "alexnet.json", "--format", "json"], ["--help"]]
)
def test_a_full_disk_is_an_error_of_one_line(folder: Path, arguments: list[str]) -> None:
    """The exit code is 2, since the result could not be written."""
    with open("/dev/full", "wb") as full:
        process = start(folder, arguments, stdout=full)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 2
    assert err.decode().splitlines() == ["profiler: standard output: cannot be written: No space left on device"]


@pytest.mark.slow
@NEEDS_POSIX
@pytest.mark.parametrize(
    "arguments", [["profile", "many.json", "--format", "json"], ["operators"], ["profile", "many.json"]]
)
def test_a_closed_pipe_is_no_error(folder: Path, arguments: list[str]) -> None:
    """``| head -1``: nothing is on standard error, and the exit code is a shell's for SIGPIPE."""
    process = start(folder, arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait(timeout=600) == 128 + signal.SIGPIPE
    assert err == ""
    process.stderr.close()


def loop_of_links(place: Path) -> None:
    place.symlink_to(place.name + "2")
    (place.parent / (place.name + "2")).symlink_to(place.name)


def dangling_link(place: Path) -> None:
    place.symlink_to("nowhere")


def read_only(place: Path) -> None:
    place.mkdir()
    place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(place, os.W_OK):
        pytest.skip("this user may write everywhere")


def below_a_file(place: Path) -> None:
    place.write_text("", encoding="utf-8")


@NEEDS_POSIX
@pytest.mark.parametrize("make", [loop_of_links, dangling_link, read_only, below_a_file])
@pytest.mark.parametrize("command", ["profile", "report", "compare", "crosscheck"])
def test_an_impossible_folder_is_an_error_of_one_line(folder: Path, make: Callable[[Path], None], command: str) -> None:
    """The error comes before any work, with exit code 2."""
    make(folder / "out")
    code, out, err = invoke(folder, command, "alexnet.json", "--output", "out")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("profiler: out: --output: cannot be written")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crosscheck.csv", "layers.csv", "profile.json"])
def test_a_folder_in_place_of_a_file_is_an_error_of_one_line(folder: Path, name: str) -> None:
    """This holds if the file would be written or removed."""
    (folder / "out" / "alexnet" / name).mkdir(parents=True)
    code, out, err = invoke(folder, "profile", "alexnet.json", "--output", "out")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert name in line
    assert not list((folder / "out").rglob("*.tmp"))


@pytest.mark.parametrize("name", ["shares.gif", "shares", "shares.svg.gz", "shares.jpeg"])
def test_a_picture_of_another_format_is_refused(folder: Path, name: str) -> None:
    """One line comes before any work; nothing is written."""
    code, out, err = invoke(folder, "profile", "alexnet.json", "--picture", name)
    assert (code, out) == (2, "")
    assert err == f"profiler: {name}: --picture: expected a name that ends in .svg, .png, .pdf\n"
    assert not (folder / name).exists()


@pytest.mark.slow
def test_a_picture_is_written(folder: Path) -> None:
    """The suffix ``.SVG`` works too."""
    for name in ("x-terminal.svg", "terminal.SVG"):
        assert invoke(folder, "profile", "alexnet.json", "--picture", name)[0] == 0
        assert (folder / name).read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["0", "abc", "-1", "1", "1000000000", "", "²", "1e3", "9" * 5000])
def test_any_number_of_columns_prints(folder: Path, columns: str) -> None:
    """An invalid width is ignored; a narrow terminal gets 40 columns."""
    code, out, _ = invoke(folder, "profile", "alexnet.json", width=columns)
    assert code == 0
    longest = max(map(len, out.splitlines()))
    assert longest <= {"1": 40, "1000000000": 1000, "9" * 5000: 1000}.get(columns, 100)
    assert "whole network" in out


def test_the_width_is_that_of_the_terminal() -> None:
    """Without a terminal it is 100 columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        assert screen_width(io.StringIO()) == 100
        patch.setenv("COLUMNS", "64")
        assert screen_width(io.StringIO()) == 64


@pytest.mark.slow
@pytest.mark.parametrize("name", ["comparison", "Comparison", "README.md", "readme.MD"])
def test_a_network_cannot_have_the_name_of_a_report_file(folder: Path, name: str) -> None:
    """One line proposes another name; without a report, a single network may have the name."""
    text = (folder / "small.json").read_text(encoding="utf-8")
    (folder / "named.json").write_text(text.replace('"small"', json.dumps(name), 1), encoding="utf-8")
    code, _, err = invoke(folder, "report", "alexnet.json", "named.json", "--output", "out")
    assert code == 2
    (line,) = err.splitlines()
    assert "named.json: name:" in line
    assert not (folder / "out").exists()
    assert invoke(folder, "profile", "named.json", "--output", "out2", "-q")[0] == 0


@pytest.mark.parametrize("names", [("net", "net"), ("net", "Net"), ("caf\u00e9", "cafe\u0301"), ("STRASSE", "straße")])
@pytest.mark.parametrize("command", ["report", "profile"])
def test_two_networks_cannot_share_a_folder(folder: Path, names: tuple[str, str], command: str) -> None:
    """This includes names that differ in case or in the encoding of an accent, which are equal on some systems."""
    text = (folder / "small.json").read_text(encoding="utf-8")
    for file, name in zip(("a.json", "b.json"), names, strict=True):
        (folder / file).write_text(text.replace('"small"', json.dumps(name), 1), encoding="utf-8")
    code, _, err = invoke(folder, command, "a.json", "b.json", "--output", "out")
    assert code == 2
    assert "both would write to the same folder" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_names_in_messages_are_escaped(folder: Path) -> None:
    """A file name that would clear the screen does not."""
    for arguments in (("profile", "a\x1b[2Jb.yaml"), ("profile", "x:\x9b2J\u202e"), ("models", "\x1b]0;t\x07")):
        code, out, err = invoke(folder, *arguments)
        assert code in (1, 2)
        assert not any(character in out + err for character in "\x1b\x9b\x07\u202e")
        assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_an_unknown_option_is_escaped(folder: Path) -> None:
    """Messages of click are escaped as well."""
    code, _, err = run(folder, "profile", "--\x1b[2Jodd")
    assert code == 2
    assert "\x1b" not in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "encoding"),
    [
        (["alexnet.json"], "ascii"),
        (["alexnet.json"], "latin-1"),
        (["alexnet.json", "--format", "markdown"], "ascii"),
        (["gone\u00e9.yaml"], "latin-1"),
    ],
)
def test_an_ascii_terminal_gets_ascii(folder: Path, arguments: list[str], encoding: str) -> None:
    """There is no UnicodeEncodeError, and no question marks: symbols are replaced by words."""
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LANG": "C", "LC_ALL": "C"}
    code, out, err = run(folder, "profile", *arguments, environment=environment)
    assert code == (2 if arguments[0].startswith("gone") else 0)
    assert (out + err).isascii()
    assert "Traceback" not in err
    assert "?" not in out
    if arguments == ["alexnet.json"]:
        assert "##" in out
        assert "227" in out


@pytest.mark.slow
def test_json_is_whole_in_ascii(folder: Path) -> None:
    """The document, read back, is the same as in UTF-8."""
    plain = run(folder, "profile", "alexnet.json", "--format", "json")[1]
    short = run(folder, "profile", "alexnet.json", "--format", "json", environment={"PYTHONIOENCODING": "ascii"})[1]
    assert short.isascii()
    assert json.loads(short) == json.loads(plain)


WAITS = """
import sys, time
import profiler.files as files

def wait(*places):
    print("writing", file=sys.stderr, flush=True)
    time.sleep(1200)

files.os.replace = wait
from profiler.cli import main
main()
"""


@pytest.mark.slow
@NEEDS_POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_temporary_files(folder: Path, number: signal.Signals) -> None:
    """A process stopped while it writes removes its temporary file, prints one line and ends as shells expect."""
    arguments = ["profile", "alexnet.json", "--output", "out"]
    # Tests that run in the background, or under nohup, may inherit that the signal is ignored.
    process = start(folder, arguments, program=["-c", WAITS], preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    assert process.stderr is not None
    while b"writing" not in (line := process.stderr.readline()):
        assert line, "the process ended too early"
    assert list((folder / "out").rglob("*.tmp"))
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert not list((folder / "out").rglob("*.tmp"))
    assert len(err.decode().splitlines()) == 1
    assert "Traceback" not in err.decode()


@pytest.mark.slow
@NEEDS_POSIX
def test_leftovers_of_a_killed_process_are_ignored_and_then_removed(folder: Path) -> None:
    """``report --check`` ignores them, and the next run removes them; files of a living process stay."""
    arguments = ["report", "alexnet.json", "--output", "out"]
    assert invoke(folder, *arguments)[0] == 0
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = folder / "out" / "alexnet" / f".gone.csv.{dead.pid}.abc_12.tmp"
    left.write_text("half", encoding="utf-8")
    of_another = folder / "out" / f".README.md.{os.getpid()}.abc_12.tmp"
    of_another.write_text("half", encoding="utf-8")
    assert is_leftover(left)
    assert not is_leftover(of_another)
    assert invoke(folder, *arguments, "--check")[0] == 1  # the file of a living process is no leftover
    of_another.unlink()
    assert invoke(folder, *arguments, "--check")[0] == 0
    assert left.exists()
    assert invoke(folder, *arguments)[0] == 0
    assert not left.exists()


@pytest.mark.slow
@NEEDS_POSIX
def test_a_kill_while_writing_leaves_a_recognized_leftover(folder: Path) -> None:
    """The name of the temporary file is recognized."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nimport profiler.files as files\n"
        "files.os.replace = lambda *places: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_text(Path('out') / 'a.long.name.csv', 'text')\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = (folder / "out").iterdir()
    assert is_leftover(left)
    write_text(folder / "out" / "a.long.name.csv", "text")
    assert [path.name for path in (folder / "out").iterdir()] == ["a.long.name.csv"]


def test_files_of_a_user_are_no_leftovers(tmp_path: Path) -> None:
    """Only names of the form that the profiler writes are removed."""
    for name in (".x.tmp", "x.1.a.tmp", ".x.abc.tmp", "notes.tmp", ".x.99999999999.a.tmp"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter ran in them long ago; a folder in use, and one for another purpose, stay."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, age in (("profiler-counter-old", 7200), ("profiler-counter-new", 10), ("profiler-other-old", 7200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "network.pickle").write_text("large", encoding="utf-8")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with temporary_folder("counter", 3600.0) as folder:
        assert folder.is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {"profiler-counter-new", "profiler-other-old", folder.name}
    assert not folder.exists()


def test_half_of_a_surrogate_pair_is_written_as_an_escape(tmp_path: Path) -> None:
    """UTF-8 does not have it; in JSON the escape is the same text."""
    write_text(tmp_path / "a.json", '{"name": "\ud83d"}')
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "\ud83d"}


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    """The temporary name does not exceed the longest name."""
    write_text(tmp_path / ("n" * 250), "text")
    assert (tmp_path / ("n" * 250)).read_text(encoding="utf-8") == "text"
    with pytest.raises(OutputError, match="name too long"):
        write_text(tmp_path / ("n" * 300), "text")


@pytest.mark.slow
@NEEDS_POSIX
def test_closed_streams_cause_no_traceback(folder: Path) -> None:
    """With ``>&-`` and ``2>&-``, missing streams are no error of the program."""
    for arguments, closed in ((["profile", "alexnet.json"], 1), (["profile", "alexnet.json"], 2), (["gone.yaml"], 2)):
        process = start(folder, arguments, preexec_fn=lambda descriptor=closed: os.close(descriptor))
        out, err = process.communicate(timeout=600)
        assert b"Traceback" not in out + err


def test_the_streams_import_quickly() -> None:
    """The help needs them, and it has to be instant."""
    began = time.process_time()
    import profiler.streams  # noqa: F401

    assert time.process_time() - began < 1


class Screen(io.TextIOWrapper):
    """A stream of bytes that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_bytes_are_written_after_text_and_unchanged() -> None:
    """A pipe gets every byte, in the order of the calls."""
    kept = io.BytesIO()
    stream = io.TextIOWrapper(kept, encoding="utf-8", newline="\r\n")
    stream.write("text\n")
    write_binary(stream, bytes(range(256)), "format x")
    assert kept.getvalue() == b"text\r\n" + bytes(range(256))


@pytest.mark.parametrize("stream", [Screen(io.BytesIO(), encoding="utf-8"), io.StringIO()], ids=["terminal", "text"])
def test_bytes_are_refused_in_one_line_where_only_text_can_go(stream: TextIO) -> None:
    """The message says what to do, and nothing is written."""
    with pytest.raises(OutputError, match=r"^standard output: format x is binary, [^\n]*give --output$"):
        write_binary(stream, b"PK", "format x")
    stream.seek(0)
    assert stream.read() == ""
