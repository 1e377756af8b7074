"""The machine and the versions that results were measured with."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("torch", "torchvision", "transformers", "pandas"),
    *("fvcore", "ptflops", "thop", "torchinfo", "calflops", "torchprofile"),
)


def describe(ultralytics: Path | None = None) -> dict[str, str]:
    """CPU, cores, memory, operating system, versions; nothing that names one machine."""
    described = {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "torch threads": "1",
        "Python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            described[package] = version(package)
        except PackageNotFoundError:
            described[package] = "not installed"
    if ultralytics is not None:
        described["ultralytics-thop"] = _version_in(ultralytics, "ultralytics_thop")
    return described


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version_in(folder: Path, package: str) -> str:
    found = next(folder.glob(f"{package}-*.dist-info"), None)
    return "not installed" if found is None else found.name.removesuffix(".dist-info").rpartition("-")[2]


def environment(**more: str) -> Mapping[str, str]:
    """The environment of a measured process: one thread, and bytecode is kept, as for an installed package."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **more}
