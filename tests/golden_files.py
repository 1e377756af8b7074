"""Whole texts held to files that a person has looked at."""

from __future__ import annotations

from pathlib import Path


def assert_golden(path: Path, text: str, *, accept: bool = False) -> None:
    """Hold ``text`` to the file, byte for byte; with ``accept`` write the file instead."""
    if accept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return
    assert path.exists(), f"{path.name} is not there yet; run pytest --accept-golden and look at it"
    assert text == path.read_bytes().decode(), f"differs from {path.name}; pytest --accept-golden takes it over"
