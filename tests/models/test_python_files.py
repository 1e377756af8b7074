"""Files in packages, modules in the current folder, and the error for a target without a name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from profiler.cli import cli
from profiler.errors import TargetError
from profiler.models.python_files import classes_in
from profiler.models.targets import find_builder

NET = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(SIZE, 3)\n"


def package(folder: Path, size: int = 2) -> Path:
    """A package whose file has every relative import of its own modules, one of them when the network is built."""
    inner = folder / "pack" / "inner"
    inner.mkdir(parents=True)
    (folder / "pack/__init__.py").write_text("")
    (folder / "pack/sizes.py").write_text(f"SIZE = {size}\n")
    (inner / "__init__.py").write_text("")
    (inner / "near.py").write_text("from ..sizes import SIZE\n")
    late = "        from . import near\n        assert near.SIZE == SIZE\n"
    (inner / "net.py").write_text("from .near import SIZE\n" + NET + late)
    return inner / "net.py"


def built(target: str, base: Path) -> Any:
    """The network of a target."""
    build: Any = find_builder(target, base).build
    return build()


def test_a_file_inside_a_package_imports_relatively(tmp_path: Path) -> None:
    """It imports from its own folder and the one above, at once and later; later imports do not find the package."""
    package(tmp_path)
    path = list(sys.path)
    assert built("pack/inner/net.py:Net", tmp_path).in_features == 2
    assert built("net.py:Net", tmp_path / "pack/inner").in_features == 2
    assert sys.path == path
    assert "pack" not in sys.modules


def test_two_packages_may_have_one_name(tmp_path: Path) -> None:
    """Each file imports from its own package."""
    for index, name in enumerate(("a", "b")):
        package(tmp_path / name, size=index + 5)
    assert [built("pack/inner/net.py:Net", tmp_path / name).in_features for name in ("a", "b", "a")] == [5, 6, 5]


def test_a_file_that_fails_in_its_package_can_be_run_again(tmp_path: Path) -> None:
    """No half-imported module is left."""
    path = package(tmp_path)
    good = path.read_text()
    path.write_text("from .near import NOTHING\n")
    before = set(sys.modules)
    with pytest.raises(TargetError, match="cannot be imported: ImportError"):
        built("pack/inner/net.py:Net", tmp_path)
    assert not [name for name in set(sys.modules) - before if "pack" in name]
    path.write_text(good)
    assert built("pack/inner/net.py:Net", tmp_path).in_features == 2


def test_a_file_without_relative_imports_does_not_run_its_package(tmp_path: Path) -> None:
    """Code that is not needed does not run."""
    (tmp_path / "__init__.py").write_text("raise RuntimeError\n")
    (tmp_path / "net.py").write_text(NET.replace("SIZE", "4"))
    assert built("net.py:Net", tmp_path).in_features == 4


def test_a_module_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This works as with ``python -m``; another folder has its own modules, and ``sys.path`` is unchanged."""
    path = list(sys.path)
    for index, name in enumerate(("a", "b")):
        folder = tmp_path / name
        package(folder, size=index + 5)
        (folder / "some_net.py").write_text(NET.replace("SIZE", f"{index + 7}"))
    for index, name in enumerate(("a", "b")):
        monkeypatch.chdir(tmp_path / name)
        assert built("some_net:Net", tmp_path).in_features == index + 7
        assert built("pack.inner.net:Net", tmp_path).in_features == index + 5
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match="no source or module 'some_net'"):
        built("some_net:Net", tmp_path)
    assert sys.path == path


def test_an_installed_module_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the name of an imported package changes nothing."""
    (tmp_path / "torch").mkdir()
    monkeypatch.chdir(tmp_path)
    torch = sys.modules["torch"]
    assert built("torch.nn:Identity", tmp_path) is not None
    assert sys.modules["torch"] is torch


def test_the_classes_of_a_file_are_found_without_running_it(tmp_path: Path) -> None:
    """They are in the order of the file; a file that is no Python has none."""
    path = tmp_path / "net.py"
    path.write_text("raise SystemExit\nclass First: pass\ndef f():\n    class Inner: pass\nclass Second(First): pass\n")
    assert classes_in(path) == ["First", "Second"]
    path.write_text("class (")
    assert classes_in(path) == []
    path.write_bytes(b"\x00\xff")
    assert classes_in(path) == []


def error_line(*arguments: str) -> str:
    """The one line that the command prints for bad input."""
    result = CliRunner().invoke(cli, ["profile", *arguments])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    return line


def test_a_file_target_without_a_class_lists_its_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for ``net.py`` proposes ``net.py:Class``; the file does not run."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("open('ran', 'w')\nclass Small: pass\nclass Large: pass\n")
    assert error_line("net.py").endswith("a target: net.py:Class, which has Small, Large")
    Path("net.py").write_text("class Only: pass\n")
    assert error_line("net.py").endswith("a target: net.py:Only, which has Only")
    Path("net.py").write_text("".join(f"class C{number}: pass\n" for number in range(30)))
    assert error_line("net.py").endswith("C8, C9, …")
    assert "there is no file" in error_line("none.py")
    assert not Path("ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "meant"), [("alexnet", "torchvision:alexnet"), ("resnet5", "torchvision:resnet50")])
def test_a_name_without_its_source_gets_a_proposal(typed: str, meant: str) -> None:
    """It is the nearest known target."""
    assert error_line(typed).endswith(f"source:name, did you mean {meant!r}?")
