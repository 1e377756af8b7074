"""The file of results: what is written, what is refused, and what is left after a process was killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from profiler.errors import OutputError, ResumeError
from profiler.sweeps import store
from profiler.sweeps.store import Row, Store

IDENTITY = {"sources": ["net"], "grid": ["B=1:9:1"]}


def row(number: int, status: str = "complete") -> Row:
    """A row with made-up content."""
    return Row(number, bytes([number % 256] * 16), "net", f"[{number}]", "", status, "", "{}")


def test_rows_come_back_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Whatever the order in which they arrived; the number of failures is counted."""
    with Store(tmp_path / "sweep.sqlite", IDENTITY) as made:
        for number in (5, 2, 9, 0):
            made.add(row(number, "failed" if number == 9 else "complete"))
        made.commit()
        assert [found.number for found in made.rows()] == [0, 2, 5, 9]
        assert made.counts() == (4, 1)
    with Store(tmp_path / "sweep.sqlite", IDENTITY, resume=True) as again:
        assert list(again.rows()) == [row(0), row(2), row(5), row(9, "failed")]
        assert again.known == {number: row(number).digest for number in (0, 2, 5, 9)}


def test_results_are_committed_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by time; those that wait are written when the file is closed."""
    monkeypatch.setattr(store, "COMMITTED_ROWS", 3)
    with Store(tmp_path / "sweep.sqlite", IDENTITY) as made:
        committed = []
        for number in range(7):
            made.add(row(number))
            committed.append(made.counts()[0])
        assert committed == [0, 0, 3, 3, 3, 6, 6]
        monkeypatch.setattr(store, "COMMITTED_EVERY", -1.0)
        made.add(row(7))
        assert made.counts()[0] == 8
        made._waiting.append(row(8))
    with Store(tmp_path / "sweep.sqlite", IDENTITY, resume=True) as again:
        assert len(again.known) == 9


def test_a_commit_that_a_signal_interrupts_is_made_again(tmp_path: Path) -> None:
    """Before its end, with some rows written, or after it, with the rows still waiting: each row is there once."""
    with Store(tmp_path / "sweep.sqlite", IDENTITY) as made:
        made.add(row(1))
        made.add(row(2))
        made._file.execute("BEGIN")
        made._file.execute("INSERT INTO points SELECT 1, x'00', '', '', '', '', '', ''")
        made.commit()
        assert list(made.rows()) == [row(1), row(2)]
        made._waiting = [row(1), row(2)]
        made.add(row(3))
    with Store(tmp_path / "sweep.sqlite", IDENTITY, resume=True) as again:
        assert list(again.rows()) == [row(1), row(2), row(3)]


def test_results_are_not_overwritten(tmp_path: Path) -> None:
    """Without ``resume`` an existing file is refused with both ways on; with it, another sweep is refused."""
    path = tmp_path / "sweep.sqlite"
    with Store(path, IDENTITY) as made:
        made.add(row(1))
    with pytest.raises(ResumeError, match=r"sweep\.sqlite: has results of an earlier sweep; give --resume to go on"):
        Store(path, IDENTITY)
    with pytest.raises(
        ResumeError, match=r"has results of another sweep: grid differs \(\['B=1:9:1'\] then, \['B=1'\] now\)"
    ):
        Store(path, {**IDENTITY, "grid": ["B=1"]}, resume=True)
    with pytest.raises(ResumeError, match="has results of another sweep: sources differs"):
        Store(path, {**IDENTITY, "sources": ["other"]}, resume=True)
    with pytest.raises(ResumeError, match="has results of another sweep: the version of the profiler differs"):
        Store(path, {**IDENTITY, "the version of the profiler": "9"}, resume=True)
    Store(path, IDENTITY, resume=True).close()


def test_a_new_file_without_results_is_removed(tmp_path: Path) -> None:
    """A sweep that ends before its first result, since its cluster cannot be reached, can be begun again."""
    path = tmp_path / "sweep.sqlite"
    for _ in range(2):
        Store(path, IDENTITY).close()
        assert not path.exists()
    with Store(path, IDENTITY) as made:
        made.add(row(1))
    Store(path, IDENTITY, resume=True).close()
    assert path.exists()


def test_another_network_under_a_known_number_is_noticed(tmp_path: Path) -> None:
    """A function that yields other networks in each run cannot be resumed."""
    with Store(None, IDENTITY) as made:
        made.known[3] = row(3).digest
        assert made.is_known(3, row(3).digest)
        assert not made.is_known(4, row(4).digest)
        with pytest.raises(ResumeError, match="has another network as point 3; a source must give the same networks"):
            made.is_known(3, row(4).digest)


def test_a_second_process_gets_one_line(tmp_path: Path) -> None:
    """Two sweeps cannot write to one file, and the first goes on undisturbed."""
    path = tmp_path / "sweep.sqlite"
    with Store(path, IDENTITY) as made:
        code = (
            "import sys; from pathlib import Path; from profiler.errors import OutputError\n"
            "from profiler.sweeps.store import Store\n"
            f"try: Store(Path(sys.argv[1]), {IDENTITY!r}, resume=True)\n"
            "except OutputError as error: print(error)\n"
        )
        second = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert second.stdout == (
            f"{path}: another sweep is writing to this file; wait until it ends, or give another --output\n"
        )
        made.add(row(1))
    with Store(path, IDENTITY, resume=True) as again:
        assert set(again.known) == {1}


@pytest.mark.parametrize("content", [b"x" * 2000, b"SQLite format 3\0" + b"\xff" * 2000])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """It is not changed."""
    path = tmp_path / "sweep.sqlite"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"sweep\.sqlite: cannot be used as the file of a sweep"):
        Store(path, IDENTITY, resume=True)
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    """It has tables of other names."""
    path = tmp_path / "sweep.sqlite"
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE mine (x)")
    made.close()
    with pytest.raises(ResumeError, match="is no file of a sweep"):
        Store(path, IDENTITY, resume=True)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file stands where the folder should be; a folder stands where the file should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Store(tmp_path / "file" / "sweep.sqlite", IDENTITY)
    (tmp_path / "sweep.sqlite").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        Store(tmp_path / "sweep.sqlite", IDENTITY, resume=True)


WRITER = f"""
import sys
from pathlib import Path
from profiler.sweeps import store
store.COMMITTED_ROWS = 7
made = store.Store(Path(sys.argv[1]), {IDENTITY!r}, resume=True)
for number in range(100_000_000):
    digest = (number % 256).to_bytes(1, "big") * 16
    if not made.is_known(number, digest):
        made.add(store.Row(number, digest, "net", f"[{{number}}]", "", "complete", "", "{{}}"))
        if number % 50 == 0:
            print(number, flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_batches(tmp_path: Path) -> None:
    """SIGKILL while writing, twice: every row that is there is whole, no number is missing before the last one."""
    path = tmp_path / "sweep.sqlite"
    last = -1
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(8):
            writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with Store(path, IDENTITY, resume=True) as left:
            numbers = [found.number for found in left.rows()]
            assert numbers == list(range(len(numbers)))
            assert all(found.digest == row(found.number).digest for found in left.rows())
            assert len(numbers) - 1 > last
            last = len(numbers) - 1
