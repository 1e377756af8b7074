"""Devices and their peaks, one YAML file each: ``h100.yaml`` is the device ``h100``.

A file has the peaks of dense arithmetic in FLOP/s by dtype, for contractions (``tensor``) and for everything else
(``vector``), and the bandwidth of memory and link in bytes per second, with the source of each in a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profiler.config.yaml_files import read_yaml
from profiler.errors import ConfigError, did_you_mean, shown

FOLDER = Path(__file__).parent

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


def devices() -> tuple[str, ...]:
    """The names of the devices that come with the profiler."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def find_device(name: str) -> Device:
    """The device of that name, or in the file of that path.  Raises :class:`~profiler.errors.ConfigError`."""
    if name in devices():
        return read_device(FOLDER / f"{name}.yaml")
    if name.endswith((".yaml", ".yml")):
        return read_device(Path(name))
    known = devices()
    raise ConfigError(
        f"device {shown(name)} is not known, expected one of {', '.join(known)}, or the path of a YAML file"
        f"{did_you_mean(name, known)}"
    )


def read_device(path: Path) -> Device:
    """The device in a file.  Raises :class:`~profiler.errors.ConfigError`, which names the key."""
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected the keys {', '.join(KEYS)}")
    for key in (*KEYS, *found):
        if key not in found or key not in KEYS:
            problem = "missing" if key not in found else "unknown key"
            raise ConfigError(f"{path}: {shown(key)}: {problem}, expected the keys {', '.join(KEYS)}")
    if not isinstance(found["name"], str) or not found["name"].strip():
        raise ConfigError(f"{path}: name: found {shown(found['name'])}, expected a text")
    return Device(
        found["name"],
        _peaks(path, "tensor", found["tensor"]),
        _peaks(path, "vector", found["vector"]),
        *(_positive(path, key, found[key]) for key in ("memory_bandwidth", "memory", "link")),
    )


def _peaks(path: Path, key: str, value: Any) -> Mapping[str, float]:
    if not isinstance(value, dict) or not all(isinstance(dtype, str) for dtype in value):
        raise ConfigError(f"{path}: {key}: found {shown(value)}, expected FLOP/s by dtype, such as float32: 19.5e12")
    return {dtype: _positive(path, f"{key}.{dtype}", peak) for dtype, peak in value.items()}


def _positive(path: Path, key: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ConfigError(f"{path}: {key}: found {shown(value)}, expected a positive number")
    return number
