"""Writing files whole: to a temporary name beside the place, then moved there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from profiler.errors import OutputError


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` (UTF-8), making its folders; a crash leaves the old file or none, never half of one.

    Raises :class:`OutputError` where the place cannot be written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
