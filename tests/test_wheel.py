"""What an installed package has beside its modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    """Templates, styles and scripts of pages are installed, and so is the marker of types."""
    pytest.importorskip("setuptools")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "profiler", tree / "profiler", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('..'))"
    result = subprocess.run([sys.executable, "-c", build], cwd=tree, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if name.startswith("profiler/")}
    assert packed == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "profiler").rglob("*.*") if path.is_file()
    } - {path.relative_to(ROOT).as_posix() for path in (ROOT / "profiler").rglob("__pycache__/*")}
    assert "profiler/render/page/assets/page.html" in packed
