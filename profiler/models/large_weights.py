"""Keep large weights in files while networks are built and run on real tensors, so that only parts are in memory.

Otherwise two networks that are compared, and temporary copies of them, would each need memory for all their weights.
The results are the same: each is computed from the same numbers, a few outputs at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from profiler.tracing.private import DispatchMode

LARGE = 2**26
"""A tensor of at least this many bytes is kept in a file."""

PART = 2**26
"""About this many bytes of a large weight are in memory at a time."""

FILLS = ("aten::uniform_", "aten::normal_", "aten::zero_", "aten::fill_", "aten::random_")
"""Operations that set every element from their other arguments, or from the next random numbers."""

DRAWN_TOGETHER = 16
"""torch draws normal numbers in groups of this size, so parts whose sizes are multiples of it get the same numbers."""

DONT_NEED = getattr(mmap, "MADV_DONTNEED", None)

Dispatch = Callable[..., Any]


class LargeWeightsInFiles(DispatchMode):
    """Within it, ``torch.empty``, which layers use, makes tensors of :data:`LARGE` bytes or more in files.

    The weights of layers are filled, copied and multiplied in parts; any other operation works on the whole tensor.
    The files have no names, so the system removes them when the process ends, even after a crash.  If the disk is full,
    or the system does not support it, tensors are in memory as usual.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kept: dict[int, torch.Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name
        if name == "aten::empty" and _is_ordinary(kwargs):
            empty = self._empty(args[0], kwargs.get("dtype"))
            return func(*args, **kwargs) if empty is None else empty
        held = [value for value in args if isinstance(value, torch.Tensor) and self.holds(value)]
        if not held:
            return func(*args, **kwargs)
        try:
            return self._by_parts(name, func, args, kwargs)
        finally:
            for tensor in held:
                self._leave_memory(tensor)

    def holds(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor's elements are in one of the files."""
        return bool(self._kept) and tensor.device.type == "cpu" and _address(tensor) in self._kept

    def _empty(self, shape: Any, dtype: torch.dtype | None) -> torch.Tensor | None:
        dtype = dtype or torch.get_default_dtype()
        elements = torch.Size(shape).numel()
        if elements * dtype.itemsize < LARGE:
            return None
        flat = _in_file(elements, dtype)
        if flat is None:
            return None
        self._kept[_address(flat)] = flat
        return flat.view(shape)

    def _by_parts(self, name: str, func: Dispatch, args: Any, kwargs: Any) -> Any:
        first, *others = args
        if name in FILLS and first.is_contiguous():
            for part in _flat_parts(first):
                func(part, *others, **kwargs)
                self._leave_memory(part)
            return first
        if name == "aten::clone" and first.is_contiguous():
            copy = self._empty(first.shape, first.dtype)
            if copy is not None:
                for source, part in zip(_flat_parts(first), _flat_parts(copy), strict=True):
                    part.copy_(source)
                    self._leave_memory(source)
                    self._leave_memory(part)
                return copy
        product = None if kwargs else self._product(name, args)
        return func(*args, **kwargs) if product is None else product

    def _product(self, name: str, args: Any) -> torch.Tensor | None:
        """The result of a layer with a large weight, computed a few outputs at a time; None for any other operation."""
        match name, args:
            case "aten::linear", (x, weight, *bias):
                return self._linear(x, weight, bias[0] if bias else None)
            case "aten::addmm", (bias, x, weight) if bias.dim() == 1:
                return self._linear(x, weight.t(), bias)
            case "aten::mm", (x, weight):
                return self._linear(x, weight.t(), None)
            case "aten::convolution", (x, weight, bias, *rest) if not rest[3] and rest[5] == 1:
                return self._convolution(torch.ops.aten.convolution.default, x, weight, bias, rest)
            case "aten::conv1d" | "aten::conv2d" | "aten::conv3d", (x, weight, *more) if len(more) < 5 or more[4] == 1:
                kind = getattr(functional, name.removeprefix("aten::"))
                return self._convolution(kind, x, weight, more[0] if more else None, more[1:])
        return None

    def _linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor | None:
        """x (…, k), weight (m, k) → (…, m); each row of the weight has to be contiguous."""
        if not weight.is_contiguous():
            return None
        return torch.cat([functional.linear(x, part, piece) for part, piece in self._rows(weight, bias)], -1)

    def _convolution(
        self, function: Dispatch, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, rest: Any
    ) -> torch.Tensor | None:
        """x (N, C, …), weight (K, C, …) → (N, K, …), or both without N; None with groups."""
        if not weight.is_contiguous():
            return None
        results = [function(x, part, piece, *rest) for part, piece in self._rows(weight, bias)]
        return torch.cat(results, x.dim() - weight.dim() + 1)

    def _rows(
        self, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """A few rows of the weight at a time with their bias; they are released when the next rows are requested."""
        rows = max(1, PART // max(1, weight[0].numel() * weight.element_size()))
        for start in range(0, len(weight), rows):
            part = weight[start : start + rows]
            yield part, None if bias is None else bias[start : start + rows]
            self._leave_memory(part)

    def _leave_memory(self, tensor: torch.Tensor) -> None:
        """Release the pages of the tensor from memory; they are read from the file when they are next used.

        Does nothing for a tensor that is not in a file, since its data would be lost.
        """
        if not self.holds(tensor):
            return
        storage = tensor.untyped_storage()
        start = max(storage.data_ptr(), tensor.data_ptr())
        end = min(storage.data_ptr() + storage.nbytes(), start + tensor.numel() * tensor.element_size())
        start, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if end > start:
            advice = ctypes.c_int(DONT_NEED or 0)
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


def _flat_parts(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    elements = max(DRAWN_TOGETHER, PART // tensor.element_size() // DRAWN_TOGETHER * DRAWN_TOGETHER)
    parts: tuple[torch.Tensor, ...] = torch.split(tensor.view(-1), elements)
    return parts


def _is_ordinary(options: Any) -> bool:
    """Whether ``options`` of ``torch.empty`` describe a plain tensor on the CPU."""
    device = options.get("device") or torch.get_default_device()
    return torch.device(device).type == "cpu" and not options.get("pin_memory") and not options.get("layout")


def _in_file(elements: int, dtype: torch.dtype) -> torch.Tensor | None:
    """A tensor whose elements are in a file without a name; None if the disk is full."""
    if DONT_NEED is None or not hasattr(os, "posix_fallocate"):
        return None
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(prefix="profiler-weights-") as file:
        # On a full disk, writing to the mapped file would kill the process; so the space is allocated now.
        os.posix_fallocate(file.fileno(), 0, elements * dtype.itemsize)
        tensor: torch.Tensor = torch.from_file(file.name, shared=True, size=elements, dtype=dtype)
        return tensor
    return None


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
