"""Whole texts compared with files that a person has checked."""

from __future__ import annotations

from pathlib import Path


def assert_golden(path: Path, text: str, *, accept: bool = False) -> None:
    """Compare ``text`` with the file, byte for byte; with ``accept`` write the file instead."""
    if accept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return
    assert path.exists(), f"{path.name} does not exist; run pytest --accept-golden and read the file"
    assert text == path.read_bytes().decode(), f"differs from {path.name}; pytest --accept-golden accepts the new text"
