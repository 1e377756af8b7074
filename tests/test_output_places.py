"""Names of folders, files read up to a limit, and output that stays in its folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import OutputError
from profiler.files import folder_name, is_folder_name, read_bytes, write_files, write_text

BAD_NAMES = (
    "", " ", ".", "..", "...", "../../evil", "/etc", "a/b", "a\\b", "C:", "C:\\x", "a*", "a?", 'a"', "<a>", "a|b",
    "a\x00b", "a\nb", "a\x1b[2J", "a\x7f", "a\x85", "a\x9b2J", "a\u202eb", "a\u2066b", "a\u2028b", "a\ud800",
    "a.", "a ", "CON", "nul", "aux.txt", "com1", "LPT9.x.y", "x" * 256, "é" * 128,
)  # fmt: skip
GOOD_NAMES = (
    "a",
    "alexnet",
    ".hidden",
    "a b",
    "a.b",
    "Größe",
    "网络",
    "console",
    "com",
    "x" * 255,
    "é" * 127,
    "-",
    "~",
)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_folder_names_are_refused(name: str) -> None:
    """They are paths, devices, control characters, and long names; each can be converted to a valid name."""
    assert not is_folder_name(name)
    assert is_folder_name(folder_name(name))


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_folder_names_are_accepted(name: str) -> None:
    """Names in any script are kept unchanged."""
    assert is_folder_name(name)
    assert folder_name(name) == name


@pytest.mark.slow
@given(st.text(st.characters(), max_size=300))
def test_any_text_can_be_converted_to_a_name(text: str) -> None:
    """The name is accepted, and its folder is one level down."""
    name = folder_name(text)
    assert is_folder_name(name)
    assert os.path.normpath(os.path.join("out", name)) == os.path.join("out", name)


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "a/..", "."])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written, not even earlier files."""
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="expected a place inside"):
        write_files(out, {"good.txt": "x", name: "x"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stale", [False, True])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, stale: bool) -> None:
    """A network's folder that links to elsewhere is neither written to nor cleaned up."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (elsewhere / "crosscheck.csv").write_text("theirs")
    (out / "net").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="remove the link"):
        write_files(out, {} if stale else {"net/layers.csv": "x"}, stale=["net/crosscheck.csv"] if stale else [])
    assert [path.name for path in elsewhere.iterdir()] == ["crosscheck.csv"]


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    """The output folder itself may be a link; a file that is a link is replaced, and its target is unchanged."""
    real, other = tmp_path / "real", tmp_path / "other.txt"
    real.mkdir()
    other.write_text("theirs")
    (tmp_path / "out").symlink_to(real)
    (real / "a.txt").symlink_to(other)
    write_files(tmp_path / "out", {"a.txt": "ours", "net/b.txt": "ours"})
    assert (real / "a.txt").read_text() == (real / "net" / "b.txt").read_text() == "ours"
    assert other.read_text() == "theirs"


@pytest.mark.parametrize("folder", ["out", "out/net"])
def test_a_loop_of_links_is_a_profiler_error(tmp_path: Path, folder: str) -> None:
    """The loop is the folder, or in it."""
    link = tmp_path / folder
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(link)
    with pytest.raises(OutputError):
        write_files(tmp_path / "out", {"net/a.txt": "x"})


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    """A larger file, a folder, and a missing file are errors of the system."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    for place, limit in ((path, 4), (tmp_path, 4), (tmp_path / "none", 4)):
        with pytest.raises(OSError, match=r"larger than 4|directory|No such file"):
            read_bytes(place, limit)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_a_pipe_without_a_writer_is_empty(tmp_path: Path) -> None:
    """Reading does not wait for a writer."""
    os.mkfifo(tmp_path / "pipe")
    assert read_bytes(tmp_path / "pipe", 5) == b""


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="has no endless files")
def test_reading_an_endless_file_stops() -> None:
    """It stops at the limit."""
    with pytest.raises(OSError, match="larger than 1,000 bytes"):
        read_bytes(Path("/dev/zero"), 1000)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """New files inside have none of these permissions."""
    before = os.umask(mask)
    try:
        yield
        assert os.umask(mask) == mask, "the umask of the process has changed"
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
@pytest.mark.parametrize("before", [None, 0o600, 0o444, 0o755])
def test_a_written_file_has_the_permissions_of_a_new_one(
    tmp_path: Path, mask: int, mode: int, before: int | None
) -> None:
    """The umask decides them, also if an old file with others is replaced; none are executable."""
    path = tmp_path / "a.txt"
    if before is not None:
        path.write_text("old")
        path.chmod(before)
    with umask(mask):
        write_text(path, "new")
    assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, "new")
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_and_text_are_written_side_by_side(tmp_path: Path) -> None:
    """Bytes stay as they are, and line ends of a text are not changed."""
    write_files(tmp_path, {"a.bin": b"\xff\r\n\x00", "b.txt": "×\n"})
    assert (tmp_path / "a.bin").read_bytes() == b"\xff\r\n\x00"
    assert (tmp_path / "b.txt").read_bytes() == b"\xc3\x97\n"
