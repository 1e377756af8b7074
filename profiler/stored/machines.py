"""The device and the model of energy by which a saved profile is shown: its file has all of their figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

from profiler.devices import Device
from profiler.energy import EnergyModel
from profiler.errors import shown
from profiler.stored.schemas import FLOAT, NUMBERS_BY_NAME, TEXT, mapping

DEVICE = mapping(
    {
        "name": TEXT,
        "tensor": NUMBERS_BY_NAME,
        "vector": NUMBERS_BY_NAME,
        "memory_bandwidth": FLOAT,
        "memory": FLOAT,
        "link": FLOAT,
    }
)
"""A device, in a file."""

ENERGY_MODEL = mapping(
    {
        "name": TEXT,
        "source": TEXT,
        "multiply": NUMBERS_BY_NAME,
        "add": NUMBERS_BY_NAME,
        "sram": FLOAT,
        "dram": FLOAT,
    }
)
"""A model of energy, in a file."""


def write_device(device: Device) -> dict[str, Any]:
    """The device as it is in a file."""
    return asdict(device)


def write_energy_model(model: EnergyModel) -> dict[str, Any]:
    """The model as it is in a file."""
    return asdict(model)


def problems_of(found: Mapping[str, Any]) -> Iterator[str]:
    """The figures of a device and a model that are no positive numbers, as ``key: found …, expected …``."""
    for key in ("device", "energy_model"):
        for place, value in _numbers(key, found.get(key, {})):
            if not (isfinite(value) and value > 0):
                yield f"{place}: found {shown(value)}, expected a positive number"


def _numbers(place: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(f"{place}.{key if key.isidentifier() else shown(key)}", item)
    elif isinstance(value, int | float):
        yield place, value


def read_device(found: Mapping[str, Any]) -> Device | None:
    """The device in a file without problems, if it has one."""
    return Device(**found["device"]) if "device" in found else None


def read_energy_model(found: Mapping[str, Any]) -> EnergyModel | None:
    """The model in a file without problems, if it has one."""
    return EnergyModel(**found["energy_model"]) if "energy_model" in found else None
