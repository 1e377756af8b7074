"""torchvision's import, in fresh interpreters, since an import happens only once, and its operators on meta."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from profiler.models.torchvision_ops import import_torchvision
from tests import forking

pytestmark = pytest.mark.slow  # most tests import torchvision in a separate process

ROOT = Path(__file__).parents[2]


def run(code: str, *, forked: bool = True) -> str:
    """The output of ``code`` in a process that turns warnings into errors; torchvision is not imported before."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    if forked:
        done = forking.run(command, cwd=ROOT, fresh=True)
    else:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torchvision_imports_with_this_torch() -> None:
    """It imports after a failed attempt in the caller's script too, and every later import gets the same module."""
    run(
        """
        import profiler
        try:
            import torchvision
        except RuntimeError:
            pass
        torchvision = profiler.import_torchvision()
        from torchvision.models import resnet18
        assert sum(p.numel() for p in resnet18().parameters()) > 11_000_000
        assert profiler.import_torchvision() is torchvision
        from profiler.models.torchvision_ops import import_torchvision
        assert torchvision is import_torchvision()
        import torchvision as again
        import torchvision.models.detection
        assert again is torchvision
        assert torchvision.extension is __import__("sys").modules["torchvision.extension"]
        assert torchvision.__version__
        import importlib.util
        assert importlib.util.find_spec("torchvision").name == "torchvision"
    """,
        forked=False,
    )


def test_operators_of_torchvision_have_shapes_on_meta() -> None:
    """The region operators and the deformable convolution run on meta tensors, with gradients."""
    ops: Any = import_torchvision().ops
    with torch.device("meta"):
        maps, boxes = torch.empty(2, 8, 32, 32, requires_grad=True), torch.empty(7, 5)
        layer, offsets = ops.DeformConv2d(8, 6, 3, padding=1), torch.empty(2, 2 * 3 * 3, 32, 32)
    for pool, size, shape in (
        (ops.roi_align, (3, 4), (7, 8, 3, 4)),
        (ops.roi_pool, (3, 4), (7, 8, 3, 4)),
        (ops.ps_roi_align, (2, 2), (7, 8 // (2 * 2), 2, 2)),
        (ops.ps_roi_pool, (2, 4), (7, 8 // (2 * 4), 2, 4)),
    ):
        result = pool(maps, boxes, size)
        assert result.shape == shape, (pool, result.shape)
        (gradient,) = torch.autograd.grad(result.sum(), maps)
        assert gradient.shape == maps.shape
    result = layer(maps, offsets)
    assert result.shape == (2, 6, 32, 32)
    result.sum().backward()
    assert layer.weight.grad.shape == layer.weight.shape
    assert ops.box_iou(boxes, boxes[:4], fmt="cxcywhr").shape == (7, 4)


def test_the_declared_schemas_equal_the_compiled_ones() -> None:
    """If torchvision's library loads, its schemas equal those that would be declared in their place."""
    import_torchvision()
    if not any("torchvision" in path for path in torch.ops.loaded_libraries):
        pytest.skip("torchvision's own library does not load beside this torch")
    run("""
        import torch, torchvision
        from profiler.models.torchvision_ops import SCHEMAS
        for text in SCHEMAS[1:]:  # the first has no text of its own to compare with: torch infers it
            ours = torch._C.parse_schema("torchvision::" + text)
            assert str(getattr(torch.ops.torchvision, ours.name.partition("::")[2]).default._schema) == str(ours)
    """)


FAKE = """
    import sys, pathlib, tempfile, torch
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "torchvision").mkdir()
    (folder / "torchvision/__init__.py").write_text({source!r})
    sys.path.insert(0, str(folder))
    from profiler.models.torchvision_ops import import_torchvision
"""


def test_a_torchvision_that_loads_is_unchanged() -> None:
    """Nothing is declared or replaced if the plain import works."""
    run(
        textwrap.dedent(FAKE.format(source="def _has_ops(): return 'its own'"))
        + textwrap.dedent("""
        assert import_torchvision()._has_ops() == "its own"
        assert not hasattr(torch.ops.torchvision, "nms")
    """)
    )


def test_other_import_errors_are_not_hidden() -> None:
    """An import that fails though the operators exist raises its own error."""
    source = (
        "import torch; lib = torch.library.Library('torchvision', 'DEF'); lib.define('nms(Tensor a) -> Tensor')\n"
        "torch.keep = lib\n"
        "raise RuntimeError('compiled with different CUDA major versions')"
    )
    run(
        textwrap.dedent(FAKE.format(source=source))
        + textwrap.dedent("""
        try:
            import_torchvision()
        except RuntimeError as error:
            assert "different CUDA major versions" in str(error)
        else:
            raise SystemExit("no error")
    """)
    )


def test_a_missing_torchvision_is_named() -> None:
    """Without torchvision a network of the zoo is built, and both functions say how to install it."""
    run("""
        import sys
        class Hide:
            def find_spec(self, name, path=None, target=None):
                if name == "torchvision":
                    raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")
        sys.meta_path.insert(0, Hide())
        import profiler
        from profiler.errors import TargetError
        from profiler.models.building import build_model
        from profiler.models.torchvision_ops import import_torchvision
        build_model("profiler.models.zoo:AlexNet")
        for function in (import_torchvision, profiler.import_torchvision):
            try:
                function()
            except TargetError as error:
                assert str(error) == "torchvision is not installed; install it with: pip install torchvision"
            else:
                raise SystemExit("no error")
        sys.meta_path.pop(0)
        sys.modules["torchvision"] = None
        try:
            profiler.import_torchvision()
        except profiler.ProfilerError as error:
            assert "pip install torchvision" in str(error)
        else:
            raise SystemExit("no error")
        del sys.modules["torchvision"]
        build_model("profiler.models.zoo:AlexNet")
        assert "torchvision" not in sys.modules
    """)


def test_a_file_that_imports_torchvision_is_loaded(tmp_path: Path) -> None:
    """A user's target may import torchvision, at its top or in its constructor."""
    (tmp_path / "top.py").write_text("import torchvision\nNet = torchvision.models.resnet18\n")
    (tmp_path / "late.py").write_text(
        "def Net():\n    from torchvision.models import resnet18\n    return resnet18(num_classes=3)\n"
    )
    run(f"""
        import pathlib
        from profiler.models.building import build_model
        for name in ("top", "late"):
            network = build_model(f"{{name}}.py:Net", base=pathlib.Path({str(tmp_path)!r}))
            assert type(network).__name__ == "ResNet"
    """)
