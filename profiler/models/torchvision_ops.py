"""torchvision with any build of torch: its compiled operators are declared if its library cannot be loaded.

The torchvision wheel is linked against CUDA.  With a CPU-only torch its library does not load, its
operators (nms, roi_align, deform_conv2d, …) do not exist, and ``import torchvision`` itself fails; whatever
imports torchvision, such as transformers, fails with it.  To build networks and trace them on the meta
device the operators' names and shapes are enough; those that detection networks call get plain-torch kernels
too, for networks that have to be run on the CPU.  So :func:`import_torchvision` tries the plain import, and
only when the operators turn out to be missing does it declare them and import torchvision again.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import torch

from profiler.errors import TargetError
from profiler.models.torchvision_kernels import KERNELS
from profiler.tracing.failures import raised_by_statement

SCHEMAS = (
    "_cuda_version() -> int",
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " int sampling_ratio, bool aligned) -> Tensor",
    "_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " SymInt batch_size, SymInt channels, SymInt height, SymInt width, int sampling_ratio, bool aligned) -> Tensor",
    "qroi_align(Tensor input, Tensor rois, float input_scale, int input_zero_point, float rois_scale,"
    " int rois_zero_point, float spatial_scale, SymInt pooled_height, SymInt pooled_width, int sampling_ratio,"
    " bool aligned) -> Tensor",
    "roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width)"
    " -> (Tensor, Tensor)",
    "_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, float spatial_scale, SymInt pooled_height,"
    " SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width) -> Tensor",
    "ps_roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " int sampling_ratio) -> (Tensor, Tensor)",
    "_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale,"
    " SymInt pooled_height, SymInt pooled_width, int sampling_ratio, SymInt batch_size, SymInt channels,"
    " SymInt height, SymInt width) -> Tensor",
    "ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width)"
    " -> (Tensor, Tensor)",
    "_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale,"
    " SymInt pooled_height, SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width)"
    " -> Tensor",
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h,"
    " SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups,"
    " SymInt offset_groups, bool use_mask) -> Tensor",
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias,"
    " SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w,"
    " SymInt groups, SymInt offset_groups, bool use_mask) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
"""The operators of torchvision's library, as torchvision 0.28 declares them."""

T = TypeVar("T")

MISSING_OPERATOR = "operator torchvision::nms does not exist"
"""The message of torch during the plain import if torchvision's library did not load."""

_lock = threading.Lock()


def import_torchvision() -> ModuleType:
    """torchvision, with its operators declared if its own library cannot load.

    A torchvision that can be imported is not changed.  Otherwise the operators are declared with
    torchvision's own shape functions and gradients, so that they run on meta tensors; on real CPU tensors the
    kernels of :mod:`profiler.models.torchvision_kernels` run, and other operators raise
    ``NotImplementedError``.  Raises TargetError if torchvision is not installed.
    """
    with _lock:
        try:
            return importlib.import_module("torchvision")
        except ModuleNotFoundError as error:
            if error.name != "torchvision":
                raise
            raise TargetError("torchvision is not installed; install it with: pip install torchvision") from error
        except RuntimeError:
            # Any other failure (such as a CUDA mismatch) happens with the operators in place and cannot be fixed here.
            if hasattr(torch.ops.torchvision, "nms"):
                raise
        _forget_half_imported()
        _declare_operators()
        return _import_as_if_loaded()


def with_operators(action: Callable[[], T]) -> T:
    """``action()``; if it fails because torchvision's operators are missing, import torchvision and call it again.

    For code that may or may not import torchvision, whose import takes time.
    """
    try:
        return action()
    except Exception as error:
        if not _lacks_operators(error):
            raise
    import_torchvision()
    return action()


def _lacks_operators(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, RuntimeError) and str(error) == MISSING_OPERATOR and not raised_by_statement(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


@functools.cache  # A library that is garbage-collected takes its operators with it.
def _declare_operators() -> torch.library.Library:
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in SCHEMAS:
        library.define(schema)
    library.impl("_cuda_version", _no_cuda, "CompositeExplicitAutograd")
    library.impl("box_iou_rotated", _box_iou_rotated_shape, "Meta")
    for name, kernel in KERNELS.items():
        library.impl(name, kernel, "CPU")
    return library  # type: ignore[no-any-return]


def _no_cuda() -> int:
    """The version that torchvision's library returns if it is built without CUDA; the import reads it."""
    return -1


def _box_iou_rotated_shape(boxes1: torch.Tensor, boxes2: torch.Tensor) -> torch.Tensor:
    """(N, 5), (M, 5) → (N, M); the one operator that torchvision has no shape function for."""
    return boxes1.new_empty((boxes1.shape[0], boxes2.shape[0]))


def _import_as_if_loaded() -> ModuleType:
    """Import torchvision with ``torchvision.extension._has_ops`` returning true.

    Its result decides whether torchvision registers its shape functions and gradients, and whether its layers raise
    when they are called.  It has to be replaced after ``torchvision.extension`` has looked for the library and before
    the rest of the package calls it, so the package is created first and executed last.
    """
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["torchvision"] = package
    try:
        extension = importlib.import_module("torchvision.extension")
        vars(extension)["_has_ops"] = _has_declared_ops
        spec.loader.exec_module(package)
    except BaseException:
        _forget_half_imported()
        raise
    return package


def _has_declared_ops() -> bool:
    return True
