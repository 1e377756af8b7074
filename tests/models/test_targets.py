"""Targets: what each form names, and the error for a wrong one."""

import sys
from pathlib import Path
from typing import Any

import pytest

from profiler.errors import TargetError
from profiler.models.sources import SOURCES, source
from profiler.models.targets import KnownTarget, find_builder, list_targets
from profiler.models.zoo import AlexNet

NET = "from torch import nn\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 3)\n"


def find_target(target: str, base: Path | None = None) -> Any:
    """The builder of ``target``."""
    return find_builder(target, base).build


def refusal(target: str, base: Path | None = None) -> str:
    """The message about ``target``, which is one line."""
    with pytest.raises(TargetError) as caught:
        find_target(target, base)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_module_target_is_imported() -> None:
    """``package.module:Net`` is that attribute; a dotted name reaches an attribute of an attribute."""
    assert find_target("profiler.models.zoo:AlexNet") is AlexNet
    nested: Any = find_target("pathlib:Path.cwd")
    assert nested == Path.cwd


def test_a_file_target_is_relative_to_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``nets/net.py:Net`` is relative to the base, or to the current folder; an absolute path is used directly."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets/net.py").write_text(NET)
    assert find_target("nets/net.py:Net", tmp_path).__name__ == "Net"
    monkeypatch.chdir(tmp_path)
    assert find_target("nets/net.py:Net").__name__ == "Net"
    assert find_target(f"{tmp_path}/nets/net.py:Net", Path("/")).__name__ == "Net"


def test_a_file_is_run_once_until_it_changes(tmp_path: Path) -> None:
    """A file registers its rules once; an edited file is run again."""
    (tmp_path / "net.py").write_text(NET)
    first = find_target("net.py:Net", tmp_path)
    assert find_target("net.py:Net", tmp_path) is first
    (tmp_path / "net.py").write_text(NET.replace("2, 3", "2, 4"))
    assert find_target("net.py:Net", tmp_path) is not first


def test_two_files_may_have_neighbors_of_one_name(tmp_path: Path) -> None:
    """Each file gets the neighbor from its own folder, and the import path is unchanged."""
    path = list(sys.path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "profiler_test_blocks.py").write_text(f"def Net(): return {folder!r}\n")
        (tmp_path / folder / "net.py").write_text("from profiler_test_blocks import Net\n")
    built: list[Any] = [find_target(f"{folder}/net.py:Net", tmp_path)() for folder in ("a", "b")]
    assert built == ["a", "b"]
    assert sys.path == path
    assert "profiler_test_blocks" not in sys.modules


def test_ordinary_modules_stay_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the file's folder that can be imported without the file stays in ``sys.modules``."""
    (tmp_path / "profiler_test_package").mkdir()
    (tmp_path / "profiler_test_package/__init__.py").write_text("")
    (tmp_path / "net.py").write_text(f"import profiler_test_package\n{NET}")
    monkeypatch.syspath_prepend(tmp_path)
    find_target("net.py:Net", tmp_path)
    assert sys.modules.pop("profiler_test_package").__file__ == str(tmp_path / "profiler_test_package/__init__.py")


def test_a_torchvision_target_fetches_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name and the import path load no weights; a request for weights is refused."""
    for target in ("torchvision:deeplabv3_resnet50", "torchvision.models.segmentation:deeplabv3_resnet50"):
        build = find_target(target)
        with pytest.raises(ValueError, match="weights_backbone would be downloaded"):
            build(weights_backbone="DEFAULT")
        with pytest.raises(ValueError, match="pretrained would be downloaded"):
            build(pretrained=True)


@pytest.mark.slow
def test_every_torchvision_network_is_listed() -> None:
    """All of torchvision's networks are listed by family, after the zoo's."""
    listed = list_targets()
    assert listed[0] == KnownTarget("profiler.models.zoo:AlexNet", "zoo")
    families = {entry.target: entry.family for entry in listed}
    assert families["torchvision:resnet50"] == "classification"
    assert families["torchvision:quantized_resnet50"] == "quantization"
    assert families["torchvision:fasterrcnn_resnet50_fpn"] == "detection"
    assert families["torchvision:raft_small"] == "optical_flow"
    assert families["torchvision:fcn_resnet50"] == "segmentation"
    assert families["torchvision:r3d_18"] == "video"
    assert sum(family == "classification" for family in families.values()) >= 80


@pytest.mark.slow
def test_a_pattern_selects_targets() -> None:
    """It is a part of a target or family, or a glob over the target or its name, in any case."""
    assert {entry.target for entry in list_targets("alexNET")} == {"profiler.models.zoo:AlexNet", "torchvision:alexnet"}
    assert [entry.target for entry in list_targets("vgg1[13]")][:2] == ["torchvision:vgg11", "torchvision:vgg13"]
    assert {entry.family for entry in list_targets("*rcnn_resnet50_fpn")} == {"detection"}
    assert all("gpt2" in entry.family or "gpt2" in entry.target.lower() for entry in list_targets("gpt2"))
    assert list_targets("nothing like it") == []


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param(
            "resnet50",
            "target 'resnet50': expected source:name, did you mean 'torchvision:resnet50'?",
            marks=pytest.mark.slow,  # every source lists its networks
        ),
        pytest.param(":x", "target ':x': expected source:name, such as torchvision:resnet50", marks=pytest.mark.slow),
        (
            "torchvision:resnet5",
            "target torchvision:resnet5: torchvision has no network 'resnet5', did you mean 'resnet",
        ),
        (
            "torchvison:resnet50",
            "target torchvison:resnet50: no source or module 'torchvison', did you mean 'torchvisio",
        ),
        (
            "profiler.models.zoo:AlexNe",
            "target profiler.models.zoo:AlexNe: profiler.models.zoo has no 'AlexNe', did you",
        ),
        ("profiler.models.zoo:__name__", "target profiler.models.zoo:__name__: __name__ is a str, expected a class or"),
        ("os.path.x:y", "target os.path.x:y: no source or module 'os.path.x'"),
        (".relative:y", "target .relative:y: .relative cannot be imported: TypeError: "),
        ("gone.py:Net", "target gone.py:Net: no such file "),
        ("gone/net.py:Net", "target gone/net.py:Net: no such file "),
    ],
)
def test_an_unknown_target_gets_the_nearest_proposal(target: str, message: str) -> None:
    """One line names the target and what it could have been."""
    assert refusal(target).startswith(message)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import gone_away", "ModuleNotFoundError: No module named 'gone_away'"),
        ("x = (", "SyntaxError: '(' was never closed"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("open('/gone/away')", "FileNotFoundError: [Errno 2] No such file or directory: '/gone/away'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("raise ValueError", "ValueError"),
    ],
)
def test_the_error_of_a_failing_file_says_why(tmp_path: Path, text: str, reason: str) -> None:
    """One line has the error's type and first line; the half-imported module is removed."""
    (tmp_path / "net.py").write_text(text)
    before = set(sys.modules)
    assert refusal("net.py:Net", tmp_path).startswith(f"target net.py:Net: net.py cannot be imported: {reason}")
    assert set(sys.modules) == before


def test_a_file_that_is_not_python_is_refused(tmp_path: Path) -> None:
    """A path without ``.py`` cannot be loaded."""
    (tmp_path / "net.txt").write_text("")
    assert refusal("./net.txt:Net", tmp_path).endswith("cannot be imported: ImportError: net.txt is not a Python file")


def test_a_source_is_registered_once() -> None:
    """A second source of the same name is an error, and changes nothing."""
    before = dict(SOURCES)
    with pytest.raises(TargetError, match="'torchvision' is registered already"):
        source("torchvision")(lambda base: {})
    assert before == SOURCES
