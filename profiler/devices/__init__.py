"""Devices and their peaks, one YAML file each: ``files/h100.yaml`` is the device ``h100``.

A file has the peaks of dense arithmetic in FLOP/s by dtype, for contractions (``tensor``) and for everything else
(``vector``), and the bandwidth of memory and link in bytes per second, with the source of each in a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profiler import catalog
from profiler.errors import ConfigError, did_you_mean, shown

FOLDER = Path(__file__).parent / "files"

KEYS = ("name", "tensor", "vector", "memory_bandwidth", "memory", "link")
"""The keys of a file; all of them are required."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device.  Peaks are in FLOP/s by dtype, bandwidths in bytes per second, the size of memory in bytes."""

    name: str
    tensor: Mapping[str, float]
    vector: Mapping[str, float]
    memory_bandwidth: float
    memory: float
    link: float

    def ridge(self, dtype: str) -> float | None:
        """The intensity from which contractions of that dtype are bound by arithmetic, in FLOPs per byte."""
        peak = self.tensor.get(dtype)
        return None if peak is None else peak / self.memory_bandwidth


def find_device(name: str, folder: Path | None = None) -> Device:
    """The device of that name, or in the file of that path, which may be relative to ``folder``.

    Raises :class:`~profiler.errors.ConfigError`.
    """
    known = catalog.devices()
    if name in known:
        return read_device(FOLDER / f"{name}.yaml")
    if name.endswith((".yaml", ".yml")):
        return read_device((folder or Path()) / name)
    raise ConfigError(
        f"device {shown(name)} is not known, expected one of {', '.join(known)}, or the path of a YAML file"
        f"{did_you_mean(name, known)}"
    )


def read_device(path: Path) -> Device:
    """The device in a file.  Raises :class:`~profiler.errors.ConfigError`, which names the key."""
    from profiler.yaml_files import read_yaml

    found = dictionary_in(path, read_yaml(path), KEYS)
    wanted = "FLOP/s by dtype, such as float32: 19.5e12"
    return Device(
        text_in(path, "name", found["name"]),
        positives_in(path, "tensor", found["tensor"], wanted),
        positives_in(path, "vector", found["vector"], wanted),
        *(positive_in(path, key, found[key]) for key in ("memory_bandwidth", "memory", "link")),
    )


def dictionary_in(path: Path, found: object, keys: tuple[str, ...]) -> dict[str, Any]:
    """The content of the file: a mapping with exactly these keys.  Raises ConfigError, as the others here do."""
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected the keys {', '.join(keys)}")
    for key in (*keys, *found):
        if key not in found or key not in keys:
            problem = "missing" if key not in found else "unknown key"
            raise ConfigError(f"{path}: {shown(key)}: {problem}, expected the keys {', '.join(keys)}")
    return found


def text_in(path: Path, key: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{path}: {key}: found {shown(value)}, expected a text")
    return value


def positives_in(path: Path, key: str, value: Any, wanted: str) -> Mapping[str, float]:
    """Positive numbers by name."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{path}: {key}: found {shown(value)}, expected {wanted}")
    return {name: positive_in(path, f"{key}.{name}", number) for name, number in value.items()}


def positive_in(path: Path, key: str, value: Any) -> float:
    """A positive number; YAML reads ``1e12`` as a text."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ConfigError(f"{path}: {key}: found {shown(value)}, expected a positive number")
    return number
