"""Reading files of limited size, and writing files atomically: to a temporary name in the same folder, then moved."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from profiler.errors import OutputError
from profiler.printable import INVISIBLE

NAME_EXPECTED = (
    'a name for a folder: not empty, at most 255 bytes, without / \\ : * ? " < > | and control characters, '
    "no dot or space at its end, not a device name of Windows"
)
"""What :func:`is_folder_name` accepts, for messages."""

_NOT_IN_NAMES = re.compile(rf'[/\\:*?"<>|]|{INVISIBLE.pattern}')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]) *(\..*)?", re.IGNORECASE | re.DOTALL)
_NAME_BYTES = 255

_TEMPORARY = re.compile(r"\..*\.([0-9]{1,10})\.[A-Za-z0-9_]+\.tmp", re.DOTALL)
"""The name of a temporary file: that of the final file, the process that writes it, a random part."""

_LONGEST_BEGINNING = 40
"""How many characters of a file's name are in the name of its temporary file, which has a maximum length too."""


DOTTED_EXPECTED = "names with dots between them, such as backbone.layer3"


def is_dotted_name(name: str) -> bool:
    """Whether it is a name in a network: identifiers and numbers with dots between them."""
    return all(part.isidentifier() or part.isdecimal() for part in name.split("."))


def is_folder_name(name: str) -> bool:
    """Whether a folder can have this name on any system; it contains no separators and is not ``..``.

    Characters that control a terminal or the direction of writing, and unpaired surrogates, are not allowed.
    """
    return (
        bool(name.strip())
        and not _NOT_IN_NAMES.search(name)
        and not name.endswith((".", " "))
        and not _DEVICES.fullmatch(name)
        and len(name.encode()) <= _NAME_BYTES
    )


def folder_name(text: str) -> str:
    """``text`` as the name of a folder: characters that are not allowed become ``_``."""
    name = _NOT_IN_NAMES.sub("_", text).rstrip(". ")
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    while len(name.encode()) > _NAME_BYTES:
        name = name[:-1].rstrip(". ")
    return name if name.strip() else "network"


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of the file ``path``, of at most ``limit`` bytes; a pipe without a writer is empty.

    Raises OSError, also if the file is larger.
    """
    unblocked = getattr(os, "O_NONBLOCK", 0)  # opening a pipe without a writer would wait for one
    handle = os.open(path, os.O_RDONLY | unblocked | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        if unblocked:
            os.set_blocking(handle, True)
        with open(handle, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes")
    return data


def same_folder(name: str) -> str:
    """A key that is equal for names of the same folder on some systems, which ignore case or normalize accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def write_files(folder: Path, files: Mapping[str, str | bytes], *, stale: Iterable[str] = ()) -> None:
    """Write every content to its path inside ``folder``, and remove those of ``stale``.

    Nothing is written outside of ``folder``: a path that leads out of it by a link or ``..`` is refused before the
    first file is written.  Raises :class:`OutputError`.
    """
    stale = tuple(stale)
    for name in (*files, *stale):
        _check_inside(folder, folder / name)
    for name in stale:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{folder / name}: cannot be removed: {error.strerror or error}") from error
    for name, content in files.items():
        write_bytes(folder / name, encoded(content))


def _check_inside(folder: Path, path: Path) -> None:
    try:
        place = path.parent.resolve()
        inside = place.is_relative_to(folder.resolve()) and path.name not in ("", ".", "..")
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a null character
        raise OutputError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    if not inside:
        raise OutputError(f"{path}: leads to {place}, expected a place inside {folder}; remove the link")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` like :func:`write_bytes`, encoded by :func:`encoded`."""
    write_bytes(path, encoded(text))


def encoded(content: str | bytes) -> bytes:
    """The content of a file: text is encoded as UTF-8, and an unpaired surrogate in it as its JSON escape."""
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` and create its folders; a crash never leaves a part of it.

    Raises :class:`OutputError` if the file cannot be written.
    """
    write_pieces(path, (content,))


def write_pieces(path: Path, pieces: Iterable[str | bytes]) -> None:
    """Write the pieces one after the other to ``path`` like :func:`write_bytes`; one of them is in memory at a time."""
    import tempfile  # a command that only shows something does not write

    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers_of(path)
        beginning = f".{path.name[:_LONGEST_BEGINNING]}.{os.getpid()}."
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=beginning, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(encoded(piece))
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def is_leftover(path: Path) -> bool:
    """Whether this is a temporary file of a process that was killed while writing."""
    found = _TEMPORARY.fullmatch(path.name)
    return found is not None and not _is_alive(int(found[1]))


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes in ``folder``; files that cannot be removed stay."""
    _remove_those_left(folder.rglob(".*.tmp"))


def _remove_leftovers_of(path: Path) -> None:
    """The same for the temporary files of one file."""
    _remove_those_left(path.parent.glob(f".{glob.escape(path.name[:_LONGEST_BEGINNING])}.*.tmp"))


def _remove_those_left(paths: Iterable[Path]) -> None:
    with contextlib.suppress(OSError):
        for path in paths:
            if is_leftover(path):
                path.unlink()


@contextlib.contextmanager
def temporary_folder(purpose: str, longest: float) -> Iterator[Path]:
    """An empty folder that is removed at the end.

    Folders for the same purpose of killed processes of this user are removed first: those older than ``longest``, the
    maximum number of seconds for which such a folder is needed.
    """
    import shutil
    import tempfile

    for path in Path(tempfile.gettempdir()).glob(f"profiler-{purpose}-*"):
        with contextlib.suppress(OSError):
            about = path.lstat()
            if time.time() - about.st_mtime > longest and about.st_uid == getattr(os, "getuid", lambda: 0)():
                shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"profiler-{purpose}-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _is_alive(process: int) -> bool:
    """Whether the process exists; true if that cannot be found out."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
