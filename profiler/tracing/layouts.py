"""The results of common operators on the meta device, without torch's own kernels for it.

Many of these kernels are Python code, and the first one that runs imports sympy and the compiler of torch, which takes
longer than the whole profile of a small network.  Here the shape of a result is computed for the plain case: dense
floating-point tensors of one dtype, with the strides of new tensors, and arguments that the operator accepts.
Anything else is left to torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from operator import ge
from typing import Any

import torch
from torch import empty_strided

from profiler.tracing.strides import (
    Shape,
    Strides,
    contiguous,
    expanded,
    is_viewable,
    of_elements,
    prefers_channels_last,
)

Result = tuple[Shape, torch.dtype] | tuple[Shape, torch.dtype, Strides]
"""The shape and dtype of a new tensor, whose elements are in order if no strides are given."""

Sizes = int | Sequence[int]

META = torch.device("meta")

FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})


def are_plain(*tensors: Any) -> bool:
    """Whether all of them are dense floating-point tensors on meta of one dtype, with elements in order."""
    dtype = tensors[0].dtype if type(tensors[0]) in PLAIN else None
    if dtype not in FLOATS:
        return False
    for tensor in tensors:
        if type(tensor) not in PLAIN or tensor.dtype is not dtype:
            return False
        if not tensor.is_meta or tensor.layout is not torch.strided:
            return False
        shape = tensor.shape
        if 0 in shape or tensor.stride() != contiguous(shape):
            return False
    return True


PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})


def are_strided(*tensors: Any) -> bool:
    """Whether all of them are floating-point tensors on meta of one dtype, with any strides."""
    dtype = tensors[0].dtype if type(tensors[0]) in PLAIN else None
    if dtype not in FLOATS:
        return False
    for tensor in tensors:
        if type(tensor) not in PLAIN or tensor.dtype is not dtype:
            return False
        if not tensor.is_meta or tensor.layout is not torch.strided or tensor.is_neg() or 0 in tensor.shape:
            return False
    return True


def pointwise(*tensors: Any) -> Result | None:
    """The layout of a function of the elements of tensors at the same place, each expanded to the shape of the result.

    This holds for the operators whose meta kernel is torch's Python code: those of ``_of_two``, and ``div``.
    """
    if not are_strided(*tensors):
        return None
    shape = tuple(tensors[0].shape)
    if any(tensor.shape != shape for tensor in tensors):
        dims = max(tensor.dim() for tensor in tensors)
        padded = [(1,) * (dims - tensor.dim()) + tuple(tensor.shape) for tensor in tensors]
        shape = tuple(map(max, *padded))
    operands = [expanded(tuple(tensor.shape), tensor.stride(), shape) for tensor in tensors]
    known = [strides for strides in operands if strides is not None]
    if len(known) < len(operands):
        return None  # their sizes differ
    return shape, tensors[0].dtype, of_elements(shape, *known)


def given(*tensors: Any) -> list[Any]:
    """Those that are not None."""
    return [tensor for tensor in tensors if tensor is not None]


def _linear(input: Any, weight: Any, bias: Any = None) -> Result | None:
    """(…, in), (out, in) → (…, out)."""
    if not are_strided(*given(input, weight, bias)) or weight.dim() != 2 or not input.dim():
        return None
    if input.shape[-1] != weight.shape[1] or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    return (*input.shape[:-1], weight.shape[0]), input.dtype


def _sizes(value: Sizes, dims: int) -> Shape | None:
    """One whole number for each of ``dims`` dimensions; None for anything else."""
    sizes = (value,) * dims if isinstance(value, int) else tuple(value)
    sizes = sizes * dims if len(sizes) == 1 else sizes
    return sizes if len(sizes) == dims and all(type(size) is int for size in sizes) else None


def convolution(dims: int) -> Callable[..., Result | None]:
    """The layout of a convolution over that number of dimensions."""

    def layout(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Sizes = 1,
        padding: Any = 0,
        dilation: Sizes = 1,
        groups: int = 1,
    ) -> Result | None:
        """(batch, groups · i, …), (out, i, …) → (batch, out, …)."""
        if isinstance(padding, str) or not are_plain(*given(weight, bias)):
            return None
        if not (are_plain(input, weight) or (are_strided(input, weight) and _convolutions_are_in_order())):
            return None
        if input.dim() != dims + 2 or weight.dim() != dims + 2:
            return None
        out = weight.shape[0]
        if groups < 1 or input.shape[1] != weight.shape[1] * groups or out % groups:
            return None
        if bias is not None and bias.shape != (out,):
            return None
        places = _places(input.shape[2:], weight.shape[2:], stride, padding, dilation)
        return None if places is None else ((input.shape[0], out, *places), input.dtype)

    return layout


@cache
def _convolutions_are_in_order() -> bool:
    """Whether the result of a convolution on meta is in order if the image is not: versions of torch differ."""
    image = empty_strided((1, 2, 3, 3), (18, 1, 6, 2), device=META)
    result = torch.ops.aten.conv2d.default(image, empty_strided((2, 2, 1, 1), (2, 1, 1, 1), device=META))
    return bool(result.stride() == contiguous(result.shape))


def _places(
    sizes: Shape, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, *, above: bool = False
) -> Shape | None:
    """The number of places of a window in each dimension, rounded down, or up if ``above``; None if it does not fit."""
    dims = len(sizes)
    windows = [window for value in (kernel, stride, padding, dilation) if (window := _sizes(value, dims)) is not None]
    if len(windows) < 4:
        return None
    places = []
    for size, (taps, jump, front, step) in zip(sizes, zip(*windows, strict=True), strict=True):
        room = size + 2 * front - step * (taps - 1) - 1
        if taps < 1 or jump < 1 or front < 0 or step < 1 or room < 0:
            return None
        number = (room + (jump - 1 if above else 0)) // jump + 1
        if above and (number - 1) * jump >= size + front:
            number -= 1
        places.append(number)
    return tuple(places)


def max_pool2d(
    self: Any,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Result | None:
    """(batch, channels, height, width) → (batch, channels, places, places)."""
    return _pooled(self, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool2d(
    self: Any,
    kernel_size: Sizes,
    stride: Sizes = (),
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Result | None:
    """(batch, channels, height, width) → (batch, channels, places, places)."""
    return _pooled(self, kernel_size, stride, padding, 1, ceil_mode) if divisor_override is None else None


def _pooled(image: Any, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, above: bool) -> Result | None:
    if not are_plain(image) or image.dim() != 4:
        return None
    taps, fronts = _sizes(kernel, 2), _sizes(padding, 2)
    if taps is None or fronts is None or any(2 * front > size for front, size in zip(fronts, taps, strict=True)):
        return None
    places = _places(image.shape[2:], taps, stride or taps, fronts, dilation, above=above)
    return None if places is None else ((*image.shape[:2], *places), image.dtype)


def _adaptive_avg_pool2d(self: Any, output_size: Sizes) -> Result | None:
    sizes = _sizes(output_size, 2)
    if not are_strided(self) or self.dim() != 4 or sizes is None or min(sizes) < 1:
        return None
    batch, channels = self.shape[:2]
    strides = self.stride()
    if sizes == (1, 1) and prefers_channels_last(self.shape, strides):
        return (batch, channels, 1, 1), self.dtype, (channels, 1, channels, channels)
    return ((batch, channels, *sizes), self.dtype) if sizes == (1, 1) or strides == contiguous(self.shape) else None


def _batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, *others: Any
) -> Result | None:
    held = given(weight, bias, running_mean, running_var)
    if training or running_mean is None or running_var is None or not are_plain(input, *held):
        return None
    fits = input.dim() >= 2 and all(tensor.shape == input.shape[1:2] for tensor in held)
    return (tuple(input.shape), input.dtype) if fits else None


def is_made_contiguous(tensor: Any) -> bool:
    """Whether ``contiguous`` returns a tensor with the strides of a new one: the same if it has them, or a copy."""
    return bool(tensor.stride() == contiguous(tensor.shape) or not tensor.is_contiguous())


def _layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, *others: Any) -> Result | None:
    shape = tuple(normalized_shape)
    held = given(weight, bias)
    if not shape or not are_strided(input, *held) or tuple(input.shape[-len(shape) :]) != shape:
        return None
    if not is_made_contiguous(input) or any(tuple(tensor.shape) != shape for tensor in held):
        return None
    return tuple(input.shape), input.dtype


def _group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, *others: Any) -> Result | None:
    held = given(weight, bias)
    if not are_plain(input, *held) or input.dim() < 2 or num_groups < 1 or input.shape[1] % num_groups:
        return None
    fits = all(tensor.shape == input.shape[1:2] for tensor in held)
    return (tuple(input.shape), input.dtype) if fits else None


def _of_each(self: Any, *others: Any, **options: Any) -> Result | None:
    """A function of each element."""
    numbers = all(value is None or type(value) in (int, float, bool, str) for value in (*others, *options.values()))
    return (tuple(self.shape), self.dtype) if numbers and are_plain(self) else None


def _of_two(self: Any, other: Any, *, alpha: Any = 1) -> Result | None:
    """A function of each element of one tensor and that of another at the same place, or a number."""
    if type(alpha) not in (int, float):
        return None
    return pointwise(self) if type(other) in (int, float) else pointwise(self, other)


def are_in_order(*tensors: Any) -> bool:
    """The same as :func:`are_plain` where the stride of a dimension of size 1 may be larger, as in a part of a tensor.

    The result of an operator with two such operands has the strides of a new tensor.
    """
    dtype = tensors[0].dtype if type(tensors[0]) in PLAIN else None
    return dtype in FLOATS and all(
        type(tensor) in PLAIN
        and tensor.dtype is dtype
        and tensor.is_meta
        and tensor.layout is torch.strided
        and 0 not in tensor.shape
        and tensor.is_contiguous()
        and all(map(ge, (strides := tensor.stride()), strides[1:]))  # not those of channels that come last
        for tensor in tensors
    )


def _softmax(self: Any, dim: int, dtype: Any = None) -> Result | None:
    if dtype is not None or not are_plain(self) or not -self.dim() <= dim < self.dim():
        return None
    return tuple(self.shape), self.dtype


def _embedding(weight: Any, indices: Any, *others: Any, **options: Any) -> Result | None:
    """(rows, width), (…) → (…, width)."""
    if not are_plain(weight) or weight.dim() != 2 or type(indices) not in PLAIN or not indices.is_meta:
        return None
    if indices.dtype not in (torch.int32, torch.int64) or 0 in indices.shape or indices.layout is not torch.strided:
        return None
    return (*indices.shape, weight.shape[1]), weight.dtype


def _cat(tensors: Any, dim: int = 0) -> Result | None:
    """(…, a, …), (…, b, …) → (…, a + b, …)."""
    if type(dim) is not int or not tensors or not are_strided(*tensors):
        return None
    layouts = [(tensor.shape, tensor.stride()) for tensor in tensors]
    first = layouts[0][0]
    if not -len(first) <= dim < len(first):
        return None
    place = dim % len(first)
    before, after = first[:place], first[place + 1 :]
    in_order = len(first) not in (4, 5)
    for shape, strides in set(layouts):  # a dense block joins many tensors of few shapes
        if len(shape) != len(first) or shape[:place] != before or shape[place + 1 :] != after:
            return None
        in_order = in_order or not prefers_channels_last(shape, strides)
    if not in_order:
        return None
    return (*before, sum([shape[place] for shape, _ in layouts]), *after), tensors[0].dtype


def index(self: Any, indices: Any) -> Result | None:
    """(rows, …), (…) → (…, …): the rows at some places."""
    if len(indices) != 1 or type(indices[0]) not in PLAIN or not are_plain(self) or not self.dim():
        return None
    (index,) = indices
    if index.dtype not in (torch.int32, torch.int64) or not index.is_meta or index.layout is not torch.strided:
        return None
    if 0 in index.shape or not index.dim() or index.stride() != contiguous(index.shape):
        return None
    return (*index.shape, *self.shape[1:]), self.dtype


def _compared(self: Any, other: Any) -> Result | None:
    """The same as :func:`_of_two` for a comparison."""
    layout = _of_two(self, other)
    return None if layout is None else (layout[0], torch.bool, *layout[2:])


def _masked_fill(self: Any, mask: Any, value: Any) -> Result | None:
    """A tensor and a mask of one shape → the tensor with a number at some places."""
    if type(value) not in (int, float) or type(mask) not in PLAIN or not are_plain(self) or not self.dim():
        return None
    if mask.dtype is not torch.bool or not mask.is_meta or mask.layout is not torch.strided:
        return None
    fits = mask.shape == self.shape and mask.stride() == contiguous(self.shape)
    return (tuple(self.shape), self.dtype) if fits else None


def _reshape(self: Any, shape: Any) -> Result | None:
    """A copy in another shape; None if the result is a view."""
    sizes = _sizes(shape, len(shape))
    if not sizes or not are_strided(self) or not self.dim():
        return None
    elements, known = self.numel(), prod([size for size in sizes if size != -1])
    if -1 in sizes and known > 0:
        sizes = tuple([elements // known if size == -1 else size for size in sizes])
    if min(sizes) < 1 or prod(sizes) != elements or is_viewable(self.shape, self.stride(), sizes):
        return None
    return sizes, self.dtype


def _contiguous(self: Any) -> Result | torch.Tensor | None:
    """The tensor itself if its elements are in order, or else a copy."""
    if not are_strided(self):
        return None
    if self.is_contiguous():
        found: torch.Tensor = self
        return found
    return tuple(self.shape), self.dtype


def are_usual(options: dict[str, Any]) -> bool:
    """Whether options of a new tensor ask for no memory of a special kind and no special layout."""
    return all(value is None or value is False or value is torch.strided for value in options.values())


def _new(self: Any, size: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Result | None:
    """A tensor of that size, with the dtype of another one unless another is given."""
    sizes = _sizes(size, len(size))
    if sizes is None or not are_strided(self) or (sizes and min(sizes) < 0):
        return None
    if device is not None and device != META:
        return None
    return (sizes, self.dtype if dtype is None else dtype) if are_usual(options) else None


def _scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Result | None:
    """A number as a tensor."""
    if type(s) not in (int, float, bool) or dtype is None or dtype.is_complex or device != META:
        return None
    return ((), dtype) if are_usual(options) else None


def _matmul(self: Any, other: Any) -> Result | None:
    """(…, n, k), (…, k, m) → (…, n, m), with the same batches."""
    if not are_strided(self, other) or self.dim() != other.dim() or self.dim() < 3:
        return None
    if self.shape[:-2] != other.shape[:-2] or self.shape[-1] != other.shape[-2]:
        return None
    return (*self.shape[:-1], other.shape[-1]), self.dtype


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Result | None:
    """(…, n, k), (…, m, k), (…, m, l) → (…, n, l), with the same batches."""
    if (
        not are_strided(query, key, value)
        or enable_gqa
        or dropout_p
        or not 3 <= query.dim() == key.dim() == value.dim()
    ):
        return None
    *batch, places, width = query.shape
    others = key.shape[-2]
    if key.shape != (*batch, others, width) or value.shape[:-1] != key.shape[:-1]:
        return None
    if attn_mask is not None and (is_causal or not _is_mask(attn_mask, query.dtype, (*batch, places, others))):
        return None
    return (*batch, places, value.shape[-1]), query.dtype


def _is_mask(mask: Any, dtype: torch.dtype, shape: Shape) -> bool:
    """Whether it is a mask of truth values or of numbers of that ``dtype`` for scores of that ``shape``."""
    return (
        type(mask) in PLAIN
        and mask.is_meta
        and mask.layout is torch.strided
        and mask.dtype in (torch.bool, dtype)
        and not mask.is_neg()
        and mask.dim() >= 2
        and expanded(tuple(mask.shape), mask.stride(), shape) is not None
    )


def _roll(self: Any, shifts: Any, dims: Any = ()) -> Result | None:
    """Of any shape, which stays."""
    shifts, dims = (tuple(value) if isinstance(value, (list, tuple)) else (value,) for value in (shifts, dims))
    if not are_plain(self) or len(shifts) != len(dims) or not shifts:
        return None
    fits = all(type(dim) is int and -self.dim() <= dim < self.dim() for dim in dims)
    return (tuple(self.shape), self.dtype) if fits else None


LAYOUTS: dict[str, Callable[..., Result | torch.Tensor | None]] = {
    "aten::linear": _linear,
    "aten::conv1d": convolution(1),
    "aten::conv2d": convolution(2),
    "aten::conv3d": convolution(3),
    "aten::max_pool2d": max_pool2d,
    "aten::avg_pool2d": avg_pool2d,
    "aten::adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "aten::batch_norm": _batch_norm,
    "aten::layer_norm": _layer_norm,
    "aten::group_norm": _group_norm,
    "aten::softmax": _softmax,
    "aten::embedding": _embedding,
    "aten::cat": _cat,
    "aten::index": index,
    "aten::matmul": _matmul,
    "aten::roll": _roll,
    "aten::scaled_dot_product_attention": _attention,
    **{
        f"aten::{name}": _of_each
        for name in (
            *("relu", "relu6", "gelu", "silu", "mish", "sigmoid", "tanh", "hardswish", "hardsigmoid", "elu"),
            *("leaky_relu", "exp", "sqrt", "rsqrt", "neg"),
        )
    },
    **{f"aten::{name}": _of_two for name in ("add", "sub", "mul")},
    **{f"aten::{name}": _compared for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "aten::masked_fill": _masked_fill,
    "aten::reshape": _reshape,
    "aten::contiguous": _contiguous,
    **{f"aten::{name}": _new for name in ("new_zeros", "new_ones", "new_empty")},
    "aten::scalar_tensor": _scalar_tensor,
}
"""By the name of an operator, a function of its arguments: the layout of its result, or None if torch has to say.

One that returns its operand has the operand in place of a layout.
"""
